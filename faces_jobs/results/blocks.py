"""Asks for faces block by block: of what no block has, no face is looked at.

Blocks (`db.tables.blocks`) say of some thousand faces which labels, pairs of labels,
probabilities, times, tracks and scores are to be found among them. So what nobody has is answered
by a look at the blocks; what few have, by a look at theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from faces_jobs.db.tables import FACE_BLOCKS, FaceRow
from faces_jobs.db.tables.blocks import END, PAIRS, START, bit_of, bounds_of, pair_of
from faces_jobs.jobs.labels import ANSWERS
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.results.narrowing import has_bounds
from faces_jobs.results.pages import read_face_cursor

# Blocks that are looked into at once. What many have fills a page from the first one; of what
# few have, or no more than seems so, several are read in one go.
STEPS = (1, 8, 64)

_BLOCK = FACE_BLOCKS.c
_KEY = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)
_START = tuple(_BLOCK[name] for name in START)
_END = tuple(_BLOCK[name] for name in END)

Key = tuple[int, int, int]
Start = tuple[int, int, int, int]  # of a block, behind its number


def asks_blocks(query: FaceQuery) -> bool:
    """Whether blocks may spare looks at faces, where no index holds nothing but answers."""
    if query.item_id is not None and (query.min_time_ms, query.max_time_ms) != (None, None):
        return False  # it goes by time
    asked = [wanted for wanted in query.attributes.values() if wanted != AttributeFilter()]
    return len(asked) > 1 or has_bounds(query)


def faces_in_blocks(
    session: Session, query: FaceQuery, conditions: Sequence[ColumnElement[bool]]
) -> list[FaceRow]:
    """The faces of a page for which all conditions hold, and one more where there is one."""
    wanted = query.limit + 1
    found: dict[Key, FaceRow] = {}
    after = _place(query)
    most, steps = 0, iter(STEPS)
    while len(found) < wanted:
        most = next(steps, most)
        blocks = session.execute(_candidates(query, after).limit(most + 1)).all()
        while (horizon := _horizon(blocks, most)) and after and horizon <= after:
            most *= 2  # they overlap, and none of them begins behind the place
            blocks = session.execute(_candidates(query, after).limit(most + 1)).all()
        if not blocks:
            break
        limit = wanted - len(found)
        ids = [block.id for block in blocks[:most]]
        question = _faces_of(session, ids, conditions, _between(after, horizon), limit)
        rows = session.scalars(question).all()
        found.update((_key_of(row), row) for row in rows)  # twice, where blocks overlap
        if len(rows) == limit:
            after = _key_of(rows[-1])
        elif horizon is None:
            break
        else:
            after = (horizon[0], horizon[1], horizon[2] - 1)
    return list(found.values())


def _horizon(blocks: Sequence[Row[Start]], most: int) -> Key | None:
    """Where the first block begins that is one too many; None: these are all."""
    if len(blocks) <= most:
        return None
    block = blocks[most]
    return block.first_item, block.first_frame, block.first_face


def _place(query: FaceQuery) -> Key | None:
    place = read_face_cursor(query.cursor)
    return None if place is None else (int(place[0]), int(place[2]), int(place[3]))


def _candidates(query: FaceQuery, after: Key | None) -> Select[Start]:
    """Blocks behind a place in which there may be such faces, in order."""
    question = select(_BLOCK.id, *_START).where(*_promises(query)).order_by(*_START)
    return question if after is None else question.where(tuple_(*_END) > tuple_(*after))


def _promises(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    """What is to hold of a block, for a face in it to fit."""
    if query.job_id is not None:
        yield _BLOCK.job_id == query.job_id
    if query.item_id is not None:
        yield and_(_BLOCK.first_item <= query.item_id, _BLOCK.last_item >= query.item_id)
    if query.track is not None:
        yield and_(_BLOCK.min_track <= query.track, _BLOCK.max_track >= query.track)
    if query.min_time_ms is not None:
        yield _BLOCK.max_time_ms >= query.min_time_ms
    if query.max_time_ms is not None:
        yield _BLOCK.min_time_ms <= query.max_time_ms
    if query.min_score is not None:
        yield _BLOCK.max_score >= query.min_score
    yield from _promises_of_labels(query)


def _promises_of_labels(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    for head, wanted in query.attributes.items():
        if wanted != AttributeFilter():
            yield or_(*(_may_be(head, label, wanted) for label in wanted.labels or ANSWERS[head]))
    for one, other in PAIRS:
        asked, also = query.attributes.get(one), query.attributes.get(other)
        if asked and also and asked.labels and also.labels:
            bits = 0
            for label, other_label in product(asked.labels, also.labels):
                bits |= bit_of(one, label, other, other_label)
            yield _BLOCK[pair_of(one, other)].bitwise_and(bits) != 0


def _may_be(head: str, label: str, wanted: AttributeFilter) -> ColumnElement[bool]:
    lowest, highest = (_BLOCK[name] for name in bounds_of(head, label))
    conditions = [highest.is_not(None)]
    if wanted.min_probability is not None:
        conditions.append(highest >= wanted.min_probability)
    if wanted.max_probability is not None:
        conditions.append(lowest <= wanted.max_probability)
    return and_(*conditions)


def _between(after: Key | None, horizon: Key | None) -> list[ColumnElement[bool]]:
    bounds = []
    if after is not None:
        bounds.append(tuple_(*_KEY) > tuple_(*after))
    if horizon is not None:
        bounds.append(tuple_(*_KEY) < tuple_(*horizon))
    return bounds


def _faces_of(
    session: Session,
    blocks: Sequence[int],
    conditions: Sequence[ColumnElement[bool]],
    between: Sequence[ColumnElement[bool]],
    limit: int,
) -> Select[tuple[FaceRow]]:
    """The first faces of these blocks that fit, in order."""
    # The limit cuts nothing off: it keeps a planner from going through the faces first.
    few = select(*_START, *_END).where(_BLOCK.id.in_(blocks)).limit(len(blocks)).subquery("blocks")
    inside = and_(
        tuple_(*_KEY) >= tuple_(*(few.c[name] for name in START)),
        tuple_(*_KEY) <= tuple_(*(few.c[name] for name in END)),
    )
    if session.get_bind().dialect.name == "sqlite":
        joined = select(FaceRow).join(few, inside).where(*conditions, *between)
        return joined.order_by(*_KEY).limit(limit)
    # PostgreSQL would guess that a ninth of all faces are in each block, and read them all.
    one = select(FaceRow).where(inside, *conditions, *between).order_by(*_KEY).limit(limit)
    face = aliased(FaceRow, one.lateral("face"))
    return (
        select(face)
        .select_from(few)
        .join(face, true())
        .order_by(face.item_id, face.frame_index, face.face_index)
        .limit(limit)
    )


def _key_of(row: FaceRow) -> Key:
    return row.item_id, row.frame_index, row.face_index
