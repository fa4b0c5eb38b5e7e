"""The detector's recipe: what its scenes look like, how long it learns from the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from faces_jobs_models.detector.yunet import YuNetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """How training pictures are composed. Shares are probabilities."""

    mosaic_share: float = 0.35
    background_share: float = 0.06  # of scenes without any photograph
    detail_share: float = 0.12  # of photographs seen closely anywhere, not at a face
    max_detail_scale: float = 6.0
    min_face_height: float = 10.0  # height in pixels to which a photograph's face may be brought
    max_tiles: int = 6  # portraits in a row of a mosaic's quarter
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
    # Side of a step's scenes in pixels, multiples of 32 -> how often.
    sides: Mapping[int, float] = field(default_factory=lambda: {256: 0.6, 352: 0.25, 512: 0.15})
    batch_size: int = (
        8  # scenes of the smallest side; of larger ones as many as have as many pixels
    )
    steps_per_epoch: int = 300
    epochs: int = 60
    learning_rate: float = 3e-3
    warmup: float = 0.02  # share of all steps
    cooldown: float = 0.5  # share of all steps in which the rate falls to nothing, at the end
    weight_decay: float = 5e-5
    ema_decay: float = 0.998
    box_weight: float = 3.0
    landmark_weight: float = 1.0
    hint_weight: float = 4.0
    precision: float = 0.96  # on the pictures learnt from, at the threshold 0.5
    seed: int = 20260201

    @property
    def smallest_side(self) -> int:
        """Of all scenes."""
        return min(self.sides)


RECIPE = DetectorRecipe()
