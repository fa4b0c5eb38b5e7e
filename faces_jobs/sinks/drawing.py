"""Draws faces onto a picture: box, track number and labels, readable from 360p to 4K."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import UNSURE
from faces_jobs.jobs.records import Attribute, Attributes
from faces_jobs.pipeline.values import Face, Picture

FONT = cv2.FONT_HERSHEY_SIMPLEX
# The golden angle: consecutive track numbers get hues far apart, however many there are.
HUE_STEP = (math.sqrt(5) - 1) / 2
PANEL_OPACITY = 0.62
MIN_TEXT_HEIGHT = 10
# With more faces than this in a frame, small ones get no more lines than fit beside their box.
CROWDED_ABOVE = 4

# The usual labels of these heads are of little interest and not drawn.
USUAL_LABELS = {
    "occlusion": "none",
    "illumination": "medium",
    "pose": "frontal",
    "makeup": "partial",
}
TEXT_BGR = (255, 255, 255)
# Grey, so that unsure attributes stand out less.
UNSURE_BGR = (170, 170, 170)
UNSURE_MARK = "?"


Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class DrawingSizes:
    """Sizes of lines and text, in pixels unless noted, that suit a picture's size."""

    line: int
    font_scale: float  # without a unit
    text_thickness: int
    text_height: int
    text_step: int  # from one baseline to the next
    padding: int

    @classmethod
    def of(cls, width: int, height: int) -> DrawingSizes:
        """Scale to the picture: text is 1/36 of its shorter side high, at least 10 pixels."""
        return cls._of_text(max(MIN_TEXT_HEIGHT, round(min(width, height) / 36)))

    def beside(self, box_height: int) -> DrawingSizes:
        """Scale down to a small face: text is at most a quarter of its box high."""
        text_height = max(MIN_TEXT_HEIGHT, round(box_height / 4))
        return self if text_height >= self.text_height else self._of_text(text_height)

    @classmethod
    def _of_text(cls, text_height: int) -> DrawingSizes:
        return cls(
            line=max(1, round(text_height / 7)),
            font_scale=cv2.getFontScaleFromHeight(FONT, text_height),
            text_thickness=max(1, round(text_height / 11)),
            text_height=text_height,
            text_step=round(text_height * 1.55),
            padding=max(3, round(text_height * 0.4)),
        )


