"""Processes one image of a bundle, in the workspace that the bundle's images share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.results.outcomes import NewArtifact, SegmentResults
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import FaceRecord, ModelVersion, TrackRecord
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Face, Frame, MediaInfo, RunReport
from faces_jobs.worker.artifacts import ItemArtifacts
from faces_jobs.worker.facts import RunCounter, facts_of
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source


@dataclass(frozen=True, slots=True)
class ProcessedImage:
    """An image that is done, except that its files are not published yet."""

    claim: SegmentClaim
    info: MediaInfo
    report: RunReport
    faces: Sequence[FaceRecord]
    tracks: Sequence[TrackRecord]
    files: ItemArtifacts

    def results(
        self, artifacts: Sequence[NewArtifact], models: Sequence[ModelVersion]
    ) -> SegmentResults:
        """The results to record, given the rows of the published files."""
        truncated = self.report.truncated
        return SegmentResults(
            facts=facts_of(self.info),
            frames=self.report.frames_read,
            damaged_frames=self.report.damaged_frames,
            faces=self.faces,
            tracks=self.tracks,
            artifacts=artifacts,
            models=models,
            error=None if truncated is None else ErrorDocument.from_error(truncated),
        )


def process_image(
    claim: SegmentClaim,
    worker: Worker,
    out: Path,
    analysis: Analysis,
    *,
    on_progress: Callable[[], None],
) -> ProcessedImage:
    """Run the pipeline on an image, writing its files to the folder `out`.

    Raises:
        MediaError: the file can't be processed.
        Exception: whatever `on_progress` or the pipeline raises.
    """
    settings = worker.settings
    started = time.perf_counter()
    with (
        open_source(
            claim, storage=worker.storage, roots=settings.roots, on_progress=on_progress
        ) as path,
        open_frames(path, max_pixels=settings.max_pixels) as reader,
    ):
        worker.counters.add("stage_seconds", time.perf_counter() - started, label="decode")
        faces = FacesInMemory()
        files = ItemArtifacts(claim, out)
        with files.sinks(path, reader.info, encoder=settings.encoder) as sinks:
            report = run_item(
                reader,
                analysis,
                [faces, *sinks],
                batch_size=1,
                on_progress=lambda _done, _total: on_progress(),
                on_counts=RunCounter(worker.counters),
            )
        return ProcessedImage(claim, reader.info, report, faces.records, faces.tracks, files)


class FacesInMemory:
    """A `Sink` that keeps an image's faces in memory, since they are few."""

    def __init__(self) -> None:
        self.records: list[FaceRecord] = []
        self.tracks: Sequence[TrackRecord] = ()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Keep the faces of an analysed frame."""
        if analysed:
            self.records += [face.record for face in faces]

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Keep the tracks."""
        self.tracks = tracks
