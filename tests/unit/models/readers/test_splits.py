"""Held out is decided by name alone, and never changes: trained models depend on it."""

from __future__ import annotations

import pytest

from faces_jobs_models.training.readers.samples import is_held_out
from faces_jobs_models.training.readers.splits import (
    actor_held_out,
    held_out_by_usage,
    picture_held_out,
    subject_held_out,
)


def test_about_as_many_are_held_out_as_asked_for() -> None:
    held_out = sum(is_held_out(f"face {index}", 0.15) for index in range(4000))
    assert 500 < held_out < 700


def test_the_same_actors_and_subjects_as_ever_are_held_out() -> None:
    actors = ("Aarthi", "AkshayKumar", "Ali", "Kajol", "Madhavan", "SharukhKhan", "Trisha")
    assert [actor for actor in actors if actor_held_out(actor)] == [
        "Aarthi", "Madhavan", "SharukhKhan",
    ]  # fmt: skip
    subjects = ("S004", "S005", "S010", "S011", "S016", "S050")
    assert [subject for subject in subjects if subject_held_out("ckplus", subject)] == [
        "S004", "S010", "S016", "S050",
    ]  # fmt: skip
    assert [name for name in ("KA", "KL", "KR", "YM") if subject_held_out("jaffe", name)] == ["KR"]


def test_only_the_usage_training_is_trained_on() -> None:
    usages = ("Training", "PublicTest", "PrivateTest", "")
    assert [held_out_by_usage(usage) for usage in usages] == [False, True, True, True]


@pytest.mark.parametrize("number", range(20))
def test_both_forms_of_a_picture_of_utkface_are_on_one_side(number: int) -> None:
    aligned = f"26_1_0_{number}.jpg.chip.jpg"
    sides = {
        picture_held_out("utkface", name) for name in (aligned, aligned.removesuffix(".chip.jpg"))
    }
    assert sides == {is_held_out(f"utkface/{aligned}", 0.15)}  # which is the packs' side as ever


@pytest.mark.parametrize("name", ["39_1_20170116174525125 .jpg", "61_1_1_2017jpg.chip.jpg"])
def test_other_names_are_taken_as_they_are(name: str) -> None:
    for source in ("utkface", "facemask"):
        assert picture_held_out(source, name) == is_held_out(f"{source}/{name}", 0.15)
