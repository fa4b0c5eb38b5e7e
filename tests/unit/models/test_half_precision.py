"""Training in half precision, on processors that have it alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from faces_jobs_models.training.half_precision import has_fast_bfloat16

_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # as Linux names them


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the truth")
def test_half_precision_pays_where_the_processor_has_it() -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told = [line for line in lines if line.startswith(("flags", "Features"))]
    assert has_fast_bfloat16(torch.device("cpu")) == any(
        _FLAGS & set(line.split()) for line in told
    )
