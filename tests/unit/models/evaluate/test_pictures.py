"""The pictures are there, show something, and need no display."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.evaluation.cross_fit import cross_fitted
from faces_jobs_models.training.evaluation.folds import NO_FOLD
from faces_jobs_models.training.evaluation.measure import Measurement
from faces_jobs_models.training.evaluation.measurement_plots import draw_head, draw_measurement
from faces_jobs_models.training.evaluation.plots import draw_confusion, draw_curves
from faces_jobs_models.weights import Calibration

from .entries import random_model, random_predictions

KINDS = ("confusion", "reliability", "risk-coverage")


def colours(path: Path) -> int:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


@pytest.mark.parametrize("head", ["gender", "occlusion"])
def test_a_measured_head_has_three_pictures(head: str, tmp_path: Path) -> None:
    asked = random_model("any", [head])
    draw_measurement(tmp_path / "new folder", Measurement(asked, random_predictions(head), []))
    names = {path.name for path in (tmp_path / "new folder").iterdir()}
    assert names == {f"{kind}-{head}-faces.png" for kind in KINDS}
    for name in names:
        assert colours(tmp_path / "new folder" / name) > 20


def test_one_face_and_none_are_no_trouble(tmp_path: Path) -> None:
    view = np.array([[[0.7, 0.3]]])
    for truth, fold, expected in ((0, NO_FOLD, 3), (0, 5, 1), (-1, NO_FOLD, 0)):
        folder = tmp_path / f"{truth} {fold}"
        draw_head(
            folder,
            head="gender",
            data_set="one",
            labels=HEADS["gender"],
            truth=np.array([truth]),
            probabilities=view[0],
            cross_fitted=cross_fitted(
                view, np.array([truth]), np.array([fold]), Calibration(1.5), temperature=1.5
            ),
            unsure_below=0.8,
        )
        assert (len(list(folder.iterdir())) if folder.exists() else 0) == expected


def test_labels_that_never_occur_have_no_row(tmp_path: Path) -> None:
    row = dict.fromkeys(HEADS["occlusion"], 0) | {"others": 9}
    draw_confusion(tmp_path / "one.png", {"others": row}, title="masks")
    assert colours(tmp_path / "one.png") > 20


@pytest.mark.parametrize("epochs", [1, 7])
def test_curves_are_drawn_from_the_log(tmp_path: Path, epochs: int) -> None:
    log = tmp_path / "log.jsonl"
    figures = [{"head": "age", "data_set": "imfdb", "accuracy": 0.5}]
    entries = [
        {"epoch": epoch + 1, "loss": 1 / (epoch + 1), "figures": figures if epoch % 3 == 2 else []}
        for epoch in range(epochs)
    ]
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    draw_curves(tmp_path / "curves.png", log)
    assert colours(tmp_path / "curves.png") > 10
    log.write_text(log.read_text() + '{"epoch": 8, "lo')  # the disk was full
    draw_curves(tmp_path / "again.png", log)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "curves.png").read_bytes()
