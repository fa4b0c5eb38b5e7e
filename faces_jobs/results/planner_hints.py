"""Says of a question about faces what a planner can't know, so that few rows are looked at.

The index of each head goes through all jobs in the order of items. A job's items lie side by
side there, once it is said which they are; and of several labels one may be so rare that its few
faces are all looked at, where the others' millions are not. SQLite would go through all faces of a
job all the same, now and then, as its statistics fall: it must not see that it could.
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

# So few are read, and put in order, in a few milliseconds; and counted in one.
MAX_RARE_FACES = 1000


class WithoutIndex(FunctionElement[str]):
    """A column that SQLite compares, and does not look rows up by."""

    type = String()
    inherit_cache = True

    def __init__(self, column: ColumnElement[str] | InstrumentedAttribute[str]) -> None:
        """Take the place of this column."""
        super().__init__(column)


@compiles(WithoutIndex)
def _plainly(element: WithoutIndex, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(WithoutIndex, "sqlite")
def _on_sqlite(element: WithoutIndex, compiler: SQLCompiler, **options: Any) -> str:
    # https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_
    return f"+{compiler.process(element.clauses, **options)}"


def narrow_by_index(
    session: Session, query: FaceQuery, question: Select[FaceRow]
) -> Select[FaceRow]:
    """The same question with the same answer; see above."""
    labels = _labels(query)
    if not labels or query.item_id is not None:
        return question
    question = question.where(*_items_of(session, query.job_id))
    if len(query.attributes) == 1 and not has_other_filters(query):
        return question  # its own index holds nothing but answers
    few = via_rare_label(session, query, question)
    return question if few is None else few


def via_rare_label(
    session: Session, query: FaceQuery, question: Select[FaceRow]
) -> Select[FaceRow] | None:
    """The question, asked of the few faces that have one of its labels; None: all have many."""
    labels = _labels(query)
    if not labels or query.item_id is not None:
        return None
    within = _items_of(session, query.job_id)
    after = decode_face_cursor(query.cursor)
    if after is not None:
        place = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)
        within.append(tuple_(*place) > tuple_(after[0], after[2], after[3]))
    for label in labels:
        if _is_rare(session, label, within):
            return _among(question, label, within)
    return None


def job_condition(query: FaceQuery) -> ColumnElement[bool]:
    """That a face is of the job asked for; where labels are, items tell where to look for it."""
    by_label = query.item_id is None and _labels(query)
    return (WithoutIndex(FaceRow.job_id) if by_label else FaceRow.job_id) == query.job_id


def _labels(query: FaceQuery) -> list[ColumnElement[bool]]:
    """A condition for each head of which labels are asked for."""
    columns = FaceRow.__table__.c
    return [
        columns[head].in_(wanted.labels)
        for head, wanted in query.attributes.items()
        if wanted.labels
    ]


def has_other_filters(query: FaceQuery) -> bool:
    """Whether anything but labels is asked for."""
    ranges = (query.track, query.min_time_ms, query.max_time_ms, query.min_score)
    return any(bound is not None for bound in ranges) or any(
        wanted.min_probability is not None or wanted.max_probability is not None
        for wanted in query.attributes.values()
    )


def _items_of(session: Session, job_id: str | None) -> list[ColumnElement[bool]]:
    """Between which items a job's faces are: one look at each end of its index."""
    if job_id is None:
        return []
    faces = select(FaceRow.item_id).where(FaceRow.job_id == job_id).limit(1)
    order = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)
    first = session.scalar(faces.order_by(*order))
    last = session.scalar(faces.order_by(*(column.desc() for column in order)))
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
    question: Select[FaceRow], label: ColumnElement[bool], within: list[ColumnElement[bool]]
) -> Select[FaceRow]:
    """The question asked of the few faces that have this label."""
    key = (FaceRow.item_id, FaceRow.frame_index, FaceRow.face_index)
    # The limit cuts nothing off: it keeps a planner from mixing the two questions.
    few = select(*key).where(label, *within).limit(MAX_RARE_FACES + 1).subquery("few")
    same = [column == few.c[column.name] for column in key]
    return question.join(few, onclause=and_(*same))
