"""Everybody is measured by what was fitted on others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork, NetworkConfig
from faces_jobs_models.training.evaluation.calibrate import calibrate
from faces_jobs_models.training.evaluation.cross_fit import CrossFitted, cross_fitted
from faces_jobs_models.training.evaluation.folds import FOLDS, NO_FOLD, fold_of
from faces_jobs_models.training.evaluation.held_out import HeldOutPredictions
from faces_jobs_models.weights import Calibration
from tests.unit.models.tiny import TINY

LABELS = ("female", "male")
ACTORS = (
    "Aarthi", "Annapoorna", "Avinash", "Bhanupriya", "Loknath", "Madhavan", "Mammukoya",
    "PrakashRaj", "SharukhKhan", "Simran", "Thilakan", "Umashri", "Vishnuvardhan",
)  # fmt: skip


def asked(people: Sequence[tuple[str, float, int]], data_set: str = "imfdb") -> HeldOutPredictions:
    """Faces (name, share that is right, how many) of which a network always says 0.9."""
    truth, group = [], []
    for name, right, faces in people:
        wrong = round((1 - right) * faces)
        truth += [1] * wrong + [0] * (faces - wrong)
        group += [name] * faces
    view = np.tile(np.array([0.9, 0.1], np.float32), (len(truth), 1))
    return HeldOutPredictions(
        data_set, {"gender": np.stack([view] * 2)}, {"gender": np.array(truth)}, np.array(group)
    )


def calibrated(*held_out: HeldOutPredictions) -> tuple[Calibration, AttributeNetwork]:
    network = AttributeNetwork({"gender": LABELS}, NetworkConfig(body=TINY))
    return calibrate(network, held_out)["gender"], network


def confidence(temperature: float) -> float:
    return float(1 / (1 + (1 / 9) ** (1 / temperature)))


def test_each_of_the_actors_has_a_fold_of_his_own() -> None:
    folds = fold_of(ACTORS)
    assert len(set(folds.tolist())) == len(ACTORS)
    np.testing.assert_array_equal(fold_of(ACTORS[::-1]), folds[::-1])


def test_the_folds_of_many_people_are_as_large() -> None:
    folds = fold_of(f"person {number}" for number in range(16_000))
    counts = np.bincount(folds, minlength=FOLDS)
    assert len(counts) == FOLDS
    assert counts.min() > 850
    assert counts.max() < 1150


def test_the_temperature_makes_the_answers_as_often_right_as_they_say() -> None:
    found, network = calibrated(asked([("A", 0.8, 50), ("B", 0.7, 50)]))
    assert confidence(found.temperature) == pytest.approx(0.75, abs=1e-3)
    assert float(network.get_buffer("temperatures")[0]) == pytest.approx(found.temperature)


def test_people_weigh_alike_whatever_their_faces_and_data_sets_whatever_their_people() -> None:
    films = asked([("A", 0.9, 900), ("B", 0.7, 50)])
    found, _ = calibrated(films)
    assert confidence(found.temperature) == pytest.approx(0.8, abs=1e-3)
    portraits = asked([(f"person {number}", 0.6, 10) for number in range(30)], "utkface")
    found, _ = calibrated(films, portraits)
    assert confidence(found.temperature) == pytest.approx(0.7, abs=1e-3)


def test_a_fold_is_fitted_on_everybody_else() -> None:
    people = [(actor, 0.6 + 0.02 * place, 50) for place, actor in enumerate(ACTORS)]
    found, _ = calibrated(asked(people))
    assert len(found.folds) == FOLDS
    for actor, fold in zip(ACTORS, fold_of(ACTORS), strict=True):
        others, _ = calibrated(asked([one for one in people if one[0] != actor]))
        assert found.folds[fold].temperature == others.temperature
        assert found.folds[fold].unsure_below == others.unsure_below
    nobody = next(fold for fold in range(FOLDS) if fold not in fold_of(ACTORS))
    assert found.folds[nobody].temperature == found.temperature


def test_a_head_that_nobody_knows_is_left_as_it_is() -> None:
    unknown = HeldOutPredictions("imfdb", {"gender": np.full((2, 1, 2), 0.5, np.float32)},
                      {"gender": np.array([-1])}, np.array(["A"]))  # fmt: skip
    assert calibrated(unknown)[0] == calibrated()[0] == Calibration()


VIEWS: NDArray[np.float64] = np.tile(np.array([0.8, 0.2]), (1, 3, 1))
TRUTH = np.array([0, 1, -1])
FOLDED = Calibration(2.0, 0.5, folds=(Calibration(1.0, 0.6), *[Calibration(4.0, 0.7)] * 15))


def measured(fold: Sequence[int], calibration: Calibration = FOLDED) -> CrossFitted:
    return cross_fitted(VIEWS, TRUTH, np.array(fold), calibration, temperature=2.0)


def test_each_face_has_the_numbers_of_its_fold() -> None:
    # The network of temperature 2 said 0.8; without it that was 16/17, with 4 it is 2/3.
    found = measured([0, 1, 1])
    np.testing.assert_array_equal(found.truth, [0, 1])
    np.testing.assert_allclose(found.probabilities[:, 0], [16 / 17, 2 / 3])
    np.testing.assert_allclose(found.uncalibrated[:, 0], [16 / 17, 16 / 17])
    np.testing.assert_allclose(found.unsure_below, [0.6, 0.7])


def test_what_nothing_was_fitted_on_has_what_ships() -> None:
    found = measured([NO_FOLD, NO_FOLD, NO_FOLD])
    np.testing.assert_allclose(found.probabilities[:, 0], 0.8)
    np.testing.assert_allclose(found.unsure_below, 0.5)


def test_without_folds_nobody_who_was_fitted_on_is_measured() -> None:
    found = measured([NO_FOLD, 1, 0], Calibration(2.0, 0.5))
    np.testing.assert_array_equal(found.truth, [0])
    np.testing.assert_allclose(found.probabilities[:, 0], 0.8)
