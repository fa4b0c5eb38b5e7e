"""Asks for faces block by block: of what no block has, no face is looked at.

Blocks (`db.tables.blocks`) say of some thousand faces which labels, pairs of labels,
probabilities, times, tracks and scores are to be found among them. So what nobody has is answered
by a look at the blocks; what few have, by a look at theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, and_, or_, select, tuple_
from sqlalchemy.orm import Session

from faces_jobs.db.tables import FACE_BLOCKS, FaceRow, ItemRow
from faces_jobs.db.tables.blocks import (
    FIRST_FACE_COLUMNS,
    HEAD_PAIRS,
    LAST_FACE_COLUMNS,
    bounds_columns,
    pair_bit,
    pair_column,
)
from faces_jobs.jobs.labels import ANSWERS
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.results.pages import read_face_cursor
from faces_jobs.results.planner_hints import has_bounds

# Blocks that are looked into at once. What many have fills a page from the first one; of what
# few have, or no more than seems so, several are read in one go.
STEPS = (1, 8, 64)
# Frames between two blocks that are read rather than asked about: one more question takes
# PostgreSQL as long as a thousand faces.
NEAR_FRAMES = 500

_BLOCK = FACE_BLOCKS.c
_KEY = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)
_START = tuple(_BLOCK[name] for name in FIRST_FACE_COLUMNS)
_END = tuple(_BLOCK[name] for name in LAST_FACE_COLUMNS)

Key = tuple[int, int, int]
Span = tuple[Key | None, Key | None]
"""From behind a key to another, that one included; None: from the first, to the last."""


def uses_blocks(query: FaceQuery) -> bool:
    """Whether blocks may spare looks at faces, where no index holds nothing but answers."""
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
        end = None if horizon is None else _before(horizon)
        rows = _faces_of(session, blocks[:most], conditions, (after, end), limit)
        found.update((_key_of(row), row) for row in rows)  # twice, where blocks overlap
        if len(rows) == limit:
            after = _key_of(rows[-1])
        elif end is None:
            break
        else:
            after = end
    return list(found.values())


def _horizon(blocks: Sequence[Row[Any]], most: int) -> Key | None:
    """Where the first block begins that is one too many; None: these are all."""
    if len(blocks) <= most:
        return None
    return _start_of(blocks[most])


def _place(query: FaceQuery) -> Key | None:
    place = read_face_cursor(query.cursor)
    return None if place is None else (int(place[0]), int(place[2]), int(place[3]))


def _candidates(query: FaceQuery, after: Key | None) -> Select[Any]:
    """Blocks behind a place in which there may be such faces, in order."""
    question = select(_BLOCK.id, *_START, *_END).where(*_promises(query)).order_by(*_START)
    return question if after is None else question.where(tuple_(*_END) > tuple_(*after))


def _promises(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    """What is to hold of a block, for a face in it to fit."""
    if query.job_id is not None:
        yield _BLOCK.job_id == query.job_id
    if query.item_id is not None:
        # By its job there are fewer to look through.
        yield _BLOCK.job_id == _job_of(query.item_id)
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


def _job_of(item_id: int) -> ScalarSelect[str]:
    return select(ItemRow.job_id).where(ItemRow.id == item_id).scalar_subquery()


def _promises_of_labels(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    for head, wanted in query.attributes.items():
        if wanted != AttributeFilter():
            yield or_(*(_may_be(head, label, wanted) for label in wanted.labels or ANSWERS[head]))
    for one, other in HEAD_PAIRS:
        asked, also = query.attributes.get(one), query.attributes.get(other)
        if asked and also and asked.labels and also.labels:
            bits = 0
            for label, other_label in product(asked.labels, also.labels):
                bits |= pair_bit(one, label, other, other_label)
            yield _BLOCK[pair_column(one, other)].bitwise_and(bits) != 0


def _may_be(head: str, label: str, wanted: AttributeFilter) -> ColumnElement[bool]:
    lowest, highest = (_BLOCK[name] for name in bounds_columns(head, label))
    conditions: list[ColumnElement[bool]] = [highest.is_not(None)]
    if wanted.min_probability is not None:
        conditions.append(highest >= wanted.min_probability)
    if wanted.max_probability is not None:
        conditions.append(lowest <= wanted.max_probability)
    return and_(*conditions)


def _faces_of(
    session: Session,
    blocks: Sequence[Row[Any]],
    conditions: Sequence[ColumnElement[bool]],
    span: Span,
    limit: int,
) -> Sequence[FaceRow]:
    """The first faces of these blocks that fit and are in this span, in order."""
    # Both databases find a range by a key that they are told, not by one of another row: for one
    # of those SQLite reads the whole item, and PostgreSQL guesses at a ninth of all faces.
    rows: list[FaceRow] = []
    for first, last in _ranges(blocks):
        begin = _before(first) if span[0] is None else max(_before(first), span[0])
        end = last if span[1] is None else min(last, span[1])
        question = select(FaceRow).where(*_within((begin, end)), *conditions)
        rows += session.scalars(question.order_by(*_KEY).limit(limit - len(rows)))
        if len(rows) == limit:
            break
    return rows


def _ranges(blocks: Sequence[Row[Any]]) -> list[tuple[Key, Key]]:
    """From where to where these blocks are; those that nearly touch, or overlap, are one."""
    ranges: list[tuple[Key, Key]] = []
    for block in blocks:
        start, end = _start_of(block), (block.last_item, block.last_frame, block.last_face)
        if ranges and _is_near(ranges[-1][1], start):
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((start, end))
    return ranges


def _is_near(end: Key, start: Key) -> bool:
    """Whether to read what is between takes no longer than to ask once more."""
    if start[0] == end[0]:
        return start[1] - end[1] <= NEAR_FRAMES
    return start[0] - end[0] <= 1 and start[1] <= NEAR_FRAMES


def _within(span: Span) -> Iterator[ColumnElement[bool]]:
    after, end = span
    if after is not None and end is not None and after[0] == end[0]:
        # Of keys compared as a whole neither database sees where the range ends in an item:
        # PostgreSQL reads on to the item's end, SQLite all of an item that is asked for.
        frame, place = FaceRow.frame_index, FaceRow.face_index
        yield FaceRow.item_id == after[0]
        yield frame.between(after[1], end[1])
        yield or_(frame > after[1], place > after[2])
        yield or_(frame < end[1], place <= end[2])
        return
    if after is not None:
        yield tuple_(*_KEY) > tuple_(*after)
    if end is not None:
        yield tuple_(*_KEY) <= tuple_(*end)


def _key_of(row: FaceRow) -> Key:
    return row.item_id, row.frame_index, row.face_index


def _start_of(block: Row[Any]) -> Key:
    return block.first_item, block.first_frame, block.first_face


def _before(key: Key) -> Key:
    """A key below this one, and not below any other that is."""
    return key[0], key[1], key[2] - 1
