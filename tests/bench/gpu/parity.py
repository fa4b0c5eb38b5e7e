"""Compares the results of two devices for one clip: the faces found, and their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.tracking import overlaps, pair_boxes
from faces_jobs.pipeline.values import Boxes, Face
from tests.bench.stages import KeptFaces

MIN_OVERLAP = 0.5


def parity(one: KeptFaces, other: KeptFaces) -> dict[str, object]:
    """Match the faces of both in each frame, and compare boxes and labels."""
    faces = matched = others = 0
    same: Counter[str] = Counter()
    furthest = 0.0
    for index, of_one in one.by_frame.items():
        of_other = other.by_frame.get(index, ())
        faces += len(of_one)
        others += len(of_other)
        if not of_one or not of_other:
            continue
        boxes, other_boxes = _boxes(of_one), _boxes(of_other)
        overlap = overlaps(boxes, other_boxes)
        for row, column in pair_boxes(boxes, other_boxes):
            if overlap[row, column] <= MIN_OVERLAP:
                continue
            matched += 1
            furthest = max(furthest, float(np.abs(boxes[row] - other_boxes[column]).max()))
            others_attributes = of_other[column].record.attributes
            for head, attribute in of_one[row].record.attributes.items():
                same[head] += attribute.label == others_attributes[head].label
    by_head = {head: count / matched for head, count in same.items()}
    return {
        "faces": faces,
        "faces_of_the_other": others,
        "share_matched": matched / faces if faces else None,
        "furthest_pixels": furthest,
        "share_of_equal_labels": sum(by_head.values()) / len(by_head) if by_head else None,
        "by_head": by_head,
    }


def _boxes(faces: Sequence[Face]) -> Boxes:
    return np.array([face.record.box_xyxy for face in faces], np.float32)
