"""The detector's training recipe: composition of scenes, network, losses and schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from faces_jobs_models.detector.yunet import YuNetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """Options of the composition of training pictures. Shares are probabilities."""

    mosaic_share: float = 0.35
    background_share: float = 0.06  # of synthetic scenes without a photograph
    detail_share: float = 0.12  # of photographs that are enlarged anywhere, not at a face
    max_detail_scale: float = 6.0
    min_face_height: float = 10.0  # in pixels, to which a photograph's face may be scaled
    max_tiles: int = 6  # of portraits, along the longer side of a mosaic's part
    flip_share: float = 0.5
    gray_share: float = 0.1
    blur_share: float = 0.15
    noise_share: float = 0.15
    brightness: float = 25.0  # standard deviation, of 255
    contrast: float = 0.25  # standard deviation of the logarithm
    colour: float = 0.08  # the same, for each channel by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """Everything that a training run depends on, except the pictures and the teacher."""

    version: str = "1.0"
    # Half as wide as YuNet's variant n at stride 4, which takes half of the time of n.
    network: YuNetConfig = field(
        default_factory=lambda: YuNetConfig(widths=(16, 32, 64, 64, 64, 64), shared_unit=True)
    )
    scenes: SceneOptions = field(default_factory=SceneOptions)
    # Side of a step's scenes in pixels (a multiple of 32) -> probability.
    sides: Mapping[int, float] = field(default_factory=lambda: {256: 0.6, 352: 0.25, 512: 0.15})
    batch_size: int = 8  # of scenes of the smallest side; others have batches of as many pixels
    steps_per_epoch: int = 300
    epochs: int = 60
    learning_rate: float = 3e-3
    warmup: float = 0.02  # as a share of all steps
    cooldown: float = 0.5  # as a share of all steps: linear decay to zero at the end
    weight_decay: float = 5e-5
    ema_decay: float = 0.998
    box_weight: float = 3.0
    landmark_weight: float = 1.0
    hint_weight: float = 4.0
    precision: float = 0.96  # on the training pictures, at the threshold 0.5
    seed: int = 20260201

    @property
    def smallest_side(self) -> int:
        """The smallest side of a scene, in pixels."""
        return min(self.sides)


RECIPE = DetectorRecipe()
