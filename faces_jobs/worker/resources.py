"""What a worker process opens at its start and closes at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from faces_jobs.cores import lanes_of
from faces_jobs.counters import Counters
from faces_jobs.db.session import Database, open_database
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.stages import Networks
from faces_jobs.presence import process_name
from faces_jobs.queue import Queue, open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.bundle_size import BundleSize
from faces_jobs.worker.lead import Lead
from faces_jobs_models.catalog import open_catalog_of
from faces_jobs_models.run_sizes import Measured


class WorkerNetworks(Networks, Protocol):
    """Networks, and how many frames and crops they take at once."""

    @property
    def device(self) -> str:
        """Where they run: `cpu` or `cuda`."""

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
    networks: WorkerNetworks
    counters: Counters = field(default_factory=Counters)
    begun: threading.Event = field(default_factory=threading.Event)  # its first work
    stop_requested: threading.Event = field(default_factory=threading.Event)
    bundle_size: BundleSize = field(default_factory=BundleSize)
    lead: Lead = field(default_factory=Lead)

    @property
    def lanes(self) -> int:
        """Batches of a video that it looks at at once."""
        settings = self.settings
        return lanes_of(settings.lanes, processes=settings.workers, device=self.networks.device)

    def analysis_for(self, spec: JobSpec) -> Analysis:
        """What the items of a job with these options are analysed with.

        Raises:
            ModelError: a network can't be opened.
        """
        return Analysis.from_networks(self.networks, spec, unsure_below=self.settings.unsure_below)


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
