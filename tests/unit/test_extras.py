"""Each role runs with what its extras bring, and with nothing else that happens to be installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WEB = """
from faces_jobs.queue import make_app
from faces_jobs.settings import Settings
from pathlib import Path
import faces_jobs_web.server
import faces_jobs.worker.sweep
from faces_jobs.db.engine import make_engine
make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing").dialect
app = make_app(Settings(data_folder=Path("/nowhere"), broker_url="redis://127.0.0.1:1/0"))
app.connection_for_write().transport
"""
WORKER = WEB.replace("import faces_jobs_web.server\nimport faces_jobs.worker.sweep\n", "") + (
    "import faces_jobs.worker.celery_worker\n"
)


def brought_by(*extras: str) -> set[str]:
    """The distributions that these extras install, with all that those ask for."""
    asked = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        asked += [Requirement(line) for line in PROJECT["optional-dependencies"][extra]]
    found: set[tuple[str, str]] = set()
    while asked:
        one = asked.pop()
        for extra in ("", *one.extras):
            key = (canonicalize_name(one.name), extra)
            if key in found:
                continue
            found.add(key)
            try:
                lines = requires(one.name) or []
            except PackageNotFoundError:  # of another platform or Python
                continue
            for line in lines:
                requirement = Requirement(line)
                marker = requirement.marker
                if marker is None or marker.evaluate({"extra": extra}):
                    asked.append(requirement)
    return {name for name, _ in found}


@pytest.mark.parametrize(
    ("extras", "code"),
    [(("web", "redis", "postgres"), WEB), (("worker", "redis", "postgres"), WORKER)],
    ids=["web", "worker"],
)
def test_a_role_runs_on_its_own_extras(extras: tuple[str, ...], code: str, tmp_path: Path) -> None:
    brought = brought_by(*extras) | {"faces-jobs"}
    foreign = [
        module
        for module, owners in packages_distributions().items()
        if not brought & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"pytest", "hypothesis"} <= set(foreign)
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({json.dumps(foreign)}))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["faces_jobs.worker.celery_worker", "faces_jobs_web.app"])
def test_a_process_starts_without_what_its_first_work_may_never_need(module: str) -> None:
    slow = "alembic", "scipy.optimize", "torch", "boto3"
    code = f"import sys, {module}\nprint([name for name in {slow!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
