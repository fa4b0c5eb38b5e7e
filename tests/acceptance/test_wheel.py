"""The built wheel is complete: it contains its migrations, weights and pages."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*pip, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, unpacked as an installation lays them out."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(site: Path, code: str, folder: Path) -> str:
    """Run code against the installed files, outside the checkout, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(site), "FACES_JOBS_DATA_FOLDER": str(folder / "data")},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_contains_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    tops = {top for top in tops if not top.endswith(".dist-info")}
    assert tops == {"faces_jobs", "faces_jobs_web", "faces_jobs_models", "faces_jobs_migrations"}


def test_the_installed_package_migrates_a_database(site: Path, tmp_path: Path) -> None:
    code = """
import sys, faces_jobs
assert faces_jobs.__file__.startswith(sys.path[1]), faces_jobs.__file__
sys.argv = ["faces-jobs", "db", "upgrade"]
from faces_jobs.cli import main
main()
"""
    assert "schema" in run_installed(site, code, tmp_path)
    assert (tmp_path / "data" / "faces_jobs.db").is_file()


def test_the_wheel_contains_the_weights_unchanged(site: Path, tmp_path: Path) -> None:
    code = """
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.descriptions import describe
with open_catalog(device="cpu") as catalog:
    for described in describe(catalog):
        assert described.problem is None, described
        print(described.name)
"""
    names = run_installed(site, code, tmp_path).split()
    # "expression/fer2013" is another training of the same model.
    models = {name.partition("/")[0] for name in names}
    assert models == {"detector", "gender", "expression", "multiple"}


def test_the_wheel_contains_templates_and_static_files(site: Path) -> None:
    assert list((site / "faces_jobs_web" / "templates").glob("*.html"))
    assert list((site / "faces_jobs_web" / "static").rglob("*.css"))
