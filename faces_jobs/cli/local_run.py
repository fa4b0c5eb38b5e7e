"""Implementation of `faces-jobs run`: run the pipeline over each input, then write the tables."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import av.error
import click
from rich.console import Console

from faces_jobs.cli.copy_names import copy_name
from faces_jobs.cli.folder_files import files_in_folder
from faces_jobs.cli.run_progress import RunProgress
from faces_jobs.cores import lane_count
from faces_jobs.errors import (
    DeviceError,
    FacesJobsError,
    ModelError,
    NoVideoError,
    StorageFullError,
)
from faces_jobs.jobs.damage import damage_text
from faces_jobs.jobs.names import normalise_name
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.logs import log_context
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import FrameReader, Sink
from faces_jobs.pipeline.reading.camera import CameraReader
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Frame, MediaInfo
from faces_jobs.sinks.annotated import open_annotated
from faces_jobs.sinks.exports import write_faces, write_tracks_csv
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.window import Window
from faces_jobs.storage import raising_storage_full
from faces_jobs_models.catalog import Catalog

if TYPE_CHECKING:
    from faces_jobs.cli.run import RunOptions


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many inputs succeeded and failed, and what an interruption left unfinished."""

    succeeded: int
    failed: int
    unfinished: str = ""


def run_files(options: RunOptions, catalog: Catalog, console: Console) -> Outcome:
    """Process all inputs. A file that can't be processed is reported and does not stop the others.

    The tables are written even if an error ends the run, with the results up to then.

    Raises:
        NoVideoError: there are no inputs.
        ModelError: a network can't be used, so no input can be processed.
        DeviceError: the device failed, so no further input can be processed.
    """
    inputs = options.inputs or Path()
    succeeded = failed = 0
    unfinished = ""
    with _opened_run(options, catalog, console) as run:
        files = list(_files_below(inputs, exclude=options.outputs))
        if not files:
            raise NoVideoError(f"There are no files in {inputs}: choose another --inputs-path.")
        run.progress.expect_inputs(len(files))
        try:
            for started, (name, path) in enumerate(files, start=1):
                result = _process_file(run, name, path, max_pixels=options.max_pixels)
                run.progress.end_input()
                succeeded += not result.failed and result.stopped_at is None
                failed += result.failed
                if run.stopped.is_set():
                    unfinished = _describe_unfinished(
                        normalise_name(name), result.stopped_at, not_started=len(files) - started
                    )
                    break
        except Exception:
            run.write_tables()
            raise
        run.write_tables()
    return Outcome(succeeded, failed, unfinished)


@dataclass(frozen=True, slots=True)
class _FileResult:
    """How processing of one input ended. By default: it succeeded."""

    failed: bool = False
    stopped_at: int | None = None  # its last frame, if it was interrupted


def _process_file(run: _Run, name: str, path: Path, *, max_pixels: int) -> _FileResult:
    """Process one input. If it fails, the reason is printed."""
    shown_name = normalise_name(name)
    try:
        with log_context(file=shown_name), open_frames(path, max_pixels=max_pixels) as reader:
            return _FileResult(stopped_at=run.process(name, reader, source=path))
    except (DeviceError, ModelError):
        raise
    except (FacesJobsError, OSError, av.error.FFmpegError) as error:
        # Messages of other errors contain the path again; the reason alone is enough.
        reason = str(error) if isinstance(error, FacesJobsError) else error.strerror
        click.echo(f"{shown_name}: {reason}", err=True)
        return _FileResult(failed=True)


def run_camera(options: RunOptions, catalog: Catalog, console: Console) -> Outcome:
    """Record and annotate the webcam until `q` or Ctrl-C is pressed, or the camera is removed."""
    with _opened_run(options, catalog, console) as run, CameraReader(options.camera) as camera:
        run.process(options.video_name, camera, source=None)
        run.write_tables()
    return Outcome(1, 0)


@contextmanager
def _opened_run(options: RunOptions, catalog: Catalog, console: Console) -> Iterator[_Run]:
    with ExitStack() as opened:
        spools = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        progress = opened.enter_context(RunProgress(console))
        run = _Run(options, catalog, progress, opened, spools)
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, run.on_interrupt)
            opened.callback(signal.signal, number, previous)
        yield run


