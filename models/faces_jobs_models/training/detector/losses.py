"""What the detector's training makes small: its distance from the teacher in every cell."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from faces_jobs_models.detector.outputs import STRIDES
from faces_jobs_models.detector.yunet import Maps

_BACKGROUND = 0.05  # weight of the fit's score where the teacher sees no face
_MISTAKEN = 2.0  # how much more a sure mistake counts
_EVERYWHERE = 0.25  # weight of a feature where no face is, beside 1 on a face
_LEAST_BELIEF = 50.0  # of a batch: one with hardly a face does not outweigh the others
_SMALLEST = 1e-6


def distillation_loss(
    student: Sequence[Maps],
    teacher: Sequence[Tensor],
    *,
    box_weight: float,
    landmark_weight: float,
) -> Tensor:
    """Dense distillation: scores by cross entropy, boxes by overlap, landmarks by distance.

    Boxes and landmarks count as much as the teacher believes in the face; everything is divided
    by that belief, summed over the batch, so that scenes full of faces don't outweigh others.
    Overlap is measured by distance-IoU (Zheng et al., arXiv:1911.08287).

    Args:
        student: the maps of each stride, before the sigmoid.
        teacher: its 12 outputs as `YuNet.forward` gives them.
        box_weight: of the boxes beside the scores.
        landmark_weight: of the landmarks beside the scores.
    """
    levels = len(STRIDES)
    total = torch.zeros((), device=teacher[0].device)
    belief_sum = torch.zeros_like(total)
    for index, maps in enumerate(student):
        cls, obj, box, points = (_by_cell(values).float() for values in maps)
        want_cls, want_obj, want_box, want_points = (
            teacher[kind * levels + index] for kind in range(4)
        )
        belief = (want_cls * want_obj).sqrt()  # (n, cells, 1)
        belief = torch.where(belief > 0.2, belief, 0.0)
        seen = functional.binary_cross_entropy_with_logits(obj, want_obj, reduction="none")
        # Where the teacher sees nothing and the student is sure of a face it has most to unlearn.
        mistaken = (obj.detach().sigmoid() - want_obj).clamp(min=0)
        score = (seen * (1 + _MISTAKEN * mistaken)).sum()
        fit = functional.binary_cross_entropy_with_logits(cls, want_cls, reduction="none")
        score = score + (fit * (want_obj + _BACKGROUND * (1 - want_obj))).sum()
        overlap = ((1 - _distance_iou(box, want_box)) * belief[..., 0]).sum()
        size = want_box[..., 2:].exp().repeat(1, 1, want_points.shape[-1] // 2)
        apart = functional.smooth_l1_loss(
            points / size, want_points / size, beta=0.05, reduction="none"
        )
        far = (apart.mean(dim=-1) * belief[..., 0]).sum()
        total = total + score + box_weight * overlap + landmark_weight * 4 * far
        belief_sum = belief_sum + belief.sum()
    return total / belief_sum.clamp(min=_LEAST_BELIEF)


def hint_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Tensor:
    """How far the student's features are from the teacher's, in units of the teacher's variance.

    Romero et al.: "FitNets: Hints for Thin Deep Nets", arXiv:1412.6550. Each cell has something to
    teach, while few cells are of a face; those count more.

    Args:
        student: (n, channels, h, w) of each stride.
        teacher: the same of the teacher.
        outputs: of the teacher, as `YuNet.forward` gives them.
    """
    levels = len(STRIDES)
    total = torch.zeros((), device=outputs[0].device)
    for index, (have, given) in enumerate(zip(student, teacher, strict=True)):
        want = given.float()
        height, width = want.shape[2:]
        belief = (outputs[index] * outputs[levels + index]).sqrt().reshape(-1, 1, height, width)
        weight = _EVERYWHERE + functional.max_pool2d(belief, 3, stride=1, padding=1)
        variance = want.var(dim=(0, 2, 3), keepdim=True)
        variance = torch.maximum(variance, 0.1 * variance.mean() + _SMALLEST)
        apart = ((have.float() - want) ** 2 / variance).mean(dim=1, keepdim=True)
        total = total + (apart * weight).sum() / weight.sum()
    return total / levels


def _by_cell(values: Tensor) -> Tensor:
    count, channels = values.shape[:2]
    return values.permute(0, 2, 3, 1).reshape(count, -1, channels)


def _distance_iou(one: Tensor, two: Tensor) -> Tensor:
    # (..., 4) centre offset and logarithm of size; both boxes belong to the same cell.
    one_half, two_half = one[..., 2:].clamp(max=6).exp() / 2, two[..., 2:].exp() / 2
    low = torch.maximum(one[..., :2] - one_half, two[..., :2] - two_half)
    high = torch.minimum(one[..., :2] + one_half, two[..., :2] + two_half)
    shared = (high - low).clamp(min=0).prod(dim=-1)
    either = 4 * one_half.prod(dim=-1) + 4 * two_half.prod(dim=-1) - shared
    low = torch.minimum(one[..., :2] - one_half, two[..., :2] - two_half)
    high = torch.maximum(one[..., :2] + one_half, two[..., :2] + two_half)
    diagonal = ((high - low) ** 2).sum(dim=-1).clamp(min=_SMALLEST)
    between = ((one[..., :2] - two[..., :2]) ** 2).sum(dim=-1)
    return shared / either.clamp(min=_SMALLEST) - between / diagonal
