"""Random events on jobs: the database always agrees with a reference model of the life cycle."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from faces_jobs.db.claims.evidence import record_worker_death
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_job, renew_segment
from faces_jobs.db.claims.release import release_all_of, release_job, release_segment
from faces_jobs.db.claims.scheduling import claim_next
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.jobs.space import park_job, park_segment, resume_parked
from faces_jobs.db.segments.endings import fail_job, fail_segment, finish_segment
from faces_jobs.db.segments.poison import fail_poisoned_jobs, fail_poisoned_segments
from faces_jobs.db.session import open_database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.errors import CancelledError, LeaseLostError, PausedError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.spec import JobSpec, Priority
from faces_jobs.jobs.status import SegmentStatus
from faces_jobs.results import cancel_job, pause_job, resume_job, retry_job, set_priority
from tests.factories import StoredJob, artifact, face, results, stored_job
from tests.integration.job_model import MAX_ATTEMPTS, Job, RefusedError
from tests.integration.model_and_store import ClaimAndModel, ExportsAndModel, StoreAndModel

BROKEN = ErrorDocument(code="no-video", message="No picture.")
RANKS: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}


class Life(StoreAndModel):
    """Users, workers that stall and resume, and a sweep, in any order."""

    jobs, claims, exports = StoreAndModel.jobs, StoreAndModel.claims, StoreAndModel.exports

    @rule(
        target=jobs,
        refused=st.lists(st.booleans(), min_size=1, max_size=3).filter(lambda all_: not all(all_)),
        priority=st.sampled_from(sorted(RANKS)),
        owner=st.sampled_from(["", "alice", "bob"]),
    )
    def submit(self, refused: list[bool], priority: Priority, owner: str) -> object:
        names = [f"{number}.mp4" for number in range(len(refused))]
        job = stored_job(
            self.database,
            names,
            refused=[name for name, one in zip(names, refused, strict=True) if one],
            spec=JobSpec(priority=priority),
            owner=owner,
        )
        model = Job.submitted(refused, priority=RANKS[priority])
        self.pairs.append((job, model))
        return job, model

    @rule(target=claims, job=jobs, which=st.integers(0, 2))
    def claim(self, job: tuple[StoredJob, Job], which: int) -> object:
        stored, model = job
        item = model.items[which % len(model.items)]
        segment_id = self.segments(stored).get(stored.items[which % len(model.items)])
        if segment_id is None or item.segment is None:
            assert segment_id is None
            assert item.segment is None
            return multiple()
        free = model.is_free(item.segment)
        found = claim_segment(
            self.database,
            segment_id,
            worker=self.new_worker(),
            lease_seconds=600,
            max_attempts=MAX_ATTEMPTS,
        )
        assert (found is not None) == free
        return multiple() if found is None else self.record_claim(found, model, item)

    @rule(target=claims)
    def take_next_work(self) -> object:
        free = [
            (model, item)
            for _, model in self.pairs
            for item in model.items
            if item.segment is not None and model.is_free(item.segment)
        ]
        found = claim_next(
            self.database, worker=self.new_worker(), lease_seconds=600, max_attempts=MAX_ATTEMPTS
        )
        if found is None:
            assert not free
            return multiple()
        stored, model = next(pair for pair in self.pairs if pair[0].id == found.job_id)
        item = model.items[stored.items.index(found.item_id)]
        assert any(one is item for _, one in free)
        assert model.priority == min(other.priority for other, _ in free)
        return self.record_claim(found, model, item)

    @rule(claim=claims)
    def renew(self, claim: ClaimAndModel) -> None:
        found, job, _, segment = claim
        holds, active = segment.holds(found.token), job.status.active
        error: type[Exception] | None = None
        try:
            renew_segment(self.database, found, lease_seconds=600, frames_done=1, frames_total=None)
        except (CancelledError, LeaseLostError, PausedError) as raised:
            error = type(raised)
        if holds:
            segment.expired = False
            assert error is (None if active else PausedError)
        elif not segment.gone and segment.status is SegmentStatus.CANCELLED:
            assert error is CancelledError
        else:
            assert error is LeaseLostError

    @rule(claim=claims)
    def finish(self, claim: ClaimAndModel) -> None:
        found, job, item, segment = claim
        made = results([face(0)], artifacts=[artifact(f"{found.item_id}-{found.token}.mp4")])
        if self.act_under(lambda: finish_segment(self.database, found, made), found, segment):
            job.end(item, SegmentStatus.SUCCEEDED)

    @rule(claim=claims, gave_up=st.booleans())
    def fail(self, claim: ClaimAndModel, *, gave_up: bool) -> None:
        found, job, item, segment = claim
        if self.act_under(
            lambda: fail_segment(self.database, found, BROKEN, gave_up=gave_up), found, segment
        ):
            job.end(item, SegmentStatus.FAILED)

    @rule(claim=claims)
    def fail_all(self, claim: ClaimAndModel) -> None:
        found, job, _, segment = claim
        if self.act_under(lambda: fail_job(self.database, found, BROKEN), found, segment):
            job.end_all()

    @rule(claim=claims, counts=st.booleans())
    def release(self, claim: ClaimAndModel, *, counts: bool) -> None:
        found, job, _, segment = claim
        if self.act_under(
            lambda: release_segment(self.database, found, reason="x", counts=counts), found, segment
        ):
            job.release(segment, counts=counts)

    @rule(claim=claims)
    def run_out_of_space(self, claim: ClaimAndModel) -> None:
        found, job, _, segment = claim
        if self.act_under(
            lambda: park_segment(self.database, found, reason="full", pause=lambda _: 0.0),
            found,
            segment,
        ):
            job.park(segment)

    @rule(claim=claims)
    def stall(self, claim: ClaimAndModel) -> None:
        found, _, _, segment = claim
        with self.database.begin() as session:
            session.execute(
                update(SegmentRow)
                .where(SegmentRow.lease_token == found.token)
                .values(lease_until=now_seconds() - 1)
            )
        if segment.holds(found.token):
            segment.expired = True

    @rule(claim=claims)
    def die(self, claim: ClaimAndModel) -> None:
        found, _, _, segment = claim
        worker = self.worker_of(found)
        if worker is not None:
            record_worker_death(
                self.database, worker_prefix=worker, reason="x", exit_signal="SIGKILL", delay=0
            )
            if segment.holds(found.token):
                segment.expired = True

    @rule(claim=claims)
    def stop_at_once(self, claim: ClaimAndModel) -> None:
        found, job, _, segment = claim
        worker = self.worker_of(found)
        if worker is not None and segment.holds(found.token):
            release_all_of(self.database, worker)
            job.release(segment, counts=False)

    @rule(job=jobs)
    def cancel(self, job: tuple[StoredJob, Job]) -> None:
        self.perform(lambda: cancel_job(self.database, job[0].id), job[1].cancel)

    @rule(job=jobs)
    def pause(self, job: tuple[StoredJob, Job]) -> None:
        self.perform(lambda: pause_job(self.database, job[0].id), job[1].pause)

    @rule(job=jobs)
    def resume(self, job: tuple[StoredJob, Job]) -> None:
        self.perform(lambda: resume_job(self.database, self.queue, job[0].id), job[1].resume)

    @rule(job=jobs)
    def retry(self, job: tuple[StoredJob, Job]) -> None:
        self.perform(lambda: retry_job(self.database, self.queue, job[0].id), job[1].retry)

    @rule(job=jobs, priority=st.sampled_from(sorted(RANKS)))
    def prioritise(self, job: tuple[StoredJob, Job], priority: Priority) -> None:
        stored, model = job

        def change() -> None:
            if model.status.ended:
                raise RefusedError
            model.priority = RANKS[priority]

        self.perform(lambda: set_priority(self.database, stored.id, priority), change)

    @rule(target=exports, job=jobs)
    def claim_exports(self, job: tuple[StoredJob, Job]) -> object:
        stored, model = job
        found = claim_job(
            self.database,
            stored.id,
            worker=self.new_worker(),
            lease_seconds=600,
            max_attempts=MAX_ATTEMPTS,
        )
        token = "none" if found is None else found.token
        assert model.claim_exports(token) == (found is not None)
        return multiple() if found is None else (found, model)

    @rule(claim=exports, end=st.sampled_from(["finish", "stall", "back", "stop", "full", "renew"]))
    def end_exports(self, claim: ExportsAndModel, end: str) -> None:
        found, job = claim
        acts: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "finish": (
                lambda: finish_job(self.database, found, [artifact("faces.csv")]),
                job.finish,
            ),
            "back": (
                lambda: release_job(self.database, found, reason="x", counts=True),
                lambda: setattr(job, "token", None),
            ),
            "stop": (
                lambda: release_job(self.database, found, reason="x", counts=False),
                lambda: job.__dict__.update(token=None, attempts=job.attempts - 1),
            ),
            "full": (
                lambda: park_job(self.database, found, pause=lambda _: 0.0),
                lambda: job.park(None),
            ),
            "renew": (
                lambda: renew_job(self.database, found, lease_seconds=600),
                lambda: setattr(job, "expired", False),
            ),
        }
        if end == "stall":
            with self.database.begin() as session:
                session.execute(
                    update(JobRow)
                    .where(JobRow.lease_token == found.token)
                    .values(lease_until=now_seconds() - 1)
                )
            if job.holds_exports(found.token):
                job.expired = True
            return
        act, follow = acts[end]
        holds = job.holds_exports(found.token)
        try:
            act()
        except (CancelledError, LeaseLostError, PausedError):
            assert not holds
        else:
            assert holds
            follow()

    @rule()
    def sweep(self) -> None:
        fail_poisoned_segments(
            self.database, max_attempts=MAX_ATTEMPTS, limit=100, is_dead=lambda *_: True
        )
        fail_poisoned_jobs(
            self.database, max_attempts=MAX_ATTEMPTS, limit=100, is_dead=lambda *_: True
        )
        resume_parked(self.database, limit=100)
        for _, model in self.pairs:
            model.sweep()

    @invariant()
    def database_agrees_with_model(self) -> None:
        with self.database.read() as session:
            for stored, model in self.pairs:
                status = session.scalars(select(JobRow.status).where(JobRow.id == stored.id)).one()
                items = session.scalars(
                    select(ItemRow.status)
                    .where(ItemRow.job_id == stored.id)
                    .order_by(ItemRow.position)
                )
                segments = session.execute(
                    select(SegmentRow.status, SegmentRow.attempts)
                    .where(SegmentRow.job_id == stored.id)
                    .order_by(SegmentRow.item_id)
                )
                stored_state = (
                    str(status),
                    [str(one) for one in items],
                    [(str(state), attempts) for state, attempts in segments],
                )
                assert stored_state == model.state()


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 40), ("postgres", 10)])
def test_the_database_agrees_with_the_model_after_random_events(
    kind: str, examples: int, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{kind}_database_url")
    with open_database(url) as database:
        Life.database = database
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