class _Run:
    """What all inputs of one `run` share: options, networks, progress bar and results."""

    def __init__(
        self,
        options: RunOptions,
        catalog: Catalog,
        progress: RunProgress,
        opened: ExitStack,
        spools: Path,
    ) -> None:
        self._options = options
        self._catalog = catalog
        self.progress = progress
        self._opened = opened
        self._spools = spools
        self._finished: list[tuple[str, FaceSpool]] = []
        self.stopped = threading.Event()

    def on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """End the run at the first Ctrl-C or TERM and keep its results; abort at the second."""
        if self.stopped.is_set():
            raise KeyboardInterrupt
        self.stopped.set()

    def process(self, name: str, reader: FrameReader, *, source: Path | None) -> int | None:
        """Run the pipeline over one input, write its annotated copy and keep its faces.

        The copy has the input's exact name, even if that is not valid Unicode; the tables have a
        readable form of it.

        Returns:
            The last frame before an interruption; None if the input was read to its end.

        Raises:
            MediaError: the input can't be processed. After a `TruncatedError` the results of the
                frames before the end are kept.
            StorageFullError: there is no space for the results.
        """
        with self._naming_full_folders():
            return self._process(name, reader, source=source)

    def _process(self, name: str, reader: FrameReader, *, source: Path | None) -> int | None:
        options, shown_name = self._options, normalise_name(name)
        # Before the window is opened, which requires it: this loads what other threads use.
        analysis = Analysis.from_networks(
            self._catalog, options.spec, unsure_below=options.unsure_below
        )
        stoppable = _Stoppable(reader, self.stopped)
        spool = self._opened.enter_context(FaceSpool(self._spools / str(len(self._finished))))
        self.progress.start_input(shown_name, frames=reader.info.frame_count)
        with ExitStack() as sinks_opened:
            sinks: list[Sink] = [spool]
            if options.spec.annotated:
                stem = options.outputs / copy_name(name)
                stem.parent.mkdir(parents=True, exist_ok=True)
                copy = open_annotated(stem, reader.info, source, encoder=options.encoder)
                sinks.append(sinks_opened.enter_context(copy))
            if options.show_delay_ms is not None:
                window = Window(delay_ms=options.show_delay_ms, stopped=self.stopped)
                sinks.append(sinks_opened.enter_context(window))
            report = run_item(
                stoppable,
                analysis,
                sinks,
                # The camera's frames are shown without delay; files are faster in batches.
                batch_size=options.batch_size if source else 1,
                lanes=lane_count(options.lanes, processes=1, device=self._catalog.device)
                if source
                else 1,
                on_progress=self.progress.update_input,
            )
        self._finished.append((shown_name, spool))
        if report.damaged_frames:
            click.echo(f"{shown_name}: {damage_text(report.damaged_frames)}", err=True)
        if report.truncated is not None:
            raise report.truncated
        return stoppable.stopped_at

    def write_tables(self) -> None:
        """Write the faces and tracks of all inputs.

        Raises:
            StorageFullError: there is no space for them.
        """
        folder = self._options.outputs
        with self._naming_full_folders():
            write_faces(folder, self._faces())
            write_tracks_csv(folder / "tracks.csv", self._tracks())

    @contextmanager
    def _naming_full_folders(self) -> Iterator[None]:
        try:
            with raising_storage_full():
                yield
        except StorageFullError as error:
            raise StorageFullError(
                f"There is no space left in {self._options.outputs} or, for temporary files, in "
                f"{self._spools.parent}: make room, or choose another --outputs-path or TMPDIR."
            ) from error

    def _faces(self) -> Iterator[tuple[str, FaceRecord]]:
        return ((name, face) for name, spool in self._finished for face in spool)

    def _tracks(self) -> Iterator[tuple[str, TrackRecord]]:
        return ((name, track) for name, spool in self._finished for track in spool.tracks)


class _Stoppable:
    """A frame reader that ends after the current frame once `stopped` is set."""

    def __init__(self, reader: FrameReader, stopped: threading.Event) -> None:
        self._reader = reader
        self._stopped = stopped
        self.stopped_at: int | None = None  # its last frame, if more would have followed

    @property
    def info(self) -> MediaInfo:
        return self._reader.info

    @property
    def damaged_frames(self) -> int:
        return self._reader.damaged_frames

    def __iter__(self) -> Iterator[Frame]:
        last: int | None = None
        for frame in self._reader:
            if last is not None and self._stopped.is_set():
                self.stopped_at = last
                return
            yield frame
            last = frame.index


def _describe_unfinished(name: str, stopped_at: int | None, *, not_started: int) -> str:
    parts = [f"{name} up to frame {stopped_at}"] if stopped_at is not None else []
    if not_started:
        parts.append(f"{not_started} {'input' if not_started == 1 else 'inputs'} not started")
    return ", ".join(parts)


def _files_below(inputs: Path, *, exclude: Path) -> Iterator[tuple[str, Path]]:
    """Yield each input as (name, path), sorted; without hidden files and those in `exclude`."""
    if inputs.is_file():
        yield inputs.name, inputs
        return
    if not inputs.is_dir():
        raise NoVideoError(f"{inputs} is neither a file nor a folder.")
    excluded = exclude.resolve()
    for name, path in files_in_folder(inputs):
        if excluded not in path.resolve().parents:
            yield name, path
