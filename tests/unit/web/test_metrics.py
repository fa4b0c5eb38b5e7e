"""GET /metrics, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.counts import count_all
from faces_jobs.db.processes import GpuMemory, Process, record_heartbeat, set_measures
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryRow, JobRow, SegmentRow
from faces_jobs_web.api.metrics import PREFIX, PROCESS_COUNTERS, SWEEP_GAUGES
from tests.factories import new_claim, stored_job
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import TOKEN
from tests.unit.web.problems import assert_problem

DOCS = Path(__file__).parents[3] / "docs" / "monitoring.md"


def families(client: WebClient) -> dict[str, Metric]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(response.text)}


def values(client: WebClient, name: str) -> dict[str, float]:
    """The samples of a family: its label values, joined by spaces, to the value."""
    samples = families(client)[f"{PREFIX}_{name}"].samples
    return {" ".join(sample.labels.values()): sample.value for sample in samples}


def record_every_metric(database: Database) -> None:
    """Record each counter of processes, and all gauges of the sweep."""
    counts = {(name, "x" if label else ""): 1.0 for name, (label, _) in PROCESS_COUNTERS.items()}
    gpu = GpuMemory(1, 2)
    record_heartbeat(database, Process("a", "worker", "here", 1, "1", "cuda", gpu), counts)
    set_measures(database, count_all(database))


def test_metrics_require_the_token(guarded: Flask) -> None:
    client = client_of(guarded)
    assert_problem(client.get("/metrics"), 401, "unauthorized")
    response = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200


def test_docs_and_metrics_list_the_same_names(client: WebClient, database: Database) -> None:
    stored_job(database)
    record_every_metric(database)
    client.get("/api/v1/jobs")
    exported = {
        f"{name}_total" if family.type == "counter" else name
        for name, family in families(client).items()
    }
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{PREFIX}_")]
    assert {row.split("`")[1] for row in rows} == exported
    for family in families(client).values():
        assert family.documentation.endswith("."), family.name


def test_docs_and_metrics_list_the_same_labels(client: WebClient, database: Database) -> None:
    stored_job(database)
    record_every_metric(database)
    client.get("/api/v1/jobs")
    docs = DOCS.read_text()
    for family in families(client).values():
        suffix = "_total" if family.type == "counter" else ""
        row = next(
            line for line in docs.splitlines() if line.startswith(f"| `{family.name}{suffix}`")
        )
        described = {part.strip("` ") for part in row.split("|")[2].split(",")} - {""}
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == described, family.name


def test_rows_are_counted_by_status(client: WebClient, database: Database) -> None:
    one = stored_job(database, ["a.mp4", "b.mp4"])
    stored_job(database, ["c.mp4", "d.mp4"], refused=["d.mp4"])
    new_claim(database, one.segments[0])
    assert values(client, "jobs")["running"] == 1, "open jobs are counted at each scrape"
    assert "failed" not in values(client, "items"), "ended items are counted by the sweep"

    set_measures(database, count_all(database))

    assert values(client, "items") == {
        "queued": 2,
        "running": 1,
        "succeeded": 0,
        "failed": 1,
        "cancelled": 0,
    }
    assert values(client, "segments")["queued"] == 2
    assert values(client, "segments")["running"] == 1
    assert values(client, "stored_bytes") == {"uploads": 300, "artifacts": 0}


def test_depth_and_age_of_the_queue_by_priority(client: WebClient, database: Database) -> None:
    old, _ = stored_job(database, ["a.mp4", "b.mp4"]), stored_job(database)
    held = stored_job(database)
    with database.begin() as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id == old.id)
            .values(priority=2, created_at=now_seconds() - 500)
        )
        session.execute(update(JobRow).where(JobRow.id == held.id).values(status="paused"))
    assert values(client, "waiting_segments") == {"low": 2, "normal": 1}
    ages = values(client, "oldest_waiting_seconds")
    assert ages["low"] >= 500 > ages["normal"] >= 0


def test_held_and_expired_leases_are_counted(client: WebClient, database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    for segment in job.segments:
        new_claim(database, segment)
    assert values(client, "leases") == {"held": 2, "expired": 0}
    with database.begin() as session:
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == job.segments[0])
            .values(lease_until=now_seconds() - 1)
        )
    assert values(client, "leases") == {"held": 1, "expired": 1}


def test_webhooks_are_counted_by_state(client: WebClient, database: Database) -> None:
    job = stored_job(database)
    with database.begin() as session:
        for name, times in {
            "waits": {"next_at": 1.0},
            "waits too": {"next_at": 2.0},
            "arrived": {"delivered_at": 1.0},
            "lost": {"given_up_at": 1.0},
        }.items():
            session.execute(
                insert(DeliveryRow).values(
                    id=name,
                    job_id=job.id,
                    url="https://example.org",
                    event="job.failed",
                    body="{}",
                    created_at=0.0,
                    **times,
                )
            )
    assert values(client, "webhooks") == {"waiting": 2}
    set_measures(database, count_all(database))
    assert values(client, "webhooks") == {"waiting": 2, "delivered": 1, "given_up": 1}


def test_counters_of_workers_are_summed(client: WebClient, database: Database) -> None:
    for name in ("alice", "bob"):
        record_heartbeat(
            database,
            Process(name, "worker", name, 1, "1"),
            {("frames", ""): 10.0, ("stage_seconds", "detect"): 0.5},
        )
    assert values(client, "frames") == {"": 20}
    assert values(client, "stage_seconds") == {"detect": 1.0}
    assert values(client, "rescues") == {"": 0}, (
        "exported from the start, so that the first one is an increase"
    )
    assert values(client, "processes") == {"web": 0, "worker": 2, "sweep": 0}


def test_requests_are_counted_by_route(client: WebClient) -> None:
    for number in range(3):
        client.get(f"/api/v1/jobs/00000000-0000-4000-8000-00000000000{number}")
        client.get(f"/nothing/{number}")
    found = values(client, "http_requests")
    assert found["GET /api/v1/jobs/<job_id> 404"] == 3
    assert found["any none 404"] == 3
    seconds = families(client)[f"{PREFIX}_http_request_seconds"].samples
    (count,) = (
        sample.value
        for sample in seconds
        if sample.name.endswith("_count") and sample.labels["route"] == "/api/v1/jobs/<job_id>"
    )
    assert count == 3


def test_without_a_database_other_metrics_are_exported(
    client: WebClient, database: Database
) -> None:
    path = database.engine.url.database
    assert path is not None
    database.close()
    Path(path).unlink()
    found = families(client)
    assert values(client, "ready")["database"] == 0
    assert values(client, "ready")["storage"] == 1
    assert f"{PREFIX}_http_requests" in found
    assert f"{PREFIX}_jobs" not in found


@contextmanager
def recorded_statements(database: Database) -> Iterator[list[str]]:
    """Record the SQL statements that are executed in this block."""
    seen: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", record)
    yield seen
    event.remove(database.engine, "before_cursor_execute", record)


def test_the_number_of_queries_does_not_grow_with_the_rows(
    client: WebClient, database: Database
) -> None:
    counts = []
    for _ in range(2):
        record_every_metric(database)
        with recorded_statements(database) as seen:
            families(client)
        counts.append(len(seen))
        for _ in range(20):
            new_claim(database, stored_job(database, ["a.mp4", "b.mp4"]).segments[0])
    assert counts[0] == counts[1] < 20


def test_every_gauge_of_the_sweep_has_a_name(database: Database) -> None:
    assert {name for name, _ in count_all(database)} == set(SWEEP_GAUGES)
