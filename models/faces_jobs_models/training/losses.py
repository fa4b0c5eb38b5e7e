"""Losses of the classifiers: masked, logit-adjusted cross entropy over heads, and distillation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

_MIN_PRIOR = 1e-4  # of labels that are missing in the training data


def log_priors(targets: Mapping[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
    """Return the log prior of each label in the training data, as head -> (labels,).

    Args:
        targets: head -> (n, labels), rows of zeros where the head is unknown.
        weights: (n,) how often an epoch goes through each row.
    """
    priors = {}
    for head, target in targets.items():
        mass = (target * weights[:, None]).sum(dim=0)
        priors[head] = (mass / mass.sum().clamp(min=1e-9)).clamp(min=_MIN_PRIOR).log()
    return priors


def multi_task_loss(
    logits: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    *,
    priors: Mapping[str, Tensor],
    logit_adjustment: Mapping[str, float],
    head_weights: Mapping[str, float],
    label_smoothing: float,
) -> Tensor:
    """Weighted sum over the heads of the mean cross entropy of the rows that know the head.

    Logit adjustment (Menon et al.: "Long-tail learning via logit adjustment", arXiv:2007.07314)
    adds a multiple of the log priors to the logits, in training only. With 1 the network predicts
    as if all labels were equally common, which maximises balanced accuracy; with 0 it favours
    common labels, which maximises plain accuracy.

    Args:
        logits: head -> (n, labels).
        targets: head -> (n, labels), rows of zeros where the head is unknown.
        priors: head -> (labels,) from `log_priors`.
        logit_adjustment: head -> multiple of the log priors.
        head_weights: head -> weight of its mean loss.
        label_smoothing: share of each target that is distributed over all labels in proportion to
            their priors. Distributed evenly, it could give a rare label more weight than all of its
            faces do, and the adjusted network would predict nothing else.
    """
    losses = []
    for head, weight in head_weights.items():
        target = targets[head]
        # A mask, since selecting rows would have to wait for the GPU to report their number.
        known = (target.sum(dim=1) > 0).float()
        target = target * (1 - label_smoothing) + label_smoothing * priors[head].exp()
        adjusted = logits[head] + logit_adjustment.get(head, 0.0) * priors[head]
        each = -(functional.log_softmax(adjusted, dim=1) * target).sum(dim=1)
        losses.append(weight * (each * known).sum() / known.sum().clamp(min=1))
    return torch.stack(losses).sum()


def distillation_loss(
    logits: Mapping[str, Tensor],
    teacher_logits: Mapping[str, Tensor],
    *,
    head_weights: Mapping[str, float],
    temperature: float,
) -> Tensor:
    """Weighted sum over the heads of the cross entropy between a network and its teacher.

    After Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531. The teacher predicts all heads of every crop, so that rows also train heads
    that they have no label for.

    Args:
        logits: head -> (n, labels).
        teacher_logits: head -> (n, labels), for the same crops.
        head_weights: head -> weight of its mean loss.
        temperature: by which the logits of both are divided. The loss is multiplied by its square,
            which keeps the scale of the gradients.
    """
    losses = [
        weight
        * functional.cross_entropy(
            logits[head] / temperature, torch.softmax(teacher_logits[head] / temperature, dim=1)
        )
        for head, weight in head_weights.items()
    ]
    return torch.stack(losses).sum() * temperature**2
