"""`faces-jobs models`: what the networks are, and whether their files are whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faces_jobs.cli import exits, tables
from faces_jobs.cli.extras import needing_packages
from faces_jobs.cli.models_fetch import fetch
from faces_jobs.cli.training_options import data_option, models_path_option
from faces_jobs.errors import ModelError
from faces_jobs.settings import Settings

if TYPE_CHECKING:
    from faces_jobs_models.descriptions import Description


@click.group()
def models() -> None:
    """Tell of the networks, and check their files."""


models.add_command(fetch)


@models.command("list")
@models_path_option
@click.option("--json", "as_json", is_flag=True, help="Print everything that the records say.")
@click.pass_obj
def list_models(settings: Settings, *, models_path: Path | None, as_json: bool) -> None:
    """List every network with its version, size, figures and purpose."""
    with needing_packages():
        from faces_jobs_models.catalog import open_catalog
        from faces_jobs_models.descriptions import describe

        folder = models_path or settings.models_folder
        with open_catalog(
            device="cpu", models_folder=folder, detector=settings.detector
        ) as catalog:
            described = describe(catalog)
    if as_json:
        click.echo(json.dumps([_document(one) for one in described], indent=2))
    else:
        tables.console().print(tables.table_of_models(map(_document, described)))


@models.command()
@models_path_option
@click.pass_obj
def verify(settings: Settings, *, models_path: Path | None) -> None:
    """Read and try every file. The exit code is 1 where one is missing, changed or foreign."""
    problems = 0
    with needing_packages():
        from faces_jobs_models.catalog import open_catalog
        from faces_jobs_models.descriptions import describe

        folder = models_path or settings.models_folder
        with open_catalog(
            device="cpu", models_folder=folder, detector=settings.detector
        ) as catalog:
            described = describe(catalog)
        for one in described:
            problem = one.problem or _problem_when_run(one)
            problems += problem is not None
            name = f"{one.name} ({one.choice})" if one.choice else one.name
            if problem is not None or one.record is None:
                click.echo(f"{name}: {problem}", err=True)
            else:
                files = ", ".join(file.path.name for file in one.record.files.values())
                click.echo(f"{name} {one.record.version}: {files} as recorded")
    if problems:
        sys.exit(exits.FAILED)


@models.command()
@models_path_option
@click.pass_obj
def tune(settings: Settings, *, models_path: Path | None) -> None:
    """Measure how many frames and faces at once are quickest here.

    What is measured is kept. A worker does so by itself while it waits for its first work.
    Results do not depend on it.
    """
    with needing_packages():
        from faces_jobs_models.catalog import open_catalog

        with open_catalog(
            device=settings.device,
            models_folder=models_path or settings.models_folder,
            detector=settings.detector,
            run_sizes_folder=settings.run_sizes_folder,
        ) as catalog:
            measured = catalog.measure_run_sizes(stop=lambda: False)
    if measured is not None:
        tables.console().print(tables.table_of_run_sizes(measured))


@models.command()
@data_option
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The ONNX file to write.",
)
def quantize(*, data: Path, out: Path) -> None:
    """Make CenterFace's eight bits again.

    They ship; this is how they were made, by pictures with marked faces. `train` makes those
    of its own models by itself.
    """
    with needing_packages():
        from faces_jobs_models.training.detector.eight_bits import quantize_centerface
        from faces_jobs_models.weights import sha256_of

        out.write_bytes(quantize_centerface(data))
        click.echo(f"{out}: {out.stat().st_size} bytes, SHA-256 {sha256_of(out)}")


def _problem_when_run(one: Description) -> str | None:
    from faces_jobs_models.verify import verify_classifier, verify_detector

    if one.record is None:
        return None
    try:
        (verify_detector if one.choice else verify_classifier)(one.record)
    except ModelError as error:
        return str(error)
    return None


def _document(one: Description) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": one.name,
        "detector": one.choice,
        "used": one.used,
        "purpose": one.purpose,
        "folder": str(one.folder),
        "problem": one.problem,
    }
    if one.record is not None:
        document |= {
            "version": one.record.version,
            "architecture": one.record.architecture,
            "licence": one.record.licence,
            "terms": one.record.terms,
            "files": {
                kind: {"name": file.path.name, "sha256": file.sha256, "bytes": file.bytes}
                for kind, file in one.record.files.items()
            },
            "figures": {head: dict(sets) for head, sets in one.record.figures.items()},
        }
    return document
