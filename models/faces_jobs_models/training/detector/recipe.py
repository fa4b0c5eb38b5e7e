"""The detector's recipe: what its scenes look like, how long it learns from the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field

from faces_jobs_models.detector.yunet import YuNetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """How training pictures are composed. Shares are probabilities."""

    side: int = 320  # pixels of a scene, a multiple of 32
    mosaic_share: float = 0.4
    smallest_face: float = 8.0  # height in pixels to which a photograph's face may be brought
    largest_face: float = 300.0
    most_tiles: int = 6  # portraits in a row of a mosaic's quarter
    flip_share: float = 0.5
    gray_share: float = 0.1
    blur_share: float = 0.15
    noise_share: float = 0.15
    brightness: float = 25.0  # standard deviation, of 255
    contrast: float = 0.25  # standard deviation of the logarithm
    colour: float = 0.08  # the same for each channel alone


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """Everything that the training depends on, beside the pictures and the teacher."""

    version: str = "1.0"
    # Half as wide as the variant n at stride 4, where n spends half of its time.
    network: YuNetConfig = field(
        default_factory=lambda: YuNetConfig(widths=(16, 32, 64, 64, 64, 64), shared_unit=True)
    )
    scenes: SceneOptions = field(default_factory=SceneOptions)
    epochs: int = 22
    scenes_an_epoch: int = 4000
    batch: int = 16
    learning_rate: float = 3e-3
    warm_up: float = 0.03  # share of all steps
    weight_decay: float = 5e-4
    average: float = 0.998
    box_weight: float = 3.0
    landmark_weight: float = 1.0
    seed: int = 20260201


RECIPE = DetectorRecipe()
