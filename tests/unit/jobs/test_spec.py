"""A job's options are validated the same way, whether they come as JSON or as text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.errors import OptionsError
from faces_jobs.jobs.spec import DETECT_EVERY, JobSpec, parse_models


def test_all_models_and_the_annotated_copy_are_on_by_default() -> None:
    spec = JobSpec.parse({})
    assert spec.models == ("gender", "expression", "multiple")
    assert spec.heads == (
        "gender",
        "expression",
        "illumination",
        "pose",
        "occlusion",
        "age",
        "makeup",
    )
    assert spec.annotated


@pytest.mark.parametrize(
    "models",
    [
        "1,0,1",
        " 1, 0 ,1 ",
        "gender,multiple",
        ["gender", "multiple"],
        {"expression": False},
        {"gender": True, "expression": False, "multiple": True},
    ],
)
def test_models_may_be_given_as_flags_names_or_a_mapping(models: object) -> None:
    assert JobSpec.parse({"models": models}).models == ("gender", "multiple")


def test_all_models_may_be_named() -> None:
    for models in ("gender,expression,multiple", ["gender", "expression", "multiple"]):
        assert JobSpec.parse({"models": models}) == JobSpec()


@pytest.mark.parametrize(
    "models",
    ["1,0", "1,0,2", "", "all", ["sex"], ["gender", 1], {"gender": 1, "multiple": True}, 7, None],
)
def test_invalid_forms_of_models_are_refused(models: object) -> None:
    with pytest.raises(OptionsError) as refusal:
        parse_models(models)
    assert list(refusal.value.fields) == ["models"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"unknown": 1}, "unknown"),
        ({"gender": "yes"}, "gender"),
        ({"detection_threshold": "0.5"}, "detection_threshold"),
        ({"detection_threshold": 0}, "detection_threshold"),
        ({"detection_threshold": float("nan")}, "detection_threshold"),
        ({"max_fps": float("inf")}, "max_fps"),
        ({"smallest_face": 2.5}, "smallest_face"),
        ({"frame_stride": 0}, "frame_stride"),
        ({"max_fps": -1}, "max_fps"),
        ({"detect_every": 0}, "detect_every"),
        ({"detect_every": "11"}, "detect_every"),
        ({"detect_every": True}, "detect_every"),
        ({"detect_every": "often"}, "detect_every"),
        ({"classify": "never"}, "classify"),
        ({"unsure_below": 1.5}, "unsure_below"),
        ({"unsure_below": True}, "unsure_below"),
        ({"unsure_below": None}, "unsure_below"),
        ({"unsure_below": "often"}, "unsure_below"),
        ({"unsure_below": "mood=0.5"}, "unsure_below"),
        ({"label": "x" * 1025}, "label"),
        ({"label": "a\x00b"}, "label"),
        ({"label": "a line\n"}, "label"),
        ({"label": "\x9b2Jcleared"}, "label"),  # an escape sequence for terminals
        ({"label": "two\u2028lines"}, "label"),
        ({"label": "\u202edrawkcab"}, "label"),
        ({"models": "1,1,1", "gender": False}, "gender"),
    ],
)
def test_an_invalid_option_is_named(options: dict[str, object], field: str) -> None:
    with pytest.raises(OptionsError) as refusal:
        JobSpec.parse(options)
    assert ("unknown; known are gender, " in refusal.value.fields[field]) == (field == "unknown")


@pytest.mark.parametrize("value", [3, "3", " 3 "])
def test_detect_every_is_a_number_or_a_word(value: object) -> None:
    assert JobSpec.parse({"detect_every": value}).detect_every == "3"
    assert JobSpec.parse_text({"detect_every": "adaptive"}).detect_every == "adaptive"


@pytest.mark.parametrize(
    ("value", "stored"),
    [(0.5, "0.5"), (0, "0"), (" off ", "off"), ("gender=0.7,age=0.4", "gender=0.7,age=0.4")],
)
def test_thresholds_may_be_given_as_a_number_or_as_text(value: object, stored: str) -> None:
    assert JobSpec.parse({"unsure_below": value}).unsure_below == stored
    assert JobSpec.parse_text({"unsure_below": str(value)}).unsure_below == stored


def test_the_text_of_a_form_is_parsed() -> None:
    spec = JobSpec.parse_text(
        {
            "models": "0,1,0",
            "detection_threshold": "0.7",
            "max_fps": "",
            "annotated": "off",
            "label": " Anna's ",
        }
    )
    assert spec.models == ("expression",)
    assert (spec.detection_threshold, spec.max_fps, spec.annotated) == (0.7, None, False)
    assert spec.label == "Anna's"


def test_a_label_may_be_in_any_script() -> None:
    for label in ("می\u200cروم", "👨\u200d👩\u200d👧", "\u05d0\u200f", "Zoë 佐藤"):
        assert JobSpec.parse({"label": label}).label == label


def test_a_stored_job_with_a_label_that_is_invalid_now_can_still_be_read() -> None:
    assert JobSpec.model_validate({"label": "\x9b2J"}, strict=False).label == "\x9b2J"


@pytest.mark.parametrize("text", ["half", "1e999", "0,5", "nan"])
def test_text_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(OptionsError):
        JobSpec.parse_text({"detection_threshold": text})


def test_a_label_of_a_form_that_is_only_a_line_end_is_refused() -> None:
    with pytest.raises(OptionsError):
        JobSpec.parse_text({"label": "\n"})


@given(
    st.builds(
        JobSpec,
        gender=st.booleans(),
        expression=st.booleans(),
        multiple=st.booleans(),
        detection_threshold=st.floats(0.05, 0.99),
        smallest_face=st.integers(4, 4096),
        frame_stride=st.integers(1, 10_000),
        max_fps=st.none() | st.floats(0.01, 1000),
        detect_every=st.sampled_from(DETECT_EVERY),
        classify=st.sampled_from(["every", "auto"]),
        annotated=st.booleans(),
    )
)
def test_a_spec_survives_a_round_trip_through_json(spec: JobSpec) -> None:
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
def test_any_text_is_a_spec_or_raises_an_options_error(options: dict[str, str]) -> None:
    with contextlib.suppress(OptionsError):
        JobSpec.parse_text(options)
