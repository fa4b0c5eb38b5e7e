"""`faces-jobs run`: run the pipeline on files or the webcam, without service or database."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from faces_jobs.cli import exits
from faces_jobs.cli.extras import report_missing_packages
from faces_jobs.cli.new_folders import remove_empty_folders_on_error
from faces_jobs.cli.options import local_options, pop_given_options
from faces_jobs.cli.training_options import detector_option, models_path_option
from faces_jobs.errors import DeviceError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.settings import EncoderName, Settings

CAMERA_NAME = "camera"


@click.command()
@click.argument("inputs", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--inputs-path",
    "--inputs_path",
    type=click.Path(exists=True, path_type=Path),
    help="The same as INPUTS.",
)
@click.option(
    "--outputs-path",
    "--outputs_path",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    default=Path("outputs"),
    show_default=True,
    help="Folder for annotated copies and tables; created if it does not exist.",
)
@models_path_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Device to run the networks on. Default: FACES_JOBS_DEVICE.",
)
@detector_option
@click.option("--cuda", is_flag=True, help="The same as --device cuda.")
@click.option(
    "--show",
    is_flag=True,
    help="Show annotated frames in a window; press q or close it to stop.",
)
@click.option(
    "--delay",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="With --show: show each frame for at least this many milliseconds; 0 waits for a key.",
)
@click.option(
    "--cam-num",
    "--cam_num",
    default="0",
    show_default=True,
    help="Number or device name of the webcam.",
)
@click.option(
    "--video-name",
    "--video_name",
    default=CAMERA_NAME,
    show_default=True,
    help="Name of the webcam's recording.",
)
@local_options
@click.pass_obj
def run(settings: Settings, /, **arguments: Any) -> None:
    """Annotate files or the webcam, without a service.

    No server, database or queue is needed. INPUTS is a file, or a folder that is processed with
    its subfolders; without INPUTS, the webcam is read. For each input an annotated copy is written
    to the outputs folder, and for all of them faces.csv, faces.jsonl, faces.parquet and tracks.csv.
    A file that can't be processed does not stop the others.
    """
    # Options are checked before the imports, which take seconds.
    options = _check_options(arguments, settings, JobSpec.parse_text(pop_given_options(arguments)))
    if options.show_delay_ms is not None and not _has_screen():
        raise DeviceError("There is no screen for --show: omit it, or set DISPLAY.")

    with report_missing_packages("worker"):
        # Imported before PyAV: both bring a libxcb, and with PyAV's the window of OpenCV waits for
        # the screen for ever.
        import cv2  # noqa: F401

        from faces_jobs.cli.local_run import run_camera, run_files
        from faces_jobs.logs import configure_logs
        from faces_jobs_models.catalog import open_catalog_from_settings

    configure_logs("warning", settings.log_format)
    with remove_empty_folders_on_error(options.outputs), report_missing_packages("worker"):
        options.outputs.mkdir(parents=True, exist_ok=True)
        with open_catalog_from_settings(
            settings,
            device="cuda" if arguments["cuda"] else arguments["device"],
            models_folder=arguments["models_path"],
            detector=arguments["detector"],
        ) as catalog:
            process = run_camera if options.inputs is None else run_files
            outcome = process(options, catalog, Console(stderr=True))
    click.echo(
        f"{outcome.succeeded} done, {outcome.failed} failed; see {options.outputs}", err=True
    )
    if outcome.unfinished:
        click.echo(f"interrupted: {outcome.unfinished}", err=True)
        sys.exit(exits.INTERRUPTED)
    if outcome.failed or not outcome.succeeded:
        sys.exit(exits.SOME_FAILED if outcome.succeeded else exits.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The arguments of `faces-jobs run`, validated, and the settings that it uses."""

    spec: JobSpec
    inputs: Path | None  # None: the webcam
    outputs: Path
    show_delay_ms: int | None  # None: no window
    camera: int | str
    video_name: str
    batch_size: int
    lanes: int | None  # the setting; None: chosen automatically
    encoder: EncoderName
    max_pixels: int
    unsure_below: str  # the setting; the spec takes precedence


def _check_options(arguments: dict[str, Any], settings: Settings, spec: JobSpec) -> RunOptions:
    if arguments["cuda"] and arguments["device"] not in {None, "cuda"}:
        raise click.UsageError("--cuda and --device contradict each other: use one of them.")
    if arguments["inputs"] and arguments["inputs_path"]:
        raise click.UsageError("INPUTS and --inputs-path mean the same: use one of them.")
    name = arguments["video_name"]
    if not name or name != Path(name).name:
        raise click.UsageError(
            "--video-name must be a name without a path; --outputs-path sets the folder."
        )
    camera = arguments["cam_num"]
    inputs = arguments["inputs"] or arguments["inputs_path"]
    outputs = arguments["outputs_path"].resolve()
    if inputs is not None and inputs.is_dir() and inputs.resolve().is_relative_to(outputs):
        raise click.UsageError(
            f"{inputs} is inside the outputs folder, whose files are not read as inputs: choose "
            "another --outputs-path. It may be inside the inputs folder."
        )
    return RunOptions(
        spec=spec,
        inputs=inputs,
        outputs=arguments["outputs_path"],
        show_delay_ms=arguments["delay"] if arguments["show"] else None,
        camera=int(camera) if camera.isdecimal() else camera,
        video_name=name,
        batch_size=settings.batch_size,
        lanes=settings.lanes,
        encoder=settings.encoder,
        max_pixels=settings.max_pixels,
        unsure_below=settings.unsure_below,
    )


def _has_screen() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    # Checked beforehand, because Qt aborts the whole process if it finds no screen.
    return bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))  # noqa: TID251 (not a setting of ours)
