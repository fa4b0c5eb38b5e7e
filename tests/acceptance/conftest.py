"""The sample clip: it takes seconds to make, and nothing changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from faces_jobs.sample import write_sample_clip
from tests.shared import made_once


@pytest.fixture(scope="session")
def sample_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of 720p: two faces, pans, cuts and a sound track."""
    return made_once(tmp_path_factory, "sample.mp4", write_sample_clip)
