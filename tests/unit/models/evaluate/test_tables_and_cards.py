"""Tables hold every figure, line up, and go into a card without touching its prose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.cards.card import (
    END,
    FIGURES_NAME,
    START,
    read_figures,
    write_card,
)
from faces_jobs_models.training.evaluation.tables import markdown_table, tables_of

from .card_sections import section_of_card
from .entries import random_entries

PROSE = f"# gender\n\nWhat it is for.\n\n{START}\nold figures\n{END}\n\nWhat it is not for.\n"


def test_columns_line_up_and_numbers_stand_at_the_right() -> None:
    assert markdown_table(("head", "faces"), [("age", "12"), ("gender", "-")]).splitlines() == [
        "| head   | faces |",
        "| ------ | ----: |",
        "| age    |    12 |",
        "| gender |     - |",
    ]


def test_every_figure_of_an_entry_is_in_the_tables() -> None:
    (entry,) = random_entries("pose", data_set="imfdb")
    text = tables_of([entry])
    assert f"{100 * entry['accuracy']:.1f} %" in text
    assert f"{100 * entry['balanced_accuracy']:.1f} %" in text
    for label in HEADS["pose"]:
        assert f"{100 * entry['per_class'][label]:.1f} %" in text
        assert f" {label} " in text
    assert "| asian " in text
    for size in entry["by"]["size_px"]:
        assert f"{size} px" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_a_card_keeps_its_prose(tmp_path: Path) -> None:
    (tmp_path / "CARD.md").write_text(PROSE)
    entries = random_entries("gender")
    card = write_card(tmp_path, entries, tables_of)
    text = card.read_text()
    before, after = PROSE.split(f"{START}\nold figures\n{END}")
    assert text.startswith(before + START)
    assert text.endswith(END + after)
    assert section_of_card(card, START, END).strip() == tables_of(entries).strip()
    again = write_card(tmp_path, entries, tables_of)
    assert again.read_text() == text


def test_measurements_of_the_same_weights_are_gathered(tmp_path: Path) -> None:
    (tmp_path / "CARD.md").write_text(PROSE)
    write_card(tmp_path, random_entries("gender", data_set="utkface"), tables_of)
    write_card(tmp_path, random_entries("gender", data_set="imfdb"), tables_of)
    write_card(tmp_path, random_entries("gender", data_set="utkface", n=40), tables_of)
    found = [(one["dataset"], one["n"]) for one in read_figures(tmp_path)]
    assert found == [("utkface", 40), ("imfdb", 60)]
    shown = section_of_card(tmp_path / "CARD.md", START, END)
    assert "utkface" in shown
    assert "imfdb" in shown


def test_figures_of_older_weights_go(tmp_path: Path) -> None:
    (tmp_path / "CARD.md").write_text(PROSE)
    write_card(tmp_path, random_entries("gender", data_set="utkface"), tables_of)
    write_card(tmp_path, random_entries("gender", data_set="imfdb", sha256="cd" * 32), tables_of)
    assert [one["dataset"] for one in read_figures(tmp_path)] == ["imfdb"]


def test_what_a_training_wrote_of_itself_is_no_measurement(tmp_path: Path) -> None:
    (tmp_path / FIGURES_NAME).write_text(json.dumps([{"head": "gender", "dataset": "utkface"}]))
    assert read_figures(tmp_path) == []
    (tmp_path / FIGURES_NAME).write_text("not JSON")
    with pytest.raises(ModelError, match="delete it"):
        read_figures(tmp_path)


@pytest.mark.parametrize("text", ["no marks", START, f"{END} {START}", PROSE + PROSE])
def test_a_card_without_its_marks_is_not_written(tmp_path: Path, text: str) -> None:
    (tmp_path / "CARD.md").write_text(text)
    with pytest.raises(ModelError, match="must contain the line"):
        write_card(tmp_path, random_entries("gender"), tables_of)
    assert (tmp_path / "CARD.md").read_text() == text
    assert not (tmp_path / FIGURES_NAME).exists()


def test_a_folder_without_a_card_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no card"):
        write_card(tmp_path, random_entries("gender"), tables_of)
