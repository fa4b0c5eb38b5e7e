"""Runs one job, disturbed or not, and compares its results."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.data import astronaut
from sqlalchemy import func, select

from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import DeliveryRow, JobRow, ProcessRow
from faces_jobs.errors import DatabaseError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.settings import Settings
from tests.clips import Sound, write_image, write_video
from tests.faults.environments import Environment, Site
from tests.faults.faults import Fault
from tests.faults.launched import Actor, NotInTimeError
from tests.faults.limits import bounded_memory
from tests.faults.oracle import Pieces, compare, pieces, repeated_attempts
from tests.faults.points import Kind, Point
from tests.faults.scene import Scene
from tests.faults.submissions import delete, submit, submit_over_http
from tests.ports import free_port
from tests.receivers import Receiver, receiver
from tests.services import TIMEOUT_SECONDS

SIDE = 128
FRAMES = 30
RATE = 20
LONG_FRAMES = 20_000  # keep a worker busy for longer than a rescue takes


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one disturbed run."""

    site: str
    fault: str
    point: str
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    again: int = 0  # repeated attempts at segments and exports
    recovery_seconds: float | None = None
    seconds: float = 0.0
    error: str | None = None
    log: str = field(default="", repr=False)

    @property
    def well(self) -> bool:
        """Whether it equals the undisturbed run."""
        return self.error is None and not self.lost and not self.doubled


def make_files(folder: Path) -> list[Path]:
    """A clip that is cut into three parts, with sound, and a photograph: a face in each."""
    clip = write_video(
        folder / "clip.mp4",
        [np.roll(_portrait(), number % 12, axis=1) for number in range(FRAMES)],
        rate=RATE,
        codec_options={"g": "5"},
        sounds=[Sound(seconds=FRAMES / RATE)],
    )
    return [clip, write_image(folder / "photo.png", _portrait())]


def make_long_file(folder: Path) -> Path:
    """A clip that is cut into very many parts."""
    frames = [_portrait()] * LONG_FRAMES
    return write_video(folder / "long.mp4", frames, rate=RATE, codec_options={"g": "5"})


@cache
def _portrait() -> Any:
    portrait: Any = astronaut()[0:256, 96:352, ::-1]  # type: ignore[no-untyped-call]  # ships no types
    small = cv2.resize(np.ascontiguousarray(portrait), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small)


def play_undisturbed(site: Site, files: list[Path]) -> Pieces:
    """The job's results when nothing disturbs it."""
    with receiver() as hooks, site.environment() as environment, ExitStack() as stack:
        database = stack.enter_context(open_database(environment.settings.database))
        actors = [
            stack.enter_context(
                Actor(kind, environment.settings, environment.log, fork_server=site.fork_server)
            )
            for kind in ("sweep", "worker")
        ]
        submit(environment.settings, database, files, JobSpec(webhook=hooks.url))
        return _end(environment, database, actors, hooks)


def play(
    site: Site,
    fault: Fault,
    point: Point,
    *,
    files: list[Path],
    undisturbed: Pieces,
    settings: dict[str, Any] | None = None,
    long_file: Path | None = None,
) -> Result:
    """Disturb a run at one point, and compare it with the undisturbed one.

    With a `long_file`, the other workers are busy with it until one takes the work over.
    """
    began = time.monotonic()
    told: dict[str, Any]
    small_disk = fault.small_disk
    with (
        receiver() as hooks,
        site.environment(settings=settings, small_disk=small_disk) as environment,
    ):
        try:
            told = _play(
                environment,
                fault,
                point,
                hooks=hooks,
                files=files,
                undisturbed=undisturbed,
                long_file=long_file,
            )
        except Exception as error:  # noqa: BLE001 (one failed run must not end the others)
            told = {"error": f"{type(error).__name__}: {error}"}
        said = environment.log.read_text(encoding="utf-8", errors="replace")
    return Result(
        site.name, fault.name, point.name, seconds=time.monotonic() - began, log=said, **told
    )


