"""The order in which work is claimed: by priority, then in turns of owners, then by age."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from faces_jobs import results as results_api
from faces_jobs.db.claims import scheduling
from faces_jobs.db.claims.fencing import SegmentClaim, lock_claim
from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.claims.scheduling import (
    claim_next,
    delete_old_turns,
    next_job_to_finish,
    next_segment_statement,
)
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.segments.overdue import mark_all_segments_rung
from faces_jobs.db.segments.poison import fail_poisoned_segments
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow, SegmentRow, TurnRow
from faces_jobs.errors import StateError
from faces_jobs.jobs.spec import JobSpec, Priority
from faces_jobs.jobs.status import JobStatus, SegmentStatus
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import get_job
from faces_jobs.worker.next_work import take_next_work
from tests.factories import StoredJob, new_claim, results, stored_job
from tests.integration.harness import Harness
from tests.integration.races import run_concurrently
from tests.integration.stored_states import expire
from tests.services import TIMEOUT_SECONDS

LOW, HIGH = JobSpec(priority="low"), JobSpec(priority="high")


def claim_one(database: Database, worker: str = "w") -> SegmentClaim | None:
    return claim_next(database, worker=worker, lease_seconds=60, max_attempts=3)


def claim_job_id(database: Database) -> str | None:
    claim = claim_one(database)
    return None if claim is None else claim.job_id


def give_up(database: Database, *, max_attempts: int) -> tuple[int, list[str]]:
    return fail_poisoned_segments(
        database, max_attempts=max_attempts, limit=9, is_dead=lambda *_: True
    )


def film_in_segments(
    database: Database, segments: int, *, owner: str, priority: Priority = "normal"
) -> StoredJob:
    """A job of one item that was cut into so many segments."""
    job = stored_job(database, ["film.mp4"], spec=JobSpec(priority=priority), owner=owner)
    with database.begin() as session:
        session.execute(
            insert(SegmentRow),
            [
                {
                    "job_id": job.id,
                    "item_id": job.items[0],
                    "segment_index": number,
                    "status": SegmentStatus.QUEUED,
                }
                for number in range(1, segments)
            ],
        )
    return job


def test_nothing_is_claimed_when_nothing_waits(database: Database) -> None:
    assert claim_one(database) is None
    job = stored_job(database)
    assert claim_job_id(database) == job.id
    assert claim_one(database) is None, "its only segment is claimed"
    with database.read() as session:
        assert session.scalar(next_segment_statement(3)) is None, "it is not even tried"


def test_the_oldest_job_of_an_owner_comes_first(database: Database) -> None:
    jobs = [stored_job(database).id for _ in range(3)]
    assert [claim_job_id(database) for _ in range(3)] == jobs


def test_a_higher_priority_comes_first(database: Database) -> None:
    low, normal, high = (stored_job(database, spec=spec) for spec in (LOW, JobSpec(), HIGH))
    assert [claim_job_id(database) for _ in range(3)] == [high.id, normal.id, low.id]


def test_a_priority_can_be_changed_later(database: Database) -> None:
    first, second = stored_job(database), stored_job(database)
    document = results_api.set_priority(database, second.id, "high")
    assert document.options.priority == "high"
    assert [claim_job_id(database) for _ in range(2)] == [second.id, first.id]


@pytest.mark.parametrize("priority", ["low", "high"])
def test_the_priority_of_an_ended_job_cannot_be_changed(
    database: Database, priority: Priority
) -> None:
    job = stored_job(database)
    results_api.cancel_job(database, job.id)
    with pytest.raises(StateError):
        results_api.set_priority(database, job.id, priority)


def test_a_long_film_does_not_starve_another_owner_s_photo(database: Database) -> None:
    film = film_in_segments(database, 200, owner="archive")
    for _ in range(3):
        claim = claim_one(database)
        assert claim is not None
        assert claim.job_id == film.id
        finish_segment(database, claim, results())
    photo = stored_job(database, ["photo.png"], owner="alice")

    assert claim_job_id(database) == photo.id, "the photo is next"
    assert claim_job_id(database) == film.id


def test_owners_take_turns(database: Database) -> None:
    film_in_segments(database, 20, owner="archive")
    for _ in range(5):
        stored_job(database, ["photo.png"], owner="alice")
    served = []
    for _ in range(10):
        claim = claim_one(database)
        assert claim is not None
        served.append(get_job(database, claim.job_id).owner)
        finish_segment(database, claim, results())

    assert served.count("alice") == 5
    assert all(before != after for before, after in pairwise(served))


def test_a_dead_worker_does_not_count_as_one_of_its_owner(database: Database) -> None:
    film_in_segments(database, 2, owner="archive")
    claim_one(database)
    alices = film_in_segments(database, 2, owner="alice")
    claim = claim_one(database)
    assert claim is not None
    assert claim.job_id == alices.id
    with database.begin() as session:  # nobody takes it over
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == claim.segment_id)
            .values(attempts=3, lease_until=now_seconds() - 1)
        )
    assert claim_job_id(database) == alices.id


def test_owners_with_fewer_workers_come_first(database: Database) -> None:
    film_in_segments(database, 20, owner="archive")
    for _ in range(3):
        claim_one(database)
    film_in_segments(database, 20, owner="alice")

    owners = []
    for _ in range(4):
        claim = claim_one(database)
        assert claim is not None
        owners.append(get_job(database, claim.job_id).owner)
    assert owners[:3] == ["alice"] * 3, "until she has as many workers"


@pytest.mark.parametrize(
    ("owner", "priority"), [("archive", "normal"), ("alice", "normal"), ("archive", "low")]
)
def test_what_a_dead_worker_left_comes_before_what_nobody_began(
    database: Database, owner: str, priority: Priority
) -> None:
    left = film_in_segments(database, 3, owner=owner, priority=priority)
    claims = [claim_one(database) for _ in range(2)]
    film_in_segments(database, 5, owner="archive")
    stored_job(database, owner="bob")
    with database.begin() as session:  # so that the jobs would all come before it
        session.execute(
            update(JobRow).where(JobRow.id == left.id).values(created_at=now_seconds() + 60)
        )
    assert claims[1] is not None
    expire(database, claims[1].segment_id)

    again = claim_one(database)

    assert again is not None
    assert (again.segment_id, again.attempt) == (claims[1].segment_id, 2)


def test_what_a_dead_worker_left_of_a_paused_job_waits(database: Database) -> None:
    left, other = stored_job(database), stored_job(database)
    assert claim_job_id(database) == left.id
    expire(database, left.segments[0])
    results_api.pause_job(database, left.id)

    assert claim_job_id(database) == other.id


def test_paused_cancelled_and_exhausted_jobs_are_skipped(
    database: Database, queue: CeleryQueue
) -> None:
    paused, cancelled, exhausted, waiting = (stored_job(database) for _ in range(4))
    results_api.pause_job(database, paused.id)
    results_api.cancel_job(database, cancelled.id)
    with database.begin() as session:
        session.execute(
            update(SegmentRow).where(SegmentRow.job_id == exhausted.id).values(attempts=3)
        )

    assert claim_job_id(database) == waiting.id
    assert claim_one(database) is None
    results_api.resume_job(database, queue, paused.id)
    assert claim_job_id(database) == paused.id


def test_concurrent_workers_claim_different_segments(database: Database) -> None:
    film_in_segments(database, 4, owner="archive")
    stored_job(database, ["a.png", "b.png"], owner="alice")

    outcomes = run_concurrently(*[lambda: claim_one(database)] * 8)

    claims = [outcome for outcome in outcomes if isinstance(outcome, SegmentClaim)]
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert len({claim.segment_id for claim in claims}) == len(claims) == 6


def test_turns_of_owners_are_deleted_after_a_while(database: Database) -> None:
    stored_job(database, owner="alice")
    claim_one(database)
    delete_old_turns(database, older_than_seconds=3600)
    with database.begin() as session:
        assert session.scalars(select(TurnRow.owner)).all() == ["alice"]
        session.execute(update(TurnRow).values(served_at=now_seconds() - 7200))
    delete_old_turns(database, older_than_seconds=3600)
    with database.read() as session:
        assert session.scalars(select(TurnRow.owner)).all() == []


def test_exports_that_nobody_writes_are_available(database: Database) -> None:
    assert next_job_to_finish(database, max_attempts=3) is None
    job = stored_job(database)
    claim = claim_one(database)
    assert claim is not None
    finish_segment(database, claim, results())

    assert next_job_to_finish(database, max_attempts=3) == job.id
    exports = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert exports is not None
    assert next_job_to_finish(database, max_attempts=3) is None
    finish_job(database, exports, [])
    assert next_job_to_finish(database, max_attempts=3) is None


def test_a_message_leads_to_the_work_that_comes_first(
    harness: Harness, photo: Path, clip: Path
) -> None:
    film = harness.submit(clip)
    urgent = harness.submit(photo, spec=JobSpec(smallest_face=4, priority="high"))

    take_next_work(harness.worker)
    assert get_job(harness.worker.database, urgent).status is JobStatus.SUCCEEDED
    assert get_job(harness.worker.database, film).status is JobStatus.QUEUED
    take_next_work(harness.worker)
    assert get_job(harness.worker.database, film).status is JobStatus.SUCCEEDED
    take_next_work(harness.worker)  # a message without work


def test_a_message_leads_to_exports_that_no_worker_writes(harness: Harness, photo: Path) -> None:
    job_id = harness.submit(photo)
    claim = claim_one(harness.worker.database)
    assert claim is not None
    finish_segment(harness.worker.database, claim, results())

    take_next_work(replace(harness.worker, name="bob"))

    assert get_job(harness.worker.database, job_id).status is JobStatus.SUCCEEDED


def test_the_claim_query_uses_its_indexes(database: Database) -> None:
    with database.begin() as session:
        for number in range(300):
            session.execute(
                insert(JobRow).values(
                    id=f"ended-{number}",
                    status="succeeded",
                    label="",
                    owner=f"owner {number % 7}",
                    options={},
                    created_at=float(number),
                    attempts=0,
                )
            )
    for number in range(30):
        job = stored_job(database, ["a.mp4"] * 5, owner=f"owner {number % 3}")
    claim = claim_one(database)
    assert claim is not None
    release_segment(database, claim, reason="", counts=False)
    with database.begin() as session:
        session.execute(text("ANALYZE"))
    sql = str(
        next_segment_statement(3).compile(database.engine, compile_kwargs={"literal_binds": True})
    ).replace("%%", "%")
    prefix = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    with database.read() as session:
        if database.dialect == "postgresql":  # a scan is cheaper for so few rows
            session.execute(text("SET LOCAL enable_seqscan = off"))
        rows = session.connection().exec_driver_sql(f"{prefix} {sql}").all()
    plan = "\n".join(str(row[0] if database.dialect == "postgresql" else row[-1]) for row in rows)

    assert "ix_jobs_turn" in plan
    assert "ix_segments_job_next" in plan
    assert "SCAN jobs" not in plan, plan
    assert job.segments


def test_a_segment_that_its_worker_has_locked_is_skipped(
    postgres_database_url: str,
) -> None:
    with open_database(postgres_database_url) as database:
        slow, other = stored_job(database, ["long.mp4"]), stored_job(database, ["b.mp4"])
        claim = new_claim(database, slow.segments[0])
        expire(database, claim.segment_id)
        with database.begin() as writing:
            lock_claim(writing, claim)  # as a worker does that writes many rows past its lease
            assert claim_job_id(database) == other.id
            assert claim_job_id(database) is None
            assert give_up(database, max_attempts=1) == (0, [])
        assert claim_job_id(database) == slow.id


def test_a_claim_waits_for_a_segment_that_is_locked_by_a_ring(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker can receive a message before the ring is recorded; it must find the segment."""
    monkeypatch.setattr(scheduling, "RETRY_FOR_SECONDS", TIMEOUT_SECONDS)  # for a busy machine
    with open_database(postgres_database_url) as database, ThreadPoolExecutor(1) as worker:
        job = stored_job(database)
        skipped = Event()

        def watch(*details: Any) -> None:
            if "SKIP LOCKED" in details[2]:
                skipped.set()

        event.listen(database.engine, "after_cursor_execute", watch)
        with database.begin() as ringing:
            ringing.execute(
                update(SegmentRow).where(SegmentRow.job_id == job.id).values(last_rung_at=1.0)
            )
            claimed_job = worker.submit(claim_job_id, database)
            assert skipped.wait(TIMEOUT_SECONDS)
        assert claimed_job.result() == job.id


def test_ringing_for_a_job_does_not_wait_for_locked_segments(
    postgres_database_url: str,
) -> None:
    """Rings lock segments in no particular order: waiting could deadlock with a cancel."""
    with open_database(postgres_database_url) as database:
        job = stored_job(database, ["a.png", "b.png"])
        with database.begin() as cancelling:
            cancelling.execute(
                select(SegmentRow.id).where(SegmentRow.id == job.segments[1]).with_for_update()
            ).all()
            mark_all_segments_rung(database, job.id)
        with database.read() as session:
            rung = session.scalars(select(SegmentRow.last_rung_at).order_by(SegmentRow.id)).all()
    assert rung[0] is not None
    assert rung[1] is None


def test_a_lower_limit_of_attempts_applies_to_earlier_attempts(
    database: Database,
) -> None:
    job = stored_job(database)
    for _ in range(2):
        claim = claim_one(database)
        assert claim is not None
        release_segment(database, claim, reason="the machine went away", counts=True)

    assert give_up(database, max_attempts=3) == (0, [])
    assert give_up(database, max_attempts=2) == (1, [job.id])
