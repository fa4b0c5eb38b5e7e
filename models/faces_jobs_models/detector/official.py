"""Downloads the official YuNet, loads it into our network, and exports that to a model's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.export import DetectorMetadata, write_detector
from faces_jobs_models.detector.onnx_reader import read_onnx
from faces_jobs_models.detector.outputs import OUTPUT_NAMES, SIZE_MULTIPLE
from faces_jobs_models.detector.registry import DETECTORS
from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.download import download
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import read_record

NAME = DETECTORS["yunet"].name
_MAX_BYTES = 10_000_000
_MAX_DIFFERENCE = 1e-4
_SIDE = 5 * SIZE_MULTIPLE  # of the picture that file and network are compared on, if dynamic

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The URL of a file, and its expected SHA-256."""

    url: str
    sha256: str
    file_name: str
    version: str


# OpenCV's model zoo at a fixed commit. The SHA-256 is the one in the zoo's Git LFS pointer.
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
    """Install the official YuNet in the models folder `folder`, and return its own folder.

    Does nothing if it is installed and unchanged. The downloaded file stays in its folder; if it is
    there already, as after a manual copy, nothing is downloaded.

    Raises:
        DownloadError: the file can't be downloaded.
        ModelError: the file has another SHA-256, or holds another network.
    """
    out = folder / NAME
    if _is_installed(out, source):
        report(f"The official weights of YuNet are already in {out}.")
        return out
    out.mkdir(parents=True, exist_ok=True)
    file = out / source.file_name
    report(f"Downloading {source.url}")
    download(source.url, file, sha256=source.sha256, max_bytes=_MAX_BYTES)
    network = read_onnx(file)
    _compare(network, file)
    metadata = DetectorMetadata(
        name=NAME,
        version=source.version,
        architecture='YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023)',
        source=f"{source.url} (SHA-256 {source.sha256})",
        licence="MIT, Copyright (c) 2020 Shiqi Yu",
        terms="Weights under MIT; trained by their authors on WIDER FACE (research data).",
    )
    write_detector(network, metadata, out)
    report(f"YuNet {source.version} is in {out}.")
    return out


def _is_installed(out: Path, source: Source) -> bool:
    try:
        record = read_record(out)
        record.verify()
    except ModelError:
        return False
    return source.sha256 in record.source


def _compare(network: YuNet, file: Path) -> None:
    """Check that the network gives the outputs of the file that it was read from."""
    session = OnnxSession(file, name=NAME, threads=1)
    height, width = (side or _SIDE for side in session.picture_size)
    rng = np.random.default_rng(1)
    picture = rng.uniform(0, 255, (1, 3, height, width)).astype(np.float32)
    of_file = dict(zip(session.output_names, session.run(picture), strict=True))
    with torch.inference_mode():
        of_network = network(torch.from_numpy(picture))
    for name, values in zip(OUTPUT_NAMES, of_network, strict=True):
        if of_file[name].size != values.numel() or not np.allclose(
            of_file[name].reshape(values.shape), values.numpy(), atol=_MAX_DIFFERENCE, rtol=1e-3
        ):
            raise ModelError(
                f"{file} gives other outputs than the network that was read from it ({name}): it "
                "is not the YuNet that faces-jobs supports. Use another file, or report this."
            )
