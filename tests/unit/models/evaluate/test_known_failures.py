"""The predictions for example pictures in the cards are those of the shipped weights."""

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
from faces_jobs_models.training.cards.card import CARD_NAME
from faces_jobs_models.training.cards.example_pictures import example_pictures
from faces_jobs_models.training.cards.known_failures import (
    END,
    EXAMPLES_FOLDER,
    START,
    predict_examples,
    write_known_failures,
)

from .card_sections import section_of_card

SHIPPED = Path(faces_jobs_models.__file__).parent
_MAX_PICTURE_BYTES = 100_000


def without_shares(section: str) -> str:
    # The last digit of a probability differs between processors.
    return re.sub(r"\d+ %", "", section)


def test_examples_are_reproducible_and_all_different() -> None:
    first, again = example_pictures(), example_pictures()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.picture_bgr, other.picture_bgr)
        assert all(label in HEADS[head] for head, label in one.truth.items())
    assert len({one.picture_bgr.tobytes() for one in first}) == len(first)
    assert len({one.name for one in first}) == len(first)


@pytest.mark.parametrize("model", MODELS)
def test_a_card_shows_the_predictions_of_its_weights(
    model: str, catalog: Catalog, tmp_path: Path
) -> None:
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
        assert path.stat().st_size < _MAX_PICTURE_BYTES
        np.testing.assert_array_equal(cv2.imread(str(path)), cv2.imread(str(pictures / link)))


def test_a_wrong_prediction_is_shown_with_the_truth(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_text(f"# card\n{START}\n{END}\n")
    (classifier,) = catalog.classifiers(["expression"])
    predictions = predict_examples(classifier, catalog.detector(), example_pictures())
    wrong = [prediction for prediction in predictions if prediction.is_wrong]
    write_known_failures(tmp_path, classifier, catalog.detector())
    section = section_of_card(tmp_path / CARD_NAME, START, END)
    assert section.count("truth: ") >= len(wrong) > 0
    for prediction in wrong:
        assert f"**{prediction.label}**" in section
        assert (tmp_path / EXAMPLES_FOLDER / f"{prediction.example.name}.png").is_file()


def test_a_card_without_the_marks_gets_no_examples(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_text("# card\n")
    (classifier,) = catalog.classifiers(["gender"])
    assert write_known_failures(tmp_path, classifier, catalog.detector()) is None
    assert (tmp_path / CARD_NAME).read_text() == "# card\n"
    assert not (tmp_path / EXAMPLES_FOLDER).exists()
