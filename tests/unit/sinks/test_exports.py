"""Exports are read back with common tools, and agree with their documentation."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE, UNSURE
from faces_jobs.jobs.records import Attribute, FaceRecord, TrackRecord
from faces_jobs.pipeline.values import Face, Frame
from faces_jobs.sinks.exports import (
    FACE_COLUMNS,
    ROWS_PER_GROUP,
    TRACK_COLUMNS,
    write_faces,
    write_tracks_csv,
)
from faces_jobs.sinks.spool import FaceSpool

DOCS = Path(__file__).parents[3] / "docs" / "exports.md"
FRAME = Frame(0, 0.0, np.zeros((8, 8, 3), np.uint8))


def make_face(frame_index: int = 0, *, heads: tuple[str, ...] = tuple(HEADS)) -> FaceRecord:
    return FaceRecord(
        frame_index=frame_index,
        time_ms=frame_index * 33.367,
        face_index=0,
        track=1,
        box_xyxy=(1.5, 2.0, 30.25, 40.0),
        score=0.875,
        attributes={head: Attribute(HEADS[head][0], 0.75) for head in heads},
    )


def make_track() -> TrackRecord:
    return TrackRecord(
        track=1,
        first_frame_index=0,
        last_frame_index=9,
        first_time_ms=0.0,
        last_time_ms=300.3,
        face_count=10,
        mean_score=0.9,
        best_frame_index=4,
        best_time_ms=133.5,
        best_box_xyxy=(1.0, 2.0, 3.0, 4.0),
        attributes={"gender": Attribute("female", 0.99)},
    )


def test_the_three_files_of_faces_hold_the_same_rows(tmp_path: Path) -> None:
    faces = [("a.mp4", make_face(n)) for n in range(3)] + [("b.png", make_face(heads=("gender",)))]
    write_faces(tmp_path, faces)
    lines = (tmp_path / "faces.jsonl").read_text().splitlines()
    jsonl = [json.loads(line) for line in lines]
    assert {row.pop("version") for row in jsonl} == {1}
    parquet = pq.read_table(tmp_path / "faces.parquet")
    assert parquet.schema.metadata[b"faces_jobs.version"] == b"1"
    assert parquet.to_pylist() == jsonl
    with (tmp_path / "faces.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    expected = [{k: "" if v is None else str(v) for k, v in row.items()} for row in jsonl]
    assert table == expected
    assert table[3]["gender"] == "female"
    assert table[3]["age"] == table[3]["age_probability"] == ""


def test_unsure_takes_the_place_of_the_label_and_keeps_its_probability(tmp_path: Path) -> None:
    unsure = replace(make_face(), attributes={"age": Attribute(UNSURE, 0.375)})
    write_faces(tmp_path, [("a.mp4", unsure)])
    track = replace(make_track(), attributes=unsure.attributes)
    write_tracks_csv(tmp_path / "tracks.csv", [("a.mp4", track)])
    rows = [
        json.loads((tmp_path / "faces.jsonl").read_text()),
        *pq.read_table(tmp_path / "faces.parquet").to_pylist(),
    ]
    for name in ("faces.csv", "tracks.csv"):
        with (tmp_path / name).open(newline="") as file:
            rows += csv.DictReader(file)
    assert [row["age"] for row in rows] == [UNSURE] * 4
    assert [float(row["age_probability"]) for row in rows] == [0.375] * 4


def test_the_docs_list_the_values_of_every_head() -> None:
    text = DOCS.read_text()
    for head, values in LABELS_WITH_UNSURE.items():
        assert f"| `{head}` | string | {', '.join(values)} |" in text


def test_faces_are_written_in_row_groups(tmp_path: Path) -> None:
    write_faces(tmp_path, (("a.mp4", make_face(n)) for n in range(ROWS_PER_GROUP + 1)))
    with pq.ParquetFile(tmp_path / "faces.parquet") as file:
        assert file.metadata.num_row_groups == 2
        assert file.metadata.num_rows == ROWS_PER_GROUP + 1
    with (tmp_path / "faces.csv").open(newline="") as csv_file:
        numbers = [int(row["frame_index"]) for row in csv.DictReader(csv_file)]
    assert numbers == list(range(ROWS_PER_GROUP + 1))
    lines = (tmp_path / "faces.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame_index"] for line in lines] == numbers


def test_exports_without_faces_are_readable(tmp_path: Path) -> None:
    write_faces(tmp_path, [])
    assert len((tmp_path / "faces.csv").read_text().splitlines()) == 1
    assert (tmp_path / "faces.jsonl").read_text() == ""
    assert pq.read_table(tmp_path / "faces.parquet").num_rows == 0


def test_a_failed_export_leaves_the_previous_files_unchanged(tmp_path: Path) -> None:
    write_faces(tmp_path, [("a.mp4", make_face())])
    write_tracks_csv(tmp_path / "tracks.csv", [("a.mp4", make_track())])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UnicodeEncodeError):
        write_faces(tmp_path, [("b.mp4", make_face()), ("\udce9.mp4", make_face())])
    with pytest.raises(UnicodeEncodeError):
        write_tracks_csv(tmp_path / "tracks.csv", [("\udce9.mp4", make_track())])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_name_never_becomes_a_csv_formula(tmp_path: Path, name: str) -> None:
    write_faces(tmp_path, [(name, make_face())])
    with (tmp_path / "faces.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["item"] == f"'{name}"
    assert json.loads((tmp_path / "faces.jsonl").read_text())["item"] == name


def test_tracks_are_exported(tmp_path: Path) -> None:
    write_tracks_csv(tmp_path / "tracks.csv", [('a, "b".mp4', make_track())])
    with (tmp_path / "tracks.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["item"] == 'a, "b".mp4'
    assert (row["first_frame_index"], row["last_time_ms"]) == ("0", "300.3")
    assert (row["gender"], row["gender_probability"], row["age"]) == ("female", "0.99", "")


def test_the_docs_list_every_column_in_order_with_its_type() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE)
    attributes = FACE_COLUMNS[-2 * len(HEADS) :]
    expected = [*FACE_COLUMNS[: -2 * len(HEADS)], *TRACK_COLUMNS[: -2 * len(HEADS)], *attributes]
    assert documented == [(name, str(kind)) for name, kind in expected]


@given(
    st.lists(
        st.builds(
            FaceRecord,
            frame_index=st.integers(0, 10**9),
            time_ms=st.floats(0, 1e9),
            face_index=st.integers(0, 99),
            track=st.integers(1, 10**6),
            box_xyxy=st.tuples(*[st.floats(0, 1e5)] * 4),
            score=st.floats(0, 1),
            attributes=st.dictionaries(
                st.sampled_from(sorted(HEADS)),
                st.builds(Attribute, st.sampled_from(["female", "none"]), st.floats(0, 1)),
            ),
        ),
        max_size=5,
    )
)
def test_a_spool_returns_the_analysed_faces_and_the_tracks(
    tmp_path_factory: pytest.TempPathFactory, records: list[FaceRecord]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "faces"
    faces = [Face(record, opinion={}, settled={}) for record in records]
    with FaceSpool(path) as spool:
        spool.add(FRAME, faces, analysed=True)
        spool.add(FRAME, faces, analysed=False)
        spool.finish([make_track()])
        assert list(spool) == list(spool) == records
        assert spool.tracks == (make_track(),)
    assert not path.exists()
