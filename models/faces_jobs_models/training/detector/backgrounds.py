"""Draws pictures without a face: gradients, grain, pebbles, coins, stripes, bricks and writing."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture

_LETTERS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;()%&?!")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX_SMALL)


def draw_background(height: int, width: int, chance: np.random.Generator) -> Picture:
    """A (height, width, 3) uint8 BGR picture in which there is no face.

    What a detector takes for one when it has only seen photographs of people: round things with
    two dark spots, pebbles, coins, letters, and regular patterns.
    """
    kinds: tuple[Callable[[Picture, np.random.Generator], None], ...] = (
        _discs, _discs, _discs, _stripes, _bricks, _writing, _nothing,
    )  # fmt: skip
    scene = _ground(height, width, chance)
    kinds[int(chance.integers(len(kinds)))](scene, chance)
    if chance.random() < 0.5:
        scene = _shaded(scene, chance)
    return scene


def _ground(height: int, width: int, chance: np.random.Generator) -> Picture:
    scene = np.empty((height, width, 3), np.float32)
    scene[:] = _colour(chance)
    # Noise of several sizes, coarse to fine, like bark, cloth or grass.
    for _ in range(int(chance.integers(0, 5))):
        cell = float(np.exp(chance.uniform(0, np.log(max(2.0, min(height, width) / 2)))))
        size = max(2, round(width / cell)), max(2, round(height / cell * chance.uniform(0.4, 1)))
        channels = 3 if chance.random() < 0.3 else 1
        grain = chance.standard_normal((size[1], size[0], channels), np.float32)
        grown = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
        scene += np.reshape(grown, (height, width, channels)) * np.float32(chance.uniform(5, 50))
    return np.clip(scene, 0, 255).astype(np.uint8)


def _shaded(scene: Picture, chance: np.random.Generator) -> Picture:
    height, width = scene.shape[:2]
    across = np.linspace(chance.uniform(-90, 90), chance.uniform(-90, 90), width, dtype=np.float32)
    down = np.linspace(chance.uniform(-90, 90), chance.uniform(-90, 90), height, dtype=np.float32)
    slope: NDArray[np.float32] = across[None, :, None] + down[:, None, None]
    return np.asarray(np.clip(scene + slope, 0, 255), np.uint8)


def _colour(chance: np.random.Generator) -> tuple[float, float, float]:
    level = chance.uniform(0, 255)
    blue, green, red = np.clip(level + chance.normal(0, chance.uniform(0, 50), 3), 0, 255)
    return float(blue), float(green), float(red)


def _discs(scene: Picture, chance: np.random.Generator) -> None:
    # Pebbles, coins, plates, buttons: a rim, a lit side, and marks anywhere within.
    height, width = scene.shape[:2]
    radius = float(np.exp(chance.uniform(np.log(4), np.log(max(6.0, min(height, width) / 2.5)))))
    count = int(min(250, chance.uniform(0.3, 2.5) * height * width / (4 * radius**2)) + 1)
    common = _colour(chance)
    alike = chance.random() < 0.6
    for _ in range(count):
        centre = int(chance.integers(width)), int(chance.integers(height))
        size = radius * np.exp(chance.normal(0, 0.25))
        axes = max(2, round(size)), max(2, round(size * chance.uniform(0.6, 1)))
        turn = chance.uniform(0, 180)
        base = common if alike else _colour(chance)
        colour = tuple(float(np.clip(one + chance.normal(0, 12), 0, 255)) for one in base)
        dark = tuple(one * 0.4 for one in colour)
        cv2.ellipse(scene, centre, axes, turn, 0, 360, dark, -1, cv2.LINE_AA)
        inner = max(1, round(axes[0] * 0.9)), max(1, round(axes[1] * 0.9))
        cv2.ellipse(scene, centre, inner, turn, 0, 360, colour, -1, cv2.LINE_AA)
        for _ in range(int(chance.integers(0, 5)) if size > 6 else 0):
            mark = tuple(float(np.clip(one + chance.normal(0, 60), 0, 255)) for one in colour)
            spot = tuple(round(at + chance.normal(0, size / 3)) for at in centre)
            part = tuple(max(1, round(size * chance.uniform(0.05, 0.3))) for _ in range(2))
            cv2.ellipse(scene, spot, part, turn, 0, 360, mark, -1, cv2.LINE_AA)


def _stripes(scene: Picture, chance: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    turn, period = chance.uniform(0, np.pi), chance.uniform(4, max(height, width) / 2)
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin((columns * np.cos(turn) + rows * np.sin(turn)) * (2 * np.pi / period))
    if chance.random() < 0.5:
        waves = np.sign(waves)
    if chance.random() < 0.3:
        waves = waves * np.sign(np.sin(rows * (2 * np.pi / period)))
    scene[:] = np.clip(scene + waves[..., None] * np.asarray(_colour(chance)) / 2, 0, 255)


def _bricks(scene: Picture, chance: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    tall = max(4, round(np.exp(chance.uniform(np.log(6), np.log(max(8, height / 3))))))
    wide = max(4, round(tall * chance.uniform(0.6, 3)))
    gap, shift = max(1, tall // 10), chance.random() < 0.6
    common = _colour(chance)
    for row, top in enumerate(range(0, height, tall)):
        for left in range(-wide // 2 if shift and row % 2 else 0, width, wide):
            colour = tuple(float(np.clip(one + chance.normal(0, 20), 0, 255)) for one in common)
            last = left + wide - gap, top + tall - gap
            cv2.rectangle(scene, (max(0, left), top), last, colour, -1)


def _writing(scene: Picture, chance: np.random.Generator) -> None:
    height, width = scene.shape[:2]
    scale = float(np.exp(chance.uniform(np.log(0.25), np.log(4))))
    font, line = _FONTS[int(chance.integers(len(_FONTS)))], max(6, round(30 * scale))
    colour, thick = _colour(chance), int(chance.integers(1, 4))
    for bottom in range(line, height + line, line):
        letters = "".join(chance.choice(_LETTERS, size=max(2, round(width / (15 * scale)))))
        cv2.putText(scene, letters, (2, bottom), font, scale, colour, thick, cv2.LINE_AA)


def _nothing(scene: Picture, chance: np.random.Generator) -> None:
    """The ground alone: walls, sky, a black frame."""
    if chance.random() < 0.3:
        scene[:] = _colour(chance)
