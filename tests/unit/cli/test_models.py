"""`faces-jobs models`: what is listed, and every way in which files can be wrong."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

import faces_jobs_models
from faces_jobs.cli import cli, exits
from faces_jobs.errors import DataLayoutError
from faces_jobs_models.onnx_session import OnnxSession
from tests.unit.models.packs import drawn_face, write

SHIPPED = Path(faces_jobs_models.__file__).parent
CLASSIFIERS = ("gender", "expression", "multiple")


def models(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["models", *map(str, arguments)])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A models folder with a copy of the shipped gender model."""
    (tmp_path / "gender").mkdir()
    for name in ("weights.toml", "model.onnx", "model.safetensors"):
        shutil.copy(SHIPPED / "gender" / name, tmp_path / "gender" / name)
    return tmp_path


def record_again(folder: Path) -> None:
    """Write the sizes and SHA-256 of the files as they are now into the record."""
    record = (folder / "weights.toml").read_text()
    for name in ("model.onnx", "model.safetensors"):
        content = (folder / name).read_bytes()
        record = re.sub(
            rf'(path = "{name}"\nsha256 = ")[0-9a-f]+("\nbytes = )\d+',
            rf"\g<1>{hashlib.sha256(content).hexdigest()}\g<2>{len(content)}",
            record,
        )
    (folder / "weights.toml").write_text(record)


def test_the_list_tells_version_file_and_figures() -> None:
    told: list[dict[str, Any]] = json.loads(models("list", "--json").stdout)
    named = {one["name"]: one for one in told if one["used"]}
    assert set(named) == {"detector", *CLASSIFIERS}
    shown = models("list").stdout
    for one in named.values():
        assert one["problem"] is None
        assert one["purpose"]
        assert one["version"] in shown
        run_by_cpu = one["files"].get("int8", one["files"]["onnx"])  # as the results name it
        assert run_by_cpu["sha256"][:12] in shown
        assert f"{run_by_cpu['bytes'] / 1e6:.1f} MB" in shown
    for name in CLASSIFIERS:
        for head, sets in named[name]["figures"].items():
            for data_set, figures in sets.items():
                assert f"{head} {data_set} {figures['accuracy']:.1%}" in shown


def test_the_shipped_models_are_whole() -> None:
    verified = models("verify")
    assert verified.exit_code == 0, verified.output
    for name in CLASSIFIERS:
        assert f"{name} " in verified.stdout


def test_an_own_model_is_listed_in_place_of_the_shipped_one(own: Path) -> None:
    told = json.loads(models("list", "--json", "--models-path", own).stdout)
    folders = {one["name"]: one["folder"] for one in told}
    assert folders["gender"] == str(own / "gender")
    assert folders["expression"] == str(SHIPPED / "expression")


def problem(own: Path) -> str:
    """What `verify` says of the own gender model; the others stay whole."""
    verified = models("verify", "--models-path", own)
    assert verified.exit_code == exits.FAILED
    told = [line for line in verified.stderr.splitlines() if line]
    assert len(told) == 1
    assert told[0].startswith("gender: ")
    assert "expression " in verified.stdout
    listed = models("list", "--models-path", own)
    assert listed.exit_code == 0
    return told[0]


def test_a_missing_file(own: Path) -> None:
    (own / "gender" / "model.safetensors").unlink()
    assert "is missing" in problem(own)
    assert "is missing" in models("list", "--models-path", own).stdout


def test_a_changed_file(own: Path) -> None:
    path = own / "gender" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "has changed since it was recorded" in problem(own)


def test_a_file_that_was_cut_off(own: Path) -> None:
    path = own / "gender" / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    assert "1000 bytes" in problem(own)


def test_labels_in_another_order(own: Path) -> None:
    record = own / "gender" / "weights.toml"
    text = record.read_text().replace('["female", "male"]', '["male", "female"]')
    record.write_text(text)
    assert "male, female" in problem(own)


def test_a_record_of_another_model(own: Path) -> None:
    shutil.copy(SHIPPED / "expression" / "weights.toml", own / "gender" / "weights.toml")
    assert "describes the model 'expression'" in problem(own)


@pytest.mark.parametrize("other", ["expression", "multiple"])
def test_the_network_of_another_model_under_a_right_record(own: Path, other: str) -> None:
    shutil.copy(SHIPPED / other / "model.onnx", own / "gender" / "model.onnx")
    record_again(own / "gender")
    assert "is another network" in problem(own)


def test_a_file_that_is_no_network_under_a_right_record(own: Path) -> None:
    (own / "gender" / "model.onnx").write_bytes(b"no network")
    record_again(own / "gender")
    assert "can't be opened" in problem(own)


def test_torch_weights_of_another_architecture_under_a_right_record(own: Path) -> None:
    shutil.copy(SHIPPED / "multiple" / "model.safetensors", own / "gender" / "model.safetensors")
    record_again(own / "gender")
    assert "don't fit the network" in problem(own)


def test_two_files_of_two_trainings_under_a_right_record(own: Path) -> None:
    path = own / "gender" / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in reversed(tensors) if name.endswith("bias"))
    tensors[name] = tensors[name] + [3.0, -3.0][: tensors[name].shape[0]]
    save_file(tensors, path)
    record_again(own / "gender")
    assert "from different trainings" in problem(own)


def test_another_training_of_a_model_is_listed_and_verified(own: Path) -> None:
    shutil.copytree(own / "gender", own / "gender" / "fer2013")
    told = json.loads(models("list", "--json", "--models-path", own).stdout)
    assert {"gender", "gender/fer2013"} <= {one["name"] for one in told}
    assert models("verify", "--models-path", own).exit_code == 0
    (own / "gender" / "fer2013" / "model.onnx").unlink()
    verified = models("verify", "--models-path", own)
    assert verified.exit_code == exits.FAILED
    assert verified.stderr.startswith("gender/fer2013: ")


def test_a_models_folder_that_holds_none_is_told(tmp_path: Path) -> None:
    told = models("verify", "--models-path", tmp_path)
    assert "contains no model" in str(told.exception)
    assert "Correct --models-path or FACES_JOBS_MODELS_FOLDER" in str(told.exception)


def test_eight_bits_of_centerface_are_made_from_pictures(tmp_path: Path) -> None:
    pictures = tmp_path / "data"
    pictures.mkdir()
    count = 3
    columns: dict[str, list[Any]] = {
        "image": [drawn_face(index, side=120) for index in range(count)],
        "path": [f"{index}.jpg" for index in range(count)],
        "boxes_xywh": [[[20.0, 10.0, 80.0, 100.0]]] * count,
        "invalid": [[0]] * count,
    }
    write(pictures, "wider_faces", columns)
    out = tmp_path / "int8.onnx"
    done = models("quantize", "--data", pictures, "--out", out)
    assert done.exception is None, done.output
    assert hashlib.sha256(out.read_bytes()).hexdigest() in done.stdout
    shipped = SHIPPED / "detector" / "centerface" / "int8.onnx"
    assert abs(out.stat().st_size - shipped.stat().st_size) < 10_000
    maps = OnnxSession(out, name="int8", threads=1).run(np.zeros((2, 3, 64, 96), np.float32))
    assert [one.shape for one in maps] == [(2, channels, 16, 24) for channels in (1, 2, 2, 10)]


def test_eight_bits_want_pictures_with_faces(tmp_path: Path) -> None:
    failed = models("quantize", "--data", tmp_path, "--out", tmp_path / "int8.onnx")
    assert isinstance(failed.exception, DataLayoutError)
    assert not (tmp_path / "int8.onnx").exists()
