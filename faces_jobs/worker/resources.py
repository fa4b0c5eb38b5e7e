"""The resources of a worker process: opened at its start and closed at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from faces_jobs.cores import lane_count
from faces_jobs.counters import Counters
from faces_jobs.db.session import Database, open_database
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.protocols import Networks
from faces_jobs.presence import process_name
from faces_jobs.queue.producer import Queue, open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.bundle_size import BundleSize
from faces_jobs.worker.linking_state import LinkingStateCache
from faces_jobs_models.catalog import open_catalog_from_settings
from faces_jobs_models.run_sizes import RunTimes


class WorkerNetworks(Networks, Protocol):
    """Networks whose run sizes (frames and crops per run) can be measured."""

    @property
    def device(self) -> str:
        """The device that they run on: `cpu` or `cuda`."""

    @property
    def has_run_sizes(self) -> bool:
        """Whether nothing is left to measure: the run sizes are given, or were measured here."""

    def measure_run_sizes(self, *, stop: Callable[[], bool]) -> RunTimes | None:
        """Measure the fastest run sizes on this machine. Returns None if `stop` returned True.

        Raises:
            ModelError: a network can't be opened.
        """


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process, which processes one segment or one bundle of images at a time."""

    name: str  # unique to this process
    settings: Settings
    database: Database
    storage: Storage
    queue: Queue
    networks: WorkerNetworks
    counters: Counters = field(default_factory=Counters)
    work_started: threading.Event = field(default_factory=threading.Event)  # set by its first work
    stop_requested: threading.Event = field(default_factory=threading.Event)
    bundle_size: BundleSize = field(default_factory=BundleSize)
    linking_state: LinkingStateCache = field(default_factory=LinkingStateCache)

    @property
    def lanes(self) -> int:
        """How many batches of a video are analysed at once."""
        settings = self.settings
        return lane_count(settings.lanes, processes=settings.workers, device=self.networks.device)

    def analysis_for(self, spec: JobSpec) -> Analysis:
        """The analysis that a job's options select.

        Raises:
            ModelError: a network can't be opened.
        """
        return Analysis.from_networks(self.networks, spec, unsure_below=self.settings.unsure_below)


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    """Open the database, storage, queue and catalog of networks (which load when first used).

    Raises:
        DatabaseError: the database is missing, has an old schema or does not answer.
        DeviceError: the device that the settings select is not available.
        SettingsError: the models folder is not valid.
    """
    with (
        open_database(settings.database) as database,
        open_queue(settings) as queue,
        open_catalog_from_settings(settings) as catalog,
    ):
        yield Worker(
            name=process_name(),
            settings=settings,
            database=database,
            storage=open_storage(settings),
            queue=queue,
            networks=catalog,
        )
