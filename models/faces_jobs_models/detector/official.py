"""The official YuNet: its file fetched, read into our network, and written as a model's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.export import DetectorNote, write_detector
from faces_jobs_models.detector.onnx_reader import read_onnx
from faces_jobs_models.detector.outputs import OUTPUT_NAMES, SIZE_MULTIPLE
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.download import download
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import read_record

NAME = DETECTORS["yunet"].name
_LARGEST_BYTES = 10_000_000
_LARGEST_DIFFERENCE = 1e-4
_SIDE = 5 * SIZE_MULTIPLE  # of the picture on which file and network are compared, where it is free

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a file lies, and what it must be."""

    url: str
    sha256: str
    file_name: str
    version: str


# OpenCV's zoo, at a commit. The SHA-256 is the one in the zoo's own pointer to its large files.
OFFICIAL = Source(
    url=(
        "https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/"
        "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
    ),
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    file_name="face_detection_yunet_2023mar.onnx",
    version="2023mar",
)


def fetch_official(folder: Path, *, source: Source = OFFICIAL, report: Report) -> Path:
    """Bring the official YuNet into the models folder `folder`; its own folder is returned.

    Where it is there already and whole nothing is fetched. The file is kept beside what is made
    of it; one that was put there by hand is used in place of the network.

    Raises:
        DownloadError: the file can't be fetched.
        ModelError: it is not the one that was asked for, or holds another network.
    """
    out = folder / NAME
    if _is_whole(out, source):
        report(f"The official weights of YuNet are in {out} already.")
        return out
    out.mkdir(parents=True, exist_ok=True)
    file = out / source.file_name
    report(f"Fetching {source.url}")
    download(source.url, file, sha256=source.sha256, max_bytes=_LARGEST_BYTES)
    network = read_onnx(file)
    _compare(network, file)
    note = DetectorNote(
        name=NAME,
        version=source.version,
        architecture='YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023)',
        source=f"{source.url} (SHA-256 {source.sha256})",
        licence="MIT, Copyright (c) 2020 Shiqi Yu",
        terms="Weights under MIT; trained by their authors on WIDER FACE (research data).",
    )
    write_detector(network, note, out)
    report(f"YuNet {source.version} is in {out}.")
    return out


def _is_whole(out: Path, source: Source) -> bool:
    try:
        record = read_record(out)
        record.verify()
    except ModelError:
        return False
    return source.sha256 in record.source


def _compare(network: YuNet, file: Path) -> None:
    """The network must answer as the file does: else the reading of it was wrong."""
    session = OnnxSession(file, name=NAME, threads=1)
    height, width = (side or _SIDE for side in session.picture_size)
    chance = np.random.default_rng(1)
    picture = chance.uniform(0, 255, (1, 3, height, width)).astype(np.float32)
    theirs = dict(zip(session.output_names, session.run(picture), strict=True))
    with torch.inference_mode():
        ours = network(torch.from_numpy(picture))
    for name, values in zip(OUTPUT_NAMES, ours, strict=True):
        if theirs[name].size != values.numel() or not np.allclose(
            theirs[name].reshape(values.shape), values.numpy(), atol=_LARGEST_DIFFERENCE, rtol=1e-3
        ):
            raise ModelError(
                f"{file} answers otherwise than the network that was read from it ({name}): it is "
                "not the YuNet that faces-jobs knows. Name another file, or report this."
            )
