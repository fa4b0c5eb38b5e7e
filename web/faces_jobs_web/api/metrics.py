"""/metrics: Prometheus metrics. No label names a job, a file, a user or a process.

The metrics reveal how much work there is, so they require the access token if one is set.
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
from faces_jobs_web.operations import Operation, ResponseSpec, describes
from faces_jobs_web.request_ids import seconds_since_start
from faces_jobs_web.services import Services, current_services

blueprint = Blueprint("metrics", __name__)

EXTENSION = "faces_jobs_metrics"
PREFIX = "faces_jobs"
# From polls that take milliseconds to uploads that take minutes.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
# Counters that processes keep: name in the table of measures -> label and help text.
PROCESS_COUNTERS = {
    "frames": ("", "Frames that workers have analysed or passed on, in all attempts."),
    "faces": ("", "Faces that workers have found, in all attempts."),
    "stage_seconds": ("stage", "Seconds that workers spent in each stage of the pipeline."),
    "attempts": ("", "Segments that workers have started, counting each attempt."),
    "rescues": ("", "Segments that a worker took over from a lost worker."),
    "poison": ("", "Segments and exports given up after their last attempt."),
    "rings": (
        "kind",
        "Messages that the sweep sent, most often after a pause or for a lost worker's work.",
    ),
    "sweeps": ("", "Rounds of the sweep."),
    "repaired": (
        "what",
        "Inconsistencies between rows, broker and storage that the reconciler fixed.",
    ),
}
# Rows that the sweep counts once a minute, likewise. Open states are counted at each scrape.
SWEEP_GAUGES = {
    "jobs": ("state", "Jobs by state; final states are counted once a minute."),
    "items": ("state", "Items by state; final states are counted once a minute."),
    "segments": ("state", "Segments by state; final states are counted once a minute."),
    "webhooks": ("state", "Webhooks by state; final states are counted once a minute."),
    "stored_bytes": ("kind", "Bytes of uploads and artifacts, counted once a minute."),
}


@blueprint.get("/metrics")
@describes(
    Operation(
        tag="server",
        responses={200: ResponseSpec("Prometheus' text format.", media_types=("text/plain",))},
    )
)
def show() -> Response:
    """Return the service's metrics in Prometheus' text format."""
    return Response(generate_latest(metrics_of(current_app).registry), content_type=CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Metrics:
    """An app's metrics registry, and the metrics of its requests."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    broken_archives: Counter


def install_metrics(app: Flask) -> None:
    """Create the metrics that /metrics returns, and count the app's requests."""
    # `_created` series would double the output, and the text format has no type for them.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it ships without this type
    registry = CollectorRegistry()
    app.extensions[EXTENSION] = Metrics(
        registry=registry,
        requests=Counter(
            "http_requests",
            "Requests handled by this web process.",
            ("method", "route", "status"),
            namespace=PREFIX,
            registry=registry,
        ),
        seconds=Histogram(
            "http_request_seconds",
            "Seconds to the start of the response.",
            ("method", "route"),
            namespace=PREFIX,
            buckets=BUCKETS,
            registry=registry,
        ),
        broken_archives=Counter(
            "broken_archives",
            "Archives that broke off because a file or the storage failed.",
            namespace=PREFIX,
            registry=registry,
        ),
    )
    registry.register(_ServiceState(app))
    app.after_request(_count_request)


def _count_request(response: Response) -> Response:
    metrics = metrics_of(current_app)
    # The route rather than the path, so that the number of series stays bounded.
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.url_rule else "any"
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    metrics.seconds.labels(method, route).observe(seconds_since_start())
    return response


def metrics_of(app: Flask) -> Metrics:
    """Return the metrics of an app."""
    metrics = app.extensions[EXTENSION]
    assert isinstance(metrics, Metrics)  # noqa: S101 (tells mypy what install_metrics put there)
    return metrics


@dataclass(frozen=True, slots=True)
class _ServiceState(Collector):
    """The state of the whole service, read from the database at each scrape."""

    app: Flask = field(repr=False)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Query each part; parts that don't respond are left out and have `ready` 0."""
        services = current_services()
        report = services.readiness.check()
        yield _gauge(
            "build", "The version of this web process.", "version", {version("faces-jobs"): 1}
        )
        yield _gauge(
            "ready",
            "1 for each part of the service that is available, 0 for one that is missing.",
            "part",
            {part: float(part not in report.missing) for part in PROBLEM_MESSAGES},
        )
        if report.messages is not None:
            yield _gauge(
                "broker_messages",
                "Messages that no worker has received yet.",
                "",
                {"": report.messages},
            )
        if "storage" not in report.missing:
            yield from _disk_space(services)
        if "database" not in report.missing:
            yield from _database_metrics(
                read_figures(
                    services.database,
                    presence_timeout_seconds=services.settings.presence_timeout_seconds,
                )
            )


def _disk_space(services: Services) -> Iterator[Metric]:
    free, total = services.storage.disk_usage()
    yield _gauge(
        "storage_bytes",
        "Bytes of the data folder's file system.",
        "state",
        {"free": free, "total": total},
    )


def _database_metrics(figures: Figures) -> Iterator[Metric]:
    for name, (label, text) in SWEEP_GAUGES.items():
        yield _gauge(name, text, label, figures.of(name))
    for name, (label, text) in PROCESS_COUNTERS.items():
        counter = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=[label] if label else [])
        counts = figures.of(name) or ({} if label else {"": 0.0})
        for value, count in counts.items():
            counter.add_metric([value] if label else [], count)
        yield counter
    yield _gauge(
        "waiting_segments",
        "Segments that workers could claim now.",
        "priority",
        {priority: waiting.count for priority, waiting in figures.waiting.items()},
    )
    yield _gauge(
        "oldest_waiting_seconds",
        "Seconds since the job of the longest waiting segment was submitted.",
        "priority",
        {priority: waiting.oldest_seconds for priority, waiting in figures.waiting.items()},
    )
    yield _gauge(
        "leases",
        "Leases on segments and exports; the sweep releases expired ones.",
        "state",
        {"held": figures.leases.held, "expired": figures.leases.expired},
    )
    yield _gauge("processes", "Running processes by kind.", "kind", figures.processes)
    gpu = GaugeMetricFamily(
        f"{PREFIX}_gpu_memory_bytes",
        "GPU memory of each machine whose workers use a GPU.",
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
