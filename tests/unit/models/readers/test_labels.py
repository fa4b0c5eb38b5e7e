"""Labels in our words: spellings, ages, votes, and what is no label."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.readers.labels import (
    Labels,
    age_band,
    canonical_label,
    single_winner,
    soft_age_band,
)


@pytest.mark.parametrize(
    ("head", "label", "ours"),
    [
        ("gender", " F ", "female"),
        ("gender", "Male", "male"),
        ("gender", "woman", None),
        ("gender", 1, None),
        ("gender", None, None),
        ("expression", "angry", "anger"),
        ("expression", "HAPPY", "happiness"),
        ("expression", "sad", "sadness"),
        ("expression", "sadness", "sadness"),
        ("expression", "contempt", None),
        ("pose", "Left", "left"),
    ],
)
def test_only_spellings_of_a_label_are_that_label(
    head: str, label: object, ours: str | None
) -> None:
    assert canonical_label(head, label) == ours


@given(head=st.sampled_from(list(HEADS)), label=st.one_of(st.none(), st.text(), st.floats()))
def test_a_label_is_used_or_counted_and_never_both(head: str, label: object) -> None:
    skipped: Counter[str] = Counter()
    said = Labels("here", skipped)
    said.add(head, label)
    sample = said.sample(b"", held_out=False, group="1")
    assert (sample is None) == (skipped.total() == 1)
    if sample is not None:
        assert sample.targets[head].sum() == 1
        assert sample.targets[head][sample.truth[head]] == 1


@given(st.one_of(st.floats(), st.integers(), st.text(), st.booleans(), st.none()))
def test_an_age_is_a_distribution_over_the_bands_or_counted(age: object) -> None:
    skipped: Counter[str] = Counter()
    said = Labels("here", skipped)
    said.add_age(age)
    sample = said.sample(b"", held_out=False, group="1")
    assert (sample is None) == (skipped.total() == 1)
    if sample is not None:
        assert sample.targets["age"].sum() == pytest.approx(1, abs=1e-5)
        assert sample.groups["age"] == HEADS["age"][sample.truth["age"]]


@given(st.integers(0, 116))
def test_the_likeliest_age_band_is_the_band_of_the_age(years: int) -> None:
    soft = soft_age_band(years)
    assert soft.sum() == pytest.approx(1, abs=1e-6)
    assert soft[age_band(years)] >= soft.max() - 0.02


def test_age_bands_begin_where_they_are_said_to() -> None:
    labels = HEADS["age"]
    said = {years: labels[age_band(years)] for years in (0, 12, 13, 35, 36, 59, 60, 100)}
    assert list(said.values()) == [
        "child", "child", "young", "young", "middle", "middle", "old", "old",
    ]  # fmt: skip


def test_races_are_groups_and_no_targets() -> None:
    skipped: Counter[str] = Counter()
    said = Labels("here", skipped)
    said.add("gender", "f")
    said.add_race(2)
    sample = said.sample(b"", held_out=False, group="1")
    assert sample is not None
    assert sample.groups == {"gender": "female", "race": "asian"}
    assert list(sample.targets) == ["gender"]
    said.add_race(5)
    said.add_race(None)
    assert skipped == {"here race 5": 1}


def test_votes_of_which_half_say_nothing_say_nothing() -> None:
    skipped: Counter[str] = Counter()
    none = dict.fromkeys((*HEADS["expression"], "contempt", "unknown", "nf"), 0)
    said = Labels("here", skipped)
    assert not said.add_votes(none | {"anger": 5, "nf": 5}, "anger")
    assert said.sample(b"", held_out=False, group="1") is None
    assert skipped == {"here without a clear expression": 1}
    assert said.add_votes(none | {"anger": 4, "fear": 2, "nf": 4}, None)
    sample = said.sample(b"", held_out=False, group="1")
    assert sample is not None
    assert sample.truth == {}
    np.testing.assert_allclose(sample.targets["expression"], [4 / 6, 0, 2 / 6, 0, 0, 0, 0])


def test_a_tie_is_no_majority() -> None:
    assert single_winner({"a": 4, "b": 3}) == "a"
    assert single_winner({"a": 4, "b": 4}) is None
