"""Runs the detector's recipe from pictures to a model folder: train, calibrate scores, export."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.detector.export import DetectorMetadata, write_detector
from faces_jobs_models.device import Device
from faces_jobs_models.training.checkpoint import LOG_NAME, check_run_matches, epochs_done
from faces_jobs_models.training.detector.loop import Report, train_detector
from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Photograph, Scenes
from faces_jobs_models.training.detector.score_power import score_power
from faces_jobs_models.training.detector.teacher import Teacher
from faces_jobs_models.training.evaluation.plots import draw_curves
from faces_jobs_models.training.export import TERMS
from faces_jobs_models.training.readers import (
    describe_skipped,
    open_data,
    open_detection_data,
)
from faces_jobs_models.training.readers.decoding import decode
from faces_jobs_models.training.run_identity import RunIdentity, hash_of, hash_of_recipe
from faces_jobs_models.training.run_recipe import EXPORT_NAME
from faces_jobs_models.weights import sha256_of

_PORTRAIT_SETS = ("utkface", "imfdb", "facemask", "facemask")  # twice, since it is small
_MIN_FACE_HEIGHT = 4  # pixels; smaller faces don't determine the scale of a picture


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
    """Train the detector by its recipe, or resume the run in `out`.

    Args:
        recipe: of the detector.
        data: holds WIDER FACE, and the data sets with portraits (utkface, imfdb, facemask).
        teacher: the ONNX file of a YuNet, whose outputs for the scenes are the targets.
        out: gets `detector` with checkpoint, log, curves and `export`.
        device: where the network is trained; the teacher runs on the CPU at the same time.
        threads: number of cores that may be used.
        report: called with a line of text for each epoch, and for each reason why pictures were
            left out.
        on_progress: called with the number of completed epochs, including those of earlier calls.

    Returns:
        The model folder, `out/detector/export`.

    Raises:
        DataLayoutError: there are no pictures with annotated faces, or no portraits.
        ModelError: the teacher is missing or not a YuNet; `out` holds a run of another recipe or
            with other pictures.
    """
    # Worker processes make the scenes: all cores but one for a GPU, else one if there are two.
    workers = threads - 1 if device == "cuda" else min(1, threads - 1)
    torch.set_num_threads(threads - workers)
    teacher_network = Teacher(teacher)  # raises before the pictures are read
    folder = out / "detector"
    # The number of epochs may be changed: the learning rate is constant until late.
    recipe_hash = hash_of_recipe(recipe, ignore=["epochs"])
    check_run_matches(folder, recipe=recipe_hash)

    def report_epoch(line: str) -> None:
        report(line)
        on_progress(epochs_done(folder))

    if done := epochs_done(folder):
        report(f"detector: resuming after epoch {done}")
        on_progress(done)
    photographs, portraits = _pictures(data, report)
    network = train_detector(
        recipe,
        Scenes(photographs, portraits, recipe.scenes),
        teacher_network,
        out=folder,
        device=torch.device(device),
        run=RunIdentity(recipe_hash, _hash_of_data(photographs, portraits, teacher)),
        workers=workers,
        report=report_epoch,
    ).cpu()
    draw_curves(folder / "curves.png", folder / LOG_NAME)
    export = write_detector(network, _note(recipe), folder / EXPORT_NAME)
    power = score_power(export, data, precision=recipe.precision)
    report(f"detector: scores are raised to {power:.3f}")
    network.config = replace(network.config, score_power=power)
    return write_detector(network, _note(recipe), export)


def _pictures(data: Path, report: Report) -> tuple[list[Photograph], list[bytes]]:
    skipped: Counter[str] = Counter()

    def is_readable(image: bytes, source: str) -> bool:
        return decode(image, skipped=skipped, source=source) is not None

    photographs = []
    for detection_set in open_detection_data(data, skipped=skipped):
        for sample in detection_set:
            if not sample.held_out and is_readable(sample.image, detection_set.name):
                boxes = sample.boxes_xyxy
                is_clear = ~sample.ignore & (boxes[:, 3] - boxes[:, 1] >= _MIN_FACE_HEIGHT)
                photographs.append(Photograph(sample.image, np.asarray(boxes[is_clear]), boxes))
    found = {one.name: one for one in open_data(data, labels="ferplus", skipped=skipped)}
    # Labels are not used, so faces that are held out for classifiers may be used, too.
    faces = {
        name: [face.image for face in found[name] if is_readable(face.image, name)]
        for name in dict.fromkeys(_PORTRAIT_SETS)
        if name in found
    }
    portraits = [image for name in _PORTRAIT_SETS for image in faces.get(name, ())]
    for line in describe_skipped(skipped):
        report(line)
    if not photographs or not portraits:
        raise DataLayoutError(
            f"Scenes need pictures with annotated faces ({len(photographs)} in {data}) and faces "
            f"from {', '.join(dict.fromkeys(_PORTRAIT_SETS))} ({len(portraits)})."
        )
    return photographs, portraits


def _hash_of_data(photographs: list[Photograph], portraits: list[bytes], teacher: Path) -> str:
    parts = [part for one in photographs for part in (one.image, one.marked_xyxy.tobytes())]
    hashes = [hashlib.sha256(part).hexdigest() for part in (*parts, *portraits)]
    return hash_of([*hashes, sha256_of(teacher)])


def _note(recipe: DetectorRecipe) -> DetectorMetadata:
    return DetectorMetadata(
        name="detector",
        version=recipe.version,
        architecture="YuNet (Wu, Peng, Yu, Machine Intelligence Research 20, 2023), narrowed",
        source="trained by faces_jobs; recipe in faces_jobs_models/training/detector/recipe.py",
        licence="MIT",
        terms=TERMS,
    )
