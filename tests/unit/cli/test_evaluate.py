"""`faces-jobs evaluate`: every shipped model on the face that a package ships, and bad input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import faces_jobs_models
from faces_jobs.cli import cli, exits
from faces_jobs.errors import DataLayoutError, SettingsError
from faces_jobs.jobs.labels import MODELS
from tests.unit.models.packs import write, write_packs

from .astronauts import (
    encoded,
    faces,
    write_expression,
    write_film_frames,
    write_gender_and_age,
)
from .test_exits import faces_jobs

KEYS = {
    "model", "version", "weights", "head", "dataset", "n", "people", "accuracy",
    "accuracy_interval", "balanced_accuracy", "balanced_interval", "per_class", "per_class_n",
    "per_class_interval",
    "ece", "ece_before", "coverage", "accuracy_answered", "by", "baseline", "skipped",
    "without_face", "accuracy_found",
}  # fmt: skip

WEIGHTS = ("weights.toml", "model.onnx", "model.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("astronauts")
    images = faces()
    write_gender_and_age(folder, images)
    write_expression(folder, images)
    write_film_frames(folder, images)
    return folder


def evaluated(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def entries(*arguments: object) -> list[dict[str, Any]]:
    result = evaluated(*arguments, "--json")
    assert result.exception is None, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_gender_is_right_in_every_size(data: Path) -> None:
    found = {entry["dataset"]: entry for entry in entries("gender", "--data", data)}
    assert set(found) == {"utkface", "imfdb"}
    entry = found["utkface"]
    assert set(entry) >= KEYS
    assert (entry["model"], entry["head"], entry["n"]) == ("gender", "gender", 8)
    assert entry["accuracy"] == entry["balanced_accuracy"] == 1.0
    assert entry["per_class"] == {"female": 1.0}
    assert entry["baseline"] == 1.0
    assert entry["without_face"] == 0
    assert list(entry["by"]["size_px"]) == ["16", "24", "32", "48", "64"]
    assert entry["by"]["age"]["middle"]["n"] == 8
    assert len(entry["weights"]["sha256"]) == 12


def test_a_smile_is_happiness(data: Path) -> None:
    (entry,) = entries("expression", "--data", data / "ckplus48.parquet")
    assert entry["accuracy"] == 1.0
    assert entry["per_class"] == {"happiness": 1.0}


def test_multiple_answers_for_each_head_that_the_data_knows(data: Path) -> None:
    found = {
        entry["head"]: entry
        for entry in entries("multiple", "--data", data)
        if entry["dataset"] == "imfdb"
    }
    assert set(found) == set(MODELS["multiple"]) - {"makeup"}
    assert found["pose"]["per_class"] == {"frontal": 1.0}
    assert found["pose"]["skipped"] == {"imfdb makeup None": 8}


def test_the_table_tells_the_same(data: Path, tmp_path: Path) -> None:
    result = evaluated("gender", "--data", data, "--out", tmp_path / "out")
    assert "| gender | utkface" in result.stdout
    assert "100.0 % (67.6-100.0)" in result.stdout
    written = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert [one["dataset"] for one in written] == ["imfdb", "utkface"]
    for name in ("utkface", "imfdb"):
        assert (tmp_path / "out" / f"confusion-gender-{name}.png").is_file()


def test_faces_that_training_uses_are_told_and_can_be_left_out(data: Path) -> None:
    everything = evaluated("gender", "--data", data / "utkface.parquet", "--json")
    entry = json.loads(everything.stdout)[0]
    assert 0 < entry["of_training"] <= 8
    assert f"{entry['of_training']} of these 8 faces" in everything.stderr
    kept_back = evaluated("gender", "--data", data / "utkface.parquet", "--held-out", "--json")
    if entry["of_training"] == 8:
        assert isinstance(kept_back.exception, DataLayoutError)
        assert "held out" in str(kept_back.exception)
    else:
        (left,) = json.loads(kept_back.stdout)
        assert left["n"] == 8 - entry["of_training"]
        assert "of these" not in kept_back.stderr


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    write_gender_and_age(tmp_path, faces(), name="holiday")
    result = evaluated("gender", "--data", tmp_path / "holiday.parquet", "--json")
    (entry,) = json.loads(result.stdout)
    assert entry["n"] == 8


def test_a_limit_measures_so_many(data: Path) -> None:
    found = entries("gender", "--data", data, "--limit", 3)
    assert [entry["n"] for entry in found] == [3, 3]


def test_odd_pictures_are_measured_and_broken_ones_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    gray = random.integers(0, 255, (48, 48), np.uint8)
    images = [
        *faces()[:1],
        encoded(gray),
        encoded(random.integers(0, 255, (1, 1, 3), np.uint8)),
        encoded(np.zeros((1, 900, 3), np.uint8)),
        encoded(np.full((3000, 2000, 3), 200, np.uint8)),
        encoded(gray)[:60],
        b"",
    ]
    write_gender_and_age(tmp_path, images)
    (entry,) = entries("gender", "--data", tmp_path)
    assert entry["n"] == 5
    assert entry["without_face"] >= 3
    assert sum(entry["skipped"].values()) == 2


def test_a_picture_above_the_limit_is_left_out(tmp_path: Path) -> None:
    write_gender_and_age(tmp_path, [*faces()[:1], encoded(np.zeros((300, 400, 3), np.uint8))])
    told = faces_jobs("evaluate", "gender", "--data", str(tmp_path), "--json", MAX_PIXELS="100000")
    (entry,) = json.loads(told.stdout)
    assert entry["skipped"] == {"utkface picture of more than 100,000 pixels": 1}
    assert "1 x utkface picture of more than 100,000 pixels" in told.stderr


def test_unknown_labels_are_counted_and_never_mapped(tmp_path: Path) -> None:
    labels = ["happiness"] * 5 + ["contempt", "contempt", "glee"]
    write_expression(tmp_path, faces(), labels)
    result = evaluated("expression", "--data", tmp_path, "--json")
    (entry,) = json.loads(result.stdout)
    assert entry["n"] == 5
    assert sum(entry["skipped"].values()) == 3
    assert "'glee'" in result.stderr


def test_the_weights_of_the_labels_answer_where_there_are_some(tmp_path: Path) -> None:
    shipped = Path(faces_jobs_models.__file__).parent / "expression"
    models = tmp_path / "models"
    for folder in (models / "expression", models / "expression" / "fer2013"):
        folder.mkdir(parents=True)
        for name in WEIGHTS:
            shutil.copy(shipped / name, folder / name)
    record = models / "expression" / "fer2013" / "weights.toml"
    record.write_text(re.sub(r'version = "[^"]*"', 'version = "fer2013 1"', record.read_text()))
    write_packs(tmp_path, rows=20)
    arguments = ("expression", "--data", tmp_path / "ferplus.parquet", "--models-path", models)
    (usual,) = entries(*arguments)
    assert (usual["dataset"], usual["weights"]["variant"]) == ("ferplus", "default")
    (other,) = entries(*arguments, "--labels", "fer2013")
    assert (other["dataset"], other["weights"]["variant"]) == ("fer2013", "fer2013")
    assert other["version"] == "fer2013 1"


def test_a_card_holds_the_tables_of_faces_that_were_kept_back(data: Path, tmp_path: Path) -> None:
    shipped = Path(faces_jobs_models.__file__).parent / "gender"
    models = tmp_path / "models"
    (models / "gender").mkdir(parents=True)
    for name in WEIGHTS:
        shutil.copy(shipped / name, models / "gender" / name)
    card = models / "gender" / "CARD.md"
    card.write_text("# gender\n<!-- figures -->\n<!-- /figures -->\nThe end.\n")
    arguments = ("gender", "--data", data, "--card", "--models-path", models)
    refused = evaluated(*arguments)
    assert refused.exit_code == exits.USAGE
    assert "--held-out" in refused.output
    write_gender_and_age(tmp_path, 5 * faces())
    written = evaluated(
        "gender", "--data", tmp_path, "--card", "--held-out", "--models-path", models
    )
    assert written.exception is None, written.output
    assert str(card) in written.stderr
    assert "### Accuracy" in card.read_text()
    assert card.read_text().endswith("The end.\n")
    (entry,) = json.loads((models / "gender" / "figures.json").read_text())
    assert entry["of_training"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("face", "--data", "."), "'gender', 'expression', 'multiple', 'detector'"),
        (("gender",), "--data"),
        (("gender", "--data", "/nowhere"), "does not exist"),
        (("gender", "--data", ".", "--labels", "mine"), "ferplus"),
        (("gender", "--data", ".", "--limit", "0"), "--limit"),
        (("gender", "--data", ".", "--labels", "fer2013"), "is for expression"),
        (("detector", "--data", ".", "--labels", "fer2013"), "is for expression"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], said: str) -> None:
    result = evaluated(*arguments)
    assert result.exit_code == exits.USAGE
    assert said in result.output


def test_a_folder_in_no_known_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    told = faces_jobs("evaluate", "gender", "--data", str(tmp_path))
    assert told.returncode == exits.FAILED
    assert "Known layouts: " in told.stderr
    assert "notes.txt" in told.stderr
    assert "Traceback" not in told.stderr


def test_data_that_does_not_know_the_models_heads_is_told(tmp_path: Path) -> None:
    write_expression(tmp_path, faces()[:2])
    result = evaluated("gender", "--data", tmp_path)
    assert isinstance(result.exception, DataLayoutError)
    assert "known gender" in str(result.exception)
    assert "ckplus48" in str(result.exception)


def test_a_pack_without_rows_is_told(tmp_path: Path) -> None:
    write(tmp_path, "ckplus48", {"image": [], "path": [], "subject": [], "expression": []})
    assert evaluated("expression", "--data", tmp_path).exception is not None


def test_weights_that_are_not_there_are_told(data: Path, tmp_path: Path) -> None:
    result = evaluated("gender", "--data", data, "--models-path", tmp_path)
    assert isinstance(result.exception, SettingsError)
    assert "gender/weights.toml" in str(result.exception)
