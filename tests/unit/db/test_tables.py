"""Properties of the tables that other code relies on."""

from __future__ import annotations

import pytest

from faces_jobs.db.moves import source_states
from faces_jobs.db.tables import AttributeColumns, Base, FaceRow, TrackRow
from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE
from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
    ItemStatus,
    JobStatus,
    SegmentStatus,
)


@pytest.mark.parametrize("table", [FaceRow, TrackRow])
def test_the_attribute_columns_are_those_of_the_heads(table: type[AttributeColumns]) -> None:
    expected = [column for head in HEADS for column in (head, f"{head}_probability")]
    assert [name for name in AttributeColumns.__annotations__ if name[0] != "_"] == expected
    for head, labels in LABELS_WITH_UNSURE.items():
        column = table.__table__.c[head]  # type: ignore[attr-defined]  # every table has it
        assert max(map(len, labels)) <= column.type.length


def test_every_head_has_an_index_in_the_order_of_result_pages() -> None:
    indexes = {str(index.name): index for index in Base.metadata.tables["faces"].indexes}
    for head in HEADS:
        columns = [column.name for column in indexes[f"ix_faces_{head}"].columns]
        assert columns == [head, "item_id", "frame_index", "face_index"]


def test_a_move_starts_from_legal_states_only() -> None:
    assert set(source_states(JOB_MOVES, JobStatus.RUNNING)) == {
        JobStatus.QUEUED,
        JobStatus.PAUSED,
        JobStatus.WAITING_FOR_SPACE,
    }
    assert set(source_states(ITEM_MOVES, ItemStatus.SUCCEEDED)) == {ItemStatus.RUNNING}
    assert set(source_states(SEGMENT_MOVES, SegmentStatus.SUCCEEDED)) == {SegmentStatus.RUNNING}
    for state in JobStatus:
        if state.ended:
            assert all(not source.ended for source in source_states(JOB_MOVES, state))
