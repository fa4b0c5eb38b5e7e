"""Lists faces and tracks, filtered by attributes, times and scores, in pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, not_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from faces_jobs.db.conditions import is_discarded, is_kept
from faces_jobs.db.results.rows import attributes_of
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, FaceRow, ItemRow, JobRow, TrackRow
from faces_jobs.errors import OptionsError
from faces_jobs.jobs.documents import (
    AttributeDocument,
    BoxDocument,
    FaceDocument,
    FacePage,
    TrackDocument,
    TrackPage,
)
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.results.blocks import faces_in_blocks, uses_blocks
from faces_jobs.results.pages import (
    COUNT_RANGE,
    check_job_exists,
    check_limit,
    decode_cursor,
    decode_face_cursor,
    encode_cursor,
)
from faces_jobs.results.planner_hints import (
    FACE_KEY,
    job_condition,
    narrow_by_index,
    via_rare_label,
)

THUMBNAIL = "thumbnail"


def list_faces(database: Database, query: FaceQuery) -> FacePage:
    """Return a page of faces of one job or of all, ordered by item, frame and face index.

    Raises:
        NotFoundError: there is no such job.
        OptionsError: a filter, the cursor or the limit is invalid.
    """
    check_limit(query.limit)
    faces_statement(query)  # report invalid filters before a job that doesn't exist
    with database.read() as session:
        if query.job_id is not None:
            check_job_exists(session, query.job_id)
        rows = _matching_faces(session, query, _hidden_faces(session, query))
        shown = rows[: query.limit]
        names = _item_names(session, {row.item_id for row in shown})
    return FacePage(
        faces=[_face_document(row, names[row.item_id]) for row in shown],
        next_cursor=encode_cursor(_face_position(shown[-1])) if len(rows) > query.limit else None,
    )


def list_tracks(database: Database, query: TrackQuery) -> TrackPage:
    """Return a page of a job's tracks, ordered by item and track number.

    Raises:
        NotFoundError: there is no such job.
        OptionsError: a filter, the cursor or the limit is invalid.
    """
    check_limit(query.limit)
    statement = tracks_statement(query)
    with database.read() as session:
        check_job_exists(session, query.job_id)
        shown_only = statement.where(*_hidden_items(session, TrackRow.item_id, query.job_id))
        rows = session.scalars(shown_only.limit(query.limit + 1)).all()
        shown = rows[: query.limit]
        items = {row.item_id for row in shown}
        names = _item_names(session, items)
        thumbnails = _thumbnails(session, items)
    return TrackPage(
        tracks=[
            _track_document(row, names[row.item_id], thumbnails.get((row.item_id, row.track)))
            for row in shown
        ],
        next_cursor=(
            encode_cursor([shown[-1].item_id, shown[-1].track]) if len(rows) > query.limit else None
        ),
    )


def faces_statement(query: FaceQuery) -> Select[FaceRow]:
    """Select the faces of `list_faces`, without a limit."""
    after = decode_face_cursor(query.cursor)
    conditions = face_conditions(query)
    if after is not None:
        conditions.append(tuple_(*FACE_KEY) > tuple_(*after))
    return select(FaceRow).where(*conditions).order_by(*FACE_KEY)


def face_conditions(query: FaceQuery) -> list[ColumnElement[bool]]:
    """Return the conditions on faces that the query's filters stand for, without its cursor."""
    conditions: list[ColumnElement[bool]] = [
        column == value
        for column, value in (
            (FaceRow.item_id, query.item_id),
            (FaceRow.track, query.track),
        )
        if value is not None
    ]
    if query.job_id is not None:
        conditions.append(job_condition(query))
    if query.min_time_ms is not None:
        conditions.append(FaceRow.time_ms >= query.min_time_ms)
    if query.max_time_ms is not None:
        conditions.append(FaceRow.time_ms <= query.max_time_ms)
    if query.min_score is not None:
        conditions.append(FaceRow.score >= query.min_score)
    conditions.extend(_attribute_conditions(FaceRow, query.attributes))
    return conditions


def tracks_statement(query: TrackQuery) -> Select[TrackRow]:
    """Select the tracks of `list_tracks`, without a limit."""
    after = decode_cursor(query.cursor, (int, COUNT_RANGE))
    conditions: list[ColumnElement[bool]] = [TrackRow.job_id == query.job_id]
    if query.item_id is not None:
        conditions.append(TrackRow.item_id == query.item_id)
    if query.min_time_ms is not None:
        conditions.append(TrackRow.last_time_ms >= query.min_time_ms)
    if query.max_time_ms is not None:
        conditions.append(TrackRow.first_time_ms <= query.max_time_ms)
    conditions.extend(_attribute_conditions(TrackRow, query.attributes))
    order = (TrackRow.item_id, TrackRow.track)
    if after is not None:
        conditions.append(tuple_(*order) > tuple_(*after))
    return select(TrackRow).where(*conditions).order_by(*order)


