"""Synthetic pictures without a face: gradients, noise, discs, stripes, bricks and text."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture

_LETTERS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;()%&?!")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX_SMALL)


def draw_background(height: int, width: int, rng: np.random.Generator) -> Picture:
    """Draw a (height, width, 3) uint8 BGR picture without a face.

    It shows what a detector mistakes for faces if it is trained on photographs of people only:
    round things with two dark spots, pebbles, coins, letters, and regular patterns.
    """
    patterns: tuple[Callable[[Picture, np.random.Generator], None], ...] = (
        _draw_discs, _draw_discs, _draw_discs, _draw_stripes, _draw_bricks, _draw_text,
        _draw_nothing,
    )  # fmt: skip
    scene = _noise(height, width, rng)
    patterns[int(rng.integers(len(patterns)))](scene, rng)
    if rng.random() < 0.5:
        scene = _add_gradient(scene, rng)
    return scene


def _noise(height: int, width: int, rng: np.random.Generator) -> Picture:
    scene = np.empty((height, width, 3), np.float32)
    scene[:] = _colour(rng)
    # Noise of several scales, like bark, cloth or grass.
    for _ in range(int(rng.integers(0, 5))):
        cell = float(np.exp(rng.uniform(0, np.log(max(2.0, min(height, width) / 2)))))
        size = max(2, round(width / cell)), max(2, round(height / cell * rng.uniform(0.4, 1)))
        channels = 3 if rng.random() < 0.3 else 1
        grain = rng.standard_normal((size[1], size[0], channels), np.float32)
        grown = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
        scene += np.reshape(grown, (height, width, channels)) * np.float32(rng.uniform(5, 50))
    return np.clip(scene, 0, 255).astype(np.uint8)


def _add_gradient(scene: Picture, rng: np.random.Generator) -> Picture:
    height, width = scene.shape[:2]
    across = np.linspace(rng.uniform(-90, 90), rng.uniform(-90, 90), width, dtype=np.float32)
    down = np.linspace(rng.uniform(-90, 90), rng.uniform(-90, 90), height, dtype=np.float32)
    slope: NDArray[np.float32] = across[None, :, None] + down[:, None, None]
    return np.asarray(np.clip(scene + slope, 0, 255), np.uint8)


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    level = rng.uniform(0, 255)
    blue, green, red = np.clip(level + rng.normal(0, rng.uniform(0, 50), 3), 0, 255)
    return float(blue), float(green), float(red)


def _draw_discs(scene: Picture, rng: np.random.Generator) -> None:
    # Like pebbles, coins, plates or buttons: a rim, a face, and marks anywhere within.
    height, width = scene.shape[:2]
    radius = float(np.exp(rng.uniform(np.log(4), np.log(max(6.0, min(height, width) / 2.5)))))
    count = int(min(250, rng.uniform(0.3, 2.5) * height * width / (4 * radius**2)) + 1)
    common = _colour(rng)
    alike = rng.random() < 0.6
    for _ in range(count):
        centre = int(rng.integers(width)), int(rng.integers(height))
        size = radius * np.exp(rng.normal(0, 0.25))
        axes = max(2, round(size)), max(2, round(size * rng.uniform(0.6, 1)))
        turn = rng.uniform(0, 180)
        base = common if alike else _colour(rng)
        colour = tuple(float(np.clip(one + rng.normal(0, 12), 0, 255)) for one in base)
        dark = tuple(one * 0.4 for one in colour)
        cv2.ellipse(scene, centre, axes, turn, 0, 360, dark, -1, cv2.LINE_AA)
        inner = max(1, round(axes[0] * 0.9)), max(1, round(axes[1] * 0.9))
        cv2.ellipse(scene, centre, inner, turn, 0, 360, colour, -1, cv2.LINE_AA)
        for _ in range(int(rng.integers(0, 5)) if size > 6 else 0):
            mark = tuple(float(np.clip(one + rng.normal(0, 60), 0, 255)) for one in colour)
            spot = tuple(round(at + rng.normal(0, size / 3)) for at in centre)
            part = tuple(max(1, round(size * rng.uniform(0.05, 0.3))) for _ in range(2))
            cv2.ellipse(scene, spot, part, turn, 0, 360, mark, -1, cv2.LINE_AA)


def _draw_stripes(scene: Picture, rng: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    turn, period = rng.uniform(0, np.pi), rng.uniform(4, max(height, width) / 2)
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin((columns * np.cos(turn) + rows * np.sin(turn)) * (2 * np.pi / period))
    if rng.random() < 0.5:
        waves = np.sign(waves)
    if rng.random() < 0.3:
        waves = waves * np.sign(np.sin(rows * (2 * np.pi / period)))
    scene[:] = np.clip(scene + waves[..., None] * np.asarray(_colour(rng)) / 2, 0, 255)


def _draw_bricks(scene: Picture, rng: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    tall = max(4, round(np.exp(rng.uniform(np.log(6), np.log(max(8, height / 3))))))
    wide = max(4, round(tall * rng.uniform(0.6, 3)))
    gap, shift = max(1, tall // 10), rng.random() < 0.6
    common = _colour(rng)
    for row, top in enumerate(range(0, height, tall)):
        for left in range(-wide // 2 if shift and row % 2 else 0, width, wide):
            colour = tuple(float(np.clip(one + rng.normal(0, 20), 0, 255)) for one in common)
            last = left + wide - gap, top + tall - gap
            cv2.rectangle(scene, (max(0, left), top), last, colour, -1)


def _draw_text(scene: Picture, rng: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.25), np.log(4))))
    font, line = _FONTS[int(rng.integers(len(_FONTS)))], max(6, round(30 * scale))
    colour, thick = _colour(rng), int(rng.integers(1, 4))
    for bottom in range(line, height + line, line):
        letters = "".join(rng.choice(_LETTERS, size=max(2, round(width / (15 * scale)))))
        cv2.putText(scene, letters, (2, bottom), font, scale, colour, thick, cv2.LINE_AA)


def _draw_nothing(scene: Picture, rng: np.random.Generator) -> None:
    """Leave the background as it is, or make it uniform: walls, sky, a black frame."""
    if rng.random() < 0.3:
        scene[:] = _colour(rng)
