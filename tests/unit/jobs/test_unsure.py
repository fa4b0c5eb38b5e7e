"""Thresholds as users write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs.jobs.unsure import format_unsure_below, parse_unsure_below

PROBABILITIES = st.floats(0, 1)


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_said_names_no_head(text: str) -> None:
    assert parse_unsure_below(text) == {}


@pytest.mark.parametrize(
    ("text", "threshold"), [("0.6", 0.6), (" 1 ", 1.0), ("0", 0.0), ("off", 0.0), ("OFF", 0.0)]
)
def test_one_number_is_for_all_heads(text: str, threshold: float) -> None:
    assert parse_unsure_below(text) == dict.fromkeys(HEADS, threshold)


def test_models_and_heads_are_named_in_any_order_and_a_head_wins() -> None:
    expected = dict.fromkeys(MODELS["multiple"], 0.5) | {"gender": 0.7, "age": 0.4, "pose": 0.0}
    for text in (
        "gender=0.7,multiple=0.5,age=0.4,pose=off",
        "pose = OFF, age = 0.4, multiple = 0.5, gender = 0.7",
    ):
        assert parse_unsure_below(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("often", "not a probability"),
        ("1.1", "not a probability"),
        ("-0.1", "not a probability"),
        ("nan", "not a probability"),
        ("inf", "not a probability"),
        ("0.5,0.6", "NAME=NUMBER"),
        ("gender", "not a probability"),
        ("gender=", "not a probability"),
        ("gender=0.5=0.6", "not a probability"),
        ("gender=0.5,", "NAME=NUMBER"),
        ("mood=0.5", "neither a model nor a head"),
        ("=0.5", "neither a model nor a head"),
        ("gender=0.5,gender=0.6", "given twice"),
        ("multiple=0.5,multiple=0.5", "given twice"),
    ],
)
def test_what_can_not_be_read_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_unsure_below(text)


@given(st.dictionaries(st.sampled_from(sorted(HEADS)), PROBABILITIES))
def test_what_is_written_is_read_back(thresholds: dict[str, float]) -> None:
    assert parse_unsure_below(format_unsure_below(thresholds)) == thresholds


@given(st.text() | st.text(alphabet="genderagmultiple=,.0123456789of "))
def test_any_text_names_probabilities_of_heads_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        for head, threshold in parse_unsure_below(text).items():
            assert head in HEADS
            assert 0 <= threshold <= 1
