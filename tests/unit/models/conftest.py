"""Fixtures for the tests of the networks: a shared catalog, and the devices for torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.device import Device


@pytest.fixture(scope="session")
def catalog() -> Iterator[Catalog]:
    """The shipped networks on the CPU. Opening it takes a second, so it is shared."""
    with open_catalog(device="cpu") as opened:
        yield opened


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """The device for torch: the CPU, and the GPU if there is one."""
    import torch  # noqa: PLC0415 - takes seconds, and most tests here don't need it

    wanted: Device = request.param
    if wanted == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA")
    # Results are compared in float32, so cuDNN must not use TF32, which has a mantissa of 10 bits.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield wanted
