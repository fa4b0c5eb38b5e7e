"""One recipe a model: its data, its network, how crops are changed, how long it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from faces_jobs_models.mini_xception import BodyConfig
from faces_jobs_models.training.augment import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training depends on, beside the data itself.

    `data_sets` says how often an epoch goes through each data set. `adjustment` and
    `head_weights` have an entry a head.
    """

    model: str
    version: str
    data_sets: Mapping[str, float]
    body: BodyConfig
    dropout: float
    adjustment: Mapping[str, float]
    head_weights: Mapping[str, float]
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop_scale: float = 1.2
    crop_size: int = 64
    smoothing: float = 0.05
    epochs: int = 20
    batch: int = 128
    learning_rate: float = 3e-3
    warm_up: float = 0.05  # share of all steps
    weight_decay: float = 0.03
    average: float = 0.998  # decay of the moving average of the weights, which is what ships
    seed: int = 20260101

    @property
    def gray(self) -> bool:
        """Whether crops are kept without colour."""
        return self.body.in_channels == 1

    @property
    def network(self) -> dict[str, Any]:
        """The network's options as they stand in a record."""
        return {**asdict(self.body), "dropout": self.dropout}


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "gender": Recipe(
            model="gender",
            version="1.0",
            # UTKFace has many more people than IMFDB, whose frames are near copies.
            data_sets=MappingProxyType({"utkface": 1.0, "imfdb": 0.6}),
            body=BodyConfig(stem=32, widths=(64, 128, 256), repeats=(1, 1, 1)),
            dropout=0.2,
            # Two men to one woman in IMFDB, as many of each in UTKFace: half of the correction
            # makes both answered alike in pictures from the web.
            adjustment=MappingProxyType({"gender": 0.5}),
            head_weights=MappingProxyType({"gender": 1.0}),
            augmentation=Augmentation(low_share=0.25, noise_share=0.2, erase_share=0.15),
            # The training pictures end at the box. At 1.2 what lies around it was made up, and
            # real hair and collars there misled the network: short-haired women became men.
            crop_scale=1.0,
            smoothing=0.03,
            epochs=34,
        ),
        "expression": Recipe(
            model="expression",
            version="1.0",
            data_sets=MappingProxyType({"ferplus": 1.0, "ckplus48": 2.0}),
            body=BodyConfig(in_channels=1, stem=32, widths=(64, 128, 256), repeats=(1, 2, 1)),
            dropout=0.4,
            adjustment=MappingProxyType({"expression": 0.5}),
            head_weights=MappingProxyType({"expression": 1.0}),
            # Large holes and faces of 16 pixels leave no expression to learn from.
            augmentation=Augmentation(
                erase_share=0.2, erase_side=0.3, low_share=0.25, low_sides=(22, 28, 34, 44)
            ),
            crop_scale=1.1,
            smoothing=0.0,  # the votes are soft by themselves
            epochs=36,
        ),
        "multiple": Recipe(
            model="multiple",
            version="1.0",
            data_sets=MappingProxyType({"imfdb": 1.0, "utkface": 0.7, "facemask": 1.5}),
            body=BodyConfig(stem=32, widths=(64, 128, 256), repeats=(1, 1, 1)),
            dropout=0.4,
            adjustment=MappingProxyType(
                {"illumination": 0.9, "pose": 0.8, "occlusion": 0.7, "age": 0.4, "makeup": 1.0}
            ),
            head_weights=MappingProxyType(
                {"illumination": 0.9, "pose": 1.0, "occlusion": 1.0, "age": 1.0, "makeup": 0.5}
            ),
            # Brightness is what the illumination head reads, a hole what the occlusion head does.
            augmentation=Augmentation(
                degrees=8,
                brightness=5,
                contrast=0.06,
                low_share=0.25,
                erase_share=0.1,
                erase_side=0.25,
            ),
            smoothing=0.08,  # against IMFDB's noise
            epochs=16,
        ),
    }
)
"""Model -> recipe."""
