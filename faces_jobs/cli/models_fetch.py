"""`faces-jobs models fetch`: download weights that others publish and that do not ship."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click

from faces_jobs.cli.new_folders import remove_empty_folders_on_error
from faces_jobs.settings import Settings


@click.group()
def fetch() -> None:
    """Download weights that others publish into a models folder."""


@fetch.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Models folder to write to. Default: the setting FACES_JOBS_MODELS_FOLDER.",
)
@click.option("--url", help="Mirror to download the file from. Default: OpenCV's model zoo.")
@click.option(
    "--sha256",
    callback=lambda _context, _option, value: _validate_sha256(value),
    help="SHA-256 of the file, if the mirror has another version of it.",
)
@click.pass_obj
def yunet(settings: Settings, *, folder: Path | None, url: str | None, sha256: str | None) -> None:
    """Download the official face detector YuNet.

    It is used with FACES_JOBS_DETECTOR=yunet and is under the MIT licence. The file is verified by
    its SHA-256 before it is used, and runs on the same code as our own detector.
    """
    from faces_jobs.cli.extras import report_missing_packages

    models_folder = folder or settings.models_folder
    if models_folder is None:
        raise click.UsageError(
            "Name a folder for the weights: use --folder, or set FACES_JOBS_MODELS_FOLDER."
        )
    with report_missing_packages(), remove_empty_folders_on_error(models_folder / "yunet"):
        from faces_jobs_models.detector.official import OFFICIAL, fetch_official

        source = replace(
            OFFICIAL,
            url=url or OFFICIAL.url,
            sha256=sha256 or OFFICIAL.sha256,
            version=f"file {sha256[:8]}" if sha256 else OFFICIAL.version,
        )
        fetch_official(models_folder, source=source, report=lambda line: click.echo(line, err=True))
    if settings.models_folder != models_folder or settings.detector != "yunet":
        click.echo(
            f"Use it with FACES_JOBS_MODELS_FOLDER={models_folder} FACES_JOBS_DETECTOR=yunet",
            err=True,
        )


def _validate_sha256(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise click.BadParameter("a SHA-256 has 64 hexadecimal digits.")
    return value.lower() if value else None
