"""How long the questions of the API take among millions of faces, by what is asked for."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from operator import itemgetter
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.results import list_faces, list_tracks
from tests.bench_jobs.rows import HUNDRED_HOURS_MS, LAST_ALONE, NEVER, SHARES, Population

ROUNDS = 3
SLOW_SECONDS = 5.0  # a question that takes so long is not asked again

Asked = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Spent:
    ms: float
    own_ms: float


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """The questions of one kind."""

    kind: str
    questions: int
    median_ms: float
    p95_ms: float
    own_median_ms: float  # of the database alone: on a busy machine too, what it takes
    own_p95_ms: float
    own_slowest_ms: float
    slowest: str


def measure_queries(database: Database, there: Population) -> list[QueryFigures]:
    """Ask all questions, by kind; `all` is over every one of them."""
    gc.collect()
    gc.freeze()  # as the web server does when it has loaded all
    times: dict[str, dict[str, list[_Spent]]] = {}
    for kind, name, ask in _questions(database, there):
        spent = times.setdefault(kind, {}).setdefault(name, [])
        for _ in range(ROUNDS):
            spent.append(_ask(database, ask))
            if spent[-1].ms > SLOW_SECONDS * 1000:
                break
    figures = [_figures(kind, by_name) for kind, by_name in times.items()]
    everything = {f"{kind}: {n}": t for kind, by_name in times.items() for n, t in by_name.items()}
    return [*figures, _figures("all", everything)]


def _figures(kind: str, by_name: Mapping[str, list[_Spent]]) -> QueryFigures:
    # The first of a question's rounds counts as the others do: users ask once.
    every = sorted(spent.ms for times in by_name.values() for spent in times)
    own = sorted(spent.own_ms for times in by_name.values() for spent in times)
    medians = {
        name: statistics.median(spent.own_ms for spent in times) for name, times in by_name.items()
    }
    slowest = max(medians, key=lambda name: medians[name])
    return QueryFigures(
        kind=kind,
        questions=len(by_name),
        median_ms=statistics.median(every),
        p95_ms=_p95(every),
        own_median_ms=statistics.median(own),
        own_p95_ms=_p95(own),
        own_slowest_ms=medians[slowest],
        slowest=slowest,
    )


def _ask(database: Database, ask: Asked) -> _Spent:
    """Ask once; PostgreSQL is then asked how long its part of it takes.

    SQLite works in this thread, whose time is its own whatever else the machine does. Of that
    some is ours: to put the question together, and the page.
    """
    with _statements(database) as asked:
        started, worked = time.perf_counter(), time.thread_time()
        with suppress(DatabaseError, DBAPIError):  # PostgreSQL gives up after its timeout
            ask()
        own = (time.thread_time() - worked) * 1000
        spent = (time.perf_counter() - started) * 1000
    if database.dialect == "postgresql":
        own = sum(_explained(database, *statement) for statement in asked)
    return _Spent(spent, own)


@contextmanager
def _statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every question that is asked of the database in this block."""
    asked: list[tuple[str, Any]] = []

    def tell(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", tell)
    try:
        yield asked
    finally:
        event.remove(database.engine, "before_cursor_execute", tell)


def _explained(database: Database, statement: str, parameters: Any) -> float:
    """Milliseconds of planning and execution, by the server's own word."""
    question = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    with database.engine.connect() as connection:
        ((told,),) = connection.exec_driver_sql(question, parameters).scalars()
    return float(told["Planning Time"] + told["Execution Time"])


def _p95(ascending: list[float]) -> float:
    return ascending[min(len(ascending) - 1, round(0.95 * len(ascending)))]


def _questions(database: Database, there: Population) -> Iterator[tuple[str, str, Asked]]:
    for kind, name, query in _face_questions(there):
        yield kind, name, partial(list_faces, database, query)
        if kind in ("pages", "one label"):
            cursor = list_faces(database, replace(query, limit=1000)).next_cursor
            if cursor is not None:
                later = replace(query, cursor=cursor)
                yield kind, f"{name}, later", partial(list_faces, database, later)
    for name, tracks in _track_questions(there):
        yield "tracks", name, partial(list_tracks, database, tracks)


def _face_questions(there: Population) -> Iterator[tuple[str, str, FaceQuery]]:
    places = {
        "all jobs": FaceQuery(),
        "large job": FaceQuery(job_id=there.big_job),
        "small job": FaceQuery(job_id=there.small_job),
        "last job": FaceQuery(job_id=there.last_job),
    }
    for place, base in places.items():
        yield "pages", f"{place}", base
        yield "pages", f"{place}, 1000 a page", replace(base, limit=1000)
        for head, shares in SHARES.items():
            for label in shares:
                yield "one label", f"{place}, {head} {label}", _with(base, **{head: label})
        yield "one label", f"{place}, two of one head", _with(base, expression=("fear", "disgust"))
        for head, label in (LAST_ALONE, NEVER):
            yield "rare label", f"{place}, {head} {label}", _with(base, **{head: label})
        for one, other in combinations(SHARES, 2):
            common = [_commonest(head) for head in (one, other)]
            yield (
                "two labels",
                f"{place}, {one} {common[0]}, {other} {common[1]}",
                _with(base, **{one: common[0], other: common[1]}),
            )
        yield (
            "two labels",
            f"{place}, disgust and child",
            _with(base, expression="disgust", age="child"),
        )
        yield "two labels", f"{place}, child and over", _with(base, age="child", makeup="over")
        yield (
            "labels that never meet",
            f"{place}, female with a beard",
            _with(base, gender="female", occlusion="beard"),
        )
        for head in SHARES:
            for bound in (0.5, 0.9, 0.99):
                label = next(iter(SHARES[head]))
                yield (
                    "probability",
                    f"{place}, {head} {label} >= {bound}",
                    _likely(base, head, (label,), bound),
                )
            yield "probability", f"{place}, {head} >= 0.9", _likely(base, head, (), 0.9)
        yield (
            "probability nobody has",
            f"{place}, neutral above 1 - 1e-9",
            _likely(base, "expression", ("neutral",), 1 - 1e-9),
        )
        yield "score", f"{place}, score >= 0.9", replace(base, min_score=0.9)
        yield "score", f"{place}, score >= 0.999", replace(base, min_score=0.999)
        yield (
            "time",
            f"{place}, seconds 10 to 20",
            replace(base, min_time_ms=10_000, max_time_ms=20_000),
        )
        yield "time", f"{place}, after 90 s", replace(base, min_time_ms=90_000)
        yield (
            "time nobody has",
            f"{place}, after hours",
            replace(base, min_time_ms=HUNDRED_HOURS_MS),
        )
        yield "track", f"{place}, track 3", replace(base, track=3)
    item = FaceQuery(item_id=there.big_item)
    yield "track", "large item, a track", replace(item, track=there.big_track)
    yield "time", "large item, ten seconds", replace(item, min_time_ms=900_000, max_time_ms=910_000)
    yield (
        "time",
        "large item, at its end, a rare label",
        _with(replace(item, min_time_ms=900_000), expression="disgust"),
    )


def _track_questions(there: Population) -> Iterator[tuple[str, TrackQuery]]:
    base = TrackQuery(job_id=there.big_job)
    yield "large job", base
    yield "large job, minute", replace(base, min_time_ms=60_000, max_time_ms=120_000)
    for head, label in (("gender", "female"), ("expression", "disgust"), NEVER):
        wanted = {head: AttributeFilter((label,))}
        yield f"large job, {label}", replace(base, attributes=wanted)


def _commonest(head: str) -> str:
    return max(SHARES[head].items(), key=itemgetter(1))[0]


def _with(query: FaceQuery, **labels: str | tuple[str, ...]) -> FaceQuery:
    return replace(
        query,
        attributes={
            head: AttributeFilter((label,) if isinstance(label, str) else label)
            for head, label in labels.items()
        },
    )


def _likely(query: FaceQuery, head: str, labels: tuple[str, ...], bound: float) -> FaceQuery:
    return replace(query, attributes={head: AttributeFilter(labels, bound)})