def _play(
    environment: Environment,
    fault: Fault,
    point: Point,
    *,
    hooks: Receiver,
    files: list[Path],
    undisturbed: Pieces,
    long_file: Path | None,
) -> dict[str, Any]:
    with ExitStack() as stack:
        database = stack.enter_context(open_database(environment.settings.database))
        clock = environment.clock if fault.moves_clock else None
        group = stack.enter_context(bounded_memory()) if fault.bounds_memory else None

        def actor(kind: Kind, settings: Settings = environment.settings, **how: Any) -> Actor:
            fork_server = environment.site.fork_server
            made = Actor(
                kind, settings, environment.log, fork_server=fork_server, clock=clock, **how
            )
            return stack.enter_context(made)

        homes = [environment.settings.model_copy(update={"port": free_port()}) for _ in range(2)]
        victim = actor(point.kind, homes[0], point=point, cgroup=group)
        rescuer = actor(point.kind, homes[1], held=True)
        kinds: tuple[Kind, ...] = ("sweep", "worker")
        others = [actor(kind) for kind in kinds if kind != point.kind]
        submission: Future[str] = Future()
        if point.kind == "web":
            submission = submit_over_http([one.port for one in homes], files, hooks)
        else:
            spec = JobSpec(webhook=hooks.url)
            submission.set_result(submit(environment.settings, database, files, spec))
        held_row = victim.wait_at_point()
        scene = Scene(environment, victim, rescuer, held_row)
        rescuer.wait_for("held")
        other_job: str | None = None
        if long_file is not None:
            urgent = JobSpec(priority="high")
            other_job = submit(environment.settings, database, [long_file], urgent)
        if not fault.alone:
            rescuer.go()
            _wait(lambda: _have_registered(database, rescuer.kind, 2), "the rescuer did not start")
        with scene.watched(database):
            counts_from = fault.strike(scene)
            if rescuer.held:
                rescuer.go()
                _wait(
                    lambda: _have_registered(database, rescuer.kind, 2), "the rescuer did not start"
                )
            submission.result(TIMEOUT_SECONDS)
            if other_job is not None:
                scene.wait_until_recovered()
                delete(environment.settings, database, other_job)
            actors = [rescuer, *others] if fault.ends else [victim, rescuer, *others]
            found = _end(environment, database, actors, hooks)
            scene.wait_until_recovered()
        verdict = compare(found, undisturbed)
        assert scene.recovered_at is not None
        return {
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "again": repeated_attempts(database),
            "recovery_seconds": max(0.0, scene.recovered_at - counts_from),
        }


def _end(
    environment: Environment, database: Database, actors: list[Actor], hooks: Receiver
) -> Pieces:
    """Wait for the job and its webhook, stop all processes, and collect the results."""

    def ended() -> bool:
        for actor in actors:
            assert actor.alive, f"a {actor.kind} process ended unasked"
        return _has_ended(database)

    _wait(ended, "the job did not end")
    for actor in actors:
        actor.send(signal.SIGTERM)
    for actor in actors:
        code = actor.wait()
        # By the signal itself if it had just started.
        assert code in (0, -signal.SIGTERM), f"the {actor.kind} process ended with {code}"
    return pieces(database, environment.settings.data_folder / "files", hooks.ids)


def _has_ended(database: Database) -> bool:
    with database.read() as session:
        states = session.scalars(select(JobRow.status)).all()
        open_ = session.scalar(select(func.count()).where(DeliveryRow.next_at.is_not(None)))
        return bool(states) and all(state.ended for state in states) and not open_


def _have_registered(database: Database, kind: Kind, count: int) -> bool:
    """Whether so many processes of a kind have registered."""
    statement = select(func.count()).where(ProcessRow.kind == kind)
    with database.read() as session:
        return (session.scalar(statement) or 0) >= count


def _wait(until: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            if until():
                return
        except DatabaseError as error:  # a server that is just coming back
            otherwise = f"{otherwise}: {error}"
        if time.monotonic() > deadline:
            raise NotInTimeError(otherwise)
        time.sleep(0.1)
