"""The points of a job's life at which a process can be held.

The product does not know them: a tested process (`tests.faults.child`) wraps one real function of
the product, reports when it gets there, and waits for the test to let it continue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.jobs.stages import Stage
from faces_jobs.worker import next_work

Kind = Literal["web", "worker", "sweep"]
Table = Literal["submissions", "segments", "jobs", "deliveries"]


@dataclass(frozen=True, slots=True)
class HeldRow:
    """The row that a process is working on, and the token under which it holds it."""

    table: Table
    key: int | str
    token: str | None


Arrive = Callable[[HeldRow], None]
"""Called at the point with the held row; returns when the process may continue."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the code; `wrap` makes a process wait there the first time it arrives."""

    name: str
    kind: Kind
    description: str
    wrap: Callable[[Arrive], None]


def _wrap(owner: Any, name: str, before: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        before(*arguments, **named)
        return real(*arguments, **named)

    setattr(owner, name, wrapped)


def _at_accept(arrive: Arrive) -> None:
    from faces_jobs.submit import submission  # noqa: PLC0415 (only the kind of process that needs it)

    _wrap(
        submission,
        "ring",
        lambda _database, _queue, job_id, _segments: arrive(HeldRow("submissions", job_id, None)),
    )


def _at_claim(arrive: Arrive) -> None:
    _wrap(next_work, "process_claim", lambda claim, _worker: arrive(_held_row(claim)))


def _in_stage(
    stage: Stage, owner: Any, name: str, arrive: Arrive, *, call: int = 1, part: int | None = None
) -> None:
    """Arrive before the given call of a function during one segment's stage."""
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
                arrive(_held_row(now[0]))

    process._STAGES[stage] = work
    _wrap(owner, name, before)


def _at_first_frame(arrive: Arrive) -> None:
    from faces_jobs.pipeline.stages.settle import SettleStage  # noqa: PLC0415

    _in_stage(Stage.FIND, SettleStage, "settle", arrive)


def _at_mid_segment(arrive: Arrive) -> None:
    from faces_jobs.pipeline.stages.settle import SettleStage  # noqa: PLC0415

    _in_stage(Stage.FIND, SettleStage, "settle", arrive, call=2, part=1)


def _at_record(arrive: Arrive) -> None:
    from faces_jobs.db.segments import parts  # noqa: PLC0415

    _in_stage(Stage.FIND, parts, "end_segment", arrive, part=1)


def _at_link(arrive: Arrive) -> None:
    from faces_jobs.worker.stages import link as link_stage  # noqa: PLC0415

    _in_stage(Stage.LINK, link_stage, "finish_link", arrive)


def _at_encode(arrive: Arrive) -> None:
    from faces_jobs.sinks.video import AnnotatedVideo  # noqa: PLC0415

    _in_stage(Stage.FIND, AnnotatedVideo, "add", arrive, call=5, part=1)


def _at_draw(arrive: Arrive) -> None:
    from faces_jobs.sinks.video import AnnotatedVideo  # noqa: PLC0415
    from faces_jobs.worker.stages import find as find_stage  # noqa: PLC0415

    # As if several workers had found the parts: a lone worker draws each while finding its faces.
    setattr(find_stage, "linking_ahead", lambda *_: None)  # noqa: B010 (finding only imports it)
    _in_stage(Stage.DRAW, AnnotatedVideo, "add", arrive, call=5, part=1)


def _at_finalise(arrive: Arrive) -> None:
    from faces_jobs.worker.stages import bind as bind_stage  # noqa: PLC0415

    _in_stage(Stage.BIND, bind_stage, "finish_bind", arrive)


def _at_exports(arrive: Arrive) -> None:
    from faces_jobs.worker import finish  # noqa: PLC0415

    _wrap(
        finish,
        "record_exports",
        lambda _database, claim, _artifacts: arrive(HeldRow("jobs", claim.job_id, claim.token)),
    )


def _at_webhook(arrive: Arrive) -> None:
    from faces_jobs.worker.maintenance import webhooks  # noqa: PLC0415

    real = webhooks._send

    def send(claim: Any, settings: Any) -> Any:
        answer = real(claim, settings)
        arrive(HeldRow("deliveries", claim.delivery_id, claim.token))
        return answer

    webhooks._send = send


def _held_row(claim: SegmentClaim) -> HeldRow:
    return HeldRow("segments", claim.segment_id, claim.token)


ACCEPT = Point("accept", "web", "the submission is committed, no message has been sent", _at_accept)
CLAIM = Point("claim", "worker", "a worker has claimed a file and not started", _at_claim)
FIRST_FRAME = Point("first frame", "worker", "the first frames have been analysed", _at_first_frame)
MID_SEGMENT = Point(
    "mid-segment", "worker", "some frames of the second part have been analysed", _at_mid_segment
)
RECORD = Point(
    "record", "worker", "the results of the second part are written, not committed", _at_record
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
WEBHOOK = Point("webhook", "sweep", "the webhook was answered, which is not recorded", _at_webhook)

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
# A process held at one of these blocks no other writer.
NO_TRANSACTION = tuple(point for point in POINTS if point is not RECORD)
WORKER_POINTS = tuple(point for point in NO_TRANSACTION if point.kind == "worker")
