"""Looks into a model's files: do they hold the network that their record describes?

A SHA-256 tells that a file is the recorded one, not that the record is of the right network.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.registry import family_of
from faces_jobs_models.onnx_session import open_session
from faces_jobs_models.weights import ModelRecord

# The two files of a detector are one training: so they answer alike (the tests hold them to 1e-4).
MAX_DIFFERENCE = 1e-3
# Eight bits of a classifier answer noise otherwise by 0.02 in the mean, another training by 0.08.
MAX_MEAN_DIFFERENCE = 0.05
_CROPS = 4
_SEED = 1


def verify_detector(record: ModelRecord) -> None:
    """Open a detector and let it look at a picture; where torch is there, with torch as well.

    Raises:
        ModelError: a file is missing, changed, of another network, or differs from its sibling.
    """
    open_detector(record).detect([np.zeros((64, 96, 3), np.uint8)])
    if importlib.util.find_spec("torch") is None:
        return  # a machine without torch uses the ONNX file alone
    family = family_of(record)
    picture = np.random.default_rng(_SEED).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    for one, other in zip(*family.onnx_and_torch_outputs(record, picture), strict=True):
        if np.allclose(one, other, atol=MAX_DIFFERENCE, rtol=MAX_DIFFERENCE):
            continue
        if len(family.files) > 1:
            raise _two_trainings(record)
        raise ModelError(
            f"{record.files['onnx'].path} answers otherwise than the network that CUDA runs with "
            f"its weights: it is not the {record.name} that faces-jobs knows. Reinstall "
            "faces-jobs, or leave this file out of the models folder."
        )


def verify_classifier(record: ModelRecord) -> None:
    """Run both files of a classifier.

    Raises:
        ModelError: a file is missing, changed, of another architecture, answers with other
            labels, or differs from its sibling.
    """
    record.verify()
    size = record.input_size or 1
    crops = np.random.default_rng(_SEED).uniform(0, 255, (_CROPS, 3, size, size))
    answers = _answers(record, crops.astype(np.float32))
    if importlib.util.find_spec("torch") is None:
        return  # a machine without torch uses the ONNX file alone
    from faces_jobs_models.torch_session import TorchSession  # noqa: PLC0415 - loads torch

    for one, other in zip(
        answers,
        TorchSession(record, device="cpu").run(crops.astype(np.float32)),
        strict=True,
    ):
        if float(np.abs(one - other).mean()) > MAX_MEAN_DIFFERENCE:
            raise _two_trainings(record)


def _two_trainings(record: ModelRecord) -> ModelError:
    return ModelError(
        f"The files {record.files['onnx'].path.name} and "
        f"{record.files['safetensors'].path.name} in {record.folder} answer differently: "
        "they are of two trainings. Export the model again."
    )


def _answers(record: ModelRecord, crops: np.ndarray) -> list[np.ndarray]:
    path = record.files["onnx"].path
    session = open_session(record, outputs=tuple(record.heads))
    try:
        answers = [np.asarray(answer) for answer in session.run(crops)]
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise ModelError(
            f"{path} is another network: it does not take crops of "
            f"{crops.shape[2]}x{crops.shape[3]} pixels ({error}). Export the model again."
        ) from error
    for (head, labels), answer in zip(record.heads.items(), answers, strict=True):
        if answer.shape != (len(crops), len(labels)) or not np.allclose(
            answer.sum(axis=1), 1, atol=1e-3
        ):
            raise ModelError(
                f"{path} is another network: its head {head} gives {answer.shape[1:]} numbers, "
                f"not the probabilities of {len(labels)} labels. Export the model again."
            )
    return answers
