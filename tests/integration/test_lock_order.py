"""Transactions lock a job's segments in one order, so that no two of them wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.evidence import record_worker_death
from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.release import release_all_of, release_bundle
from faces_jobs.db.segments.bundles import claim_rest_of_bundle, renew_bundle
from faces_jobs.db.segments.part_queries import unrung_segments
from faces_jobs.db.segments.stages import add_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.stages import Stage
from faces_jobs.results import cancel_job
from tests.factories import new_claim, stored_job
from tests.integration.processes import wait_for
from tests.integration.stored_states import states

Change = Callable[[Database, Sequence[SegmentClaim]], object]


def _die(database: Database, _bundle: Sequence[SegmentClaim]) -> None:
    record_worker_death(
        database, worker_prefix="alice", reason="killed", exit_signal=None, delay=1.0
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(partial(renew_bundle, lease_seconds=60.0), id="renew"),
        pytest.param(release_bundle, id="release"),
        pytest.param(lambda database, _: release_all_of(database, "alice"), id="stop"),
        pytest.param(_die, id="die"),
    ],
)
def test_a_change_of_several_segments_never_deadlocks_with_a_cancel(
    postgres_database_url: str, change: Change
) -> None:
    with open_database(postgres_database_url) as database:
        job = stored_job(database, ["a.png", "b.png", "c.png"])
        first = new_claim(database, job.segments[0])
        bundle = [
            first,
            *claim_rest_of_bundle(database, first, worker="alice", lease_seconds=60, limit=9),
        ]
        _make_scans_run_backwards(database, job.segments)

        with ThreadPoolExecutor() as threads:
            with database.begin() as other:  # so that both start before either can end
                middle = SegmentRow.id == job.segments[1]
                other.execute(select(SegmentRow.id).where(middle).with_for_update())
                changed = threads.submit(change, database, bundle)
                wait_for(lambda: _waiting(database) == 1)
                cancelled = threads.submit(cancel_job, database, job.id)
                wait_for(lambda: _waiting(database) == 2)
            changed.result()
            assert cancelled.result().status == "cancelled"


def _make_scans_run_backwards(database: Database, segments: Sequence[int]) -> None:
    """Store the rows in the opposite order, and make the planner read them in that order."""
    for segment_id in reversed(segments):
        with database.begin() as session:
            session.execute(
                update(SegmentRow)
                .where(SegmentRow.id == segment_id)
                .values(frames_done=SegmentRow.frames_done + 1)
            )
    with database.begin() as session:
        name = session.scalar(select(func.current_database()))
        for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
            session.execute(text(f'ALTER DATABASE "{name}" SET enable_{scan} = off'))
    database.engine.dispose()  # new connections have the settings


def _waiting(database: Database) -> int:
    """Return how many transactions wait for another's lock."""
    with database.read() as session:
        blocked = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(session.scalars(text(blocked)).one())


def test_segments_that_are_added_while_a_cancel_waits_are_cancelled(
    postgres_database_url: str,
) -> None:
    def locked(session: Session, segment_id: int) -> None:
        session.execute(select(SegmentRow.id).where(SegmentRow.id == segment_id).with_for_update())

    with open_database(postgres_database_url) as database, ThreadPoolExecutor() as threads:
        job = stored_job(database, ["a.mp4", "b.mp4"])
        first, other = job.segments
        (item, _) = job.items
        with database.begin() as blocking:
            locked(blocking, other)
            with database.begin() as finding:
                locked(finding, first)
                cancelled = threads.submit(cancel_job, database, job.id)
                wait_for(lambda: _waiting(database) == 1)
                add_segment(finding, Stage.LINK, job_id=job.id, item_id=item)
            wait_for(lambda: _waiting(database) == 1)
            with database.begin() as linking:
                (link,) = unrung_segments(database, item)
                locked(linking, link)
                blocking.rollback()
                wait_for(lambda: _waiting(database) == 1)
                add_segment(linking, Stage.BIND, job_id=job.id, item_id=item)
        cancelled.result()

        assert states(database, job)[2] == ["cancelled"] * 4