def draw_faces(
    picture_bgr: Picture,
    faces: Sequence[Face],
    *,
    onto: Picture | None = None,
    is_still: bool = False,
) -> Picture:
    """Return a copy of the picture with every face's box and labels drawn.

    Args:
        picture_bgr: (height, width, 3) uint8; not modified.
        faces: of this frame, or the last ones known if the frame was not analysed.
        onto: an array of the same size that is overwritten and returned; None: a new one.
        is_still: small faces get small text, or a group's would be hidden by its labels. In a video
            text would change its size with every movement.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    if onto is None or onto.shape != picture_bgr.shape:
        drawn = picture_bgr.copy()
    else:
        drawn = onto
        np.copyto(drawn, picture_bgr)
    height, width = drawn.shape[:2]
    sizes = [DrawingSizes.of(width, height)] * len(faces)
    if is_still:
        sizes = [
            size.beside(bottom - top)
            for size, (_, top, _, bottom) in zip(sizes, map(_edges, faces), strict=True)
        ]
    # Rectangles that a panel should not cover: all boxes, then the panels drawn before it.
    occupied = np.zeros((2 * len(faces), 4), np.int64)
    for count, face in enumerate(faces):
        _draw_box(drawn, face, sizes[count])
        occupied[count] = _edges(face)
    crowded = len(faces) > CROWDED_ABOVE
    # Panels are drawn after all boxes, so that no box crosses out text.
    for count, (face, size) in enumerate(zip(faces, sizes, strict=True), len(faces)):
        lines = label_lines(face.record.track, face.settled)
        if crowded:
            lines = lines[: _lines_beside(face, size)]
        occupied[count] = _draw_panel(drawn, face, lines, size, occupied[:count])
    return drawn


@lru_cache(maxsize=1024)
def track_colour(track: int) -> tuple[int, int, int]:
    """Return a track's colour, BGR: bright, and unlike those of neighbouring track numbers."""
    red, green, blue = colorsys.hsv_to_rgb((track * HUE_STEP) % 1.0, 0.65, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def label_lines(track: int, attributes: Attributes) -> list[str]:
    """Return the text beside a face: track, gender and age, then the rest; `age ?` if unsure."""
    shown = {
        head: _attribute_text(head, attribute)
        for head, attribute in attributes.items()
        if attribute.label not in _hidden_labels(head)
    }
    person = [shown[head] for head in ("gender", "age") if head in shown]
    rest = [
        text if head == "expression" else f"{head} {text}"
        for head, text in shown.items()
        if head not in {"gender", "age"}
    ]
    return [" ".join([f"#{track}", *person[:1]]), *person[1:], *rest]


def _attribute_text(head: str, attribute: Attribute) -> str:
    if attribute.label == UNSURE:
        return f"{head} {UNSURE_MARK}"
    return f"{attribute.label} {attribute.probability:.0%}"


def _hidden_labels(head: str) -> set[str]:
    return {USUAL_LABELS[head], UNSURE} if head in USUAL_LABELS else set()


def _edges(face: Face) -> Rectangle:
    left, top, right, bottom = (round(edge) for edge in face.record.box_xyxy)
    return left, top, right, bottom


def _draw_box(drawn: Picture, face: Face, sizes: DrawingSizes) -> None:
    left, top, right, bottom = _edges(face)
    corners = (left, top), (right - 1, bottom - 1)
    # A dark outline keeps the line visible on a background of the same colour.
    cv2.rectangle(drawn, *corners, (0, 0, 0), sizes.line + 2, cv2.LINE_AA)
    cv2.rectangle(drawn, *corners, track_colour(face.record.track), sizes.line, cv2.LINE_AA)


def _lines_beside(face: Face, sizes: DrawingSizes) -> int:
    _, top, _, bottom = _edges(face)
    return max(1, (bottom - top) // sizes.text_step)


def _draw_panel(
    drawn: Picture,
    face: Face,
    lines: Sequence[str],
    sizes: DrawingSizes,
    occupied: NDArray[np.int64],
) -> Rectangle:
    step = sizes.text_step
    width = max(_text_width(line, sizes) for line in lines) + 2 * sizes.padding
    height = step * len(lines) + sizes.padding
    left, top = _panel_position(drawn, face, (width, height), occupied)
    panel = drawn[top : top + height, left : left + width]
    panel[:] = (panel * (1 - PANEL_OPACITY)).astype(np.uint8)
    colour = track_colour(face.record.track)
    end = left + sizes.line - 1, top + height - 1
    cv2.rectangle(drawn, (left, top), end, colour, cv2.FILLED)
    for number, line in enumerate(lines):
        other_bgr = UNSURE_BGR if line.endswith(UNSURE_MARK) else TEXT_BGR
        baseline = top + step * (number + 1) - round(sizes.text_height * 0.25)
        cv2.putText(
            drawn,
            line,
            (left + sizes.padding, baseline),
            FONT,
            sizes.font_scale,
            colour if number == 0 else other_bgr,
            sizes.text_thickness,
            cv2.LINE_AA,
        )
    return left, top, left + width, top + height


def _panel_position(
    drawn: Picture, face: Face, size_wh: tuple[int, int], occupied: NDArray[np.int64]
) -> tuple[int, int]:
    """Beside, below or above the box, within the picture: where the panel covers least."""
    frame_height, frame_width = drawn.shape[:2]
    width, height = size_wh
    box_left, box_top, box_right, box_bottom = _edges(face)

    def inside(left: int, top: int) -> tuple[int, int]:
        return max(0, min(left, frame_width - width)), max(0, min(top, frame_height - height))

    positions = [
        inside(box_right, box_top),
        inside(box_left - width, box_top),
        inside(box_left, box_bottom),
        inside(box_left, box_top - height),
    ]
    # Vectorized: with 500 faces, each panel is compared with up to a thousand rectangles.
    corners = np.array(positions)[:, None]
    overlap = np.minimum(corners + size_wh, occupied[:, 2:]) - np.maximum(corners, occupied[:, :2])
    covered = overlap.clip(0).prod(axis=2).sum(axis=1)
    return positions[int(covered.argmin())]


def _text_width(line: str, sizes: DrawingSizes) -> int:
    (width, _), _ = cv2.getTextSize(line, FONT, sizes.font_scale, sizes.text_thickness)
    return int(width)
