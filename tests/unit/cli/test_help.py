"""Help answers for every command, at once, and with no network library installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from faces_jobs.cli import cli

HEAVY = ("torch", "cv2", "numpy", "av", "onnxruntime", "flask", "celery", "sqlalchemy")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", commands(cli), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: cli {' '.join(path)}" in shown.output
    for parameter in parameters(path):
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"


@pytest.mark.parametrize("path", [(), ("db",), ("models",), ("models", "fetch")], ids=" ".join)
def test_no_line_of_a_list_of_commands_is_cut_short(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"], terminal_width=80)
    listed = shown.output.partition("Commands:")[2]
    assert listed
    assert "..." not in listed


def test_an_option_of_a_job_tells_its_kind() -> None:
    shown = CliRunner().invoke(cli, ["submit", "--help"]).output
    for said in (
        "--smallest-face INTEGER",
        "--max-fps NUMBER",
        "--classify [every|auto]",
        "--label TEXT",
    ):
        assert said in shown


def test_a_lowest_probability_is_of_an_attribute() -> None:
    refused = CliRunner().invoke(cli, ["faces", "--min-probability", "0.5"])
    assert refused.exit_code == 2
    assert "needs an attribute" in refused.output


def test_what_only_a_server_heeds_is_no_option_of_run() -> None:
    names = {parameter.name for parameter in parameters(("run",))}
    assert names.isdisjoint({"priority", "label", "keep_days", "webhook"})
    assert {"classify", "annotated"} <= names


def parameters(path: tuple[str, ...]) -> list[click.Parameter]:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command.params


def run_without(
    modules: tuple[str, ...], *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    blocked = f"""
import sys
for name in {modules!r}:
    sys.modules[name] = None
sys.argv = {["faces-jobs", *arguments]!r}
from faces_jobs.cli import main
main()
"""
    return subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True, check=False, env=variables
    )


def test_help_needs_nothing_heavy() -> None:
    shown = run_without(HEAVY, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Exit codes" in shown.stdout


def test_a_command_loads_nothing_that_only_others_need(tmp_path: Path) -> None:
    shown = run_without(("httpx", "rich"), "worker", "--help")
    assert shown.returncode == 0, shown.stderr

    inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
    inputs.mkdir()
    services = ("sqlalchemy", "celery", "httpx", "httpcore")
    told = run_without(services, "run", str(inputs), "--outputs-path", str(outputs))
    assert "Error: There are no files" in told.stderr


@pytest.mark.parametrize(
    ("missing", "command", "extras"),
    [
        ("flask", "up", "web,worker"),
        ("torch", "up", "web,worker"),
        ("gunicorn", "web", "web"),
        ("av", "worker", "worker"),
        ("cv2", "run", "worker"),
        ("skimage", "demo", "web,worker,train"),
    ],
)
def test_a_missing_package_is_told_with_its_extra(
    missing: str, command: str, extras: str, tmp_path: Path
) -> None:
    told = run_without((missing,), command, FACES_JOBS_DATA_FOLDER=str(tmp_path / "data"))
    assert told.returncode == 1
    assert told.stderr.startswith(f"Error: This command needs the package {missing}. ")
    assert f"pip install '.[{extras}]'" in told.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("missing", ["redis", "packaging"])
@pytest.mark.parametrize("command", ["health", "web", "worker", "sweep"])
def test_redis_needs_its_extra(missing: str, command: str, tmp_path: Path) -> None:
    broker = "redis://127.0.0.1:1/0"
    told = run_without(
        (missing,), command, FACES_JOBS_DATA_FOLDER=str(tmp_path), FACES_JOBS_BROKER_URL=broker
    )
    assert told.returncode == 1
    assert f"needs the package {missing}" in told.stderr
    assert "redis]" in told.stderr
    assert "Traceback" not in told.stderr
