"""The end of decoding on a device keeps what that of the CPU keeps, for all pictures of a run."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faces_jobs_models.detector.best_faces import best_faces as best_faces_of_one
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.best_faces import best_cells, best_faces, values_at


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    pictures=st.integers(1, 4),
    cells=st.integers(1, 60),
    max_faces=st.sampled_from([1, 3, 1000]),
    overlap=st.sampled_from([0.0, 0.3, 0.7]),
    lowest=st.sampled_from([0.0, 0.5, 0.95]),
)
def test_faces_are_those_of_the_cpu(
    device: Device,
    *,
    seed: int,
    pictures: int,
    cells: int,
    max_faces: int,
    overlap: float,
    lowest: float,
) -> None:
    chance = np.random.default_rng(seed)
    # Tenths, so that some are equal; the last may be above one by rounding.
    scores = (chance.integers(0, 11, (pictures, cells)) / np.float32(10)).astype(np.float32)
    low = chance.uniform(-20, 130, (pictures, cells, 2))
    boxes = np.concatenate([low, low + chance.uniform(0, 60, low.shape)], 2).astype(np.float32)
    points = chance.uniform(0, 130, (pictures, cells, 5, 2)).astype(np.float32)
    size = WorkingSize.of(200, 120, max_side=120)
    options = DetectorOptions(min_score=lowest, iou_threshold=overlap, max_faces=max_faces)

    best, where = best_cells(torch.from_numpy(scores).to(device), options)
    given_boxes, given_points = (
        values_at(torch.from_numpy(one).to(device).flatten(2), where) for one in (boxes, points)
    )
    found = best_faces(
        best, given_boxes, given_points.reshape(*best.shape, 5, 2), size=size, options=options
    )

    assert len(found) == pictures
    for index, got in enumerate(found):
        maybe = scores[index] >= lowest
        want = best_faces_of_one(
            scores[index][maybe],
            boxes[index][maybe],
            points[index][maybe],
            size=size,
            options=options,
        )
        np.testing.assert_array_equal(got.scores, want.scores)
        np.testing.assert_allclose(got.boxes_xyxy, want.boxes_xyxy, atol=1e-3)
        assert got.landmarks is not None
        assert want.landmarks is not None
        np.testing.assert_allclose(got.landmarks, want.landmarks, atol=1e-3)
        assert got.boxes_xyxy.dtype == got.scores.dtype == got.landmarks.dtype == np.float32
