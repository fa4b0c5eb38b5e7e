"""`faces-jobs train`: one epoch on drawn faces, from the packs to weights that answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import faces_jobs_models
from faces_jobs.cli import cli, exits
from faces_jobs.errors import DataLayoutError, ModelError
from faces_jobs_models.detector.export import write_onnx
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.training import loop
from faces_jobs_models.training.detector import recipe
from tests.unit.models.packs import drawn_face, write, write_packs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_packs(folder, rows=48)
    return folder


def trained(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


def test_one_epoch_gives_weights_that_can_be_measured_and_verified(
    data: Path, tmp_path: Path
) -> None:
    done = trained("gender", "--data", data, "--out", tmp_path, "--alone", "--epochs", 1)
    assert done.exception is None, done.output
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "gender" / "export"
    log = (tmp_path / "gender" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1]
    assert "gender 1/1" in done.stderr
    pictures = {path.name for path in (tmp_path / "gender").glob("*.png")}
    assert "curves.png" in pictures
    assert {"confusion-gender-utkface.png", "reliability-gender-utkface.png"} <= pictures

    models = tmp_path / "models"
    models.mkdir()
    folder.rename(models / "gender")
    verified = CliRunner().invoke(cli, ["models", "verify", "--models-path", str(models)])
    assert verified.exit_code == 0, verified.output
    measured = CliRunner().invoke(
        cli,
        ["evaluate", "gender", "--data", str(data), "--held-out", "--json", "--models-path",
         str(models)],
    )  # fmt: skip
    found = json.loads(measured.stdout)
    assert {entry["dataset"] for entry in found} == {"utkface", "imfdb"}
    shipped = CliRunner().invoke(cli, ["evaluate", "gender", "--data", str(data), "--json"])
    assert found[0]["weights"] != json.loads(shipped.stdout)[0]["weights"]


def test_the_same_command_goes_on_where_it_was_and_another_recipe_does_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("expression", "--data", data, "--out", tmp_path, "--alone", "--epochs", 2)

    def cut_off(*_: object) -> str:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_progress_line", cut_off)
        first = trained(*arguments)
    assert isinstance(first.exception, InterruptedError), first.output
    assert "contempt" in first.stderr, "what was left out is told"
    other = trained(*arguments[:-1], 3)
    assert isinstance(other.exception, ModelError)
    assert f"{tmp_path / 'expression'} holds a run of another recipe" in str(other.exception)
    assert "resuming" not in other.stderr
    again = trained(*arguments)
    assert again.exception is None, again.output
    assert "resuming after epoch 1" in again.stderr
    assert "expression 2/2" in again.stderr
    assert "expression 1/2" not in again.stderr


def test_the_other_labels_are_another_training(data: Path, tmp_path: Path) -> None:
    done = trained(
        "expression",
        "--data",
        data,
        "--out",
        tmp_path,
        "--alone",
        "--epochs",
        1,
        "--labels",
        "fer2013",
    )
    assert done.exception is None, done.output
    assert Path(done.stdout.strip()) == tmp_path / "expression-fer2013" / "export"
    assert (tmp_path / "expression-fer2013" / "confusion-expression-fer2013.png").is_file()


def test_a_data_set_that_is_missing_is_named(data: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    (only / "imfdb.parquet").write_bytes((data / "imfdb.parquet").read_bytes())
    done = trained("gender", "--data", only, "--out", tmp_path)
    assert isinstance(done.exception, DataLayoutError)
    assert "lacks utkface (found: imfdb)" in str(done.exception)


def test_a_folder_in_no_known_layout_is_told(tmp_path: Path) -> None:
    done = trained("gender", "--data", tmp_path, "--out", tmp_path)
    assert isinstance(done.exception, DataLayoutError)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that knows nothing, but has the right outputs."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    write_onnx(YuNet(), path)
    return path


def test_a_detector_learns_from_its_teacher(
    data: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(recipe.RECIPE, sides={96: 1.0}, steps_per_epoch=2, batch_size=2)
    monkeypatch.setattr(recipe, "RECIPE", small)
    pictures = tmp_path / "data"
    pictures.mkdir()
    (pictures / "utkface.parquet").symlink_to(data / "utkface.parquet")
    write(
        pictures,
        "wider_faces",
        {
            "image": [drawn_face(index, side=120) for index in range(12)],
            "path": [f"{index}.jpg" for index in range(12)],
            "boxes_xywh": [[[20.0, 10.0, 80.0, 100.0]]] * 12,
            "invalid": [[0]] * 12,
        },
    )
    arguments = ("detector", "--data", pictures, "--out", tmp_path, "--teacher", teacher)
    done = trained(*arguments, "--epochs", 1)
    assert done.exception is None, done.output
    folder = Path(done.stdout.strip())
    assert folder == tmp_path / "detector" / "export"
    assert (tmp_path / "detector" / "curves.png").is_file()
    again = trained(*arguments, "--epochs", 2)
    assert "resuming after epoch 1" in again.stderr
    monkeypatch.setattr(recipe, "RECIPE", replace(small, hint_weight=1.0))
    assert isinstance(trained(*arguments).exception, ModelError)

    models = tmp_path / "models"
    models.mkdir()
    folder.rename(models / "detector")
    measured = CliRunner().invoke(
        cli,
        ["evaluate", "detector", "--detector", "own", "--data", str(pictures), "--json",
         "--models-path", str(models)],
    )  # fmt: skip
    (entry,) = json.loads(measured.stdout)
    assert entry["n"] == 12
    assert 0 < entry["of_training"] <= 12
    assert f"{entry['of_training']} of these 12 pictures" in measured.stderr


def test_a_detector_wants_a_teacher_that_fits(data: Path, tmp_path: Path) -> None:
    nobody = trained("detector", "--data", data, "--out", tmp_path)
    assert nobody.exit_code == exits.USAGE
    assert "--teacher" in nobody.output
    gender = Path(faces_jobs_models.__file__).parent / "gender" / "model.onnx"
    wrong = trained("detector", "--data", data, "--out", tmp_path, "--teacher", gender)
    assert isinstance(wrong.exception, ModelError)
    assert "another network than YuNet" in str(wrong.exception)
    unasked = trained("gender", "--data", data, "--out", tmp_path, "--teacher", gender)
    assert unasked.exit_code == exits.USAGE


@pytest.mark.parametrize(
    "arguments",
    [("face", "--data", "."), ("gender",), ("gender", "--data", ".", "--epochs", "0")],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...]) -> None:
    assert trained(*arguments).exit_code == exits.USAGE


def test_labels_of_expressions_are_for_expression(data: Path, tmp_path: Path) -> None:
    done = trained("gender", "--data", data, "--out", tmp_path, "--labels", "fer2013")
    assert done.exit_code == exits.USAGE
    assert "is for expression" in done.output


@pytest.mark.parametrize("option", ["--alone", "--labels fer2013", "--detector own"])
def test_what_the_detector_would_pass_over_is_refused(
    data: Path, teacher: Path, tmp_path: Path, option: str
) -> None:
    done = trained(
        "detector", "--data", data, "--out", tmp_path, "--teacher", teacher, *option.split()
    )
    assert done.exit_code == exits.USAGE
    assert option.split(maxsplit=1)[0] in done.output
