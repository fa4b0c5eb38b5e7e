"""What users and operators can name is documented; links and files that pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faces_jobs.cli import cli, exits
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE, MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus
from faces_jobs.readiness import PROBLEM_MESSAGES
from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.unit.cli.test_help import commands

ROOT = Path(__file__).parents[3]
SETTINGS = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = ("faces_jobs", "web", "models", "migrations", "tests")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*/CARD.md")]


def setting_row(name: str) -> str:
    """The row of the table of settings that describes this one."""
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None or default == {} else f"`{default}`" if str(default) else ""
    return f"| `{ENVIRONMENT_PREFIX}{name.upper()}` | {shown} | {field.description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert setting_row(name) in SETTINGS


def test_the_readme_describes_settings_as_their_documentation_does() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `FACES_JOBS_")]
    assert rows
    assert set(rows) <= set(SETTINGS.splitlines())


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_every_command_is_in_the_readme(path: tuple[str, ...]) -> None:
    assert f"`faces-jobs {' '.join(path)}" in README


def test_every_exit_code_is_in_the_readme() -> None:
    listed = README.partition("Exit codes: ")[2].partition("\n\n")[0]
    for code in re.findall(r"(\d+) ", exits.HELP):
        assert re.search(rf"\b{code} ", listed), code


@pytest.mark.parametrize("name", [*JobSpec.model_fields, "models"])
def test_every_option_is_in_the_api_docs(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("state", sorted({*JobStatus, *ItemStatus, *SegmentStatus}))
def test_every_state_is_in_the_docs(state: str) -> None:
    assert f"`{state}`" in (ROOT / "docs/states.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*MODELS, "detector"])
def test_every_model_is_in_the_docs_and_has_a_card(name: str) -> None:
    docs = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert name in docs
    card = (ROOT / "models/faces_jobs_models" / name / "CARD.md").read_text(encoding="utf-8")
    for head, labels in MODELS.get(name, {}).items():
        assert head in card
        assert all(label in card for label in labels)


def test_every_head_and_label_is_in_the_readme() -> None:
    for head, labels in LABELS_WITH_UNSURE.items():
        assert head in README
        for label in labels:
            assert label in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_named_in_the_docs_exists(page: Path) -> None:
    """A path may start anywhere: `stages/find.py` is found in `faces_jobs/worker`."""
    modules = [f"/{path.relative_to(ROOT)}" for top in CODE for path in ROOT.glob(f"{top}/**/*.py")]
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(m.endswith(f"/{name}") for m in modules)] == []


def test_every_function_of_the_walk_through_the_code_is_where_it_says() -> None:
    walk = (ROOT / "docs/data-flow.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\| `(\w+)` \| `([\w/]+\.py)` \|", walk, re.MULTILINE)
    assert steps
    for name, path in steps:
        code = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:def|class) {name}\b", code, re.MULTILINE), (name, path)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them of their text."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_page_or_heading_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_alert_and_missing_part_is_in_the_incidents() -> None:
    monitoring = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    incidents = (ROOT / "docs/incidents.md").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", monitoring)
    assert alerts
    assert [name for name in (*alerts, *PROBLEM_MESSAGES) if f"`{name}`" not in incidents] == []


@pytest.mark.parametrize("package", ["db", "pipeline", "sinks", "storage", "submit", "worker"])
def test_every_module_named_in_a_comment_exists(package: str) -> None:
    """Such as `db.claims.leases`, which stands for `faces_jobs/db/claims/leases.py`."""
    core = ROOT / "faces_jobs"
    for path in core.rglob("*.py"):
        for name in re.findall(rf"`({package}(?:\.\w+)+)`", path.read_text(encoding="utf-8")):
            module = core / name.replace(".", "/")
            exists = module.is_dir() or any(
                file.with_suffix(".py").is_file() for file in (module, module.parent)
            )
            assert exists, f"{path.relative_to(ROOT)} names {name}"
