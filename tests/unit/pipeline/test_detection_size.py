"""Which detector an item gets: large photographs are searched for smaller faces than videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import Classifier, Cropper
from faces_jobs.pipeline.run import run_item
from tests import clips
from tests.fakes import SquareDetector, analysis


class ListeningNetworks:
    """Networks that note for which sizes a detector is asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def detector(self, detection_size: int = 0) -> SquareDetector:
        self.sizes.append(detection_size)
        return SquareDetector()

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        return [] if names else ()

    def cropper(self) -> Cropper:
        return crop_pictures


@pytest.mark.parametrize(
    ("spec", "of_videos", "of_stills"),
    [(JobSpec(), 640, 1280), (JobSpec(detection_size=1920), 1920, 1920)],
)
def test_the_default_size_depends_on_the_kind_of_file(
    spec: JobSpec, of_videos: int, of_stills: int
) -> None:
    networks = ListeningNetworks()
    Analysis.from_networks(networks, spec, unsure_below="")
    assert networks.sizes == [of_videos, of_stills]


def test_a_still_image_gets_the_detector_of_stills(tmp_path: Path) -> None:
    picture = next(iter(clips.moving_squares(1)))
    photograph = tmp_path / "photograph.png"
    assert cv2.imwrite(str(photograph), np.ascontiguousarray(picture))
    clip = clips.write_video(tmp_path / "clip.mp4", clips.moving_squares(5))
    of_videos, of_stills = SquareDetector(), SquareDetector()
    given = analysis(JobSpec(), detector=of_videos, still_detector=of_stills)
    for path in (photograph, clip):
        with open_frames(path, max_pixels=1_000_000) as reader:
            run_item(
                reader, given, [], batch_size=8, lanes=1, on_progress=lambda _done, _total: None
            )
    assert (of_stills.pictures_seen, of_videos.pictures_seen) == (1, 5)
