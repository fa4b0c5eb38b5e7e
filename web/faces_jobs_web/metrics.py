"""/metrics: what Prometheus reads. Nothing in it names a job, a file, a user or a process.

It tells how much work there is, so it wants the access token where one is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from faces_jobs.readiness import PROBLEM_MESSAGES
from faces_jobs.results.figures import Figures, read_figures
from faces_jobs_web.operations import Answer, Operation, describes
from faces_jobs_web.request_ids import seconds_since_begin
from faces_jobs_web.services import Services, services

blueprint = Blueprint("metrics", __name__)

EXTENSION = "faces_jobs_metrics"
PREFIX = "faces_jobs"
# Polls take milliseconds, uploads of films minutes.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
# What processes count: name in the table of measures -> label and explanation.
COUNTED = {
    "frames": ("", "Frames that workers have read."),
    "faces": ("", "Faces that workers have found, those of repeated attempts too."),
    "stage_seconds": ("stage", "Seconds that workers spent in each stage of the pipeline."),
    "attempts": ("", "Segments that workers have begun, each attempt counted."),
    "rescues": ("", "Segments that a worker took over from one that was lost."),
    "poison": ("", "Segments and exports given up after their last attempt."),
    "rings": ("kind", "Messages that the sweep sent again for work that waited too long."),
    "sweeps": ("", "Rounds of the sweep."),
    "mended": ("what", "What the reconciler put right between rows, broker and storage."),
}
# What the sweep counts in the rows once a minute: likewise. Open states are asked for anew.
COUNTED_BY_SWEEP = {
    "jobs": ("state", "Jobs by state; those that have ended as of the last minute."),
    "items": ("state", "Items by state; those that have ended as of the last minute."),
    "segments": ("state", "Segments by state; those that have ended as of the last minute."),
    "webhooks": ("state", "Webhooks by state; those that ended as of the last minute."),
    "stored_bytes": ("kind", "Bytes of uploads and artifacts as of the last minute."),
}


@blueprint.get("/metrics")
@describes(
    Operation(
        tag="server",
        answers={200: Answer("Prometheus' text format.", media_types=("text/plain",))},
    )
)
def show() -> Response:
    """Tell Prometheus how the service does."""
    return Response(generate_latest(_metrics(current_app).registry), content_type=CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Metrics:
    """One app's registry, and the metrics of its own requests."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram


def install_metrics(app: Flask) -> None:
    """Count the app's requests, and make what /metrics shows."""
    # Times of creation would be twice as many lines, which the text format has no word for.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it ships without this type
    registry = CollectorRegistry()
    app.extensions[EXTENSION] = Metrics(
        registry=registry,
        requests=Counter(
            "http_requests",
            "Requests answered by this web process.",
            ("method", "route", "status"),
            namespace=PREFIX,
            registry=registry,
        ),
        seconds=Histogram(
            "http_request_seconds",
            "Seconds to the start of the answer.",
            ("method", "route"),
            namespace=PREFIX,
            buckets=BUCKETS,
            registry=registry,
        ),
    )
    registry.register(_State(app))
    app.after_request(_count)


def _count(response: Response) -> Response:
    metrics = _metrics(current_app)
    # The route, not the address: as many series as routes, whatever is asked for.
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.url_rule else "any"
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    metrics.seconds.labels(method, route).observe(seconds_since_begin())
    return response


def _metrics(app: Flask) -> Metrics:
    held = app.extensions[EXTENSION]
    assert isinstance(held, Metrics)  # noqa: S101 (tells mypy what install_metrics put there)
    return held


@dataclass(frozen=True, slots=True)
class _State(Collector):
    """The whole service's state, read from rows at each scrape."""

    app: Flask = field(repr=False)

    def describe(self) -> list[Metric]:
        """None beforehand: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask each part; what does not answer is left out, and `ready` says so."""
        held = services()
        report = held.readiness.check()
        yield _gauge("build", "The version that answers.", "version", {version("faces-jobs"): 1})
        yield _gauge(
            "ready",
            "1 for each part of the service that is there, 0 for one that is missing.",
            "part",
            {part: float(part not in report.missing) for part in PROBLEM_MESSAGES},
        )
        if report.messages is not None:
            yield _gauge(
                "broker_messages",
                "Messages that no worker has taken yet.",
                "",
                {"": report.messages},
            )
        if "storage" not in report.missing:
            yield from _room(held)
        if "database" not in report.missing:
            yield from _figures(
                read_figures(held.database, silent_seconds=held.settings.silent_seconds)
            )


def _room(held: Services) -> Iterator[Metric]:
    free, total = held.storage.disk_usage()
    yield _gauge(
        "storage_bytes",
        "The data folder's file system.",
        "state",
        {"free": free, "total": total},
    )


def _figures(figures: Figures) -> Iterator[Metric]:
    for name, (label, text) in COUNTED_BY_SWEEP.items():
        yield _gauge(name, text, label, figures.of(name))
    for name, (label, text) in COUNTED.items():
        counter = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[label] if label else [])
        found = figures.of(name) or ({} if label else {"": 0.0})
        for value, count in found.items():
            counter.add_metric([value] if label else [], count)
        yield counter
    yield _gauge(
        "waiting_segments",
        "Segments that a worker could take now.",
        "priority",
        {priority: one.count for priority, one in figures.waiting.items()},
    )
    yield _gauge(
        "oldest_waiting_seconds",
        "Seconds since the job of the longest waiting segment was submitted.",
        "priority",
        {priority: one.oldest_seconds for priority, one in figures.waiting.items()},
    )
    yield _gauge(
        "leases",
        "Claims on segments and exports; expired ones wait for the sweep.",
        "state",
        {"held": figures.leases.held, "expired": figures.leases.expired},
    )
    yield _gauge("processes", "Processes that live, by kind.", "kind", figures.processes)
    gpu = GaugeMetricFamily(
        f"{PREFIX}_gpu_memory_bytes",
        "Memory of each machine's GPU, where workers use one.",
        labels=["host", "state"],
    )
    for host, memory in figures.gpus.items():
        gpu.add_metric([host, "used"], memory.used)
        gpu.add_metric([host, "total"], memory.total)
    yield gpu


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    gauge = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label] if label else [])
    for value, number in values.items():
        gauge.add_metric([value] if label else [], number)
    return gauge
