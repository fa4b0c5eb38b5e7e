"""The points of a job's life at which a process can be brought to stand still.

The product knows nothing of them: a process of the tests (`tests.faults.process`) wraps one real
function of the product, tells who started it that it is there, and waits to be told to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.jobs.stages import Stage
from faces_jobs.worker import next_work

Kind = Literal["web", "worker", "sweep"]
Table = Literal["submissions", "segments", "jobs", "deliveries"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The row that a process has in hand, and the token under which it holds it."""

    table: Table
    key: int | str
    token: str | None


Arrive = Callable[[Piece], None]
"""Called at the point, with what is in hand; returns when the process may go on."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the code; `wrap` makes a process stop there the first time that it comes by."""

    name: str
    kind: Kind
    says: str
    wrap: Callable[[Arrive], None]


def _wrap(owner: Any, name: str, before: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        before(*arguments, **named)
        return real(*arguments, **named)

    setattr(owner, name, wrapped)


def _at_accept(arrive: Arrive) -> None:
    from faces_jobs.submit import submission  # noqa: PLC0415 (a process loads what it is)

    _wrap(
        submission,
        "ring",
        lambda _database, _queue, job_id, _segments: arrive(Piece("submissions", job_id, None)),
    )


def _at_claim(arrive: Arrive) -> None:

    _wrap(next_work, "process_claim", lambda claim, _worker: arrive(_in_hand(claim)))


def _in_stage(
    stage: Stage, owner: Any, name: str, arrive: Arrive, *, call: int = 1, part: int | None = None
) -> None:
    """Arrive before this call of a function within one segment's work at a stage."""
    from faces_jobs.worker import process  # noqa: PLC0415

    real = process._STAGES[stage]
    now: list[SegmentClaim] = []
    calls = 0

    def work(claim: SegmentClaim, worker: Any) -> bool:
        nonlocal calls
        calls = 0
        if part is None or (claim.part or {}).get("number") == part:
            now.append(claim)
        try:
            return real(claim, worker)
        finally:
            now.clear()

    def before(*_arguments: Any, **_named: Any) -> None:
        nonlocal calls
        if now:
            calls += 1
            if calls == call:
                arrive(_in_hand(now[0]))

    process._STAGES[stage] = work
    _wrap(owner, name, before)


def _at_first_frame(arrive: Arrive) -> None:
    from faces_jobs.pipeline.settle_stage import SettleStage  # noqa: PLC0415

    _in_stage(Stage.FIND, SettleStage, "settle", arrive)


def _at_mid_segment(arrive: Arrive) -> None:
    from faces_jobs.pipeline.settle_stage import SettleStage  # noqa: PLC0415

    _in_stage(Stage.FIND, SettleStage, "settle", arrive, call=2, part=1)


def _at_record(arrive: Arrive) -> None:
    from faces_jobs.db import parts  # noqa: PLC0415

    _in_stage(Stage.FIND, parts, "end_item", arrive, part=1)


def _at_link(arrive: Arrive) -> None:
    from faces_jobs.worker import linking  # noqa: PLC0415

    _in_stage(Stage.LINK, linking, "finish_link", arrive)


def _at_encode(arrive: Arrive) -> None:
    from faces_jobs.sinks.video import AnnotatedVideo  # noqa: PLC0415

    _in_stage(Stage.FIND, AnnotatedVideo, "add", arrive, call=5, part=1)


def _at_draw(arrive: Arrive) -> None:
    from faces_jobs.sinks.video import AnnotatedVideo  # noqa: PLC0415
    from faces_jobs.worker import finding  # noqa: PLC0415

    # As where several workers found the parts: alone, one draws each while it finds its faces.
    setattr(finding, "linking_ahead", lambda *_: None)  # noqa: B010 (it is not finding's own)
    _in_stage(Stage.DRAW, AnnotatedVideo, "add", arrive, call=5, part=1)


def _at_finalise(arrive: Arrive) -> None:
    from faces_jobs.worker import binding  # noqa: PLC0415

    _in_stage(Stage.BIND, binding, "finish_bind", arrive)


def _at_exports(arrive: Arrive) -> None:
    from faces_jobs.worker import finish  # noqa: PLC0415

    _wrap(
        finish,
        "record_exports",
        lambda _database, claim, _artifacts: arrive(Piece("jobs", claim.job_id, claim.token)),
    )


def _at_webhook(arrive: Arrive) -> None:
    from faces_jobs.worker import deliver  # noqa: PLC0415

    real = deliver._send

    def send(claim: Any, settings: Any) -> Any:
        answer = real(claim, settings)
        arrive(Piece("deliveries", claim.delivery_id, claim.token))
        return answer

    deliver._send = send


def _in_hand(claim: SegmentClaim) -> Piece:
    return Piece("segments", claim.segment_id, claim.token)


ACCEPT = Point("accept", "web", "the submission is committed, nobody was told of it", _at_accept)
CLAIM = Point("claim", "worker", "a worker has claimed a file and not begun", _at_claim)
FIRST_FRAME = Point("first frame", "worker", "the first frames are looked at", _at_first_frame)
MID_SEGMENT = Point(
    "mid-segment", "worker", "some frames of the second part are worked on", _at_mid_segment
)
RECORD = Point(
    "record", "worker", "what the second part gave is being written, not committed", _at_record
)
LINK = Point("link", "worker", "rows of faces are written, tracks are not", _at_link)
ENCODE = Point(
    "encode",
    "worker",
    "some frames of the second part are encoded as its faces are found",
    _at_encode,
)
DRAW = Point(
    "draw",
    "worker",
    "some frames of the second part are encoded, its faces were found before",
    _at_draw,
)
FINALISE = Point(
    "finalise", "worker", "the annotated copy is published, its rows are not written", _at_finalise
)
EXPORTS = Point(
    "exports", "worker", "the exports are published, their rows are not written", _at_exports
)
WEBHOOK = Point("webhook", "sweep", "the webhook was answered, that is not recorded", _at_webhook)

POINTS = (
    ACCEPT,
    CLAIM,
    FIRST_FRAME,
    MID_SEGMENT,
    ENCODE,
    RECORD,
    LINK,
    DRAW,
    FINALISE,
    EXPORTS,
    WEBHOOK,
)
# Who stands there keeps nobody from writing.
NO_TRANSACTION = tuple(point for point in POINTS if point is not RECORD)
WORKER_POINTS = tuple(point for point in NO_TRANSACTION if point.kind == "worker")
