"""The gender network: a mini-Xception on colour crops with one head."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.attribute_network import AttributeNetwork, set_starting_weights
from faces_jobs_models.mini_xception import BodyConfig, MiniXception


@dataclass(frozen=True, slots=True, kw_only=True)
class GenderConfig:
    """Size of the network. `dropout` acts in training only."""

    body: BodyConfig = field(default_factory=BodyConfig)
    dropout: float = 0.3


class GenderNetwork(AttributeNetwork):
    """Female or male."""

    def __init__(self, config: GenderConfig) -> None:
        super().__init__()
        self.heads = dict(MODELS["gender"])  # a proxy can't be deep-copied
        self.body = MiniXception(config.body)
        self.dropout = nn.Dropout(config.dropout)
        self.gender = nn.Linear(self.body.channels, len(self.heads["gender"]))
        set_starting_weights(self)

    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) BGR 0..255 -> {"gender": (n, 2)}."""
        x = (crops - 127.5) / 64.0  # (n, 3, 64, 64), about -2..2
        x = self.dropout(self.body(x))  # (n, channels)
        return {"gender": self.gender(x)}  # (n, 2)
