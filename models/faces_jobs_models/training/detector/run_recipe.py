"""One training of the detector from pictures to a model's folder: scenes, teacher, export."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.detector.export import DetectorNote, write_detector
from faces_jobs_models.device import Device
from faces_jobs_models.training.checkpoint import LOG_NAME, check_run_matches, epochs_done
from faces_jobs_models.training.detector.loop import Report, train_detector
from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Photograph, Scenes
from faces_jobs_models.training.detector.score_power import score_power
from faces_jobs_models.training.detector.teacher import Teacher
from faces_jobs_models.training.export import TERMS
from faces_jobs_models.training.plots import draw_curves
from faces_jobs_models.training.readers import open_data, open_detection_data
from faces_jobs_models.training.run_identity import RunIdentity, hash_of, hash_of_recipe
from faces_jobs_models.training.run_recipe import EXPORT_NAME
from faces_jobs_models.weights import sha256_of

_PORTRAITS = ("utkface", "imfdb", "facemask", "facemask")  # masks twice: they are few
_LOWEST_FACE = 4  # pixels; lower ones say nothing of the scale of a picture


def run_detector_recipe(
    recipe: DetectorRecipe,
    data: Path,
    *,
    teacher: Path,
    out: Path,
    device: Device,
    threads: int,
    report: Report,
    on_progress: Callable[[int], None],
) -> Path:
    """Train by the recipe, or go on with the training that `out` holds.

    Args:
        recipe: what to do.
        data: holds WIDER FACE, and faces to compose scenes with (utkface, imfdb, facemask).
        teacher: the ONNX file of a YuNet, which answers for the finished scenes.
        out: gets `detector` with checkpoint, log, curves and `export`.
        device: where the network is trained; the teacher answers on the CPU, beside it.
        threads: cores that may be used.
        report: takes one line an epoch, and one for each reason why pictures were left out.
        on_progress: takes the number of epochs done, those of earlier runs included.

    Returns:
        The model's folder, `out/detector/export`.

    Raises:
        DataLayoutError: there are no pictures with marked faces.
        ModelError: the teacher is missing, or another network; `out` holds a run of another
            recipe or with other pictures.
    """
    # With two cores and more, one of them draws the scenes; a GPU waits for all but one.
    workers = threads - 1 if device == "cuda" else min(1, threads - 1)
    torch.set_num_threads(threads - workers)
    learnt_from = Teacher(teacher)  # before the pictures are read: it may be wrong
    folder = out / "detector"
    # It may be made longer or shorter: its rate is level until late.
    of_recipe = hash_of_recipe(recipe, ignore=["epochs"])
    check_run_matches(folder, recipe=of_recipe)

    def after_an_epoch(line: str) -> None:
        report(line)
        on_progress(epochs_done(folder))

    if done := epochs_done(folder):
        report(f"detector: resuming after epoch {done}")
        on_progress(done)
    photographs, portraits = _pictures(data, report)
    network = train_detector(
        recipe,
        Scenes(photographs, portraits, recipe.scenes),
        learnt_from,
        out=folder,
        device=torch.device(device),
        run=RunIdentity(of_recipe, _content(photographs, portraits, teacher)),
        workers=workers,
        report=after_an_epoch,
    ).cpu()
    draw_curves(folder / "curves.png", folder / LOG_NAME)
    export = write_detector(network, _note(recipe), folder / EXPORT_NAME)
    power = score_power(export, data, precision=recipe.precision)
    report(f"detector: scores are raised to {power:.3f}")
    network.config = replace(network.config, score_power=power)
    return write_detector(network, _note(recipe), export)


def _pictures(data: Path, report: Report) -> tuple[list[Photograph], list[bytes]]:
    skipped: Counter[str] = Counter()
    photographs = []
    for marked in open_detection_data(data, skipped=skipped):
        for one in marked:
            if not one.held_out:
                heights = one.boxes_xyxy[:, 3] - one.boxes_xyxy[:, 1]
                known = ~one.ignore & (heights >= _LOWEST_FACE)
                boxes = one.boxes_xyxy
                photographs.append(Photograph(one.image, np.asarray(boxes[known]), boxes))
    found = {one.name: one for one in open_data(data, labels="ferplus", skipped=skipped)}
    # Their labels don't matter here, so neither does which of them are held out for others.
    portraits = [sample.image for name in _PORTRAITS if name in found for sample in found[name]]
    for reason, count in skipped.items():
        if count:
            report(f"left out: {count} x {reason}")
    if not photographs or not portraits:
        raise DataLayoutError(
            f"Scenes are composed of pictures with marked faces ({len(photographs)} in {data}) and "
            f"of faces from {', '.join(dict.fromkeys(_PORTRAITS))} ({len(portraits)}): both are "
            "needed."
        )
    return photographs, portraits


def _content(photographs: list[Photograph], portraits: list[bytes], teacher: Path) -> str:
    parts = [part for one in photographs for part in (one.image, one.marked_xyxy.tobytes())]
    hashes = [hashlib.sha256(part).hexdigest() for part in (*parts, *portraits)]
    return hash_of([*hashes, sha256_of(teacher)])


def _note(recipe: DetectorRecipe) -> DetectorNote:
    return DetectorNote(
        name="detector",
        version=recipe.version,
        architecture="YuNet (Wu, Peng, Yu, Machine Intelligence Research 20, 2023), narrowed",
        source="trained by faces_jobs; recipe in faces_jobs_models/training/detector/recipe.py",
        licence="MIT",
        terms=TERMS,
    )
