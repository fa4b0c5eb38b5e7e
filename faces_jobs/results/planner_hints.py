"""Adds conditions to queries of faces that help the database's planner to read few rows.

Each head has an index over all jobs, in the order of items. A job's items are contiguous there,
but the planner doesn't know their range: it is added to the query. Of several labels one may be so
rare that reading all its faces is cheap, while the others have millions: it is read first.
Depending on its sampled statistics, SQLite may still prefer to read all faces of a job; it is kept
from using that index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    false,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from faces_jobs.db.tables import FaceRow
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.results.pages import decode_face_cursor

# This many faces are counted in one millisecond, and read and sorted in a few.
MAX_RARE_FACES = 1000
# What identifies a face, and the order of faces in lists.
FACE_KEY = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)


class WithoutIndex(FunctionElement[str]):
    """A column that SQLite compares without using an index on it."""

    type = String()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str] | InstrumentedAttribute[str]) -> None:
        """Wrap this column."""
        super().__init__(column)


@compiles(WithoutIndex)
def _compile(element: WithoutIndex, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(WithoutIndex, "sqlite")
def _compile_for_sqlite(element: WithoutIndex, compiler: SQLCompiler, **options: Any) -> str:
    # https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_
    return f"+{compiler.process(element.clauses, **options)}"


def narrow_by_index(
    session: Session, query: FaceQuery, statement: Select[FaceRow]
) -> Select[FaceRow]:
    """Return an equivalent statement that reads fewer rows."""
    labels = _label_conditions(query)
    if not labels or query.item_id is not None:
        return statement
    statement = statement.where(*_item_range(session, query.job_id))
    if len(query.attributes) == 1 and not has_other_filters(query):
        return statement  # in the index of its head all rows of the range match
    via_rare = via_rare_label(session, query, statement)
    return statement if via_rare is None else via_rare


def via_rare_label(
    session: Session, query: FaceQuery, statement: Select[FaceRow]
) -> Select[FaceRow] | None:
    """Restrict the statement to faces with the first rare label it filters by; None: none is."""
    labels = _label_conditions(query)
    if not labels or query.item_id is not None:
        return None
    within = _item_range(session, query.job_id)
    after = decode_face_cursor(query.cursor)
    if after is not None:
        within.append(tuple_(*FACE_KEY) > tuple_(*after))
    for label in labels:
        if _is_rare(session, label, within):
            return _among(statement, label, within)
    return None


def job_condition(query: FaceQuery) -> ColumnElement[bool]:
    """Return the condition on the job; with labels, the index of a label is used instead."""
    by_label = query.item_id is None and _label_conditions(query)
    return (WithoutIndex(FaceRow.job_id) if by_label else FaceRow.job_id) == query.job_id


def _label_conditions(query: FaceQuery) -> list[ColumnElement[bool]]:
    """One condition for each head that is filtered by labels."""
    columns = FaceRow.__table__.c
    return [
        columns[head].in_(wanted.labels)
        for head, wanted in query.attributes.items()
        if wanted.labels
    ]


def has_other_filters(query: FaceQuery) -> bool:
    """Whether the query filters by anything but job, item and labels."""
    ranges = (query.track, query.min_time_ms, query.max_time_ms, query.min_score)
    return any(bound is not None for bound in ranges) or any(
        wanted.min_probability is not None or wanted.max_probability is not None
        for wanted in query.attributes.values()
    )


def _item_range(session: Session, job_id: str | None) -> list[ColumnElement[bool]]:
    """Conditions on the range of items that hold a job's faces, read from its index's two ends."""
    if job_id is None:
        return []
    faces = select(FaceRow.item_id).where(FaceRow.job_id == job_id).limit(1)
    first = session.scalar(faces.order_by(*FACE_KEY))
    last = session.scalar(faces.order_by(*(column.desc() for column in FACE_KEY)))
    if first is None or last is None:
        return [false()]
    return [FaceRow.item_id >= first, FaceRow.item_id <= last]


def _is_rare(
    session: Session, label: ColumnElement[bool], within: list[ColumnElement[bool]]
) -> bool:
    found = (
        select(literal(1).label("one")).where(label, *within).limit(MAX_RARE_FACES + 1).subquery()
    )
    return (session.scalar(select(func.count()).select_from(found)) or 0) <= MAX_RARE_FACES


def _among(
    statement: Select[FaceRow], label: ColumnElement[bool], within: list[ColumnElement[bool]]
) -> Select[FaceRow]:
    """Restrict the statement to the faces with this label, of which there are few."""
    # The limit cuts nothing off: it keeps the planner from merging the subquery into the statement.
    few = select(*FACE_KEY).where(label, *within).limit(MAX_RARE_FACES + 1).subquery("few")
    same = [column == few.c[column.name] for column in FACE_KEY]
    return statement.join(few, onclause=and_(*same))
