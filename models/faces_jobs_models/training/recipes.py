"""The training recipe of each model: data sets, network, augmentation, loss and schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs_models.residual import BodyConfig
from faces_jobs_models.training.data.augment import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Knowledge distillation from a larger network, which is trained first on the same data.

    Student and teacher see the same augmented crops, over a long schedule (Beyer et al.: "Knowledge
    distillation: A good teacher is patient and consistent", arXiv:2106.05237).
    """

    epochs: int
    body: BodyConfig = field(
        default_factory=lambda: BodyConfig(
            stem=64, stem_stride=1, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2)
        )
    )
    dropout: float = 0.5
    learning_rate: float = 2e-3
    share: float = 0.7  # of the loss; the rest comes from the labels
    temperature: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that a training run depends on, except the data itself.

    Attributes:
        data_sets: name -> how often an epoch goes through the data set.
        logit_adjustment: head -> multiple of the log priors that is added to the logits in the
            loss (see `multi_task_loss`).
        head_weights: head -> weight of its loss.
        auxiliary: the same for heads that are trained too, but dropped after training.
        post_hoc_adjustment: head -> further multiple of the log priors that is subtracted from the
            logits after training.
        distillation: how the teacher is trained, and its share of the loss; None for no teacher.
        role: `teacher` in a teacher's recipe, for progress lines.
    """

    model: str
    version: str
    data_sets: Mapping[str, float]
    body: BodyConfig
    dropout: float
    logit_adjustment: Mapping[str, float]
    head_weights: Mapping[str, float]
    epochs: int
    auxiliary: Mapping[str, float] = field(default_factory=dict)
    post_hoc_adjustment: Mapping[str, float] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop_scale: float = 1.1  # the same for all models, so that they share one crop of each face
    crop_size: int = 64
    label_smoothing: float = 0.05
    batch_size: int = 256
    learning_rate: float = 3e-3
    warmup: float = 0.05  # as a share of all steps
    weight_decay: float = 0.03
    ema_decay: float = 0.998  # of the averaged weights, which are the ones that ship
    seed: int = 20260101
    distillation: Distillation | None = None
    role: str = ""

    @property
    def name(self) -> str:
        """Name of the run in progress lines."""
        return f"{self.model} {self.role}".strip()

    @property
    def teacher(self) -> Recipe | None:
        """The teacher's recipe, or None if the network is trained without one."""
        if self.distillation is None:
            return None
        return replace(
            self,
            role="teacher",
            body=replace(self.distillation.body, in_channels=self.body.in_channels),
            dropout=self.distillation.dropout,
            epochs=self.distillation.epochs,
            learning_rate=self.distillation.learning_rate,
            seed=self.seed + 1,
            distillation=None,
        )

    @property
    def total_epochs(self) -> int:
        """Number of epochs of the network and its teacher together."""
        return self.epochs + (self.teacher.epochs if self.teacher else 0)

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The model's heads with their labels."""
        return MODELS[self.model]

    @property
    def training_heads(self) -> dict[str, tuple[str, ...]]:
        """The model's heads followed by the auxiliary ones, with their labels."""
        return {**self.heads, **{head: HEADS[head] for head in self.auxiliary}}

    @property
    def gray(self) -> bool:
        """Whether the network takes grayscale crops."""
        return self.body.in_channels == 1

    @property
    def network(self) -> dict[str, Any]:
        """The network's options as a record stores them."""
        return {**asdict(self.body), "dropout": self.dropout}


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "gender": Recipe(
            model="gender",
            version="3.0",
            # UTKFace has many more people than IMFDB, whose frames are near duplicates.
            data_sets=MappingProxyType({"utkface": 1.0, "imfdb": 0.6}),
            body=BodyConfig(stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.2,
            # IMFDB has two men for each woman, UTKFace is balanced. With half of the adjustment
            # both labels have about the same recall on pictures from the web.
            logit_adjustment=MappingProxyType({"gender": 0.5}),
            head_weights=MappingProxyType({"gender": 1.0}),
            # Other labels of the same faces; these heads are dropped after training.
            auxiliary=MappingProxyType({"age": 0.3, "pose": 0.1, "occlusion": 0.1}),
            augmentation=Augmentation(
                degrees=10,
                brightness=15,
                contrast=0.15,
                erase_share=0.15,
            ),
            label_smoothing=0.03,
            epochs=70,
            distillation=Distillation(epochs=30),
        ),
        "expression": Recipe(
            model="expression",
            version="3.0",
            data_sets=MappingProxyType({"ferplus": 1.0, "ckplus48": 2.0}),
            body=BodyConfig(in_channels=1, stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.3,
            logit_adjustment=MappingProxyType({"expression": 0.4}),
            # Chosen on one half of the held-out faces.
            post_hoc_adjustment=MappingProxyType({"expression": 0.1}),
            head_weights=MappingProxyType({"expression": 1.0}),
            # Under large erased areas, or at 16 pixels, no expression can be recognised.
            augmentation=Augmentation(
                brightness=10,
                contrast=0.1,
                downscale_sides=(22, 28, 34, 44),
                erase_side=0.35,
            ),
            label_smoothing=0.0,  # the votes are soft targets already
            weight_decay=0.05,
            epochs=120,
            distillation=Distillation(epochs=60),
        ),
        "multiple": Recipe(
            model="multiple",
            version="3.0",
            data_sets=MappingProxyType({"imfdb": 1.0, "utkface": 1.0, "facemask": 1.5}),
            body=BodyConfig(stem=32, widths=(64, 128, 192), blocks=(1, 1, 1)),
            dropout=0.3,
            logit_adjustment=MappingProxyType(
                {"illumination": 0.5, "pose": 0.7, "occlusion": 0.9, "age": 0.3, "makeup": 1.0}
            ),
            head_weights=MappingProxyType(
                {"illumination": 0.9, "pose": 1.0, "occlusion": 1.0, "age": 1.2, "makeup": 0.5}
            ),
            auxiliary=MappingProxyType({"gender": 0.3}),
            # Chosen on one half of the held-out faces: these three heads gain more balanced
            # accuracy than they lose accuracy. Illumination and occlusion would lose more.
            post_hoc_adjustment=MappingProxyType({"pose": 0.3, "age": 0.2, "makeup": 0.2}),
            # Weak, since changes of brightness would falsify the labels of illumination, and erased
            # areas those of occlusion.
            augmentation=Augmentation(
                brightness=3,
                contrast=0.04,
                colour=0.03,
                gray_share=0.03,
                erase_share=0.1,
                erase_side=0.25,
            ),
            label_smoothing=0.08,  # against the label noise of IMFDB
            weight_decay=0.05,
            epochs=70,
            distillation=Distillation(epochs=30),
        ),
    }
)
"""Model -> recipe."""


def with_fer2013_labels(recipe: Recipe) -> Recipe:
    """The recipe with FER2013's own labels in place of the votes of FER+.

    Each is the label of one annotator, and about a third of them are wrong.
    """
    shares = {
        "fer2013" if name == "ferplus" else name: share for name, share in recipe.data_sets.items()
    }
    return replace(
        recipe,
        data_sets=MappingProxyType(shares),
        logit_adjustment=MappingProxyType({"expression": 0.0}),
        post_hoc_adjustment=MappingProxyType({}),
        label_smoothing=0.1,
        epochs=60,
        distillation=None,  # with a teacher: 68.2 % instead of 67.9 %, in four times the time
    )
