"""Whose turn it is: by priority, then between owners, then by age; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from faces_jobs import results as questions
from faces_jobs.db.claims import SegmentClaim, lock_claim
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.job_endings import finish_job
from faces_jobs.db.leases import claim_job
from faces_jobs.db.overdue import fail_poisoned_segments, mark_all_segments_rung
from faces_jobs.db.release import release_segment
from faces_jobs.db.scheduling import (
    claim_next,
    delete_old_turns,
    next_job_to_finish,
    next_segment_statement,
)
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow, SegmentRow, TurnRow
from faces_jobs.errors import StateError
from faces_jobs.jobs.spec import JobSpec, Priority
from faces_jobs.jobs.status import JobStatus, SegmentStatus
from faces_jobs.queue import CeleryQueue
from faces_jobs.results import get_job
from faces_jobs.worker.next_work import take_next_work
from tests.factories import StoredJob, claimed, results, stored_job
from tests.integration.races import at_once
from tests.integration.stored_states import expire
from tests.integration.workbench import Bench
from tests.services import PATIENCE_SECONDS

LOW, HIGH = JobSpec(priority="low"), JobSpec(priority="high")


def taken(database: Database, worker: str = "w") -> SegmentClaim | None:
    return claim_next(database, worker=worker, lease_seconds=60, max_attempts=3)


def job_taken(database: Database) -> str | None:
    claim = taken(database)
    return None if claim is None else claim.job_id


def film_in_segments(database: Database, segments: int, *, owner: str) -> StoredJob:
    """A job of one item that many segments were made of."""
    job = stored_job(database, ["film.mp4"], owner=owner)
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


def test_nothing_is_taken_where_nothing_waits(database: Database) -> None:
    assert taken(database) is None
    job = stored_job(database)
    assert job_taken(database) == job.id
    assert taken(database) is None, "it is being worked on"


def test_the_oldest_comes_first_of_one_owner(database: Database) -> None:
    jobs = [stored_job(database).id for _ in range(3)]
    assert [job_taken(database) for _ in range(3)] == jobs


def test_a_higher_priority_comes_first(database: Database) -> None:
    low, normal, high = (stored_job(database, spec=spec) for spec in (LOW, JobSpec(), HIGH))
    assert [job_taken(database) for _ in range(3)] == [high.id, normal.id, low.id]


def test_a_priority_can_be_changed_later(database: Database) -> None:
    first, second = stored_job(database), stored_job(database)
    document = questions.set_priority(database, second.id, "high")
    assert document.options.priority == "high"
    assert [job_taken(database) for _ in range(2)] == [second.id, first.id]


@pytest.mark.parametrize("priority", ["low", "high"])
def test_the_priority_of_an_ended_job_stays(database: Database, priority: Priority) -> None:
    job = stored_job(database)
    questions.cancel_job(database, job.id)
    with pytest.raises(StateError):
        questions.set_priority(database, job.id, priority)


def test_a_long_film_does_not_starve_a_photo_of_another(database: Database) -> None:
    film = film_in_segments(database, 200, owner="archive")
    for _ in range(3):
        claim = taken(database)
        assert claim is not None
        assert claim.job_id == film.id
        finish_segment(database, claim, results())
    photo = stored_job(database, ["photo.png"], owner="alice")

    assert job_taken(database) == photo.id, "the photo is next"
    assert job_taken(database) == film.id


def test_owners_take_turns(database: Database) -> None:
    film_in_segments(database, 20, owner="archive")
    for _ in range(5):
        stored_job(database, ["photo.png"], owner="alice")
    served = []
    for _ in range(10):
        claim = taken(database)
        assert claim is not None
        served.append(get_job(database, claim.job_id).owner)
        finish_segment(database, claim, results())

    assert served.count("alice") == 5
    assert all(before != after for before, after in pairwise(served))


def test_who_has_more_workers_at_it_waits(database: Database) -> None:
    film_in_segments(database, 20, owner="archive")
    for _ in range(3):
        taken(database)
    film_in_segments(database, 20, owner="alice")

    owners = []
    for _ in range(4):
        claim = taken(database)
        assert claim is not None
        owners.append(get_job(database, claim.job_id).owner)
    assert owners[:3] == ["alice"] * 3, "until as many work for her"


def test_an_orphan_is_taken_before_its_job_s_other_segments(database: Database) -> None:
    film_in_segments(database, 5, owner="archive")
    claims = [taken(database) for _ in range(3)]
    assert claims[1] is not None
    expire(database, claims[1].segment_id)

    again = taken(database)

    assert again is not None
    assert (again.segment_id, again.attempt) == (claims[1].segment_id, 2)


def test_what_is_held_ended_or_worn_out_is_passed_over(
    database: Database, queue: CeleryQueue
) -> None:
    paused, cancelled, worn, waiting = (stored_job(database) for _ in range(4))
    questions.pause_job(database, paused.id)
    questions.cancel_job(database, cancelled.id)
    with database.begin() as session:
        session.execute(update(SegmentRow).where(SegmentRow.job_id == worn.id).values(attempts=3))

    assert job_taken(database) == waiting.id
    assert taken(database) is None
    questions.resume_job(database, queue, paused.id)
    assert job_taken(database) == paused.id


def test_of_many_workers_at_once_each_gets_another_segment(database: Database) -> None:
    film_in_segments(database, 4, owner="archive")
    stored_job(database, ["a.png", "b.png"], owner="alice")

    outcomes = at_once(*[lambda: taken(database)] * 8)

    claims = [outcome for outcome in outcomes if isinstance(outcome, SegmentClaim)]
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert len({claim.segment_id for claim in claims}) == len(claims) == 6


def test_owners_that_were_not_served_for_long_are_forgotten(database: Database) -> None:
    stored_job(database, owner="alice")
    taken(database)
    delete_old_turns(database, older_than_seconds=3600)
    with database.begin() as session:
        assert session.scalars(select(TurnRow.owner)).all() == ["alice"]
        session.execute(update(TurnRow).values(served_at=now_seconds() - 7200))
    delete_old_turns(database, older_than_seconds=3600)
    with database.read() as session:
        assert session.scalars(select(TurnRow.owner)).all() == []


def test_exports_that_nobody_writes_are_to_be_had(database: Database) -> None:
    assert next_job_to_finish(database, max_attempts=3) is None
    job = stored_job(database)
    claim = taken(database)
    assert claim is not None
    finish_segment(database, claim, results())

    assert next_job_to_finish(database, max_attempts=3) == job.id
    mine = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert mine is not None
    assert next_job_to_finish(database, max_attempts=3) is None
    finish_job(database, mine, [])
    assert next_job_to_finish(database, max_attempts=3) is None


def test_a_bell_is_answered_with_what_comes_first(bench: Bench, photo: Path, clip: Path) -> None:
    film = bench.submit(clip)
    urgent = bench.submit(photo, spec=JobSpec(smallest_face=4, priority="high"))

    take_next_work(bench.worker)
    assert get_job(bench.worker.database, urgent).status is JobStatus.SUCCEEDED
    assert get_job(bench.worker.database, film).status is JobStatus.QUEUED
    take_next_work(bench.worker)
    assert get_job(bench.worker.database, film).status is JobStatus.SUCCEEDED
    take_next_work(bench.worker)  # a message too many


def test_a_bell_finds_exports_that_their_worker_left(bench: Bench, photo: Path) -> None:
    job_id = bench.submit(photo)
    claim = taken(bench.worker.database)
    assert claim is not None
    finish_segment(bench.worker.database, claim, results())

    take_next_work(replace(bench.worker, name="bob"))

    assert get_job(bench.worker.database, job_id).status is JobStatus.SUCCEEDED


def test_the_question_walks_along_its_index(database: Database) -> None:
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
    claim = taken(database)
    assert claim is not None
    release_segment(database, claim, reason="", counts=False)
    with database.begin() as session:
        session.execute(text("ANALYZE"))
    written = str(
        next_segment_statement(3).compile(database.engine, compile_kwargs={"literal_binds": True})
    ).replace("%%", "%")
    prefix = "EXPLAIN" if database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    with database.read() as session:
        if database.dialect == "postgresql":  # so few rows are read whole unless that is dear
            session.execute(text("SET LOCAL enable_seqscan = off"))
        rows = session.connection().exec_driver_sql(f"{prefix} {written}").all()
    plan = "\n".join(str(row[0] if database.dialect == "postgresql" else row[-1]) for row in rows)

    assert "ix_jobs_turn" in plan
    assert "ix_segments_job_next" in plan
    assert "SCAN jobs" not in plan, plan
    assert job.segments


def test_a_segment_whose_worker_writes_just_now_keeps_nobody_from_the_others(
    postgres_database_url: str,
) -> None:
    with open_database(postgres_database_url) as database:
        slow, other = stored_job(database, ["long.mp4"]), stored_job(database, ["b.mp4"])
        claim = claimed(database, slow.segments[0])
        expire(database, claim.segment_id)
        with database.begin() as writing:
            lock_claim(writing, claim)  # and write a long film's rows, past the lease
            assert job_taken(database) == other.id
            assert job_taken(database) is None
            assert fail_poisoned_segments(database, max_attempts=1, limit=9) == (0, [])
        assert job_taken(database) == slow.id


def test_a_segment_that_is_locked_for_a_moment_is_taken_by_who_was_rung_for(
    postgres_database_url: str,
) -> None:
    """Who rang writes that down; a worker that was quicker heard the bell for nothing."""
    with open_database(postgres_database_url) as database, ThreadPoolExecutor(1) as worker:
        job = stored_job(database)
        met = Event()

        def watch(*details: Any) -> None:
            if "SKIP LOCKED" in details[2]:
                met.set()

        event.listen(database.engine, "after_cursor_execute", watch)
        with database.begin() as ringing:
            ringing.execute(
                update(SegmentRow).where(SegmentRow.job_id == job.id).values(last_rung_at=1.0)
            )
            answer = worker.submit(job_taken, database)
            assert met.wait(PATIENCE_SECONDS)
        assert answer.result() == job.id


def test_who_rings_for_a_job_waits_for_nobody_who_holds_its_segments(
    postgres_database_url: str,
) -> None:
    """They were locked in no order: who cancelled the job at once met a deadlock."""
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


def test_a_segment_that_was_tried_as_often_as_a_lower_limit_allows_is_given_up(
    database: Database,
) -> None:
    job = stored_job(database)
    for _ in range(2):
        claim = taken(database)
        assert claim is not None
        release_segment(database, claim, reason="the machine went away", counts=True)

    assert fail_poisoned_segments(database, max_attempts=3, limit=9) == (0, [])
    assert fail_poisoned_segments(database, max_attempts=2, limit=9) == (1, [job.id])