def _hidden_faces(session: Session, query: FaceQuery) -> Sequence[ColumnElement[bool]]:
    """Return the conditions that exclude what is being deleted: none, if there is nothing."""
    hidden = _hidden_items(session, FaceRow.item_id, query.job_id)
    if query.job_id is not None:
        return hidden
    deleted = session.scalars(select(JobRow.id).where(not_(is_kept()))).all()
    return (*hidden, FaceRow.job_id.not_in(deleted)) if deleted else hidden


def _hidden_items(
    session: Session, item_id: ColumnElement[int] | InstrumentedAttribute[int], job_id: str | None
) -> Sequence[ColumnElement[bool]]:
    """Return the condition that excludes items whose results are discarded, if there are any."""
    discarded = select(ItemRow.id).where(is_discarded())
    if job_id is not None:
        discarded = discarded.where(ItemRow.job_id == job_id)
    found = session.scalars(discarded).all()
    return (item_id.not_in(found),) if found else ()


def _matching_faces(
    session: Session, query: FaceQuery, hidden: Sequence[ColumnElement[bool]]
) -> Sequence[FaceRow]:
    """Return a page of faces, and one more if there is one."""
    statement = faces_statement(query).where(*hidden)
    if not uses_blocks(query):
        return session.scalars(
            narrow_by_index(session, query, statement).limit(query.limit + 1)
        ).all()
    via_rare = via_rare_label(session, query, statement)
    if via_rare is not None:
        return session.scalars(via_rare.limit(query.limit + 1)).all()
    return faces_in_blocks(session, query, [*face_conditions(query), *hidden])


def _attribute_conditions(
    table: type[FaceRow | TrackRow], attributes: Mapping[str, AttributeFilter]
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for head, wanted in attributes.items():
        if head not in LABELS_WITH_UNSURE:
            raise OptionsError(
                {head: f"is not an attribute; known are {', '.join(LABELS_WITH_UNSURE)}"}
            )
        unknown = [label for label in wanted.labels if label not in LABELS_WITH_UNSURE[head]]
        if unknown:
            known = ", ".join(LABELS_WITH_UNSURE[head])
            raise OptionsError({head: f"has no label {unknown[0]!r}; known are {known}"})
        label, probability = table.__table__.c[head], table.__table__.c[f"{head}_probability"]
        if len(wanted.labels) == 1:
            conditions.append(label == wanted.labels[0])
        elif wanted.labels:
            conditions.append(label.in_(wanted.labels))
        if wanted.min_probability is not None:
            conditions.append(probability >= wanted.min_probability)
        if wanted.max_probability is not None:
            conditions.append(probability <= wanted.max_probability)
    return conditions


def _face_position(row: FaceRow) -> list[int | float | str]:
    return [row.item_id, float(row.time_ms), row.frame_index, row.face_index]


def _item_names(session: Session, item_ids: Iterable[int]) -> dict[int, str]:
    rows = session.execute(select(ItemRow.id, ItemRow.name).where(ItemRow.id.in_(list(item_ids))))
    return {row.id: row.name for row in rows}


def _thumbnails(session: Session, item_ids: Iterable[int]) -> dict[tuple[int, int], int]:
    statement = select(ArtifactRow.item_id, ArtifactRow.track, ArtifactRow.id).where(
        ArtifactRow.item_id.in_(list(item_ids)), ArtifactRow.kind == THUMBNAIL
    )
    return {(row.item_id, row.track): row.id for row in session.execute(statement)}


def _face_document(row: FaceRow, item_name: str) -> FaceDocument:
    return FaceDocument(
        job_id=row.job_id,
        item_id=row.item_id,
        item_name=item_name,
        frame_index=row.frame_index,
        time_ms=row.time_ms,
        face_index=row.face_index,
        track=row.track,
        box=BoxDocument(
            left=row.box_left, top=row.box_top, right=row.box_right, bottom=row.box_bottom
        ),
        score=row.score,
        attributes=_attribute_documents(row),
    )


def _track_document(row: TrackRow, item_name: str, thumbnail: int | None) -> TrackDocument:
    return TrackDocument(
        job_id=row.job_id,
        item_id=row.item_id,
        item_name=item_name,
        track=row.track,
        first_frame_index=row.first_frame_index,
        last_frame_index=row.last_frame_index,
        first_time_ms=row.first_time_ms,
        last_time_ms=row.last_time_ms,
        face_count=row.face_count,
        mean_score=row.mean_score,
        best_frame_index=row.best_frame_index,
        best_time_ms=row.best_time_ms,
        best_box=BoxDocument(
            left=row.best_left, top=row.best_top, right=row.best_right, bottom=row.best_bottom
        ),
        attributes=_attribute_documents(row),
        thumbnail_artifact_id=thumbnail,
    )


def _attribute_documents(row: Any) -> dict[str, AttributeDocument]:
    return {
        head: AttributeDocument(label=attribute.label, probability=attribute.probability)
        for head, attribute in attributes_of(row).items()
    }
