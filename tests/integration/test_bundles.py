"""Bundles: images that are claimed together keep all guarantees of a single segment."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select, update

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.release import release_bundle
from faces_jobs.db.claims.scheduling import claim_next
from faces_jobs.db.segments.bundles import (
    can_start_bundle,
    claim_rest_of_bundle,
    finish_bundle,
    renew_bundle,
)
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, SegmentRow
from faces_jobs.errors import CancelledError, LeaseLostError, PausedError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.results import cancel_job, get_job, list_faces, list_items, pause_job
from faces_jobs.worker.next_work import take_next_work
from tests.clips import moving_squares
from tests.factories import artifact, face, results, stored_job, track
from tests.integration.harness import Harness
from tests.integration.races import run_concurrently
from tests.integration.stored_states import expire


def claim_bundle(database: Database, worker: str = "alice", limit: int = 99) -> list[SegmentClaim]:
    """Claim all that one worker gets at a time: a bundle, one segment, or nothing."""
    first = claim_next(database, worker=worker, lease_seconds=60, max_attempts=3)
    if first is None:
        return []
    if not can_start_bundle(first):
        return [first]
    return [
        first,
        *claim_rest_of_bundle(database, first, worker=worker, lease_seconds=60, limit=limit),
    ]


def states(database: Database) -> list[tuple[str, int]]:
    """Return the state and the attempts of every segment."""
    with database.read() as session:
        rows = session.execute(
            select(SegmentRow.status, SegmentRow.attempts).order_by(SegmentRow.id)
        )
        return [(str(row.status), row.attempts) for row in rows]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Ten photographs of two squares each."""
    paths = []
    for number, picture in enumerate(moving_squares(10)):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1])).save(paths[-1])
    return paths


def names(count: int) -> list[str]:
    return [f"{number}.png" for number in range(count)]


def test_only_images_of_one_job_are_claimed_together(database: Database) -> None:
    job = stored_job(database, ["0.png", "film.mp4", "1.png", "2.png"])
    stored_job(database, names(3))

    bundle = claim_bundle(database)

    assert [claim.item_name for claim in bundle] == ["0.png", "1.png", "2.png"]
    assert {claim.token for claim in bundle} == {bundle[0].token}
    assert [claim.position for claim in bundle] == [0, 2, 3]
    assert states(database)[:4] == [("running", 1), ("queued", 0), ("running", 1), ("running", 1)]
    running = [item.status for item in list_items(database, job.id).items]
    assert running == ["running", "queued", "running", "running"]


def test_an_image_that_was_attempted_before_is_processed_alone(database: Database) -> None:
    """A file that kills its worker costs the others of its bundle one attempt, not their result."""
    stored_job(database, names(4))
    for claim in claim_bundle(database, limit=2):
        expire(database, claim.segment_id)

    bundles = [claim_bundle(database) for _ in range(4)]

    assert [[claim.attempt for claim in bundle] for bundle in bundles] == [[2], [2], [2], [1]]


def test_concurrent_workers_claim_different_images(database: Database) -> None:
    stored_job(database, names(40))

    outcomes = run_concurrently(*[lambda: claim_bundle(database, limit=4)] * 8)

    bundles = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert len(bundles) == 8
    held = [claim.segment_id for bundle in bundles for claim in bundle]
    assert len(held) == len(set(held))


def test_a_bundle_counts_as_the_work_of_one_worker(database: Database) -> None:
    stored_job(database, names(20), owner="archive")
    claim_bundle(database, limit=9)
    stored_job(database, ["a.mp4", "b.mp4", "c.mp4"], owner="alice")

    owners = [get_job(database, claim_bundle(database, limit=0)[0].job_id).owner for _ in range(3)]

    assert owners[0] == "alice"
    assert owners.count("archive") == 1, "the bundle of ten images counts as one"


def test_results_of_a_bundle_are_recorded_in_one_transaction(database: Database) -> None:
    job = stored_job(database, names(3))
    bundle = claim_bundle(database)
    found = results([face(), face(0, 1)], [track(1), track(2)], artifacts=[artifact("0-0.png")])

    last = finish_bundle(
        database,
        [
            (bundle[0], found),
            (bundle[1], ErrorDocument(code="truncated", message="Broken.")),
            (bundle[2], results(error=ErrorDocument(code="truncated", message="Broken off."))),
        ],
    )

    assert last, "the job must be finished now"
    first, second, third = list_items(database, job.id).items
    assert (first.status, first.face_count, first.track_count) == ("succeeded", 2, 2)
    assert (first.kind, first.width, first.height) == ("video", 64, 48)
    assert (second.status, second.error and second.error.message) == ("failed", "Broken.")
    assert (third.status, third.error and third.error.message) == ("failed", "Broken off.")
    assert len(list_faces(database, FaceQuery(job_id=job.id)).faces) == 2
    assert get_job(database, job.id).progress.frames_done == 2


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_worker_that_lost_one_image_records_none(database: Database, which: int) -> None:
    job = stored_job(database, names(3))
    bundle = claim_bundle(database)
    expire(database, bundle[which].segment_id)
    (again,) = claim_bundle(database, "bob")
    assert again.segment_id == bundle[which].segment_id

    with pytest.raises(LeaseLostError):
        finish_bundle(database, [(claim, results([face()])) for claim in bundle])
    with pytest.raises(LeaseLostError):
        renew_bundle(database, bundle, lease_seconds=60)

    assert list_faces(database, FaceQuery(job_id=job.id)).faces == []


