"""Cutting and measuring keep no pictures in memory: a data set may be larger than that."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.data.prepare import prepare
from faces_jobs_models.training.evaluation.predictions import Selection, predict_data_set
from faces_jobs_models.training.readers import DataSet
from faces_jobs_models.training.readers.samples import Sample, one_hot
from tests.fakes import SquareDetector
from tests.unit.models.packs import drawn_face

FACES = 300
PICTURE_BYTES = 50_000
MOST_BYTES = 7_000_000  # needed are 5, with all crops it would be 10, with all pictures 19


def faces() -> Iterator[Sample]:
    targets, truth = one_hot("gender", "female")
    for index in range(FACES):
        picture = drawn_face(index, side=40)
        yield Sample(
            image=picture + bytes(PICTURE_BYTES - len(picture)),
            held_out=True,
            group=str(index),
            targets=targets,
            truth=truth,
        )


def most_bytes(of: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        of()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_cutting_keeps_neither_pictures_nor_crops(tmp_path: Path) -> None:
    def cut() -> None:
        prepared = prepare(
            DataSet("mine", "mine", tmp_path, None, faces),
            out=tmp_path / "out",
            detector=SquareDetector(),
            crop_scale=1.1,
            crop_size=64,
            gray=False,
        )
        assert prepared.crops.shape == (FACES, 80, 80, 3)

    assert most_bytes(cut) < MOST_BYTES


def test_measuring_keeps_no_pictures(catalog: Catalog) -> None:
    (classifier,) = catalog.classifiers(["gender"])

    def measure() -> None:
        answers = predict_data_set(
            "mine",
            faces(),
            classifier=MirroredClassifier(classifier),
            detector=SquareDetector(),
            selection=Selection(),
            skipped=Counter(),
            advance=lambda _: None,
        )
        assert answers.probabilities("gender").shape == (FACES, 2)
        assert np.isfinite(answers.probabilities("gender")).all()

    assert most_bytes(measure) < MOST_BYTES
