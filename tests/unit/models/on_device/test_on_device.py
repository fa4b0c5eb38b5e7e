"""What runs on a GPU answers as the CPU does; the same code, on the CPU's own tensors."""

from __future__ import annotations

import gc

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.classifier import AttributeClassifier
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.area_resize import area_weights, resize_area
from faces_jobs_models.on_device.classifier import DeviceClassifier
from faces_jobs_models.on_device.cropper import DeviceCropper
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.torch_session import TorchSession
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr


@pytest.fixture
def pictures(device: Device) -> DevicePictures:
    return DevicePictures(torch.device(device))


def test_a_picture_is_copied_once_and_forgotten_with_it(pictures: DevicePictures) -> None:
    picture = astronaut_bgr()
    [first], [second] = pictures.copies_of([picture]), pictures.copies_of([picture])
    assert first.data_ptr() == second.data_ptr()
    assert len(pictures) == 1
    del picture, first, second
    gc.collect()
    assert len(pictures) == 0


@settings(deadline=None, max_examples=60)
@given(
    start=st.integers(-60, 130),
    side=st.integers(1, 200),
    limit=st.integers(1, 120),
    size=st.sampled_from([8, 64]),
)
def test_each_cell_weighs_its_pixels_to_one(start: int, side: int, limit: int, size: int) -> None:
    weights = area_weights(torch.tensor([float(start)]), torch.tensor([float(side)]), limit, size)
    assert weights.shape == (1, size, limit)
    assert bool((weights >= 0).all())
    assert torch.allclose(weights.sum(dim=2), torch.ones(1, size), atol=1e-4)


@pytest.mark.parametrize(
    ("wh", "share"),
    [
        ((1280, 720), 0.0),
        ((1920, 1080), 0.0),
        ((2560, 1440), 0.0),
        ((640, 360), 0.0),
        ((1280, 1080), 0.002),
        ((854, 480), 0.005),
        ((1000, 563), 0.005),
    ],
)
def test_frames_are_shrunk_as_on_the_cpu(wh: tuple[int, int], share: float, device: Device) -> None:
    width, height = wh
    frame = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    want = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
    [got] = resize_area(torch.from_numpy(frame)[None].to(device), 640, 360).cpu().numpy()
    apart = np.abs(got.transpose(1, 2, 0) - want)
    assert apart.max() <= (1 if share else 0)
    assert (apart > 0).mean() <= share


@settings(deadline=None, max_examples=25)
@given(
    box=st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 400), st.floats(1, 400)),
    scale=st.floats(0.5, 2),
)
def test_crops_are_those_of_the_cpu(
    device: Device, box: tuple[float, float, float, float], scale: float
) -> None:
    picture = astronaut_bgr()
    left, top, width, height = box
    boxes = np.array([[left, top, min(512, left + width), min(512, top + height)]], np.float32)
    [want] = crop_faces(picture, boxes, scale=scale, size=64)
    crops = DeviceCropper(DevicePictures(torch.device(device)))(
        [picture], [boxes], scale=scale, size=64
    )
    apart = np.abs(crops[0].astype(int) - want)
    # OpenCV interpolates with 11 bits, and rounds halves another way.
    assert apart.max() <= 2
    assert apart.mean() < 0.5


def test_crops_of_several_pictures_come_picture_by_picture(pictures: DevicePictures) -> None:
    one, other = astronaut_bgr(), np.ascontiguousarray(astronaut_bgr()[:, ::-1])
    of_one = np.array([FACE_XYXY, (0, 0, 90, 90)], np.float32)
    of_other = np.array([(242, 60, 334, 182)], np.float32)
    crops = DeviceCropper(pictures)([one, other], [of_one, of_other], scale=1.1, size=64)
    want = [
        *crop_faces(one, of_one, scale=1.1, size=64),
        *crop_faces(other, of_other, scale=1.1, size=64),
    ]
    assert len(crops) == 3
    for crop, other_crop in zip(crops, want, strict=True):
        assert np.abs(crop.astype(int) - other_crop).max() <= 2


def test_crops_of_all_sizes_come_in_the_order_of_their_boxes(pictures: DevicePictures) -> None:
    large = np.asarray(cv2.resize(astronaut_bgr(), (1600, 1500)), np.uint8)
    given: list[Picture] = [astronaut_bgr(), large, astronaut_bgr()[:300], large[::-1].copy()]
    chance = np.random.default_rng(1)
    boxes = []
    for picture, count in zip(given, (3, 40, 0, 25), strict=True):
        wh = np.array(picture.shape[1::-1])
        low = chance.uniform(0, wh - 9, (count, 2))
        sides = np.minimum(chance.uniform(8, 700, (count, 2)), wh - low)
        boxes.append(np.concatenate([low, low + sides], axis=1).astype(np.float32))
    crops = DeviceCropper(pictures)(given, boxes, scale=1.1, size=64)
    want = [
        crop
        for picture, of in zip(given, boxes, strict=True)
        for crop in crop_faces(picture, of, scale=1.1, size=64)
    ]
    assert len(crops) == 68
    for crop, other_crop in zip(crops, want, strict=True):
        assert np.abs(crop.astype(int) - other_crop).max() <= 2


def test_no_box_gives_no_crop(pictures: DevicePictures) -> None:
    none: Boxes = np.zeros((0, 4), np.float32)
    assert len(DeviceCropper(pictures)([astronaut_bgr()], [none], scale=1.1, size=64)) == 0


@pytest.mark.parametrize("name", ["gender", "expression", "multiple"])
def test_classifiers_answer_alike(
    catalog: Catalog, pictures: DevicePictures, name: str, device: Device
) -> None:
    record = catalog.record(name)
    # In floats there, too: what ships for the CPU has eight bits.
    on_cpu = AttributeClassifier(TorchSession(record, device="cpu"), record, sha256="-")
    session = TorchSession(record, device=device)
    on_device = DeviceClassifier(session, record, pictures, sha256="-")
    picture = astronaut_bgr()
    boxes = np.array([FACE_XYXY, (10, 300, 200, 500), (400, 5, 440, 60)], np.float32)
    scale, size = on_cpu.crop_scale, on_cpu.crop_size
    crops = DeviceCropper(pictures)([picture], [boxes], scale=scale, size=size)
    for want, got in zip(on_cpu.classify(crops), on_device.classify(crops), strict=True):
        for head, probabilities in want.items():
            apart = np.abs(probabilities - got[head]).max()
            assert apart <= 1e-4, head
