"""How many images a worker takes at once follows its speed."""

from __future__ import annotations

import pytest

from faces_jobs.worker.bundle_size import INITIAL_IMAGES, MAX_IMAGES, BundleSize


def test_before_the_first_bundle_the_speed_is_unknown() -> None:
    size = BundleSize()
    size.record(0, 5.0)  # all of its images were refused
    assert size.images == INITIAL_IMAGES


@pytest.mark.parametrize(
    ("seconds_of_ten_images", "images"),
    [((1.0,), 20), ((1.0, 3.0), 10), ((3.0, 1.0, 2.0), 10), ((500.0,), 1), ((0.0,), MAX_IMAGES)],
)
def test_a_bundle_takes_two_seconds_at_the_average_speed(
    seconds_of_ten_images: tuple[float, ...], images: int
) -> None:
    size = BundleSize()
    for seconds in seconds_of_ten_images:
        size.record(10, seconds)
    assert size.images == images
