"""The cards that ship hold the figures of the weights that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

import faces_jobs_models
from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.training.cards.card import (
    CARD_NAME,
    END,
    START,
    read_figures,
)
from faces_jobs_models.training.detector.measure import detector_tables
from faces_jobs_models.training.evaluation.tables import tables_of
from faces_jobs_models.weights import read_record

from .card_sections import section_of_card

SHIPPED = Path(faces_jobs_models.__file__).parent


@pytest.mark.parametrize("model", MODELS)
def test_a_card_has_tables_of_each_head(model: str) -> None:
    shown = section_of_card(SHIPPED / model / CARD_NAME, START, END)
    rows = [line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("| ")]
    record = read_record(SHIPPED / model)
    for head, labels in record.heads.items():
        assert head in rows
        assert all(f" {label} " in shown for label in labels)


@pytest.mark.parametrize("model", MODELS)
def test_the_tables_are_those_of_the_measured_figures(model: str) -> None:
    folder = SHIPPED / model
    entries = read_figures(folder)
    if entries:
        assert section_of_card(folder / CARD_NAME, START, END).strip() == tables_of(entries).strip()
    for entry in entries:
        variant = entry["weights"]["variant"]
        record = read_record(folder if variant == "default" else folder / variant)
        assert record.files["onnx"].sha256.startswith(entry["weights"]["sha256"]), (
            f"{model} was measured with other weights: faces-jobs evaluate {model} --data DIR "
            "--held-out --card"
        )
        assert entry["of_training"] == 0


def test_the_detectors_card_has_the_figures_of_its_weights() -> None:
    folder = SHIPPED / "detector"
    entries = read_figures(folder)
    assert entries
    assert (
        section_of_card(folder / CARD_NAME, START, END).strip() == detector_tables(entries).strip()
    )
    for entry in entries:
        onnx = read_record(folder).files["onnx"]
        assert onnx.sha256.startswith(entry["weights"]["sha256"]), (
            "faces-jobs evaluate detector --detector own --data DIR --held-out --card"
        )
        assert entry["of_training"] == 0
