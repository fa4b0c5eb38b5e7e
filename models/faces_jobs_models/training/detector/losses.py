"""Distillation losses of the detector: distances from the teacher's outputs and features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from faces_jobs_models.detector.outputs import STRIDES
from faces_jobs_models.detector.yunet import Maps

_BACKGROUND_WEIGHT = 0.05  # of the class score where the teacher finds no face
_FALSE_POSITIVE_WEIGHT = 2.0  # additional, for confident false positives
_FEATURE_BACKGROUND_WEIGHT = 0.25  # of features without a face; about 1 more on a face
_MIN_CONFIDENCE = 0.2  # of the teacher, for boxes and landmarks to count
_MIN_CONFIDENCE_SUM = 50.0  # of a batch, so that batches with few faces don't dominate
_LANDMARK_SCALE = 4
_EPSILON = 1e-6


def distillation_loss(
    student: Sequence[Maps],
    teacher: Sequence[Tensor],
    *,
    box_weight: float,
    landmark_weight: float,
) -> Tensor:
    """Dense distillation: scores by cross entropy, boxes by overlap, landmarks by distance.

    Boxes and landmarks are weighted by the teacher's confidence in the face; the loss is divided by
    the sum of confidences over the batch, so that scenes with many faces don't dominate. The
    overlap is distance-IoU (Zheng et al., arXiv:1911.08287).

    Args:
        student: the maps of each stride, before the sigmoid.
        teacher: its 12 outputs as `YuNet.forward` returns them.
        box_weight: of the boxes, relative to the scores.
        landmark_weight: of the landmarks, relative to the scores.
    """
    levels = len(STRIDES)
    total = torch.zeros((), device=teacher[0].device)
    confidence_sum = torch.zeros_like(total)
    for index, maps in enumerate(student):
        cls, obj, box, points = (_by_cell(values).float() for values in maps)
        target_cls, target_obj, target_box, target_points = (
            teacher[kind * levels + index] for kind in range(4)
        )
        confidence = (target_cls * target_obj).sqrt()  # (n, cells, 1)
        confidence = torch.where(confidence > _MIN_CONFIDENCE, confidence, 0.0)
        box_loss = ((1 - _distance_iou(box, target_box)) * confidence[..., 0]).sum()
        landmark_loss = (
            _landmark_distance(points, target_points, target_box) * confidence[..., 0]
        ).sum()
        total = total + _score_loss(cls, obj, target_cls, target_obj) + box_weight * box_loss
        total = total + landmark_weight * _LANDMARK_SCALE * landmark_loss
        confidence_sum = confidence_sum + confidence.sum()
    return total / confidence_sum.clamp(min=_MIN_CONFIDENCE_SUM)


def hint_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Tensor:
    """Mean squared distance of the student's features from the teacher's, by their variance.

    Romero et al.: "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550. All cells count, but those
    on faces, which are few, count more.

    Args:
        student: (n, channels, h, w) features of each stride.
        teacher: the same of the teacher.
        outputs: of the teacher, as `YuNet.forward` returns them.
    """
    levels = len(STRIDES)
    total = torch.zeros((), device=outputs[0].device)
    for index, (features, teacher_features) in enumerate(zip(student, teacher, strict=True)):
        target = teacher_features.float()
        height, width = target.shape[2:]
        confidence = (outputs[index] * outputs[levels + index]).sqrt().reshape(-1, 1, height, width)
        on_faces = functional.max_pool2d(confidence, 3, stride=1, padding=1)
        weight = _FEATURE_BACKGROUND_WEIGHT + on_faces
        variance = target.var(dim=(0, 2, 3), keepdim=True)
        variance = torch.maximum(variance, 0.1 * variance.mean() + _EPSILON)
        distance = ((features.float() - target) ** 2 / variance).mean(dim=1, keepdim=True)
        total = total + (distance * weight).sum() / weight.sum()
    return total / levels


def _score_loss(cls: Tensor, obj: Tensor, target_cls: Tensor, target_obj: Tensor) -> Tensor:
    objectness = functional.binary_cross_entropy_with_logits(obj, target_obj, reduction="none")
    false_positive = (obj.detach().sigmoid() - target_obj).clamp(min=0)
    loss = (objectness * (1 + _FALSE_POSITIVE_WEIGHT * false_positive)).sum()
    of_class = functional.binary_cross_entropy_with_logits(cls, target_cls, reduction="none")
    return loss + (of_class * (target_obj + _BACKGROUND_WEIGHT * (1 - target_obj))).sum()


def _landmark_distance(points: Tensor, target: Tensor, target_box: Tensor) -> Tensor:
    # (n, cells), in units of the box's size.
    size = target_box[..., 2:].exp().repeat(1, 1, target.shape[-1] // 2)
    distance = functional.smooth_l1_loss(points / size, target / size, beta=0.05, reduction="none")
    return distance.mean(dim=-1)


def _by_cell(values: Tensor) -> Tensor:
    count, channels = values.shape[:2]
    return values.permute(0, 2, 3, 1).reshape(count, -1, channels)


def _distance_iou(one: Tensor, two: Tensor) -> Tensor:
    # (..., 4) offset of the centre and logarithm of the size; both boxes are of the same cell.
    one_half, two_half = one[..., 2:].clamp(max=6).exp() / 2, two[..., 2:].exp() / 2
    low = torch.maximum(one[..., :2] - one_half, two[..., :2] - two_half)
    high = torch.minimum(one[..., :2] + one_half, two[..., :2] + two_half)
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    union = 4 * one_half.prod(dim=-1) + 4 * two_half.prod(dim=-1) - intersection
    low = torch.minimum(one[..., :2] - one_half, two[..., :2] - two_half)
    high = torch.maximum(one[..., :2] + one_half, two[..., :2] + two_half)
    diagonal = ((high - low) ** 2).sum(dim=-1).clamp(min=_EPSILON)
    distance = ((one[..., :2] - two[..., :2]) ** 2).sum(dim=-1)
    return intersection / union.clamp(min=_EPSILON) - distance / diagonal
