"""What the cards show of pictures that may be shown is what the shipped weights answer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import faces_jobs_models
from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.cards import CARD_NAME, section_of_card
from faces_jobs_models.training.example_pictures import example_pictures
from faces_jobs_models.training.known_failures import (
    END,
    EXAMPLES_FOLDER,
    START,
    predict_examples,
    write_known_failures,
)

SHIPPED = Path(faces_jobs_models.__file__).parent
_LARGEST_PICTURE = 100_000  # bytes


def without_shares(section: str) -> str:
    # The last digit of a probability differs between processors.
    return re.sub(r"\d+ %", "", section)


def test_examples_are_the_same_each_time_and_none_is_like_another() -> None:
    first, again = example_pictures(), example_pictures()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.picture_bgr, other.picture_bgr)
        assert all(label in HEADS[head] for head, label in one.truth.items())
    assert len({one.picture_bgr.tobytes() for one in first}) == len(first)
    assert len({one.name for one in first}) == len(first)


@pytest.mark.parametrize("model", MODELS)
def test_a_card_shows_what_its_weights_answer(model: str, catalog: Catalog, tmp_path: Path) -> None:
    shipped = SHIPPED / model
    shutil.copy(shipped / CARD_NAME, tmp_path)
    (classifier,) = catalog.classifiers([model])
    pictures = write_known_failures(tmp_path, classifier, catalog.detector())

    assert pictures == tmp_path / EXAMPLES_FOLDER
    shown = section_of_card(shipped / CARD_NAME, START, END)
    written = section_of_card(tmp_path / CARD_NAME, START, END)
    assert without_shares(shown) == without_shares(written), (
        "other weights than those of the card: faces-jobs evaluate "
        f"{model} --data DIR --held-out --card"
    )
    links = re.findall(rf"\({EXAMPLES_FOLDER}/([^)]+)\)", shown)
    assert sorted(links) == sorted(path.name for path in (shipped / EXAMPLES_FOLDER).iterdir())
    for link in links:
        path = shipped / EXAMPLES_FOLDER / link
        assert path.stat().st_size < _LARGEST_PICTURE
        np.testing.assert_array_equal(cv2.imread(str(path)), cv2.imread(str(pictures / link)))


def test_a_wrong_answer_is_told_with_the_right_one(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_text(f"# card\n{START}\n{END}\n")
    (classifier,) = catalog.classifiers(["expression"])
    answers = predict_examples(classifier, catalog.detector(), example_pictures())
    wrong = [answer for answer in answers if answer.is_wrong]
    write_known_failures(tmp_path, classifier, catalog.detector())
    section = section_of_card(tmp_path / CARD_NAME, START, END)
    assert section.count("right is") >= len(wrong) > 0
    for answer in wrong:
        assert f"**{answer.label}**" in section
        assert (tmp_path / EXAMPLES_FOLDER / f"{answer.example.name}.png").is_file()


def test_a_card_without_the_marks_wants_no_examples(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_text("# card\n")
    (classifier,) = catalog.classifiers(["gender"])
    assert write_known_failures(tmp_path, classifier, catalog.detector()) is None
    assert (tmp_path / CARD_NAME).read_text() == "# card\n"
    assert not (tmp_path / EXAMPLES_FOLDER).exists()
