"""The detector on a GPU finds what that of the CPU does; the same code, on the CPU's tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faces_jobs.pipeline.values import Picture
from faces_jobs_models.detector.grid_detector import GridDetector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.suppression import nms
from faces_jobs_models.detector.torch_network import TorchGridNetwork
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.grid_detector import DeviceGridDetector
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.on_device.suppression import nms_on_device
from faces_jobs_models.weights import read_record
from tests.unit.models.photographs import astronaut_bgr, overlap

_DRAWN = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 30), st.integers(0, 30))


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 20).flatmap(
        lambda count: st.lists(
            st.lists(_DRAWN, min_size=count, max_size=count), min_size=1, max_size=3
        )
    ),
    st.sampled_from([0.0, 0.3, 0.4, 0.7]),
    st.sampled_from([1, 500, 1 << 24]),
)
def test_suppression_keeps_what_the_greedy_loop_keeps(
    device: Device,
    drawn: list[list[tuple[int, int, int, int]]],
    overlap: float,
    max_pairs: int,
) -> None:
    boxes = np.array(
        [[(x, y, x + w, y + h) for x, y, w, h in one] for one in drawn], np.float32
    ).reshape(len(drawn), -1, 4)
    scores = np.linspace(1, 0.1, boxes.shape[1], dtype=np.float32)
    kept = nms_on_device(torch.from_numpy(boxes).to(device), overlap, max_pairs=max_pairs)
    assert kept.shape == boxes.shape[:2]
    for of_one, one in zip(kept.cpu().numpy(), boxes, strict=True):
        want = nms(one, scores, iou_threshold=overlap)
        assert np.nonzero(of_one)[0].tolist() == want.tolist()


def _pictures(width: int, height: int) -> list[Picture]:
    rows, columns = np.mgrid[0:height, 0:width]
    seen = astronaut_bgr()[(rows * 512 // height) % 512, (columns * 512 // width) % 512]
    return [seen, np.ascontiguousarray(seen[:, ::-1]), np.zeros_like(seen)]


@pytest.mark.parametrize("wh", [(320, 180), (250, 167), (70, 90)])
def test_detectors_find_alike(exported: Path, wh: tuple[int, int], device: Device) -> None:
    record = read_record(exported)
    options = DetectorOptions(min_score=0.3, frames_a_run=2, max_side=160)
    on_cpu = GridDetector(TorchGridNetwork(record, device="cpu"), record, options, sha256="-")
    on_device = DeviceGridDetector(
        TorchGridNetwork(record, device=device),
        record,
        options,
        sha256="-",
        pictures=DevicePictures(torch.device(device)),
    )
    pictures = _pictures(*wh)
    for want, got in zip(on_cpu.detect(pictures), on_device.detect(pictures), strict=True):
        assert len(want) == len(got)
        assert np.allclose(want.scores, got.scores, atol=0.02)
        for box in want.boxes_xyxy:  # those of nearly one score may have changed places
            assert max(overlap(box, one) for one in got.boxes_xyxy) > 0.9
