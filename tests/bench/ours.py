"""Runs our pipeline on a clip, as `faces-jobs run` and the workers do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import FrameReader, Sink
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import RunReport
from faces_jobs.settings import Settings
from faces_jobs.sinks.annotated import open_annotated
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.thumbnails import Thumbnails
from faces_jobs_models.catalog import Catalog
from tests.bench.stages import MAX_PIXELS


def run_clip(
    catalog: Catalog,
    clip: Path,
    folder: Path,
    *,
    annotated: bool,
    lanes: int,
    also: Sequence[Sink] = (),
) -> RunReport:
    """Produce the faces, best shots and, if `annotated`, the annotated copy of a clip."""
    spec = JobSpec(annotated=annotated)
    with ExitStack() as opened:
        frames: AbstractContextManager[FrameReader] = open_frames(clip, max_pixels=MAX_PIXELS)
        reader = opened.enter_context(frames)
        sinks: list[Sink] = [
            opened.enter_context(FaceSpool(folder / "faces")),
            opened.enter_context(Thumbnails(folder)),
            *also,
        ]
        if annotated:
            copy = open_annotated(folder / "annotated", reader.info, clip)
            sinks.append(opened.enter_context(copy))
        return run_item(
            reader,
            Analysis.from_networks(catalog, spec, unsure_below=""),
            sinks,
            batch_size=Settings().batch_size,
            lanes=lanes,
            on_progress=lambda _done, _total: None,
        )
