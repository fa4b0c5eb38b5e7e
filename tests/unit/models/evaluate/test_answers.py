"""What is kept of each measured face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.answers import Answers, Wanted, answer_data_set
from faces_jobs_models.training.calibration import calibration_half
from faces_jobs_models.training.samples import Sample, certain
from tests.fakes import SquareDetector
from tests.unit.models.packs import drawn_face

PEOPLE = tuple("ABCDEFGH")


def faces() -> list[Sample]:
    """Three of each of eight people, of whom A is trained on."""
    targets, truth = certain("gender", "female")
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


def answered(catalog: Catalog, samples: Sequence[Sample], *, trained_on: bool = True) -> Answers:
    (classifier,) = catalog.classifiers(["gender"])
    return answer_data_set(
        "mine",
        samples,
        classifier=classifier,
        detector=SquareDetector(),
        wanted=Wanted(trained_on=trained_on),
        skipped=Counter(),
        advance=lambda _: None,
    )


def test_whether_a_face_was_fitted_on_does_not_depend_on_the_order(catalog: Catalog) -> None:
    there, back = (answered(catalog, samples) for samples in (faces(), faces()[::-1]))
    np.testing.assert_array_equal(there.fitted, back.fitted[::-1])
    assert there.group.tolist() == list(PEOPLE * 3)
    assert there.of_training == 3
    half = dict(zip(PEOPLE, calibration_half(PEOPLE).tolist(), strict=True)) | {"A": False}
    assert there.fitted.tolist() == [half[person] for person in PEOPLE * 3]
    assert {True, False} == set(there.fitted.tolist())


@pytest.mark.parametrize("count", [1, 8])
def test_nothing_was_fitted_on_another_data_set(catalog: Catalog, count: int) -> None:
    assert not answered(catalog, faces()[:count], trained_on=False).fitted.any()
