"""Counters of a worker's work, and the queries of a metrics scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import event, text, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.counts import count_all
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.errors import MediaError
from faces_jobs.results.figures import read_figures
from faces_jobs.retention import delete_job
from faces_jobs.storage import LocalStorage
from tests import clips
from tests.factories import new_claim, stored_job
from tests.integration.harness import Harness


def test_a_worker_counts_its_work(harness: Harness, clip: Path) -> None:
    harness.work(harness.submit(clip))
    counts = harness.worker.counters.take()
    assert counts["attempts", ""] == 1
    assert counts["rescues", ""] == 0
    assert counts["frames", ""] == 10
    assert counts["faces", ""] == 20
    stages = {label for name, label in counts if name == "stage_seconds"}
    assert {"decode", "detect", "track", "crop", "classify", "vote"} <= stages
    assert all(value >= 0 for value in counts.values())


def test_a_worker_counts_the_frames_of_attempts_that_fail(harness: Harness, tmp_path: Path) -> None:
    video = clips.write_video(
        tmp_path / "pause.nut",
        clips.moving_squares(3),
        ticks=[0, 3600, 2**30 + 3600],  # a pause that fails the annotated copy at its end
        time_base=Fraction(1, 90_000),
    )
    job_id = harness.submit(video)
    harness.work(job_id)
    (item,) = harness.items(job_id)
    assert (item.status, item.error and item.error.code) == ("failed", MediaError.code)
    counts = harness.worker.counters.take()
    assert (counts["attempts", ""], counts["frames", ""], counts["faces", ""]) == (1, 3, 6)
    assert counts["stage_seconds", "detect"] > 0


def test_work_taken_over_from_a_lost_worker_is_a_rescue(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)
    database = harness.worker.database
    new_claim(database, harness.segments(job_id)[0], worker="bob")
    with database.begin() as session:
        session.execute(update(SegmentRow).values(lease_until=now_seconds() - 1))
    harness.work(job_id)
    counts = harness.worker.counters.take()
    assert (counts["attempts", ""], counts["rescues", ""]) == (1, 1)


@contextmanager
def executed_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    executed: list[tuple[str, Any]] = []

    def record(_c: object, _k: object, statement: str, parameters: Any, *_rest: object) -> None:
        executed.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", record)
    yield executed
    event.remove(database.engine, "before_cursor_execute", record)


def test_a_scrape_uses_indexes(database: Database) -> None:
    for _ in range(3):
        stored_job(database, ["a.mp4", "b.mp4"])
    with executed_statements(database) as executed:
        read_figures(database, presence_timeout_seconds=20)
    queries = [one for one in executed if one[0].lstrip().startswith("SELECT")]
    assert 0 < len(queries) < 20
    on_postgres = database.dialect == "postgresql"
    with database.read() as session:
        if on_postgres:  # a scan is cheaper for so few rows: is there an index?
            session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = session.connection()
        for statement, parameters in queries:
            prefix = "EXPLAIN" if on_postgres else "EXPLAIN QUERY PLAN"
            plan = "\n".join(
                str(row[0] if on_postgres else row[-1])
                for row in connection.exec_driver_sql(f"{prefix} {statement}", parameters)
            )
            for table in ("jobs", "items", "segments", "deliveries", "processes"):
                assert f"Seq Scan on {table}" not in plan, f"{statement}\n{plan}"
                scans = [line for line in plan.splitlines() if f"SCAN {table}" in line]
                assert all("INDEX" in line for line in scans), f"{statement}\n{plan}"


def test_a_job_that_is_being_deleted_is_not_counted(
    database: Database, storage: LocalStorage
) -> None:
    stored_job(database, ["a.mp4"])
    deleted = stored_job(database, ["b.mp4", "c.mp4"])

    assert not delete_job(deleted.id, database=database, storage=storage, patience_seconds=0)

    counted = count_all(database)
    for table in ("jobs", "items", "segments"):
        rows = {state: count for (name, state), count in counted.items() if name == table}
        assert sum(rows.values()) == rows["queued"] == 1
    assert counted["stored_bytes", "uploads"] == 300
