"""An untrained grid detector, exported like the trained one."""

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
    """Return an untrained network with faces everywhere, so that every output counts."""
    torch.manual_seed(seed)
    untrained = YuNet(config)
    for module in untrained.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Not the identity, as in a trained network.
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -5, 5)
            torch.nn.init.uniform_(module.running_var, 50, 500)
        if isinstance(module, Head):
            assert module.obj.conv2.bias is not None
            torch.nn.init.zeros_(module.obj.conv2.bias)
    return untrained.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained detector with the name of the shipped one."""
    return write_detector(network(), NOTE, tmp_path_factory.mktemp("models") / "detector")