def test_renewing_a_bundle_reports_a_cancel_and_a_pause(database: Database) -> None:
    job = stored_job(database, names(2))
    bundle = claim_bundle(database)
    renew_bundle(database, bundle, lease_seconds=60)
    pause_job(database, job.id)
    with pytest.raises(PausedError):
        renew_bundle(database, bundle, lease_seconds=60)
    cancel_job(database, job.id)
    with pytest.raises(CancelledError):
        renew_bundle(database, bundle, lease_seconds=60)
    with pytest.raises(CancelledError):
        finish_bundle(database, [(claim, results()) for claim in bundle])


def test_releasing_images_that_were_not_started_costs_no_attempt(database: Database) -> None:
    stored_job(database, names(3))
    bundle = claim_bundle(database)
    expire(database, bundle[2].segment_id)
    claim_bundle(database, "bob")

    release_bundle(database, bundle[1:])

    assert states(database) == [("running", 1), ("queued", 0), ("running", 2)]


def test_a_folder_of_images_end_to_end(harness: Harness, pictures: list[Path]) -> None:
    broken = harness.folder / "broken.png"
    broken.write_bytes(pictures[0].read_bytes()[:60])
    job_id = harness.submit(*pictures, broken)

    take_next_work(harness.worker)
    take_next_work(harness.worker)

    job = get_job(harness.worker.database, job_id)
    assert job.status == "succeeded_with_errors"
    assert job.face_count == job.track_count == 20
    assert [item.status for item in harness.items(job_id)] == ["succeeded"] * 10 + ["failed"]
    assert harness.items(job_id)[10].error is not None
    found = harness.artifacts(job_id)
    assert sum(one.kind == "annotated_image" for one in found) == 10
    assert sum(one.kind == "thumbnail" for one in found) == 20
    for one in found:
        assert harness.path(one).stat().st_size == one.bytes
    assert len(harness.files()) == len(found), "only artifacts are left"


def test_faces_of_images_are_cropped_by_the_networks_cropper(
    harness: Harness, pictures: list[Path]
) -> None:
    harness.submit(*pictures[:3])
    take_next_work(harness.worker)
    assert harness.networks.crops == 6 * 4, "once for their quality, and once for each model"


def test_messages_lead_through_a_whole_folder(harness: Harness, pictures: list[Path]) -> None:
    job_id = harness.submit(*pictures * 3)
    assert harness.worker.queue.depth() < 30

    rounds = 0
    while not get_job(harness.worker.database, job_id).status.ended:
        depth = harness.worker.queue.depth()
        take_next_work(harness.worker)
        rounds += 1
        if not get_job(harness.worker.database, job_id).status.ended:
            assert harness.worker.queue.depth() == depth + 1, (
                "a worker that leaves images rings for them"
            )
    assert rounds < 30


def test_an_image_that_fails_does_not_affect_the_others(
    harness: Harness, pictures: list[Path]
) -> None:
    job_id = harness.submit(*pictures[:3])

    def fail(_batch: int) -> None:
        with harness.worker.database.read() as session:
            left = session.scalars(
                select(ItemRow.id).where(ItemRow.job_id == job_id, ItemRow.status == "running")
            ).all()
        # The second of the three fails, both in the bundle and alone.
        if harness.networks.batches == 2 or len(left) < 3:
            raise ZeroDivisionError

    harness.networks.before_batch = fail
    for _ in range(harness.worker.settings.max_attempts):
        take_next_work(harness.worker)
    assert [item.status for item in harness.items(job_id)][:2] == ["succeeded", "failed"]

    harness.networks.before_batch = lambda _batch: None
    take_next_work(harness.worker)
    assert [item.status for item in harness.items(job_id)] == ["succeeded", "failed", "succeeded"]


def test_a_worker_that_is_stopped_records_finished_images(
    harness: Harness, pictures: list[Path]
) -> None:
    job_id = harness.submit(*pictures[:5])

    def stop(batch: int) -> None:
        if batch == 3:
            harness.worker.stop_requested.set()

    harness.networks.before_batch = stop
    take_next_work(harness.worker)

    assert states(harness.worker.database) == [("succeeded", 1)] * 2 + [("queued", 0)] * 3
    bob = replace(harness.worker, name="bob", stop_requested=threading.Event())
    take_next_work(bob)
    assert get_job(harness.worker.database, job_id).status == "succeeded"


def test_a_cancel_discards_the_bundle(harness: Harness, pictures: list[Path]) -> None:
    job_id = harness.submit(*pictures[:5])

    def cancel(batch: int) -> None:
        if batch == 3:
            cancel_job(harness.worker.database, job_id)

    harness.networks.before_batch = cancel
    take_next_work(harness.worker)

    assert [item.status for item in harness.items(job_id)] == ["cancelled"] * 5
    assert harness.files() == []


def test_a_full_disk_parks_the_job_and_loses_no_image(
    harness: Harness, pictures: list[Path]
) -> None:
    job_id = harness.submit(*pictures[:4])
    with harness.worker.database.begin() as session:
        session.execute(update(SegmentRow).values(last_rung_at=None))

    def fill(batch: int) -> None:
        if batch >= 2:
            raise OSError(28, "No space left on device")

    harness.networks.before_batch = fill
    take_next_work(harness.worker)

    assert get_job(harness.worker.database, job_id).status == "waiting_for_space"
    assert states(harness.worker.database) == [("succeeded", 1)] + [("queued", 0)] * 3
