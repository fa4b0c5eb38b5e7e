"""Compares the results of two devices on a clip: faces that both find, and their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.tracking import overlaps, pair_boxes
from faces_jobs.pipeline.values import Boxes, Face
from tests.bench.stages import KeptFaces

MIN_OVERLAP = 0.5  # intersection over union


def parity(one: KeptFaces, other: KeptFaces) -> dict[str, object]:
    """Match the faces of both devices frame by frame, and compare boxes and labels."""
    faces = matched = others = 0
    same: Counter[str] = Counter()
    max_distance = 0.0
    for index, faces_of_one in one.by_frame.items():
        faces_of_other = other.by_frame.get(index, ())
        faces += len(faces_of_one)
        others += len(faces_of_other)
        if not faces_of_one or not faces_of_other:
            continue
        boxes, other_boxes = _boxes(faces_of_one), _boxes(faces_of_other)
        shared = overlaps(boxes, other_boxes)
        for left, right in pair_boxes(boxes, other_boxes):
            if shared[left, right] <= MIN_OVERLAP:
                continue
            matched += 1
            max_distance = max(max_distance, float(np.abs(boxes[left] - other_boxes[right]).max()))
            labels = faces_of_other[right].record.attributes
            for head, attribute in faces_of_one[left].record.attributes.items():
                same[head] += attribute.label == labels[head].label
    by_head = {head: count / matched for head, count in same.items()}
    return {
        "faces": faces,
        "faces_of_the_other": others,
        "share_matched": matched / faces if faces else None,
        "furthest_pixels": max_distance,
        "share_of_equal_labels": sum(by_head.values()) / len(by_head) if by_head else None,
        "by_head": by_head,
    }


def _boxes(faces: Sequence[Face]) -> Boxes:
    return np.array([face.record.box_xyxy for face in faces], np.float32)
