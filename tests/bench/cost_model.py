"""Fits a linear model of the cost of a frame by its pixels and faces, and checks its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.catalog import Catalog
from tests.bench.clips import portraits
from tests.bench.ours import run_clip
from tests.bench.rounds import fastest_seconds

SECONDS = 2.0
FITTED = (
    (0, 640, 360),
    (3, 640, 360),
    (0, 1280, 720),
    (1, 1280, 720),
    (5, 1280, 720),
    (0, 1920, 1080),
    (6, 1920, 1080),
)
"""(faces, width, height) of the clips that the model is fitted to."""
CHECKED = ((2, 1280, 720), (4, 1920, 1080), (1, 640, 360))
"""(faces, width, height) of the clips that its predictions are checked on."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A measured clip: its contents and the time that one of its frames took."""

    faces: float  # per frame
    megapixels: float
    ms: float  # per frame
    fitted: bool  # False: used only to check predictions


@dataclass(frozen=True, slots=True)
class Prices:
    """The coefficients: milliseconds for each frame, for each megapixel, and for each face."""

    frame: float
    megapixel: float
    face: float

    def ms(self, observation: Observation) -> float:
        """The predicted milliseconds for a frame of this clip."""
        return self.frame + self.megapixel * observation.megapixels + self.face * observation.faces


def observe(
    catalog: Catalog, folder: Path, *, annotated: bool, lanes: int, rounds: int
) -> list[Observation]:
    """Measure all clips; the fastest of the rounds counts."""
    observations = []
    for shape in (*FITTED, *CHECKED):
        faces, width, height = shape
        clip = portraits(folder, faces=faces, width=width, height=height, seconds=SECONDS)
        report = run_clip(catalog, clip, folder, annotated=annotated, lanes=lanes)
        timed = fastest_seconds(
            {
                "run": lambda clip=clip: run_clip(  # type: ignore[misc]  # the default binds this iteration's clip
                    catalog, clip, folder, annotated=annotated, lanes=lanes
                )
            },
            rounds=rounds,
        )
        observations.append(
            Observation(
                faces=report.faces / report.frames_read,
                megapixels=width * height / 1e6,
                ms=timed["run"] / report.frames_read * 1000,
                fitted=shape in FITTED,
            )
        )
    return observations


def fit(observations: Sequence[Observation]) -> Prices:
    """Fit the model to the clips marked `fitted`, by least squares of the relative errors."""
    fitted = [one for one in observations if one.fitted]
    rows: NDArray[np.float64] = np.array([[1.0, one.megapixels, one.faces] for one in fitted])
    costs = np.array([one.ms for one in fitted])
    prices, *_ = np.linalg.lstsq(rows / costs[:, None], np.ones(len(fitted)), rcond=None)
    return Prices(*(round(float(price), 3) for price in prices))


def worst_error(prices: Prices, observations: Sequence[Observation]) -> float:
    """The largest relative error on the clips that the model was not fitted to."""
    return max(abs(prices.ms(one) / one.ms - 1) for one in observations if not one.fitted)
