"""Temperature, calibration error and the threshold of `unsure`, against values found by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from faces_jobs_models.training.evaluation.reliability import (
    expected_calibration_error,
    reliability_bins,
)
from faces_jobs_models.training.evaluation.risk_coverage import (
    at_threshold,
    choose_unsure_below,
    risk_coverage,
)
from faces_jobs_models.training.evaluation.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    with_temperature,
)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def fitted(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """On one view."""
    return fit_temperature(softmax(logits)[None], truth)


def two_labels(confidence: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose answer is always the first label, and the truth."""
    first = np.array(confidence)
    return np.stack([first, 1 - first], axis=1), np.where(right, 0, 1)


def loss(logits: NDArray[np.float64], truth: NDArray[np.int64], temperature: float) -> float:
    return float(-np.log(softmax(logits / temperature)[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(scale=3, size=(20_000, 4))
    probabilities = softmax(logits / temperature)
    truth = (probabilities.cumsum(axis=1) < random.random((len(logits), 1))).sum(axis=1)
    assert fitted(logits, truth) == pytest.approx(temperature, rel=0.05)
    honest = expected_calibration_error(probabilities, truth)
    assert honest < 0.02
    if temperature != 1:
        assert expected_calibration_error(softmax(logits), truth) > 3 * honest


def test_two_labels_have_a_temperature_that_can_be_worked_out() -> None:
    # Every answer has the logits (2, 0) and three of four are right: sigmoid(2 / T) = 3/4.
    logits = np.tile([2.0, 0.0], (4, 1))
    truth = np.array([0, 0, 0, 1])
    assert fitted(logits, truth) == pytest.approx(2 / np.log(3), rel=1e-3)


@given(seed=st.integers(0, 10_000), labels=st.integers(2, 6))
def test_no_other_temperature_fits_better(seed: int, labels: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(50, labels))
    truth = random.integers(0, labels, 50)
    found = fitted(logits, truth)
    assert MIN_TEMPERATURE <= found <= MAX_TEMPERATURE
    for other in (MIN_TEMPERATURE, 0.5, 1.0, found * 1.1, found / 1.1, MAX_TEMPERATURE):
        if MIN_TEMPERATURE <= other <= MAX_TEMPERATURE:
            assert loss(logits, truth, found) <= loss(logits, truth, other) + 1e-6


def test_two_views_are_fitted_by_their_mean() -> None:
    # The crop says 3 to 0 and its mirror image 1 to 0: at temperature 1 the mean is 0.84, at which
    # as many of such faces are right.
    views = softmax(np.array([[3.0, 0.0], [1.0, 0.0]]))[:, None].repeat(2, axis=1)
    answers = views.mean(axis=0)[0]
    truth = np.array([0, 1])
    assert fit_temperature(views, truth, weight=answers) == pytest.approx(1, rel=1e-3)
    assert fit_temperature(views, truth, weight=np.array([0.6, 0.4])) > 2
    each = with_temperature(views, np.array([1.0, 2.0]))
    np.testing.assert_allclose(each[0], answers)
    np.testing.assert_allclose(each[1], with_temperature(views, 2.0)[1])


def test_faces_of_unknown_truth_do_not_count() -> None:
    logits = np.array([[2.0, 0.0]] * 4 + [[0.0, 9.0]])
    truth = np.array([0, 0, 0, 1, -1])
    assert fitted(logits, truth) == pytest.approx(2 / np.log(3), rel=1e-3)
    assert fitted(logits, np.full(5, -1)) == 1.0
    assert expected_calibration_error(softmax(logits), np.full(5, -1)) == 0
    assert choose_unsure_below(softmax(logits), np.full(5, -1)) == 0


@given(seed=st.integers(0, 10_000), temperature=st.floats(0.2, 5))
def test_a_temperature_can_be_put_on_afterwards_and_taken_off(
    seed: int, temperature: float
) -> None:
    logits = np.random.default_rng(seed).normal(scale=2, size=(20, 5))
    scaled = with_temperature(softmax(logits)[None], temperature)
    np.testing.assert_allclose(scaled, softmax(logits / temperature), atol=1e-9)
    np.testing.assert_allclose(
        with_temperature(scaled[None], 1 / temperature), softmax(logits), atol=1e-6
    )


def test_the_calibration_error_of_six_faces_by_hand() -> None:
    # One bin holds 0.91 and 0.93 (one right), another 0.75 twice (both right), a third 0.55 twice.
    probabilities, truth = two_labels(
        [0.91, 0.93, 0.75, 0.75, 0.55, 0.55], [True, False, True, True, False, False]
    )
    expected = (2 * abs(0.5 - 0.92) + 2 * abs(1 - 0.75) + 2 * abs(0 - 0.55)) / 6
    assert expected_calibration_error(probabilities, truth, bins=10) == pytest.approx(expected)


def test_bins_take_their_upper_end() -> None:
    bins = reliability_bins(np.array([0.5, 0.500001, 1.0]), np.array([True, False, True]), bins=2)
    np.testing.assert_allclose(bins[0], [0.5, 1.0, 1 / 3])
    np.testing.assert_allclose(bins[1], [0.75, 0.5, 2 / 3], atol=1e-4)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_the_calibration_error_is_a_share(faces: list[tuple[float, bool]], bins: int) -> None:
    confidence, right = map(np.array, zip(*faces, strict=True))
    assert sum(share for _, _, share in reliability_bins(confidence, right, bins)) == pytest.approx(
        1
    )
    probabilities, truth = two_labels(list(confidence), list(right))
    assert 0 <= expected_calibration_error(probabilities, truth, bins) <= 1


def test_the_curve_of_five_faces_by_hand() -> None:
    curve = risk_coverage(
        np.array([0.6, 0.9, 0.8, 0.8, 0.5]), np.array([False, True, True, False, True])
    )
    np.testing.assert_allclose(curve.threshold, [0.9, 0.8, 0.6, 0.5])
    np.testing.assert_allclose(curve.coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(curve.risk, [0, 1 / 3, 1 / 2, 2 / 5])


def test_the_threshold_of_ten_faces_by_hand() -> None:
    # Right eight times of ten. Half of the errors gone is 90 %: the lowest answer has to go.
    confidence = [0.99, 0.98, 0.97, 0.96, 0.95, 0.9, 0.85, 0.8, 0.6, 0.4]
    right = [True, True, True, True, True, False, True, True, True, False]
    probabilities = np.zeros((10, 3))
    probabilities[:, 0] = confidence
    truth = np.where(right, 0, 1)
    # nine answered: 8/9 right; eight: 7/8. 90 % is reached by none of them, so the best there is.
    assert choose_unsure_below(probabilities, truth) == 0.6


def test_no_more_faces_are_unsure_than_it_takes_to_halve_the_errors() -> None:
    # Right 16 times of 20, and 16 of the first 17: fewer would have still fewer errors.
    confidence = [0.99 - 0.02 * face for face in range(20)]
    probabilities, truth = two_labels(confidence, [True] * 16 + [False] * 4)
    assert choose_unsure_below(probabilities, truth) == pytest.approx(confidence[16])


def test_a_head_without_errors_is_never_unsure() -> None:
    probabilities, truth = two_labels([0.6, 0.7, 0.9], [True] * 3)
    assert choose_unsure_below(probabilities, truth) == 0


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=80))
def test_the_threshold_keeps_its_promises(faces: list[tuple[float, bool]]) -> None:
    confidence, right = map(np.array, zip(*faces, strict=True))
    probabilities, truth = two_labels(list(confidence), list(right))
    right = probabilities.argmax(axis=1) == truth
    threshold = choose_unsure_below(probabilities, truth)
    coverage, accuracy = at_threshold(probabilities.max(axis=1), right, threshold)
    assert coverage >= 0.8
    assert accuracy is not None
    assert accuracy >= right.mean()
    assert at_threshold(probabilities.max(axis=1), right, 1.1) == (0.0, None)
