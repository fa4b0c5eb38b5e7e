"""What `faces-jobs run` does: the pipeline over each input, its sinks, the tables at the end."""

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faces_jobs.cli.copy_names import copy_name
from faces_jobs.cli.folder_files import files_in_folder
from faces_jobs.cores import lanes_of
from faces_jobs.errors import DeviceError, FacesJobsError, ModelError, NoVideoError
from faces_jobs.jobs.damage import damage_text
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.logs import log_context
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.camera import CameraReader
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.stages import FrameReader, Sink
from faces_jobs.pipeline.values import Frame, MediaInfo
from faces_jobs.sinks.annotated import open_annotated
from faces_jobs.sinks.exports import (
    write_faces,
    write_tracks_csv,
)
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.window import Window
from faces_jobs.submit.names import normal_name
from faces_jobs_models.catalog import Catalog

if TYPE_CHECKING:
    from faces_jobs.cli.run import RunOptions


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many inputs came to something, how many did not, and what an interruption left undone."""

    succeeded: int
    failed: int
    undone: str = ""


def run_files(wanted: RunOptions, catalog: Catalog, console: Console) -> Outcome:
    """Work through the inputs; a bad file is told and does not stop the others.

    The tables are written whatever ends the run, of all inputs that came to something.

    Raises:
        NoVideoError: there is no input at all.
        ModelError: a network can't be used, so none of the inputs can be looked at.
        DeviceError: the device went away, likewise.
    """
    inputs = wanted.inputs or Path()
    succeeded = failed = 0
    undone = ""
    with _opened_run(wanted, catalog, console) as run:
        files = list(_files_below(inputs, leave_out=wanted.outputs))
        if not files:
            raise NoVideoError(f"There is no file in {inputs}: name another --inputs-path.")
        try:
            for begun, (name, path) in enumerate(files, start=1):
                ended = _work_on(run, name, path, max_pixels=wanted.max_pixels)
                succeeded += ended == _Ended()
                failed += ended.failed
                if run.stopped.is_set():
                    undone = _undone(normal_name(name), ended.cut_at, not_begun=len(files) - begun)
                    break
        except Exception:
            run.write_tables()
            raise
        run.write_tables()
    return Outcome(succeeded, failed, undone)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How work on one input ended, if not well."""

    failed: bool = False
    cut_at: int | None = None  # the frame at which it was interrupted


def _work_on(run: _Run, name: str, path: Path, *, max_pixels: int) -> _Ended:
    """Work on one input; the reason is told where it comes to nothing."""
    shown = normal_name(name)
    try:
        with log_context(file=shown), open_frames(path, max_pixels=max_pixels) as reader:
            return _Ended(cut_at=run.work_on(name, reader, source=path))
    except (DeviceError, ModelError):
        raise
    except (FacesJobsError, OSError, av.error.FFmpegError) as error:
        # The text of others names paths again; its reason is enough beside the name.
        reason = str(error) if isinstance(error, FacesJobsError) else error.strerror
        click.echo(f"{shown}: {reason}", err=True)
        return _Ended(failed=True)


def run_camera(wanted: RunOptions, catalog: Catalog, console: Console) -> Outcome:
    """Record and annotate what the webcam sees until `q`, Ctrl-C, or the camera goes away."""
    with _opened_run(wanted, catalog, console) as run, CameraReader(wanted.camera) as camera:
        run.work_on(wanted.video_name, camera, source=None)
        run.write_tables()
    return Outcome(1, 0)


@contextmanager
def _opened_run(wanted: RunOptions, catalog: Catalog, console: Console) -> Iterator[_Run]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with ExitStack() as opened:
        spools = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        run = _Run(wanted, catalog, opened.enter_context(bar), opened, spools)
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, run.on_interrupt)
            opened.callback(signal.signal, number, previous)
        yield run


