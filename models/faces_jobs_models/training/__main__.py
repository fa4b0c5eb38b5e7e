"""`python -m faces_jobs_models.training MODEL --data DIR --out DIR`: prepare, train, export.

With `--measure` nothing is trained: the shipped weights are measured on the held-out faces.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import torch

from faces_jobs.errors import FacesJobsError
from faces_jobs.settings import DEFAULT_DETECTOR
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.training.evaluate import answer_of_session, evaluate
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.figures import Figures
from faces_jobs_models.training.loop import train
from faces_jobs_models.training.prepare import Prepared, prepare
from faces_jobs_models.training.recipes import RECIPES, Recipe
from faces_jobs_models.training.tables import figures_table


def main(arguments: list[str] | None = None) -> int:
    """Train one model; 0 when its weights are written, 1 with a sentence when not."""
    parser = ArgumentParser(prog="python -m faces_jobs_models.training", description=__doc__)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="folder of the parquet packs")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for crops, checkpoints and weights"
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure the shipped weights instead of training"
    )
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    recipe = RECIPES[given.model]
    torch.set_num_threads(given.threads)
    try:
        detector = open_detector(detector_record(DEFAULT_DETECTOR), threads=given.threads)
        data_sets = [
            prepare(
                name,
                data=given.data,
                out=given.out / "prepared",
                detector=detector,
                crop_scale=recipe.crop_scale,
                crop_size=recipe.crop_size,
                gray=recipe.gray,
            )
            for name in recipe.data_sets
        ]
        if given.measure:
            _say(figures_table(_measure_shipped(recipe, data_sets, threads=given.threads)))
            return 0
        trained = train(recipe, data_sets, out=given.out / recipe.model, say=_say)
        folder = export_model(recipe, trained, out=given.out / recipe.model / "export")
    except FacesJobsError as error:
        _say(str(error))
        return 1
    _say(f"written: {folder}")
    return 0


def _measure_shipped(
    recipe: Recipe, data_sets: Sequence[Prepared], *, threads: int
) -> list[Figures]:
    with open_catalog(device="cpu") as catalog:
        record = catalog.record(recipe.model)
    record.verify()
    session = OnnxSession(record.files["onnx"].path, name=record.name, threads=threads)
    return evaluate(
        recipe.model,
        record.heads,
        answer_of_session(session),
        data_sets,
        crop_size=recipe.crop_size,
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
