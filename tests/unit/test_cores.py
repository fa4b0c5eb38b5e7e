"""How many cores a process may use, and how many lanes it starts on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faces_jobs.cores import LANES_ON_GPU, MAX_LANES, lane_count, usable_cores


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    """The path of a cgroup's `cpu.max`."""
    return tmp_path / "cpu.max"


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of four cores, whatever this one has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("250000 100000", 2)]
)
def test_a_container_s_limit_applies_if_it_is_below_the_machine_s_cores(
    limit: Path, text: str, cores: int
) -> None:
    limit.write_text(text)
    assert usable_cores(limit) == cores


@pytest.mark.parametrize("text", ["max 100000", "", "900000000 100000"])
def test_without_a_limit_all_cores_of_the_machine_are_usable(limit: Path, text: str) -> None:
    assert usable_cores(limit) == 4
    limit.write_text(text)
    assert usable_cores(limit) == 4


def test_processes_share_the_cores_unless_the_setting_overrides_it() -> None:
    assert lane_count(None, processes=1, device="cpu") == min(MAX_LANES, usable_cores())
    assert lane_count(None, processes=1, device="cuda") == min(LANES_ON_GPU, usable_cores())
    assert lane_count(None, processes=8, device="cpu") == 1
    assert lane_count(3, processes=64, device="cuda") == 3
