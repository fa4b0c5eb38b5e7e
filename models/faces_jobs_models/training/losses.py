"""What training makes small: masked cross entropy over heads, adjusted for rare labels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

_RAREST = 1e-4  # share assumed for a label that the data does not hold at all


def log_priors(targets: Mapping[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
    """Logarithm of each label's share in the training data, head by head.

    Args:
        targets: head -> (n, labels), rows of zeros where the head is unknown.
        weights: (n,) how often each row is seen.
    """
    priors = {}
    for head, target in targets.items():
        mass = (target * weights[:, None]).sum(dim=0)
        priors[head] = (mass / mass.sum().clamp(min=1e-9)).clamp(min=_RAREST).log()
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
    """Weighted sum over the heads of the cross entropy of those rows that know the head.

    Logit adjustment (Menon et al.: "Long-tail learning via logit adjustment", arXiv:2007.07314)
    adds a multiple of the log priors in training only: at 1 the network answers as if all
    labels were equally common, which is what balanced accuracy asks for; at 0 it leans to the
    common ones, which is what plain accuracy asks for.

    Args:
        logits: head -> (n, labels).
        targets: head -> (n, labels), rows of zeros where the head is unknown.
        priors: head -> (labels,) from `log_priors`.
        logit_adjustment: head -> multiple of the log priors.
        head_weights: head -> weight of its mean loss.
        label_smoothing: share of each target that is spread over all labels, as common as they are.
            Spread evenly it would give a label rarer than its share of the spread more weight
            than all of its faces do, and the adjusted network would answer nothing else.
    """
    losses = []
    for head, weight in head_weights.items():
        target = targets[head]
        # A mask in place of a choice of rows: nobody has to wait for a GPU to say how many.
        known = (target.sum(dim=1) > 0).float()
        target = target * (1 - label_smoothing) + label_smoothing * priors[head].exp()
        adjusted = logits[head] + logit_adjustment.get(head, 0.0) * priors[head]
        each = -(functional.log_softmax(adjusted, dim=1) * target).sum(dim=1)
        losses.append(weight * (each * known).sum() / known.sum().clamp(min=1))
    return torch.stack(losses).sum()


def distillation_loss(
    logits: Mapping[str, Tensor],
    taught: Mapping[str, Tensor],
    *,
    head_weights: Mapping[str, float],
    temperature: float,
) -> Tensor:
    """Weighted sum over the heads of the cross entropy between a network and its teacher.

    After Hinton, Vinyals, Dean: "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531. A teacher has an opinion of every crop, so heads that a row's data set does
    not know are learnt from it as well.

    Args:
        logits: head -> (n, labels).
        taught: head -> (n, labels), the teacher's logits of the same crops.
        head_weights: head -> weight of its mean loss.
        temperature: by which both sides' logits are divided; gradients are made up for it.
    """
    losses = [
        weight
        * functional.cross_entropy(
            logits[head] / temperature, torch.softmax(taught[head] / temperature, dim=1)
        )
        for head, weight in head_weights.items()
    ]
    return torch.stack(losses).sum() * temperature**2
