"""A worker in this process whose faces are coloured squares, and helpers to use and check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from faces_jobs.db.tables import FaceRow, SegmentRow, TrackRow
from faces_jobs.jobs.documents import ArtifactDocument, ItemDocument
from faces_jobs.jobs.spec import DEFAULT_DETECTION_SIZE, JobSpec
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.protocols import Classifier, Cropper, Detector
from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs.results import (
    list_artifacts,
    list_items,
    open_artifact,
)
from faces_jobs.submit import submit_files
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.resources import Worker
from tests.fakes import ColourClassifier, SquareDetector

# The squares that stand for faces are smaller than the default smallest face.
SMALL_FACES = JobSpec(smallest_face=4)


class SquareNetworks:
    """The networks of `tests.fakes`, with a hook before each batch and counts of their work."""

    device = "cpu"
    has_run_sizes = True
    detector_version = SquareDetector.version

    def __init__(self) -> None:
        self.before_batch: Callable[[int], None] = lambda _batch: None
        self.batches = 0
        self.crops = 0

    def detector(self, detection_size: int = DEFAULT_DETECTION_SIZE) -> Detector:  # noqa: ARG002 (finds squares)
        """Return a detector that calls `before_batch` before each batch."""
        networks = self

        class HookedDetector(SquareDetector):
            version = networks.detector_version

            def detect(self, pictures_bgr: Sequence[Any]) -> Any:
                networks.batches += 1
                networks.before_batch(networks.batches)
                return super().detect(pictures_bgr)

        return HookedDetector()

    def cropper(self) -> Cropper:
        """Return the CPU's cropper, which also counts its crops."""

        def cut(
            pictures_bgr: Sequence[Picture], boxes_xyxy: Sequence[Boxes], *, scale: float, size: int
        ) -> list[Picture]:
            crops = crop_pictures(pictures_bgr, boxes_xyxy, scale=scale, size=size)
            self.crops += len(crops)
            return crops

        return cut

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        """Return the classifiers of these names."""
        return [ColourClassifier(name) for name in names]

    def measure_run_sizes(self, *, stop: Callable[[], bool]) -> None:
        """Do nothing: these networks have one speed."""


class Harness:
    """A worker with helpers that submit jobs, process them and read the results."""

    def __init__(self, worker: Worker, networks: SquareNetworks, folder: Path) -> None:
        self.worker = worker
        self.networks = networks
        self.folder = folder

    def submit(self, *paths: Path, spec: JobSpec | None = None) -> str:
        """Submit these files as one job. Returns its id."""
        worker = self.worker
        with worker.storage.receive() as incoming:
            files = [incoming.add(path.name, [path.read_bytes()]) for path in paths]
            return submit_files(
                files,
                spec or SMALL_FACES,
                database=worker.database,
                storage=worker.storage,
                queue=worker.queue,
                settings=worker.settings,
            ).job_id

    def segments(self, job_id: str) -> list[int]:
        """Return the ids of a job's segments."""
        with self.worker.database.read() as session:
            return list(
                session.scalars(
                    select(SegmentRow.id).where(SegmentRow.job_id == job_id).order_by(SegmentRow.id)
                )
            )

    def work(self, job_id: str, worker: Worker | None = None) -> None:
        """Process every segment of a job, including those added meanwhile, then finish the job."""
        seen: set[int] = set()
        while new := [each for each in self.segments(job_id) if each not in seen]:
            seen.add(new[0])
            process_segment(new[0], worker or self.worker)
        finish_job(job_id, worker or self.worker)

    def items(self, job_id: str) -> list[ItemDocument]:
        """Return a job's items."""
        return list_items(self.worker.database, job_id).items

    def artifacts(self, job_id: str) -> list[ArtifactDocument]:
        """Return a job's artifacts."""
        return list_artifacts(self.worker.database, job_id).artifacts

    def path(self, artifact: ArtifactDocument) -> Path:
        """Return the path of an artifact's file."""
        opened = open_artifact(
            self.worker.database, self.worker.storage, artifact.job_id, artifact.id
        )
        with opened.stored.file as file:
            return Path(file.name)

    def files(self) -> list[str]:
        """Return the path of every file in the storage, except uploads."""
        folder = self.worker.storage.folder
        return sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and path.parent.name != "uploads"
        )


def rows(harness: Harness, job_id: str) -> list[list[tuple[Any, ...]]]:
    """Return all columns of a job's faces and of its tracks, except the ids."""
    found = []
    with harness.worker.database.read() as session:
        for table, order in (
            (FaceRow, (FaceRow.frame_index, FaceRow.face_index)),
            (TrackRow, (TrackRow.track,)),
        ):
            columns = [
                column
                for column in table.__table__.columns
                if column.name not in {"job_id", "item_id"}
            ]
            found.append(
                [
                    tuple(row)
                    for row in session.execute(
                        select(*columns).where(table.job_id == job_id).order_by(*order)
                    )
                ]
            )
    return found


def stages(harness: Harness, job_id: str) -> list[tuple[str, str]]:
    """Return the stage and the state of each of a job's segments, in order."""
    with harness.worker.database.read() as session:
        return [
            (row.stage, str(row.status))
            for row in session.execute(
                select(SegmentRow.stage, SegmentRow.status)
                .where(SegmentRow.job_id == job_id)
                .order_by(SegmentRow.segment_index)
            )
        ]
