"""`faces-jobs health`: which part it names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faces_jobs.cli import exits

AS_ORDINARY_USER = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()


@pytest.mark.skipif(
    bool(AS_ORDINARY_USER) and shutil.which("setpriv") is None,
    reason="root may write to everything, and setpriv, which could change that, is not installed",
)
def test_a_database_that_may_not_be_written_to_is_named(
    tmp_path: Path, sqlite_template: Path
) -> None:
    database = tmp_path / "faces_jobs.db"
    shutil.copy(sqlite_template, database)
    database.chmod(0o444)
    told = subprocess.run(
        [*AS_ORDINARY_USER, sys.executable, "-m", "faces_jobs", "health"],
        env={"FACES_JOBS_DATA_FOLDER": str(tmp_path), "FACES_JOBS_MIN_FREE_BYTES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == exits.FAILED
    assert told.stderr == f"database: This user may not write to the database {database}.\n"
