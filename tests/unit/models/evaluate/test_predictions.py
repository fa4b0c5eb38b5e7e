"""What is kept of each measured face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.evaluation.folds import NO_FOLD, fold_of
from faces_jobs_models.training.evaluation.predictions import (
    Predictions,
    Selection,
    predict_data_set,
)
from faces_jobs_models.training.readers.samples import Sample, one_hot
from tests.fakes import SquareDetector
from tests.unit.models.packs import drawn_face

PEOPLE = tuple("ABCDEFGH")


def faces() -> list[Sample]:
    """Three of each of eight people, of whom A is trained on."""
    targets, truth = one_hot("gender", "female")
    return [
        Sample(
            image=drawn_face(index, side=40),
            held_out=person != "A",
            group=person,
            targets=targets,
            truth=truth,
        )
        for index, person in enumerate(PEOPLE * 3)
    ]


def answered(
    catalog: Catalog, samples: Sequence[Sample], *, trained_on: bool = True
) -> Predictions:
    (classifier,) = catalog.classifiers(["gender"])
    return predict_data_set(
        "mine",
        samples,
        classifier=MirroredClassifier(classifier),
        detector=SquareDetector(),
        selection=Selection(trained_on=trained_on),
        skipped=Counter(),
        advance=lambda _: None,
    )


def test_a_face_has_the_fold_of_its_person_whatever_the_order(catalog: Catalog) -> None:
    there, back = (answered(catalog, samples) for samples in (faces(), faces()[::-1]))
    np.testing.assert_array_equal(there.fold, back.fold[::-1])
    assert there.group.tolist() == list(PEOPLE * 3)
    assert there.of_training == 3
    folds = dict(zip(PEOPLE, fold_of(PEOPLE).tolist(), strict=True)) | {"A": NO_FOLD}
    assert there.fold.tolist() == [folds[person] for person in PEOPLE * 3]


@pytest.mark.parametrize("count", [1, 8])
def test_nothing_was_fitted_on_another_data_set(catalog: Catalog, count: int) -> None:
    assert (answered(catalog, faces()[:count], trained_on=False).fold == NO_FOLD).all()


def test_the_answer_is_the_mean_of_crop_and_mirror_image(catalog: Catalog) -> None:
    found = answered(catalog, faces())
    assert found.views["gender"].shape == (2, 24, 2)
    straight, image = found.views["gender"]
    assert not np.array_equal(straight, image)
    np.testing.assert_allclose(found.probabilities("gender"), (straight + image) / 2)
