"""One recipe a model: its data, its network, how crops are changed, how long it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs_models.residual import BodyConfig
from faces_jobs_models.training.augment import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training depends on, beside the data itself.

    `data_sets` says how often an epoch goes through each data set. `adjustment` and
    `head_weights` have an entry a head; `auxiliary` weighs heads that are only trained along.
    `starts_from` names a model that ships, whose weights are where training starts; `kept_share`
    of them is in the mean that comes out (Wortsman et al.: "Robust fine-tuning of zero-shot
    models", arXiv:2109.01903), so that what they knew is not lost on the way.
    `runs` trainings with seeds of their own begin at those weights, and the mean of all of theirs
    comes out: right more often than any (Wortsman et al.: "Model soups", arXiv:2203.05482).
    `lean` takes a further multiple of the log priors off when training is over.
    """

    model: str
    version: str
    data_sets: Mapping[str, float]
    body: BodyConfig
    dropout: float
    adjustment: Mapping[str, float]
    head_weights: Mapping[str, float]
    auxiliary: Mapping[str, float] = field(default_factory=dict)
    lean: Mapping[str, float] = field(default_factory=dict)
    starts_from: str | None = None
    kept_share: float = 0.0
    runs: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop_scale: float = 1.1  # the same for all, so that a face is cut once
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
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The model's heads with their labels."""
        return MODELS[self.model]

    @property
    def training_heads(self) -> dict[str, tuple[str, ...]]:
        """The model's heads, and after them the auxiliary ones, with their labels."""
        return {**self.heads, **{head: HEADS[head] for head in self.auxiliary}}

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
            version="2.1",
            # UTKFace has many more people than IMFDB, whose frames are near copies.
            data_sets=MappingProxyType({"utkface": 1.0, "imfdb": 0.6}),
            body=BodyConfig(stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.2,
            # Two men to one woman in IMFDB, as many of each in UTKFace: half of the correction
            # makes both answered alike in pictures from the web.
            adjustment=MappingProxyType({"gender": 0.5}),
            head_weights=MappingProxyType({"gender": 1.0}),
            # What else is known of the same faces; these heads are dropped after training.
            auxiliary=MappingProxyType({"age": 0.3, "pose": 0.1, "occlusion": 0.1}),
            augmentation=Augmentation(low_share=0.25, noise_share=0.2, erase_share=0.15),
            smoothing=0.03,
            epochs=22,
        ),
        "expression": Recipe(
            model="expression",
            version="2.1",
            data_sets=MappingProxyType({"ferplus": 1.0, "ckplus48": 2.0}),
            body=BodyConfig(in_channels=1, stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.4,
            adjustment=MappingProxyType({"expression": 0.4}),
            head_weights=MappingProxyType({"expression": 1.0}),
            # Large holes and faces of 16 pixels leave no expression to learn from.
            augmentation=Augmentation(
                erase_share=0.25, erase_side=0.35, low_share=0.2, low_sides=(22, 28, 34, 44)
            ),
            smoothing=0.0,  # the votes are soft by themselves
            weight_decay=0.05,
            epochs=30,
        ),
        "multiple": Recipe(
            model="multiple",
            version="2.2",
            data_sets=MappingProxyType({"imfdb": 1.0, "utkface": 1.0, "facemask": 1.5}),
            body=BodyConfig(stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.4,
            adjustment=MappingProxyType(
                {"illumination": 0.3, "pose": 0.7, "occlusion": 0.7, "age": 0.3, "makeup": 1.0}
            ),
            head_weights=MappingProxyType(
                {"illumination": 0.9, "pose": 1.0, "occlusion": 1.0, "age": 1.2, "makeup": 0.5}
            ),
            auxiliary=MappingProxyType({"gender": 0.3}),
            # Chosen on the calibration half. Without it hardly a face is called well lit, and one
            # child in ten is taken for older.
            # (Half of what 2.0 leaned by, 0.45 and 0.03, is in its share of the weights.)
            lean=MappingProxyType({"illumination": 0.225, "age": -0.015}),
            # Brightness is what the illumination head reads, a hole what the occlusion head does.
            augmentation=Augmentation(
                degrees=8,
                brightness=3,
                contrast=0.04,
                colour=0.03,
                gray_share=0.03,
                low_share=0.25,
                erase_share=0.1,
                erase_side=0.25,
            ),
            smoothing=0.08,  # against IMFDB's noise
            weight_decay=0.05,
            # Version 2.0 took 18 epochs from random weights, with less of UTKFace.
            starts_from="multiple",
            kept_share=0.5,
            epochs=6,
            learning_rate=1.5e-3,
        ),
    }
)
"""Model -> recipe."""


def with_fer2013_labels(recipe: Recipe) -> Recipe:
    """The recipe for FER2013's own labels in place of the votes of FER+.

    They are one person's word each: certain in form, wrong in about a third.
    """
    shares = {
        "fer2013" if name == "ferplus" else name: share for name, share in recipe.data_sets.items()
    }
    return replace(
        recipe,
        data_sets=MappingProxyType(shares),
        # From random weights it reached 62.3 % in 16 epochs; from these 64.1 to 64.3 % in 4, and
        # the mean of four such runs 64.8 %.
        starts_from=recipe.model,
        runs=4,
        adjustment=MappingProxyType({"expression": 0.0}),
        smoothing=0.05,
        epochs=4,
        learning_rate=1.5e-3,
    )
