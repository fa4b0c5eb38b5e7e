"""Scenes to train on: marks follow the picture, and the teacher is corrected where all is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faces_jobs_models.detector.export import write_onnx
from faces_jobs_models.detector.outputs import OUTPUT_NAMES, STRIDES
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.training.detector.losses import distillation_loss, hint_loss
from faces_jobs_models.training.detector.recipe import SceneOptions
from faces_jobs_models.training.detector.scenes import Photograph, Scene, Scenes
from faces_jobs_models.training.detector.teacher import Teacher, suppress_false_positives

SIDE = 128
FACE_XYXY = (90, 40, 150, 120)
# Nothing that changes a pixel's colour: what is green stays green.
PLAIN = SceneOptions(
    mosaic_share=0, background_share=0, detail_share=0, gray_share=0, blur_share=0,
    noise_share=0, brightness=0, contrast=0, colour=0,
)  # fmt: skip


def encoded(*, green: tuple[int, int, int, int] | None) -> bytes:
    picture = np.zeros((200, 260, 3), np.uint8)
    if green is not None:
        left, top, right, bottom = green
        picture[top:bottom, left:right] = (0, 255, 0)
    return cv2.imencode(".png", picture)[1].tobytes()


def scenes(how: SceneOptions) -> Scenes:
    boxes = np.asarray([FACE_XYXY], np.float32)
    portrait = encoded(green=None)
    return Scenes([Photograph(encoded(green=FACE_XYXY), boxes, boxes)], [portrait], how)


@pytest.mark.parametrize("seed", range(8))
def test_marks_lie_where_the_face_went(seed: int) -> None:
    drawn = scenes(PLAIN).draw(np.random.default_rng(seed), SIDE)
    expected = np.zeros((SIDE, SIDE), np.bool_)
    for left, top, right, bottom in np.clip(drawn.marked_xyxy, 0, SIDE).round().astype(int):
        expected[top:bottom, left:right] = True
    seen = (drawn.picture[..., 1] > 127) & (drawn.picture[..., ::2] < 64).all(axis=-1)
    assert seen.any()
    assert (seen & expected).sum() >= 0.75 * (seen | expected).sum()
    assert drawn.known.all()


def test_the_same_numbers_draw_the_same_scene() -> None:
    how = SceneOptions(mosaic_share=1)
    first, again, other = (
        scenes(how).draw(np.random.default_rng(seed), SIDE) for seed in (3, 3, 4)
    )
    assert first.picture.shape == (SIDE, SIDE, 3)
    assert first.picture.dtype == np.uint8
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.marked_xyxy, again.marked_xyxy)
    assert not np.array_equal(first.picture, other.picture)


def test_a_portrait_may_hold_faces_that_nobody_marked() -> None:
    drawn = [
        scenes(SceneOptions(mosaic_share=1)).draw(np.random.default_rng(seed), SIDE)
        for seed in range(6)
    ]
    assert any(not one.known.all() for one in drawn)


def test_a_background_holds_no_face() -> None:
    how = replace(PLAIN, background_share=1)
    drawn = [scenes(how).draw(np.random.default_rng(seed), 96) for seed in range(30)]
    assert all(one.known.all() and not len(one.marked_xyxy) for one in drawn)
    assert len({one.picture.tobytes() for one in drawn}) == 30


def test_what_is_flipped_twice_is_as_before() -> None:
    chance = np.random.default_rng(1)
    scene = Scene(
        chance.integers(0, 255, (64, 96, 3), np.uint8),
        np.asarray([(10, 20, 40, 50)], np.float32),
        np.ones((64, 96), np.bool_),
    )
    assert scene.flipped().marked_xyxy.tolist() == [[56, 20, 86, 50]]
    assert np.array_equal(scene.flipped().flipped().picture, scene.picture)


def sure_of(column: int, row: int, *, side: int = 64) -> list[NDArray[np.float32]]:
    """Outputs that see one face, two strides wide, at a cell of stride 8."""
    sizes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    outputs = [
        np.zeros(((side // stride) ** 2, size), np.float32)
        for size in sizes.values()
        for stride in STRIDES
    ]
    cell = row * (side // 8) + column
    outputs[0][cell] = outputs[len(STRIDES)][cell] = 0.9
    outputs[2 * len(STRIDES)][cell] = (0.5, 0.5, np.log(2), np.log(2))
    return outputs


@pytest.mark.parametrize(
    ("marked", "known", "kept"),
    [
        ([(28, 28, 44, 44)], True, True),  # there is a face
        ([(0, 0, 12, 12)], True, False),  # there is none, it is elsewhere
        ([], True, False),
        ([], False, True),  # nobody knows
    ],
)
def test_the_teacher_is_corrected_only_where_all_faces_are_marked(
    marked: list[tuple[int, ...]], known: bool, kept: bool
) -> None:
    scene = Scene(
        np.zeros((64, 64, 3), np.uint8),
        np.asarray(marked, np.float32).reshape(-1, 4),
        np.full((64, 64), known),
    )
    outputs = suppress_false_positives(sure_of(4, 4), scene)
    assert (outputs[0].max() > 0, outputs[len(STRIDES)].max() > 0) == (kept, kept)


def test_a_teacher_tells_outputs_and_features(tmp_path: Path) -> None:
    torch.manual_seed(1)  # some untrained networks overflow
    network = YuNet().eval()
    write_onnx(network, tmp_path / "teacher.onnx")
    chance = np.random.default_rng(1)
    picture = chance.integers(0, 255, (64, 64, 3), np.uint8)
    nobody = np.zeros((0, 4), np.float32)
    scene = Scene(picture, nobody, np.zeros((64, 64), np.bool_))
    given = Teacher(tmp_path / "teacher.onnx").predict([scene, scene])
    with torch.inference_mode():
        batch = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float()
        features, outputs = network.pyramid(batch), network(batch)
    assert len(given.outputs) == len(OUTPUT_NAMES)
    for have, want in zip(given.outputs, outputs, strict=True):
        assert np.allclose(have[1], want[0], rtol=1e-2, atol=1e-2)
    for half, feature in zip(given.features, features, strict=True):
        assert half.shape == (2, *feature.shape[1:])
        assert np.allclose(half[0], feature[0].clamp(max=65504), rtol=1e-2, atol=1e-2)


def test_who_is_the_teacher_has_nothing_to_learn() -> None:
    network = YuNet().eval()
    batch = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        features = network.pyramid(batch)
        maps = network.apply_heads(features)
        outputs = network.outputs(maps)
    assert float(hint_loss(features, features, outputs)) == 0
    elsewhere = [feature + 1 for feature in features]
    assert float(hint_loss(elsewhere, features, outputs)) > 0
    same = distillation_loss(maps, outputs, box_weight=1, landmark_weight=1)
    surer = [one._replace(obj=one.obj + 3) for one in maps]
    assert distillation_loss(surer, outputs, box_weight=1, landmark_weight=1) > same
