"""The grid detector's way from frames to boxes, with made-up and with random networks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.grid_detector import GridDetector
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS, OUTPUT_NAMES, STRIDES
from faces_jobs_models.detector.torch_network import TorchGridNetwork
from faces_jobs_models.weights import read_record

EVERYTHING = DetectorOptions(min_score=0.0, iou_threshold=1.0)


class DarkSquares:
    """A network by hand: at the stride asked for, a cell whose pixels are all 200 is a face."""

    def __init__(self, stride: int, *, side: float = 20.0) -> None:
        self.stride = stride
        self.side = side
        self.seen: list[NDArray[np.float32]] = []

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        self.seen.append(batch.copy())
        count, _, height, width = batch.shape
        outputs: dict[str, NDArray[np.float32]] = {}
        for stride in STRIDES:
            rows, columns = height // stride, width // stride
            cells = batch.reshape(count, 3, rows, stride, columns, stride)
            lit = (cells == 200).all(axis=(1, 3, 5)).reshape(count, -1, 1)
            score = lit.astype(np.float32) * (stride == self.stride)
            outputs[f"cls_{stride}"] = score * np.float32(0.81)
            outputs[f"obj_{stride}"] = score
            size = np.log(self.side / stride)
            box = np.array([0.5, 0.5, size, size], np.float32)
            outputs[f"bbox_{stride}"] = np.tile(box, (count, rows * columns, 1))
            points = np.tile(np.arange(LANDMARKS, dtype=np.float32)[:, None], (1, 2)).reshape(-1)
            outputs[f"kps_{stride}"] = np.tile(points, (count, rows * columns, 1))
        return [outputs[name] for name in OUTPUT_NAMES]


def by_hand(
    stride: int, exported: Path, options: DetectorOptions | None = None
) -> tuple[GridDetector, DarkSquares]:
    network = DarkSquares(stride)
    return GridDetector(network, read_record(exported), options, sha256="0" * 64), network


@pytest.mark.parametrize("stride", STRIDES)
def test_a_cell_says_where_its_box_and_its_points_lie(stride: int, exported: Path) -> None:
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[stride : 2 * stride, 2 * stride : 3 * stride] = 200  # row 1, column 2
    detector, _ = by_hand(stride, exported)
    (found,) = detector.detect([picture])
    assert len(found) == 1
    x, y = 2.5 * stride, 1.5 * stride
    expected = np.clip([x - 10, y - 10, x + 10, y + 10], 0, [128, 96, 128, 96])
    np.testing.assert_allclose(found.boxes_xyxy, [expected], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[0, 0], [2 * stride, stride], atol=1e-3)
    np.testing.assert_allclose(found.landmarks[0, 4], [6 * stride, 5 * stride], atol=1e-3)


def test_boxes_of_a_shrunk_picture_are_in_its_own_pixels(exported: Path) -> None:
    picture = np.zeros((960, 1280, 3), np.uint8)
    picture[320:336, 640:656] = 200
    detector, network = by_hand(8, exported)
    (found,) = detector.detect([picture])
    assert network.seen[0].shape == (1, 3, 480, 640)
    np.testing.assert_allclose(found.boxes_xyxy, [[628, 308, 668, 348]], atol=1e-2)


def test_the_network_sees_the_pictures_pixels_in_bgr_and_black_around_them(exported: Path) -> None:
    detector, network = by_hand(8, exported)
    random = np.random.default_rng(3)
    for height, width in ((40, 50), (33, 32), (40, 50)):
        picture = random.integers(0, 256, (height, width, 3), np.uint8)
        detector.detect([picture])
        (seen,) = network.seen[-1]
        np.testing.assert_array_equal(seen[:, :height, :width], picture.transpose(2, 0, 1))
        assert not seen[:, height:].any()
        assert not seen[:, :, width:].any()
        assert seen.shape == (3, 64, 64 if width == 50 else 32)


def test_of_cells_of_one_face_the_best_stays(exported: Path) -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[32:40, 32:48] = 200  # two cells side by side, boxes of 20 pixels
    assert len(by_hand(8, exported)[0].detect([picture])[0]) == 1
    assert (
        len(by_hand(8, exported, DetectorOptions(iou_threshold=0.9))[0].detect([picture])[0]) == 2
    )


def test_no_more_faces_than_asked_for(exported: Path) -> None:
    picture = np.full((96, 96, 3), 200, np.uint8)
    options = DetectorOptions(max_faces=5, iou_threshold=1.0)
    assert len(by_hand(8, exported, options)[0].detect([picture])[0]) == 5


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    seed=st.integers(0, 2**16),
    longest=st.sampled_from([32, 100, 640]),
)
def test_any_picture_gives_boxes_of_at_least_one_pixel_inside_it(
    exported: Path, height: int, width: int, seed: int, longest: int
) -> None:
    options = DetectorOptions(min_score=0.0, max_side=longest)
    detector = open_detector(read_record(exported), options=options)
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    (found,) = detector.detect([picture])
    assert_whole(found, picture)


@given(width=st.integers(1, 9000), height=st.integers(1, 9000), longest=st.sampled_from([320, 640]))
def test_the_working_picture_keeps_its_proportions_and_its_limit(
    width: int, height: int, longest: int
) -> None:
    size = WorkingSize.of(width, height, max_side=longest)
    assert size.padded_width % 32 == size.padded_height % 32 == 0
    assert 0 <= size.padded_width - size.resized_width < 32
    assert 0 <= size.padded_height - size.resized_height < 32
    assert 1 <= size.resized_width <= min(width, longest)
    assert 1 <= size.resized_height <= min(height, longest)
    ratio = min(1, longest / max(width, height))
    assert abs(size.resized_width - width * ratio) < 1
    assert abs(size.resized_height - height * ratio) < 1


@pytest.mark.parametrize("frames_a_run", [1, 3, 8])
def test_a_batch_answers_as_its_pictures_alone(exported: Path, frames_a_run: int) -> None:
    random = np.random.default_rng(7)
    pictures = [random.integers(0, 256, (150, 90, 3), np.uint8) for _ in range(4)]
    options = DetectorOptions(frames_a_run=frames_a_run, min_score=0.3)
    together = open_detector(read_record(exported), options=options).detect(pictures)
    one = open_detector(read_record(exported), options=DetectorOptions(min_score=0.3))
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = one.detect([picture])
        assert len(alone) > 0
        np.testing.assert_allclose(found.boxes_xyxy, alone.boxes_xyxy, atol=1e-2)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)


def test_torch_and_onnx_answer_alike(exported: Path) -> None:
    record = read_record(exported)
    picture = np.random.default_rng(5).integers(0, 256, (120, 200, 3), np.uint8)
    (by_onnx,) = open_detector(record, options=EVERYTHING).detect([picture])
    network = TorchGridNetwork(record, device="cpu")
    (by_torch,) = GridDetector(network, record, EVERYTHING, sha256="0" * 64).detect([picture])
    assert len(by_onnx) == len(by_torch) > 500
    np.testing.assert_allclose(by_onnx.scores, by_torch.scores, atol=1e-4)


def test_threads_do_not_share_the_picture_they_look_at(exported: Path) -> None:
    detector = open_detector(read_record(exported), options=DetectorOptions(min_score=0.3))
    random = np.random.default_rng(9)
    pictures = [random.integers(0, 256, (90, 120, 3), np.uint8) for _ in range(4)]
    expected = [detector.detect([picture])[0] for picture in pictures]
    found: dict[int, list[Detections]] = {}

    def look(index: int) -> None:
        found[index] = [detector.detect([pictures[index]])[0] for _ in range(10)]

    threads = [threading.Thread(target=look, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, wanted in enumerate(expected):
        for one in found[index]:
            np.testing.assert_array_equal(one.boxes_xyxy, wanted.boxes_xyxy)


def test_nothing_in_nothing_out(exported: Path) -> None:
    assert open_detector(read_record(exported)).detect([]) == []


@pytest.mark.parametrize(
    "pictures",
    [
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 4), np.uint8)],
        [np.zeros((0, 8, 3), np.uint8)],
        [np.zeros((8, 8, 3), np.float32)],
    ],
    ids=["two sizes", "gray", "alpha", "no pixels", "floats"],
)
def test_what_is_no_frame_is_refused(exported: Path, pictures: list[Picture]) -> None:
    with pytest.raises(ValueError, match="picture"):
        open_detector(read_record(exported)).detect(pictures)


class WildNetwork(DarkSquares):
    """Answers sizes far too large, and no numbers."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        outputs = dict(zip(OUTPUT_NAMES, super().run(batch), strict=True))
        for name, values in outputs.items():
            values[:] = {"cls": 1, "obj": 1, "bbox": 1e4, "kps": 1e4}[name.split("_")[0]]
        outputs["cls_8"][:] = np.nan
        outputs["bbox_16"][:] = np.nan
        return list(outputs.values())


def test_answers_that_are_no_boxes_are_left_out(exported: Path) -> None:
    detector = GridDetector(WildNetwork(8), read_record(exported), sha256="0" * 64)
    picture = np.zeros((64, 64, 3), np.uint8)
    (found,) = detector.detect([picture])
    assert_whole(found, picture)
    assert len(found) <= 4  # those of stride 32, whose boxes are the whole picture


def assert_whole(found: Detections, picture: Picture) -> None:
    height, width = picture.shape[:2]
    assert found.boxes_xyxy.dtype == found.scores.dtype == np.float32
    assert found.landmarks is not None
    assert found.landmarks.dtype == np.float32
    assert found.landmarks.shape == (len(found), LANDMARKS, 2)
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.boxes_xyxy[:, :2] >= 0).all()
    assert (found.boxes_xyxy[:, 2:] <= (width, height)).all()
    assert (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2] >= 1).all()
