"""Queries of faces that read only the blocks of faces in which a match is possible.

A block (`db.tables.blocks`) summarises some thousand consecutive faces: which labels, pairs of
labels, probabilities, times, tracks and scores occur among them. A query that no face matches is
answered from the blocks alone; one that few faces match reads only the faces of their blocks.
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
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.results.pages import FaceKey, decode_face_cursor
from faces_jobs.results.planner_hints import FACE_KEY, has_other_filters

# Blocks that are read in one step, growing from step to step. Where matches are frequent, the
# first block fills a page; where they are rare, several blocks are read with one query.
BLOCKS_PER_QUERY = (1, 8, 64)
# Blocks with at most this many frames between them are read as one range: on PostgreSQL a
# further query takes as long as reading a thousand faces.
MAX_GAP_FRAMES = 500

_BLOCK = FACE_BLOCKS.c
_START = tuple(_BLOCK[name] for name in FIRST_FACE_COLUMNS)
_END = tuple(_BLOCK[name] for name in LAST_FACE_COLUMNS)

Span = tuple[FaceKey | None, FaceKey | None]
"""Keys after the first and up to and including the second; None: unbounded."""


def uses_blocks(query: FaceQuery) -> bool:
    """Whether blocks can reduce the faces to read: no index alone contains just the matches."""
    filters = [wanted for wanted in query.attributes.values() if wanted != AttributeFilter()]
    return len(filters) > 1 or has_other_filters(query)


def faces_in_blocks(
    session: Session, query: FaceQuery, conditions: Sequence[ColumnElement[bool]]
) -> list[FaceRow]:
    """Return a page of faces that meet all conditions, and one more if there is one."""
    wanted = query.limit + 1
    found: dict[FaceKey, FaceRow] = {}
    after = decode_face_cursor(query.cursor)
    max_blocks, steps = 0, iter(BLOCKS_PER_QUERY)
    while len(found) < wanted:
        max_blocks = next(steps, max_blocks)
        blocks = session.execute(_candidates(query, after).limit(max_blocks + 1)).all()
        while (next_start := _next_start(blocks, max_blocks)) and after and next_start <= after:
            max_blocks *= 2  # so many blocks overlap that all of them start before the position
            blocks = session.execute(_candidates(query, after).limit(max_blocks + 1)).all()
        if not blocks:
            break
        limit = wanted - len(found)
        end = None if next_start is None else _before(next_start)
        rows = _faces_of(session, blocks[:max_blocks], conditions, (after, end), limit)
        found.update((_key_of(row), row) for row in rows)  # overlapping blocks give a row twice
        if len(rows) == limit:
            after = _key_of(rows[-1])
        elif end is None:
            break
        else:
            after = end
    return list(found.values())


def _next_start(blocks: Sequence[Row[Any]], max_blocks: int) -> FaceKey | None:
    """Where the first block beyond `max_blocks` starts; None: there is none."""
    if len(blocks) <= max_blocks:
        return None
    return _start_of(blocks[max_blocks])


def _candidates(query: FaceQuery, after: FaceKey | None) -> Select[Any]:
    """Select the blocks after a key that may contain matching faces, in order."""
    statement = select(_BLOCK.id, *_START, *_END).where(*_block_conditions(query)).order_by(*_START)
    return statement if after is None else statement.where(tuple_(*_END) > tuple_(*after))


def _block_conditions(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    """Conditions that a block must meet for any of its faces to match."""
    if query.job_id is not None:
        yield _BLOCK.job_id == query.job_id
    if query.item_id is not None:
        # The index by job leaves fewer blocks to search.
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
    yield from _label_conditions(query)


def _job_of(item_id: int) -> ScalarSelect[str]:
    return select(ItemRow.job_id).where(ItemRow.id == item_id).scalar_subquery()


def _label_conditions(query: FaceQuery) -> Iterator[ColumnElement[bool]]:
    for head, wanted in query.attributes.items():
        if wanted != AttributeFilter():
            labels = wanted.labels or LABELS_WITH_UNSURE[head]
            yield or_(*(_may_contain(head, label, wanted) for label in labels))
    for one, other in HEAD_PAIRS:
        first, second = query.attributes.get(one), query.attributes.get(other)
        if first and second and first.labels and second.labels:
            bits = 0
            for label, other_label in product(first.labels, second.labels):
                bits |= pair_bit(one, label, other, other_label)
            yield _BLOCK[pair_column(one, other)].bitwise_and(bits) != 0


def _may_contain(head: str, label: str, wanted: AttributeFilter) -> ColumnElement[bool]:
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
    """Return the first faces of these blocks that match and lie in this span, in order."""
    # The ranges are bound as parameters rather than joined: given bounds from another row, SQLite
    # reads the whole item, and PostgreSQL estimates a ninth of all faces.
    rows: list[FaceRow] = []
    for first, last in _ranges(blocks):
        begin = _before(first) if span[0] is None else max(_before(first), span[0])
        end = last if span[1] is None else min(last, span[1])
        statement = select(FaceRow).where(*_within((begin, end)), *conditions)
        rows += session.scalars(statement.order_by(*FACE_KEY).limit(limit - len(rows)))
        if len(rows) == limit:
            break
    return rows


def _ranges(blocks: Sequence[Row[Any]]) -> list[tuple[FaceKey, FaceKey]]:
    """The first and last keys of these blocks, merged where blocks overlap or nearly touch."""
    ranges: list[tuple[FaceKey, FaceKey]] = []
    for block in blocks:
        start, end = _start_of(block), (block.last_item, block.last_frame, block.last_face)
        if ranges and _is_near(ranges[-1][1], start):
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], end))
        else:
            ranges.append((start, end))
    return ranges


def _is_near(end: FaceKey, start: FaceKey) -> bool:
    """Whether reading the faces in between takes no longer than a further query."""
    if start[0] == end[0]:
        return start[1] - end[1] <= MAX_GAP_FRAMES
    return start[0] - end[0] <= 1 and start[1] <= MAX_GAP_FRAMES


def _within(span: Span) -> Iterator[ColumnElement[bool]]:
    after, end = span
    if after is not None and end is not None and after[0] == end[0]:
        # With row value comparisons neither database uses the end of the range within an item:
        # PostgreSQL reads on to the item's end, SQLite reads all of the item.
        frame, face = FaceRow.frame_index, FaceRow.face_index
        yield FaceRow.item_id == after[0]
        yield frame.between(after[1], end[1])
        yield or_(frame > after[1], face > after[2])
        yield or_(frame < end[1], face <= end[2])
        return
    if after is not None:
        yield tuple_(*FACE_KEY) > tuple_(*after)
    if end is not None:
        yield tuple_(*FACE_KEY) <= tuple_(*end)


def _key_of(row: FaceRow) -> FaceKey:
    return row.item_id, row.frame_index, row.face_index


def _start_of(block: Row[Any]) -> FaceKey:
    return block.first_item, block.first_frame, block.first_face


def _before(key: FaceKey) -> FaceKey:
    """The greatest key below this one: a span after it includes this key."""
    return key[0], key[1], key[2] - 1
