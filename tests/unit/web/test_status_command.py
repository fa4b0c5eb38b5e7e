"""`faces-jobs status` of a server that has no jobs."""

from __future__ import annotations

from click.testing import CliRunner
from flask import Flask
from werkzeug.serving import make_server

from faces_jobs.cli import cli
from tests.http_servers import serving


def test_a_server_without_jobs_says_how_to_submit_one(app: Flask) -> None:
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as url:
        told = CliRunner().invoke(cli, ["status"], env={"FACES_JOBS_SERVER_URL": url})
    assert told.exit_code == 0
    assert told.stdout == ""
    assert told.stderr == (
        f"There are no jobs at {url} yet: submit files with `faces-jobs submit FILES`.\n"
    )
