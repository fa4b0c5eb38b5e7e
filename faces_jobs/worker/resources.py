"""What a worker process opens at its start and closes at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from faces_jobs.cores import lanes_of
from faces_jobs.counters import Counters
from faces_jobs.db.session import Database, open_database
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector
from faces_jobs.presence import process_name
from faces_jobs.queue import Queue, open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.lead import Lead
from faces_jobs.worker.pace import Pace
from faces_jobs_models.catalog import open_catalog_of
from faces_jobs_models.run_sizes import Measured


class Networks(Protocol):
    """Gives out networks; loads each when it is first asked for."""

    @property
    def device(self) -> str:
        """Where they run: `cpu` or `cuda`."""

    def detector(self) -> Detector:
        """The face detector.

        Raises:
            ModelError: its file is missing or has changed.
        """

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        """The classifiers of these names, in their order.

        Raises:
            ModelError: a file is missing, changed or of another shape.
        """

    def cropper(self) -> Cropper:
        """Cuts faces out for these classifiers."""

    @property
    def runs_as_measured(self) -> bool:
        """Whether there is nothing to measure: it was, on this machine, or all is given."""

    def measure_run_sizes(self, *, stop: Callable[[], bool]) -> Measured | None:
        """Measure how many frames and crops a run are best here; None where `stop` said so.

        Raises:
            ModelError: a network can't be opened.
        """


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker: one process, one segment or one bundle of images at a time."""

    name: str  # of this process, on this machine, in this life
    settings: Settings
    database: Database
    storage: Storage
    queue: Queue
    networks: Networks
    counters: Counters = field(default_factory=Counters)
    begun: threading.Event = field(default_factory=threading.Event)  # its first work
    stop_requested: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    lead: Lead = field(default_factory=Lead)

    @property
    def lanes(self) -> int:
        """Batches of a video that it looks at at once."""
        settings = self.settings
        return lanes_of(settings.lanes, processes=settings.workers, device=self.networks.device)


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    """Open database, storage, queue and the catalog of networks (each loads when first used).

    Raises:
        DatabaseError: the database is missing, old or does not answer.
        DeviceError: the device that the settings ask for is not there.
        ModelError: the models folder is none.
    """
    with (
        open_database(settings.database) as database,
        open_queue(settings) as queue,
        open_catalog_of(settings) as catalog,
    ):
        yield Worker(
            name=process_name(),
            settings=settings,
            database=database,
            storage=open_storage(settings),
            queue=queue,
            networks=catalog,
        )
