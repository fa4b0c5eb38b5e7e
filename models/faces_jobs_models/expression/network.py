"""The expression network: a mini-Xception on gray crops of equal contrast, with one head."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.attribute_network import AttributeNetwork, set_starting_weights
from faces_jobs_models.mini_xception import BodyConfig, MiniXception

_BGR_TO_GRAY = (0.114, 0.587, 0.299)  # ITU-R BT.601, as cv2.cvtColor
_SMALLEST_DEVIATION = 8.0  # of 255; below it a crop is noise, which must not be blown up


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionConfig:
    """Size of the network. `dropout` acts in training only."""

    body: BodyConfig = field(default_factory=lambda: BodyConfig(in_channels=1))
    dropout: float = 0.4


class ExpressionNetwork(AttributeNetwork):
    """One of seven expressions.

    Its training pictures are gray, so colour is taken off inside the network; mean and contrast
    of each crop are made equal, since neither says anything about an expression.
    """

    def __init__(self, config: ExpressionConfig) -> None:
        super().__init__()
        self.heads = dict(MODELS["expression"])  # a proxy can't be deep-copied
        gray = torch.tensor(_BGR_TO_GRAY).reshape(1, 3, 1, 1)
        self.register_buffer("gray", gray, persistent=False)
        self.body = MiniXception(config.body)
        self.dropout = nn.Dropout(config.dropout)
        self.expression = nn.Linear(self.body.channels, len(self.heads["expression"]))
        set_starting_weights(self)

    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) BGR or (n, 1, 64, 64) gray, 0..255 -> {"expression": (n, 7)}."""
        gray = self.get_buffer("gray")
        # The weights sum to 1, so that a gray crop, spread over three channels, stays itself.
        x = (crops * gray).sum(dim=1, keepdim=True)  # (n, 1, 64, 64)
        x = x - x.mean(dim=(2, 3), keepdim=True)  # (n, 1, 64, 64)
        deviation = (x * x).mean(dim=(2, 3), keepdim=True).sqrt()  # (n, 1, 1, 1)
        x = x / deviation.clamp(min=_SMALLEST_DEVIATION)
        x = self.dropout(self.body(x))  # (n, channels)
        return {"expression": self.expression(x)}  # (n, 7)