class _Run:
    """Everything that the inputs of one `run` share."""

    def __init__(
        self, wanted: RunOptions, catalog: Catalog, bar: Progress, opened: ExitStack, spools: Path
    ) -> None:
        self._wanted = wanted
        self._catalog = catalog
        self._bar = bar
        self._opened = opened
        self._spools = spools
        self._done: list[tuple[str, FaceSpool]] = []
        self.stopped = threading.Event()

    def on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        """The first Ctrl-C or TERM ends the run and keeps what there is; the second is at once."""
        if self.stopped.is_set():
            raise KeyboardInterrupt
        self.stopped.set()

    def work_on(self, name: str, reader: FrameReader, *, source: Path | None) -> int | None:
        """Run the pipeline over one input; its annotated copy and its faces are then kept.

        Its copy is named like it, also where that is no text; in tables it has a name that is.
        Returns the frame at which it was interrupted, None where it came to its end.

        Raises:
            MediaError: it can't be processed; `TruncatedError` after what there was is kept.
            StorageFullError: there is no room for what comes of it.
        """
        wanted, shown = self._wanted, normal_name(name)
        # Before the window, as it wants it: this loads what the other threads work with.
        analysis = Analysis.from_networks(
            self._catalog, wanted.spec, unsure_below=wanted.unsure_below
        )
        stoppable = _Stoppable(reader, self.stopped)
        spool = self._opened.enter_context(FaceSpool(self._spools / str(len(self._done))))
        task = self._bar.add_task(shown, total=reader.info.frame_count)
        with ExitStack() as sinks_opened:
            sinks: list[Sink] = [spool]
            if wanted.spec.annotated:
                stem = wanted.outputs / copy_name(name)
                stem.parent.mkdir(parents=True, exist_ok=True)
                copy = open_annotated(stem, reader.info, source, encoder=wanted.encoder)
                sinks.append(sinks_opened.enter_context(copy))
            if wanted.show_delay_ms is not None:
                window = Window(delay_ms=wanted.show_delay_ms, on_quit=self.stopped.set)
                sinks.append(sinks_opened.enter_context(window))
            report = run_item(
                stoppable,
                analysis,
                sinks,
                # What the camera sees is shown at once; files are faster in batches.
                batch_size=wanted.batch_size if source else 1,
                lanes=lanes_of(wanted.lanes, processes=1, device=self._catalog.device)
                if source
                else 1,
                on_progress=lambda done, total: self._bar.update(task, completed=done, total=total),
            )
        self._done.append((shown, spool))
        if report.damaged_frames:
            click.echo(f"{shown}: {damage_text(report.damaged_frames)}", err=True)
        if report.truncated is not None:
            raise report.truncated
        return stoppable.cut_at

    def write_tables(self) -> None:
        """Write the faces and tracks of all inputs."""
        folder = self._wanted.outputs
        write_faces(folder, self._faces())
        write_tracks_csv(folder / "tracks.csv", self._tracks())

    def _faces(self) -> Iterator[tuple[str, FaceRecord]]:
        return ((name, face) for name, spool in self._done for face in spool)

    def _tracks(self) -> Iterator[tuple[str, TrackRecord]]:
        return ((name, track) for name, spool in self._done for track in spool.tracks)


class _Stoppable:
    """A reader that ends early, in good order, once it is told to."""

    def __init__(self, reader: FrameReader, stopped: threading.Event) -> None:
        self._reader = reader
        self._stopped = stopped
        self.cut_at: int | None = None  # its last frame, if more would have come

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
                self.cut_at = last
                return
            yield frame
            last = frame.index


def _undone(name: str, cut_at: int | None, *, not_begun: int) -> str:
    parts = [f"{name} up to frame {cut_at}"] if cut_at is not None else []
    if not_begun:
        parts.append(f"{not_begun} {'input' if not_begun == 1 else 'inputs'} not begun")
    return ", ".join(parts)


def _files_below(inputs: Path, *, leave_out: Path) -> Iterator[tuple[str, Path]]:
    """(name below the inputs, path) of each file, by name; hidden files and outputs left out."""
    if inputs.is_file():
        yield inputs.name, inputs
        return
    outputs = leave_out.resolve()
    for name, path in files_in_folder(inputs):
        if outputs not in path.resolve().parents:
            yield name, path
