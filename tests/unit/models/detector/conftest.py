"""A grid detector with starting weights, exported as the trained one is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faces_jobs_models.detector.export import DetectorMetadata, write_detector
from faces_jobs_models.detector.yunet import Head, YuNet, YuNetConfig

NOTE = DetectorMetadata(
    name="detector",
    version="0.1",
    architecture="YuNet (test)",
    source="made by a test",
    licence="MIT",
    terms="none",
)
SMALL = YuNetConfig(widths=(16, 32, 64, 64, 64, 64), shared_unit=False)


def network(seed: int = 1, config: YuNetConfig = SMALL) -> YuNet:
    """Starting weights, but with faces everywhere: so that every output counts."""
    torch.manual_seed(seed)
    made = YuNet(config)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Not the identity, as after a training.
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -5, 5)
            torch.nn.init.uniform_(module.running_var, 50, 500)
        if isinstance(module, Head):
            assert module.obj.conv2.bias is not None
            torch.nn.init.zeros_(module.obj.conv2.bias)
    return made.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a detector, named as our own."""
    return write_detector(network(), NOTE, tmp_path_factory.mktemp("models") / "detector")
