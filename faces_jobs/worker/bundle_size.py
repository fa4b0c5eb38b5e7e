"""How many images a worker takes at once: as many as it does in about two seconds.

That is what others wait for their turn at the most, and what is lost where the worker is killed.
A cancel is seen between two images. So small images go many at a time, large ones alone.
"""

from __future__ import annotations

BUNDLE_SECONDS = 2.0
# Enough that transactions don't count; few enough that several workers share a small folder.
MOST_IMAGES = 128
FIRST_IMAGES = 8
# A bundle in hand ends early where it takes this many times as long as it should.
PATIENCE = 2.0
_WEIGHT = 0.5  # of the newest bundle, against all before it


class BundleSize:
    """How fast this worker was with images, lately."""

    def __init__(self) -> None:
        self._seconds: float | None = None  # an image

    @property
    def images(self) -> int:
        """How many to take."""
        if self._seconds is None:
            return FIRST_IMAGES
        return max(1, min(MOST_IMAGES, int(BUNDLE_SECONDS / max(self._seconds, 1e-6))))

    def learn(self, images: int, seconds: float) -> None:
        """Take account of images that were done."""
        if not images:
            return
        now = seconds / images
        before = now if self._seconds is None else self._seconds
        self._seconds = _WEIGHT * now + (1 - _WEIGHT) * before
