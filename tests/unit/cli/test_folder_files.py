"""Which files of a folder a command processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faces_jobs.cli.folder_files import files_in_folder


def names_in(folder: Path) -> list[str]:
    return [name for name, _ in files_in_folder(folder)]


def test_files_of_subfolders_are_listed_sorted_and_without_hidden_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b/c/2.jpg", "b/1.jpg", "a.jpg", ".hidden", ".git/x.jpg", "b/.cache/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names_in(tmp_path) == ["a.jpg", "b/1.jpg", "b/c/2.jpg"]
    assert capsys.readouterr().err == "", "hidden files are left out without a word"


def test_what_is_no_file_is_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a.jpg", "b/1.jpg"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    (tmp_path / "again").symlink_to(".")
    (tmp_path / "b" / "above").symlink_to("..")
    (tmp_path / ".hidden").symlink_to("nowhere")
    assert names_in(tmp_path) == ["a.jpg", "b/1.jpg", "link.jpg"]
    assert capsys.readouterr().err == (
        f"skipped in {tmp_path}: 1 broken link(s), 2 link(s) to folders, 1 pipe(s), socket(s) or "
        "device(s) (name a linked folder itself to include it)\n"
    )


@pytest.mark.parametrize("name", ["web_secret_key", "faces_jobs.db"])
def test_the_data_folder_of_a_service_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for file in ("a.jpg", f"var/{name}", "var/files/jobs/1/uploads/0", "var/z.jpg"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert names_in(tmp_path) == ["a.jpg"]
    assert names_in(tmp_path / "var") == []
    said = "skipped in {}: 1 data folder(s) of a service\n"
    assert capsys.readouterr().err == said.format(tmp_path) + said.format(tmp_path / "var")


LIST = """
import sys
from pathlib import Path
from faces_jobs.cli.folder_files import files_in_folder
print([name for name, _ in files_in_folder(Path(sys.argv[1]))])
"""
AS_ORDINARY_USER = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)


@pytest.mark.skipif(
    bool(AS_ORDINARY_USER) and shutil.which("setpriv") is None,
    reason="root may read everything, and setpriv, which could change that, is not installed",
)
@pytest.mark.parametrize(("mode", "listed"), [(0o000, "b"), (0o444, "b/1.jpg")])
def test_a_folder_that_may_not_be_read_is_not_passed_over(
    tmp_path: Path, mode: int, listed: str
) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a.jpg", "b/1.jpg", "c.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "b").chmod(mode)
    command = [*AS_ORDINARY_USER, sys.executable, "-c", LIST, str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "b").chmod(0o755)
    assert done.stdout.strip() == str(["a.jpg", listed, "c.jpg"]), done.stderr


def test_a_folder_that_can_not_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        names_in(tmp_path / "nowhere")
