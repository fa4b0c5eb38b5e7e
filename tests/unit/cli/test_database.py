"""`faces-jobs db`, and what is said where no database is: looking makes nothing."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from faces_jobs.cli import exits
from faces_jobs.db.session import open_database
from faces_jobs.errors import DatabaseError


def faces_jobs(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faces_jobs", *arguments],
        cwd=folder,
        env={f"FACES_JOBS_{name}": value for name, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_look_at_the_version_makes_nothing(tmp_path: Path) -> None:
    for variables in ({}, {"DATABASE_URL": f"sqlite:///{tmp_path}/mine.db"}):
        told = faces_jobs(tmp_path, "db", "version", **variables)
        assert (told.returncode, told.stdout) == (0, "none\n"), told.stderr
    assert list(tmp_path.iterdir()) == []


def test_after_an_upgrade_the_version_is_told(tmp_path: Path) -> None:
    upgraded = faces_jobs(tmp_path, "db", "upgrade")
    version = faces_jobs(tmp_path, "db", "version")
    assert version.stdout.strip() in upgraded.stdout
    assert (tmp_path / "var" / "faces_jobs.db").is_file()


def test_a_data_folder_is_made_for_its_owner_only_and_an_existing_one_kept(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o775)
    for folder, mode in (("parent/data", 0o700), ("shared", 0o775)):
        upgraded = faces_jobs(tmp_path, "db", "upgrade", DATA_FOLDER=folder)
        assert upgraded.returncode == 0, upgraded.stderr
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == mode


@pytest.mark.parametrize("command", ["upgrade", "version"])
def test_the_folder_of_a_database_that_was_named_is_not_made(tmp_path: Path, command: str) -> None:
    url = f"sqlite:///{tmp_path}/typo/mine.db"
    told = faces_jobs(tmp_path, "db", command, DATABASE_URL=url)
    assert told.returncode == exits.USAGE
    assert f"folder {tmp_path}/typo does not exist" in told.stderr
    assert "FACES_JOBS_DATABASE_URL" in told.stderr
    assert not (tmp_path / "typo").exists()


def test_a_data_folder_that_cannot_be_created_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = faces_jobs(tmp_path, "db", "upgrade", DATA_FOLDER="file")
    assert told.returncode == exits.USAGE
    assert "The data folder file can't be created (File exists): set FACES_JOBS_" in told.stderr


def test_a_damaged_database_is_told_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "faces_jobs.db").write_text("not a database")
    for command in ("upgrade", "version"):
        told = faces_jobs(tmp_path, "db", command, DATA_FOLDER=str(tmp_path))
        assert told.returncode == exits.FAILED
        assert f"file is not a database. FACES_JOBS_DATA_FOLDER is {tmp_path}." in told.stderr


def test_a_data_folder_that_cannot_be_looked_into_is_told_with_its_setting(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)  # as if its owner were another user, but for root, too
    with pytest.raises(DatabaseError, match="unable to open database file"):
        open_database(f"sqlite:///{folder}/faces_jobs.db")
    told = faces_jobs(tmp_path, "db", "version", DATA_FOLDER=str(folder))
    assert told.returncode == exits.FAILED
    assert "unable to open database file" in told.stderr
    assert f"FACES_JOBS_DATA_FOLDER is {folder}." in told.stderr


@pytest.mark.parametrize("command", [("sweep", "--once"), ("health", "worker"), ("health",)])
def test_no_database_is_told_with_the_setting_that_says_where(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    for variables, said in (
        ({}, f"FACES_JOBS_DATA_FOLDER is var, relative to {tmp_path}."),
        ({"DATA_FOLDER": f"{tmp_path}/data"}, f"FACES_JOBS_DATA_FOLDER is {tmp_path}/data."),
    ):
        told = faces_jobs(tmp_path, *command, **variables)
        assert told.returncode == exits.FAILED
        assert "There is no database yet at " in told.stderr
        assert said in told.stderr
    assert list(tmp_path.iterdir()) == []
