"""Verifies that a model's files contain the network that their record describes.

A matching SHA-256 shows that a file is the recorded one, not that it holds the right network: so
the network is run, and the outputs of onnxruntime and torch are compared.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.registry import family_of
from faces_jobs_models.onnx_session import open_session
from faces_jobs_models.weights import ModelRecord

# Both files of a detector hold the same weights (the tests require 1e-4).
MAX_DIFFERENCE = 1e-3
# On noise, a classifier's int8 export differs from its floats by 0.02 in the mean, the weights of
# another training by 0.08.
MAX_MEAN_DIFFERENCE = 0.05
_CROPS = 4
_SEED = 1


def verify_detector(record: ModelRecord) -> None:
    """Open and run a detector; if torch is installed, compare it with the torch network.

    Raises:
        ModelError: a file is missing, has changed or holds another network, or the two runtimes
            disagree.
    """
    open_detector(record).detect([np.zeros((64, 96, 3), np.uint8)])
    if importlib.util.find_spec("torch") is None:
        return  # without torch only the ONNX file is used
    family = family_of(record)
    picture = np.random.default_rng(_SEED).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    for by_onnx, by_torch in zip(*family.onnx_and_torch_outputs(record, picture), strict=True):
        if np.allclose(by_onnx, by_torch, atol=MAX_DIFFERENCE, rtol=MAX_DIFFERENCE):
            continue
        if len(family.files) > 1:
            raise _different_weights(record)
        raise ModelError(
            f"{record.files['onnx'].path} gives other outputs than the network that CUDA runs with "
            f"its weights: it is not the {record.name} that faces-jobs supports. Reinstall "
            "faces-jobs, or remove this file from the models folder."
        )


def verify_classifier(record: ModelRecord) -> None:
    """Run a classifier; if torch is installed, compare its two files.

    Raises:
        ModelError: a file is missing, has changed, holds another network or another number of
            labels, or the two files disagree.
    """
    record.verify()
    size = record.input_size or 1
    noise = np.random.default_rng(_SEED).uniform(0, 255, (_CROPS, 3, size, size))
    crops = noise.astype(np.float32)
    by_onnx = _onnx_outputs(record, crops)
    if importlib.util.find_spec("torch") is None:
        return  # without torch only the ONNX file is used
    from faces_jobs_models.torch_session import TorchSession  # noqa: PLC0415 - loads torch

    by_torch = TorchSession(record, device="cpu").run(crops)
    for one, other in zip(by_onnx, by_torch, strict=True):
        if float(np.abs(one - other).mean()) > MAX_MEAN_DIFFERENCE:
            raise _different_weights(record)


def _different_weights(record: ModelRecord) -> ModelError:
    return ModelError(
        f"The files {record.files['onnx'].path.name} and "
        f"{record.files['safetensors'].path.name} in {record.folder} give different outputs: they "
        "are from different trainings. Export the model again."
    )


def _onnx_outputs(record: ModelRecord, crops: np.ndarray) -> list[np.ndarray]:
    path = record.files["onnx"].path
    session = open_session(record, outputs=tuple(record.heads))
    try:
        outputs = [np.asarray(output) for output in session.run(crops)]
    except Exception as error:  # onnxruntime's errors have no common base class
        raise ModelError(
            f"{path} is another network: it does not accept crops of "
            f"{crops.shape[2]}x{crops.shape[3]} pixels ({error}). Export the model again."
        ) from error
    for (head, labels), output in zip(record.heads.items(), outputs, strict=True):
        if output.shape != (len(crops), len(labels)) or not np.allclose(
            output.sum(axis=1), 1, atol=1e-3
        ):
            raise ModelError(
                f"{path} is another network: the shape of its head {head} is {output.shape[1:]}, "
                f"not the probabilities of {len(labels)} labels. Export the model again."
            )
    return outputs
