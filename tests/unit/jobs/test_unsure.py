"""Parsing of the thresholds below which attributes are unsure."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs.jobs.unsure import format_unsure_below, parse_unsure_below

PROBABILITIES = st.floats(0, 1)


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_text_has_no_thresholds(text: str) -> None:
    assert parse_unsure_below(text) == {}


@pytest.mark.parametrize(
    ("text", "threshold"), [("0.6", 0.6), (" 1 ", 1.0), ("0", 0.0), ("off", 0.0), ("OFF", 0.0)]
)
def test_a_single_number_applies_to_all_heads(text: str, threshold: float) -> None:
    assert parse_unsure_below(text) == dict.fromkeys(HEADS, threshold)


def test_models_and_heads_may_come_in_any_order_and_a_head_overrides_its_model() -> None:
    expected = dict.fromkeys(MODELS["multiple"], 0.5) | {"gender": 0.7, "age": 0.4, "pose": 0.0}
    for text in (
        "gender=0.7,multiple=0.5,age=0.4,pose=off",
        "pose = OFF, age = 0.4, multiple = 0.5, gender = 0.7",
    ):
        assert parse_unsure_below(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_invalid_text_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_unsure_below(text)


@given(st.dictionaries(st.sampled_from(sorted(HEADS)), PROBABILITIES))
def test_written_thresholds_are_parsed_to_the_same_values(thresholds: dict[str, float]) -> None:
    assert parse_unsure_below(format_unsure_below(thresholds)) == thresholds


@given(st.text() | st.text(alphabet="genderagmultiple=,.0123456789of "))
def test_any_text_gives_probabilities_of_heads_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        for head, threshold in parse_unsure_below(text).items():
            assert head in HEADS
            assert 0 <= threshold <= 1
