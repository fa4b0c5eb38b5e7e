"""One catalog for the tests of the networks, which takes a second to open; and their devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.device import Device


@pytest.fixture(scope="session")
def catalog() -> Iterator[Catalog]:
    """The shipped networks on the CPU."""
    with open_catalog(device="cpu") as opened:
        yield opened


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """Where torch runs: on the CPU, and on a GPU where there is one."""
    import torch  # noqa: PLC0415 - takes seconds, and most tests here do without

    wanted: Device = request.param
    if wanted == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA")
    # In float32 it is compared with float32: not with the 10 bits that cuDNN takes by default.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield wanted
