"""Random life cycles of jobs: whatever workers, users and the sweep do, the rows stay valid."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, select, update

from faces_jobs.db.claims.fencing import JobClaim, SegmentClaim
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_segment
from faces_jobs.db.claims.release import release_job, release_segment
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import fail_job, fail_segment, finish_segment
from faces_jobs.db.segments.poison import fail_poisoned_jobs, fail_poisoned_segments
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import ArtifactRow, FaceRow, ItemRow, JobRow, SegmentRow, TrackRow
from faces_jobs.errors import CancelledError, LeaseLostError, StateError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
    ItemStatus,
    JobStatus,
    SegmentStatus,
    final_job_status,
)
from faces_jobs.results import cancel_job, get_job
from tests.factories import StoredJob, artifact, face, results, stored_job, track

MAX_ATTEMPTS = 3
BROKEN = ErrorDocument(code="no-video", message="No picture.")


class Life(RuleBasedStateMachine):
    """Workers that claim, stall, resume, finish and fail; a user who cancels; a sweep."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")
    job_claims = Bundle("job_claims")

    database: Database  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.states_before: dict[tuple[str, object], StrEnum] = {}
        self.fractions: dict[str, float] = {}  # job -> its progress when last read
        self.holders: dict[int, str] = {}  # segment -> the token of its last claim
        self.winners: dict[int, int] = {}  # item -> the attempt whose results are recorded
        with self.database.begin() as session:
            session.execute(delete(JobRow))

    @rule(target=jobs, names=st.lists(st.sampled_from(["a.mp4", "b.png"]), min_size=1, max_size=3))
    def submit(self, names: list[str]) -> StoredJob:
        return stored_job(self.database, names)

    @rule(target=claims, job=jobs, which=st.integers(0, 2))
    def claim(self, job: StoredJob, which: int) -> object:
        segment = job.segments[which % len(job.segments)]
        found = claim_segment(
            self.database, segment, worker="w", lease_seconds=600, max_attempts=MAX_ATTEMPTS
        )
        if found is None:
            return multiple()
        self.holders[segment] = found.token
        return found

    @rule(target=claims, job=jobs, times=st.integers(1, MAX_ATTEMPTS + 1))
    def die_repeatedly(self, job: StoredJob, times: int) -> object:
        found = []
        for _ in range(times):
            claim = self.claim(job, 0)
            if isinstance(claim, SegmentClaim):
                self.stall(claim)
                found.append(claim)
        return multiple(*found)

    @rule(claim=claims)
    def stall(self, claim: SegmentClaim) -> None:
        with self.database.begin() as session:
            session.execute(
                update(SegmentRow)
                .where(SegmentRow.lease_token == claim.token)
                .values(lease_until=now_seconds() - 1)
            )

    @rule(claim=claims, done=st.integers(0, 9))
    def renew(self, claim: SegmentClaim, done: int) -> None:
        self.act_under(
            lambda: renew_segment(
                self.database, claim, lease_seconds=600, frames_done=done, frames_total=10
            ),
            claim,
        )

    @rule(claim=claims)
    def finish(self, claim: SegmentClaim) -> None:
        found = results(
            [face(0, track=claim.attempt), face(1, track=claim.attempt)],
            [track(claim.attempt)],
            artifacts=[artifact(f"{claim.item_id}-{claim.attempt}.mp4")],
            frames=10,
        )
        if self.act_under(lambda: finish_segment(self.database, claim, found), claim):
            self.winners[claim.item_id] = claim.attempt

    @rule(claim=claims)
    def fail(self, claim: SegmentClaim) -> None:
        self.act_under(lambda: fail_segment(self.database, claim, BROKEN), claim)

    @rule(claim=claims)
    def fail_all(self, claim: SegmentClaim) -> None:
        self.act_under(lambda: fail_job(self.database, claim, BROKEN), claim)

    @rule(claim=claims, counts=st.booleans())
    def release(self, claim: SegmentClaim, *, counts: bool) -> None:
        self.act_under(
            lambda: release_segment(self.database, claim, reason="x", counts=counts), claim
        )

    @rule(job=jobs)
    def cancel(self, job: StoredJob) -> None:
        try:
            cancel_job(self.database, job.id)
        except StateError:
            assert get_job(self.database, job.id).status.ended

    @rule(target=job_claims, job=jobs)
    def claim_exports(self, job: StoredJob) -> object:
        found = claim_job(
            self.database, job.id, worker="w", lease_seconds=600, max_attempts=MAX_ATTEMPTS
        )
        return multiple() if found is None else found

    @rule(claim=consumes(job_claims), end=st.sampled_from(["finish", "stall", "release"]))
    def end_exports(self, claim: JobClaim, end: str) -> None:
        if end == "finish":
            self.act_under(lambda: finish_job(self.database, claim, [artifact("faces.csv")]))
        elif end == "release":
            self.act_under(lambda: release_job(self.database, claim, reason="x", counts=True))
        else:
            with self.database.begin() as session:
                session.execute(
                    update(JobRow)
                    .where(JobRow.lease_token == claim.token)
                    .values(lease_until=now_seconds() - 1)
                )

    @rule()
    def sweep(self) -> None:
        fail_poisoned_segments(
            self.database, max_attempts=MAX_ATTEMPTS, limit=100, is_dead=lambda *_: True
        )
        fail_poisoned_jobs(
            self.database, max_attempts=MAX_ATTEMPTS, limit=100, is_dead=lambda *_: True
        )

    def act_under(self, act: Callable[[], object], claim: SegmentClaim | None = None) -> bool:
        """Act under a claim; returns whether it still held, which only the latest claim may."""
        try:
            act()
        except (CancelledError, LeaseLostError):
            return False
        assert claim is None or self.holders[claim.segment_id] == claim.token
        return True

    @invariant()
    def moves_are_legal(self) -> None:
        now: dict[tuple[str, object], StrEnum] = {}
        with self.database.read() as session:
            for kind, table in (("job", JobRow), ("item", ItemRow), ("segment", SegmentRow)):
                for number, status in session.execute(select(table.id, table.status)):
                    now[kind, number] = status
        legal: dict[str, Any] = {"job": JOB_MOVES, "item": ITEM_MOVES, "segment": SEGMENT_MOVES}
        for key, status in now.items():
            earlier = self.states_before.get(key)
            # One rule can make two moves (claimed and then ended by a sweep); each must be legal.
            if earlier not in (None, status):
                moves = legal[key[0]]
                assert status in moves[earlier] or any(
                    status in moves[between] for between in moves[earlier]
                ), f"{key}: {earlier} -> {status}"
        self.states_before = now

    @invariant()
    def rows_agree(self) -> None:
        with self.database.read() as session:
            for job in session.scalars(select(JobRow)):
                items = session.scalars(select(ItemRow).where(ItemRow.job_id == job.id)).all()
                states = [item.status for item in items]
                all_ended = all(state.ended for state in states)
                if job.status.active:
                    assert not all_ended, "a job whose items have all ended must be finishing"
                else:
                    assert all_ended
                if job.status is JobStatus.QUEUED:
                    assert set(states) == {ItemStatus.QUEUED}
                if job.status.ended and job.status is not JobStatus.CANCELLED:
                    assert job.ended_at is not None
                    assert job.status is final_job_status(states) or job.error_code == "poison"
                assert job.attempts <= MAX_ATTEMPTS
            for segment in session.scalars(select(SegmentRow)):
                assert (segment.lease_token is not None) == (
                    segment.status is SegmentStatus.RUNNING
                ) or segment.status is SegmentStatus.CANCELLED
                assert 0 <= segment.attempts <= MAX_ATTEMPTS
                assert segment.status.ended == (segment.ended_at is not None)

    @invariant()
    def results_are_of_one_attempt(self) -> None:
        with self.database.read() as session:
            for item_id, attempt in self.winners.items():
                item = session.get(ItemRow, item_id)
                assert item is not None
                assert item.status is ItemStatus.SUCCEEDED
                for table in (FaceRow, TrackRow):
                    found = session.scalars(
                        select(table.track).where(table.item_id == item_id).distinct()
                    ).all()
                    assert found == [attempt]
                names = session.scalars(
                    select(ArtifactRow.name).where(ArtifactRow.item_id == item_id)
                ).all()
                assert names == [f"{item_id}-{attempt}.mp4"]
            recorded = session.scalar(select(func.count(FaceRow.item_id.distinct())))
            assert recorded == len(self.winners)

    @invariant()
    def progress_never_goes_back(self) -> None:
        with self.database.read() as session:
            ids = session.scalars(select(JobRow.id)).all()
        for job_id in ids:
            fraction = get_job(self.database, job_id).progress.fraction
            if fraction is not None:
                assert fraction >= self.fractions.get(job_id, 0.0) - 1e-9
                self.fractions[job_id] = fraction


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_rows_stay_valid_in_random_life_cycles(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{kind}_database_url")
    with open_database(url) as database:
        Life.database = database
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=12 if kind == "sqlite" else 6,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
