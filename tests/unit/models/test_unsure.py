"""The shipped networks on a photograph, from never unsure to always."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest

from faces_jobs.jobs.labels import HEADS, UNSURE
from faces_jobs.jobs.records import Attributes, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Face, Frame, Opinion
from faces_jobs_models.catalog import Catalog

from .photographs import astronaut_bgr


class Kept:
    """A sink that keeps the one face of a photograph."""

    def __init__(self) -> None:
        self.opinion: Opinion = {}
        self.answers: list[Attributes] = []

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        assert frame.index == 0
        assert analysed
        (face,) = faces
        self.opinion = face.opinion
        self.answers += [face.record.attributes, face.settled]

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        (track,) = tracks
        self.answers.append(track.attributes)


def astronaut(catalog: Catalog, path: Path, unsure_below: str) -> Kept:
    cv2.imwrite(str(path), astronaut_bgr())
    spec = JobSpec(unsure_below=unsure_below)
    kept = Kept()
    with open_frames(path, max_pixels=1_000_000) as reader:
        run_item(
            reader,
            Analysis.from_networks(catalog, spec, unsure_below=""),
            [kept],
            batch_size=1,
            on_progress=lambda _done, _total: None,
        )
    return kept


def test_a_threshold_of_0_leaves_nothing_unsure_and_1_everything(
    catalog: Catalog, tmp_path: Path
) -> None:
    never, always = (astronaut(catalog, tmp_path / "a.png", said) for said in ("0", "1.0"))
    for sure, unsure in zip(never.answers, always.answers, strict=True):
        assert set(sure) == set(unsure) == set(HEADS)
        for head, answer in sure.items():
            assert answer.label in HEADS[head]
            assert unsure[head].label == UNSURE
            assert unsure[head].probability == answer.probability
    for head, labels in HEADS.items():
        likeliest = int(always.opinion[head].argmax())
        assert labels[likeliest] == never.answers[0][head].label


def test_by_itself_a_model_is_unsure_below_its_record_s_threshold(
    catalog: Catalog, tmp_path: Path
) -> None:
    kept = astronaut(catalog, tmp_path / "a.png", "")
    for name in ("gender", "expression", "multiple"):
        (classifier,) = catalog.classifiers([name])
        for head, threshold in classifier.unsure_below.items():
            for answers in kept.answers:
                answer = answers[head]
                assert (answer.label == UNSURE) == (answer.probability < threshold)
                assert answer.probability == pytest.approx(float(kept.opinion[head].max()))
