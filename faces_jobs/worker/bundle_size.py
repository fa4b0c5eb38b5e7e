"""Chooses how many images a worker takes at once: as many as take it about two seconds.

Two seconds are what others wait at most for their turn, and the work that is lost if the worker is
killed. A cancel is noticed between two images. So small images are taken many at a time, large
ones alone.
"""

from __future__ import annotations

BUNDLE_SECONDS = 2.0
MAX_BUNDLE_SECONDS = 2 * BUNDLE_SECONDS  # a bundle that takes longer is ended early
# Large enough for transactions not to matter; small enough for workers to share a small job.
MAX_IMAGES = 128
INITIAL_IMAGES = 8
_NEWEST_WEIGHT = 0.5  # of the newest bundle in the moving average


class BundleSize:
    """Adapts the number of images to the worker's recent speed."""

    def __init__(self) -> None:
        self._seconds_per_image: float | None = None

    @property
    def images(self) -> int:
        """How many images to take."""
        if self._seconds_per_image is None:
            return INITIAL_IMAGES
        return max(1, min(MAX_IMAGES, int(BUNDLE_SECONDS / max(self._seconds_per_image, 1e-6))))

    def record(self, images: int, seconds: float) -> None:
        """Update the average with images that took so many seconds together."""
        if not images:
            return
        newest = seconds / images
        before = newest if self._seconds_per_image is None else self._seconds_per_image
        self._seconds_per_image = _NEWEST_WEIGHT * newest + (1 - _NEWEST_WEIGHT) * before
