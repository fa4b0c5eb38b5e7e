"""The figures of an entry, against values worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.training.evaluation.entries import (
    Entry,
    EvaluatedModel,
    Weights,
    confusion_matrix,
    entries_of,
)
from faces_jobs_models.training.evaluation.folds import NO_FOLD
from faces_jobs_models.training.evaluation.predictions import FACE_SIZES, Predictions
from faces_jobs_models.training.evaluation.slices import size_band
from faces_jobs_models.weights import Calibration

GENDER = MODELS["gender"]


def asked(
    heads: Mapping[str, Sequence[str]] = GENDER, calibration: Calibration | None = None
) -> EvaluatedModel:
    return EvaluatedModel(
        name="gender",
        version="2.0",
        weights=Weights(sha256="0123456789ab", variant="default"),
        heads=heads,
        calibration=dict.fromkeys(heads, calibration or Calibration()),
    )


def answers(
    truth: Sequence[int],
    probabilities: Sequence[Sequence[float]] | NDArray[np.float64],
    *,
    head: str = "gender",
    fold: Sequence[int] | None = None,
    found: Sequence[bool] | None = None,
    group: Sequence[str] | None = None,
    groups: Sequence[Mapping[str, str]] | None = None,
    size_px: Sequence[int] | None = None,
    small: Sequence[int] | None = None,
) -> Predictions:
    n = len(truth)
    given_probabilities = np.array(probabilities, np.float32)
    best = given_probabilities.argmax(axis=1)
    return Predictions(
        data_set="faces",
        views={head: given_probabilities[None]},
        at_size={
            size: {head: np.array(small) if small and size < 32 else best} for size in FACE_SIZES
        },
        truth={head: np.array(truth)},
        fold=np.array(fold or [NO_FOLD] * n),
        found=np.array(found or [True] * n),
        group=np.array(group or [str(face) for face in range(n)]),
        groups=groups or [{}] * n,
        size_px=np.array(size_px or [0] * n),
        of_training=1,
        skipped={"unreadable picture": 3},
    )


# Five women, of whom four are answered right, one man who is, one face of unknown truth.
TRUTH = [0, 0, 0, 0, 0, 1, -1]
PROBABILITIES: list[list[float]] = [
    [0.9, 0.1],
    [0.9, 0.1],
    [0.8, 0.2],
    [0.6, 0.4],
    [0.4, 0.6],
    [0.3, 0.7],
    [0.0, 1.0],
]


def only(entries: list[Entry]) -> Entry:
    assert len(entries) == 1
    return entries[0]


def test_shares_and_counts_by_hand() -> None:
    entry = only(entries_of(asked(), answers(TRUTH, PROBABILITIES)))
    assert entry["n"] == 6
    assert entry["accuracy"] == pytest.approx(5 / 6, abs=1e-4)
    assert entry["balanced_accuracy"] == pytest.approx(0.9)
    assert entry["baseline"] == pytest.approx(5 / 6, abs=1e-4)
    assert entry["per_class"] == {"female": 0.8, "male": 1.0}
    assert entry["per_class_n"] == {"female": 5, "male": 1}
    assert entry["confusion"] == {
        "female": {"female": 4, "male": 1},
        "male": {"female": 0, "male": 1},
    }
    assert entry["per_class_interval"]["female"] == [0.3755, 0.9638]
    low, high = entry["accuracy_interval"]
    assert low < 5 / 6 < high
    assert entry["of_training"] == 1
    assert entry["skipped"] == {"unreadable picture": 3}
    json.dumps(entry)


def test_faces_that_were_not_found_are_counted_and_told_apart() -> None:
    # The last one has no known truth; the fifth is answered wrongly.
    found = [True, False, True, True, False, True, False]
    entry = only(entries_of(asked(), answers(TRUTH, PROBABILITIES, found=found)))
    assert (entry["n"], entry["without_face"], entry["accuracy_found"]) == (6, 2, 1.0)
    none = only(entries_of(asked(), answers(TRUTH, PROBABILITIES, found=[False] * 7)))
    assert (none["without_face"], none["accuracy_found"]) == (6, None)


def test_frames_of_few_people_say_less() -> None:
    truth, right = [0] * 30, [[0.9, 0.1]] * 20 + [[0.1, 0.9]] * 10
    alone = only(entries_of(asked(), answers(truth, right)))
    people = [face // 10 for face in range(30)]  # of three people one is never told rightly
    grouped = only(
        entries_of(
            asked(),
            answers(
                truth,
                right,
                group=[str(person) for person in people],
                groups=[{"race": "asian"}] * 30,
            ),
        )
    )
    assert (alone["people"], grouped["people"]) == (None, 3)
    assert alone["accuracy"] == grouped["accuracy"]
    for interval in (
        grouped["accuracy_interval"],
        grouped["balanced_interval"],
        grouped["per_class_interval"]["female"],
        grouped["by"]["race"]["asian"]["accuracy_interval"],
    ):
        assert interval == [0.0, 1.0]


def test_an_unsure_answer_still_counts_with_its_best_label() -> None:
    sure = only(entries_of(asked(), answers(TRUTH, PROBABILITIES)))
    unsure = only(
        entries_of(asked(calibration=Calibration(1.0, 0.75)), answers(TRUTH, PROBABILITIES))
    )
    assert unsure["accuracy"] == sure["accuracy"]
    assert (sure["coverage"], sure["accuracy_answered"]) == (1.0, sure["accuracy"])
    assert (unsure["coverage"], unsure["accuracy_answered"]) == (0.5, 1.0)


def test_the_temperature_is_taken_off_for_the_error_before() -> None:
    # The network of temperature 2 said (0.8, 0.2); without it that was (16/17, 1/17).
    given_answers = answers([0, 0, 0, 1], [[0.8, 0.2]] * 4)
    entry = only(entries_of(asked(calibration=Calibration(2.0, 0.0)), given_answers))
    assert entry["ece"] == pytest.approx(0.05, abs=1e-4)
    assert entry["ece_before"] == pytest.approx(16 / 17 - 0.75, abs=1e-4)


def test_people_are_measured_by_what_was_fitted_on_others() -> None:
    # What ships answers always; two of the three women of fold 3 are unsure by what was fitted
    # without them.
    folds = [Calibration()] * 16
    folds[3] = Calibration(0.5, 0.85)
    whole = Calibration(1.0, 0.0, folds=tuple(folds))
    fold = [NO_FOLD, NO_FOLD, 3, 3, 3, NO_FOLD, NO_FOLD]
    entry = only(entries_of(asked(calibration=whole), answers(TRUTH, PROBABILITIES, fold=fold)))
    as_it_ships = only(entries_of(asked(), answers(TRUTH, PROBABILITIES)))
    assert (entry["temperature"], entry["unsure_below"]) == (1.0, 0.0)
    assert entry["accuracy"] == as_it_ships["accuracy"]
    assert (entry["calibration_n"], entry["ece_before"]) == (6, as_it_ships["ece"])
    # With half of the temperature 0.8, 0.6 and 0.6 become 16/17, 9/13 and 9/13.
    assert entry["coverage"] == pytest.approx(4 / 6, abs=1e-4)
    assert entry["accuracy_answered"] == 1.0
    assert entry["ece"] != as_it_ships["ece"]


def test_weights_that_tell_no_folds_have_no_calibration_of_the_faces_they_were_fitted_on() -> None:
    fold = [0, 0, 0, 0, NO_FOLD, NO_FOLD, NO_FOLD]
    entry = only(entries_of(asked(), answers(TRUTH, PROBABILITIES, fold=fold)))
    assert entry["n"] == 6
    assert entry["calibration_n"] == 2
    assert entry["accuracy_answered"] == 0.5
    nothing = only(entries_of(asked(), answers([0], [[1, 0]], fold=[5])))
    assert nothing["calibration_n"] == 0
    assert nothing["ece"] is None
    assert nothing["coverage"] is None


def test_slices_by_size_and_group() -> None:
    entry = only(
        entries_of(
            asked(),
            answers(
                TRUTH,
                PROBABILITIES,
                groups=[{"age": "old", "gender": "female"}] * 2 + [{"age": "child"}] * 3 + [{}] * 2,
                size_px=[15, 16, 64, 200, 0, 0, 0],
                small=[1] * 7,
            ),
        )
    )
    by = entry["by"]
    assert list(by["size_px"]) == ["16", "24", "32", "48", "64"]
    assert by["size_px"]["24"]["accuracy"] == pytest.approx(1 / 6, abs=1e-4)
    assert by["size_px"]["32"]["accuracy"] == entry["accuracy"]
    assert {band: one["n"] for band, one in by["original_size_px"].items()} == {
        "1-15": 1, "16-23": 1, "64+": 2,
    }  # fmt: skip
    assert {age: one["n"] for age, one in by["age"].items()} == {"child": 3, "old": 2}
    assert by["age"]["child"]["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert "gender" not in by, "the head itself is no group"


def test_a_head_that_the_data_set_does_not_know_gives_no_entry() -> None:
    assert entries_of(asked(), answers([-1, -1], [[1, 0], [0, 1]])) == []


@given(
    st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 6)), min_size=1, max_size=60),
)
def test_figures_fit_together(faces: list[tuple[int, int]]) -> None:
    labels = MODELS["expression"]
    truth, best = map(np.array, zip(*faces, strict=True))
    entries = entries_of(asked(labels), answers(list(truth), np.eye(7)[best], head="expression"))
    if (truth < 0).all():
        assert entries == []
        return
    entry = only(entries)
    right = sum(entry["confusion"][label][label] for label in entry["confusion"])
    total = sum(sum(row.values()) for row in entry["confusion"].values())
    assert total == entry["n"] == sum(entry["per_class_n"].values())
    assert entry["accuracy"] == pytest.approx(right / total, abs=1e-4)
    mean = np.mean(list(entry["per_class"].values()))
    assert entry["balanced_accuracy"] == pytest.approx(mean, abs=2e-4)
    assert entry["baseline"] >= 1 / len(entry["per_class"]) - 1e-4


def test_bands_of_size() -> None:
    assert [size_band(size) for size in (1, 15, 16, 31, 32, 47, 48, 63, 64, 900)] == [
        "1-15", "1-15", "16-23", "24-31", "32-47", "32-47", "48-63", "48-63", "64+", "64+",
    ]  # fmt: skip


def test_confusion_leaves_out_labels_that_do_not_occur() -> None:
    counted = confusion_matrix(("a", "b", "c"), np.array([0, 0, 2]), np.array([1, 0, 2]))
    assert counted == {"a": {"a": 1, "b": 1, "c": 0}, "c": {"a": 0, "b": 0, "c": 1}}
