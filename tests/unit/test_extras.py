"""Each role runs with the packages of its extras only, whatever else is installed."""

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
from faces_jobs.queue.producer import make_app
from faces_jobs.settings import Settings
from pathlib import Path
import faces_jobs_web.server.process
import faces_jobs.worker.maintenance.sweep
from faces_jobs.db.engine import make_engine
make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing").dialect
app = make_app(Settings(data_folder=Path("/nowhere"), broker_url="redis://127.0.0.1:1/0"))
app.connection_for_write().transport
"""
WORKER = WEB.replace(
    "import faces_jobs_web.server.process\nimport faces_jobs.worker.maintenance.sweep\n", ""
) + ("import faces_jobs.worker.celery_worker\n")


def distributions_of(*extras: str) -> set[str]:
    """The distributions that these extras install, with their dependencies."""
    pending = [Requirement(line) for line in PROJECT["dependencies"]]
    for extra in extras:
        pending += [Requirement(line) for line in PROJECT["optional-dependencies"][extra]]
    found: set[tuple[str, str]] = set()
    while pending:
        requirement = pending.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in found:
                continue
            found.add(key)
            try:
                lines = requires(requirement.name) or []
            except PackageNotFoundError:  # for another platform or Python version
                continue
            for line in lines:
                dependency = Requirement(line)
                marker = dependency.marker
                if marker is None or marker.evaluate({"extra": extra}):
                    pending.append(dependency)
    return {name for name, _ in found}


@pytest.mark.parametrize(
    ("extras", "code"),
    [(("web", "redis", "postgres"), WEB), (("worker", "redis", "postgres"), WORKER)],
    ids=["web", "worker"],
)
def test_a_role_runs_on_its_own_extras(extras: tuple[str, ...], code: str, tmp_path: Path) -> None:
    allowed = distributions_of(*extras) | {"faces-jobs"}
    foreign = [
        module
        for module, owners in packages_distributions().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"pytest", "hypothesis"} <= set(foreign)
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({json.dumps(foreign)}))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["faces_jobs.worker.celery_worker", "faces_jobs_web.app"])
def test_a_process_starts_without_importing_slow_packages_that_it_may_never_need(
    module: str,
) -> None:
    slow = "alembic", "scipy.optimize", "torch", "boto3"
    code = f"import sys, {module}\nprint([name for name in {slow!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
