"""Pictures that can't be read are counted before a training of the detector begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.detector.export import write_onnx
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.training.detector.recipe import RECIPE
from faces_jobs_models.training.detector.run_recipe import run_detector_recipe
from tests.unit.models.packs import write


def test_unreadable_pictures_are_left_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write(
        data,
        "marked",
        {
            "image": [b"no picture"] * 20,  # some of them are held out
            "boxes_xywh": [[[1.0, 2.0, 30.0, 40.0]]] * 20,
            "invalid": [[0]] * 20,
        },
    )
    columns: dict[str, list[object]] = {
        "path": ["1.jpg"],
        "age": [30],
        "gender": ["male"],
        "race": [0],
    }
    write(data, "utkface", {"image": [b"no picture"], **columns})
    write_onnx(YuNet().eval(), tmp_path / "teacher.onnx")
    lines: list[str] = []
    with pytest.raises(DataLayoutError, match=r"\(0 in .*\) and faces .* \(0\)"):
        run_detector_recipe(
            RECIPE,
            data,
            teacher=tmp_path / "teacher.onnx",
            out=tmp_path / "out",
            device="cpu",
            threads=1,
            report=lines.append,
            on_progress=lambda _: None,
        )
    assert any(line.endswith("marked unreadable picture") for line in lines)
    assert "skipped: 1 x utkface unreadable picture" in lines
