"""How many frames and crops a run: measured, kept, used, and of no influence on results."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.run_sizes import (
    CROP_COUNTS,
    FRAME_COUNTS,
    RunSizeCache,
    RunSizes,
    best_run_size,
    measure,
)
from tests.fakes import ColourClassifier, SquareDetector

SIZES = RunSizes(frames_a_run=4, crops_a_run=32)


def test_what_was_measured_is_found_again_for_the_same_networks_alone(tmp_path: Path) -> None:
    RunSizeCache(tmp_path / "new", networks=("cpu", "own")).write(SIZES)
    assert RunSizeCache(tmp_path / "new", networks=("cpu", "own")).read() == SIZES
    assert RunSizeCache(tmp_path / "new", networks=("cpu", "yunet")).read() is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "4", '{"frames_a_run": 0}', '{"frames_a_run": "4"}', '{"else": 4}']
)
def test_a_file_that_is_none_is_told_of_and_measured_again(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = RunSizeCache(tmp_path, networks=())
    kept.write(SIZES)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert kept.read() is None
    assert "are ignored" in caplog.text


def test_a_folder_that_can_t_be_written_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    RunSizeCache(tmp_path / "file", networks=()).write(SIZES)
    assert "can't be stored" in caplog.text


@given(
    st.dictionaries(st.sampled_from(FRAME_COUNTS["cuda"]), st.floats(1e-4, 1), min_size=1),
    st.sampled_from([0.9, 0.97]),
)
def test_the_best_is_nearly_the_quickest_and_none_smaller_is_as_good(
    seconds: dict[int, float], max_ratio: float
) -> None:
    best = best_run_size(seconds, max_ratio=max_ratio)
    assert seconds[best] * max_ratio <= min(seconds.values()) or best == min(seconds)
    assert all(seconds[size] >= seconds[best] for size in seconds if size < best)


def test_a_catalog_measures_and_another_process_runs_so(tmp_path: Path) -> None:
    folder = tmp_path / "run-sizes"
    with open_catalog(device="cpu", detector="own", run_sizes_folder=folder) as catalog:
        assert not catalog.has_run_sizes
        measured = catalog.measure_run_sizes(stop=lambda: False)
        assert measured is not None
        assert catalog.has_run_sizes
    assert measured.best.frames_a_run in FRAME_COUNTS["cpu"]
    assert measured.best.crops_a_run in CROP_COUNTS["cpu"]
    (file,) = folder.iterdir()
    assert RunSizes(**json.loads(file.read_text())) == measured.best
    with open_catalog(device="cpu", detector="own", run_sizes_folder=folder) as later:
        assert later.has_run_sizes
    with open_catalog(device="cpu", detector="centerface", run_sizes_folder=folder) as other:
        assert not other.has_run_sizes


def test_nothing_is_kept_when_measuring_is_stopped(tmp_path: Path) -> None:
    answers = iter([False, False, True])
    with open_catalog(device="cpu", detector="own", run_sizes_folder=tmp_path) as catalog:
        assert catalog.measure_run_sizes(stop=lambda: next(answers)) is None
        assert not catalog.has_run_sizes
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_is_not_measured(tmp_path: Path) -> None:
    with open_catalog(device="cpu", run_sizes=SIZES, run_sizes_folder=tmp_path) as catalog:
        assert catalog.has_run_sizes


@pytest.mark.parametrize("detector", ["own", "centerface"])
def test_results_don_t_depend_on_run_sizes(detector: str) -> None:
    chance = np.random.default_rng(3)
    frames = [chance.integers(0, 256, (180, 320, 3), np.uint8) for _ in range(5)]
    crops = [chance.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(9)]
    answers = []
    for frames_a_run, crops_a_run in ((1, 1), (2, 4), (5, 9)):
        with open_catalog(
            device="cpu",
            detector=detector,  # type: ignore[arg-type]  # pytest gives text
            run_sizes=RunSizes(frames_a_run=frames_a_run, crops_a_run=crops_a_run),
        ) as catalog:
            found = catalog.detector().detect(frames)
            (multiple,) = catalog.classifiers(["multiple"])
            told = multiple.classify(crops)
        boxes = [(one.boxes_xyxy.tobytes(), one.scores.tobytes()) for one in found]
        opinions = [{head: values.tobytes() for head, values in one.items()} for one in told]
        answers.append((boxes, opinions))
    assert answers[0] == answers[1] == answers[2]


def test_no_run_is_so_long_that_work_would_wait_for_it() -> None:
    lengths: list[float] = []

    class Slow(SquareDetector):
        def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
            lengths.append(len(pictures_bgr) * 0.05)
            time.sleep(lengths[-1])
            return super().detect(pictures_bgr)

    measured = measure(Slow(), ColourClassifier("gender"), device="cuda", stop=lambda: False)
    assert measured is not None
    assert 1 in measured.frames
    assert max(lengths) <= 0.3  # eight would take longer, however busy the machine is
