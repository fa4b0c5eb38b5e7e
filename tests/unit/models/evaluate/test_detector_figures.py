"""The detector measured on marked pictures: a photograph with one face, and what is around it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.detector.measure import (
    DetectorEntry,
    DetectorRun,
    detector_entry,
    detector_tables,
    run_detector,
)
from faces_jobs_models.training.detector.precision import DetectionResult
from faces_jobs_models.training.evaluation.entries import weights_of
from faces_jobs_models.training.evaluation.predictions import Selection
from faces_jobs_models.training.readers import open_detection_data
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr

LEFT, TOP, RIGHT, BOTTOM = FACE_XYXY
FACE_XYWH = [LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP]


def write_marked(path: Path, rows: list[tuple[bytes, list[list[float]], list[int]]]) -> Path:
    images, boxes, invalid = (list(values) for values in zip(*rows, strict=True))
    table = pa.table(
        {
            "image": images,
            "path": [f"{index}.png" for index in range(len(rows))],
            "boxes_xywh": pa.array(boxes, pa.list_(pa.list_(pa.float64()))),
            "invalid": pa.array(invalid, pa.list_(pa.int64())),
        }
    )
    pq.write_table(table, path)
    return path


def encoded(picture: np.ndarray) -> bytes:
    written, data = cv2.imencode(".png", picture)
    assert written
    return data.tobytes()


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    photograph = astronaut_bgr()
    empty = np.full((64, 80, 3), 90, np.uint8)
    far = [400.0, 400.0, 50.0, 60.0]
    return write_marked(
        tmp_path_factory.mktemp("marked") / "photographs.parquet",
        [
            (encoded(photograph), [FACE_XYWH], [0]),
            (encoded(photograph[:, ::-1]), [[512 - RIGHT, *FACE_XYWH[1:]], far], [0, 1]),
            (encoded(empty), [], []),
            (b"no picture", [FACE_XYWH], [0]),
            (encoded(empty), [[10.0, 10.0, 8.0, 9.0]], [0]),
        ],
    )


def looked_at(
    path: Path, catalog: Catalog, selection: Selection, skipped: Counter[str]
) -> DetectorRun:
    (data_set,) = open_detection_data(path, skipped=skipped)
    return run_detector(
        data_set, catalog.detector(), selection=selection, skipped=skipped, advance=[0].append
    )


def measured(path: Path, catalog: Catalog) -> DetectorEntry:
    skipped: Counter[str] = Counter()
    return detector_entry(
        looked_at(path, catalog, Selection(), skipped),
        data_set=path.stem,
        version="1.0",
        weights=weights_of("ab" * 32, "any"),
        threshold=0.5,
        skipped=skipped,
    )


def test_a_face_that_is_found_counts_and_ignored_ones_do_not(
    marked: Path, catalog: Catalog
) -> None:
    entry = measured(marked, catalog)
    assert entry["dataset"] == "photographs"
    assert (entry["n"], entry["pictures"]) == (2, 4)
    assert entry["average_precision"] == 1.0
    assert entry["recall"] == entry["precision"] == 1.0
    assert entry["by"]["size_px"] == {"64-127": {"n": 2, "average_precision": 1.0, "recall": 1.0}}
    assert entry["skipped"] == {"unreadable picture": 1}
    assert entry["accuracy"] is None
    shown = detector_tables([entry])
    assert "100.0 %" in shown
    assert "64-127" in shown


def test_a_limit_looks_at_fewer(marked: Path, catalog: Catalog) -> None:
    looked = looked_at(marked.parent, catalog, Selection(limit=2), Counter())
    assert len(looked.pictures) <= 2


def test_what_training_uses_is_counted_and_can_be_left_out(marked: Path, catalog: Catalog) -> None:
    looked = looked_at(marked, catalog, Selection(trained_on=True), Counter())
    kept_back = looked_at(
        marked, catalog, Selection(trained_on=True, held_out_only=True), Counter()
    )
    assert looked.of_training == len(looked.pictures) - len(kept_back.pictures)
    assert kept_back.of_training == 0
    other = looked_at(marked, catalog, Selection(held_out_only=True), Counter())
    assert len(other.pictures) == len(looked.pictures)


def test_half_of_the_faces_found_is_half_of_the_precision() -> None:
    box = np.array([[0, 0, 30, 40]], np.float32)
    right = DetectionResult(box, np.array([0.9], np.float32), box, np.array([False]))
    missed = DetectionResult(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), box, np.array([False])
    )
    entry = detector_entry(
        DetectorRun([right, missed], 0),
        data_set="two",
        version="1",
        weights=weights_of("ab" * 32, "any"),
        threshold=0.95,
        skipped=Counter(),
    )
    assert entry["average_precision"] == 0.5
    assert entry["recall"] == 0
    assert entry["precision"] is None
    assert "-" in detector_tables([entry])
