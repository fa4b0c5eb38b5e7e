"""The multiple network: one mini-Xception on colour crops with five heads."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.attribute_network import AttributeNetwork, set_starting_weights
from faces_jobs_models.mini_xception import BodyConfig, MiniXception


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleConfig:
    """Size of the network. `dropout` acts in training only."""

    body: BodyConfig = field(default_factory=BodyConfig)
    dropout: float = 0.4


class MultipleNetwork(AttributeNetwork):
    """Illumination, pose, occlusion, age and makeup from one extractor."""

    def __init__(self, config: MultipleConfig) -> None:
        super().__init__()
        self.heads = dict(MODELS["multiple"])  # a proxy can't be deep-copied
        self.body = MiniXception(config.body)
        self.dropout = nn.Dropout(config.dropout)
        self.outputs = nn.ModuleDict(
            {
                head: nn.Linear(self.body.channels, len(labels))
                for head, labels in self.heads.items()
            }
        )
        set_starting_weights(self)

    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) BGR 0..255 -> {"illumination": (n, 3), "pose": (n, 5), ...}."""
        # Brightness stays as it is: it is what the illumination head reads.
        x = (crops - 127.5) / 64.0  # (n, 3, 64, 64), about -2..2
        x = self.dropout(self.body(x))  # (n, channels)
        return {head: layer(x) for head, layer in self.outputs.items()}
