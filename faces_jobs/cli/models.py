"""`faces-jobs models`: list, verify, tune, quantise and fetch the networks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faces_jobs.cli import exits, tables
from faces_jobs.cli.data_folder import make_data_folder
from faces_jobs.cli.extras import report_missing_packages
from faces_jobs.cli.models_fetch import fetch
from faces_jobs.cli.training_options import data_option, models_path_option
from faces_jobs.errors import ModelError
from faces_jobs.settings import Settings

if TYPE_CHECKING:
    from faces_jobs_models.descriptions import Description


@click.group()
def models() -> None:
    """Describe and verify the networks."""


models.add_command(fetch)


@models.command("list")
@models_path_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole records as JSON.")
@click.pass_obj
def list_models(settings: Settings, *, models_path: Path | None, as_json: bool) -> None:
    """List every network with its version, size, figures and purpose."""
    with report_missing_packages():
        described = _describe_all(settings, models_path)
    if as_json:
        click.echo(json.dumps([_document(network) for network in described], indent=2))
    else:
        tables.console().print(tables.table_of_models(map(_document, described)))


@models.command()
@models_path_option
@click.pass_obj
def verify(settings: Settings, *, models_path: Path | None) -> None:
    """Check and run every network's files.

    The exit code is 1 if a file is missing, modified or does not fit.
    """
    problems = 0
    with report_missing_packages():
        for network in _describe_all(settings, models_path):
            problem = network.problem or _problem_when_run(network)
            problems += problem is not None
            name = f"{network.name} ({network.choice})" if network.choice else network.name
            if problem is not None or network.record is None:
                click.echo(f"{name}: {problem}", err=True)
            else:
                files = ", ".join(file.path.name for file in network.record.files.values())
                click.echo(f"{name} {network.record.version}: {files} as recorded")
    if problems:
        sys.exit(exits.FAILED)


@models.command()
@models_path_option
@click.pass_obj
def tune(settings: Settings, *, models_path: Path | None) -> None:
    """Measure which batch sizes are fastest on this machine.

    The measurement is stored for later runs. Workers make it themselves while they wait for their
    first job. Results do not depend on it.
    """
    make_data_folder(settings)
    with report_missing_packages():
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
    """Create CenterFace's 8-bit weights again.

    They ship with the package; this is how they were created, calibrated by pictures with marked
    faces. `train` creates those of its own models itself.
    """
    with report_missing_packages():
        from faces_jobs_models.training.detector.eight_bits import quantize_centerface
        from faces_jobs_models.weights import sha256_of

        out.parent.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
        out.write_bytes(quantize_centerface(data))
        click.echo(f"{out}: {out.stat().st_size} bytes, SHA-256 {sha256_of(out)}")


def _describe_all(settings: Settings, models_path: Path | None) -> Sequence[Description]:
    from faces_jobs_models.catalog import open_catalog
    from faces_jobs_models.descriptions import describe

    folder = models_path or settings.models_folder
    with open_catalog(device="cpu", models_folder=folder, detector=settings.detector) as catalog:
        return describe(catalog)


def _problem_when_run(network: Description) -> str | None:
    from faces_jobs_models.verify import verify_classifier, verify_detector

    if network.record is None:
        return None
    verify_network = verify_detector if network.choice else verify_classifier
    try:
        verify_network(network.record)
    except ModelError as error:
        return str(error)
    return None


def _document(network: Description) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": network.name,
        "detector": network.choice,
        "used": network.in_use,
        "purpose": network.purpose,
        "folder": str(network.folder),
        "problem": network.problem,
    }
    if network.record is not None:
        document |= {
            "version": network.record.version,
            "architecture": network.record.architecture,
            "licence": network.record.licence,
            "terms": network.record.terms,
            "files": {
                kind: {"name": file.path.name, "sha256": file.sha256, "bytes": file.bytes}
                for kind, file in network.record.files.items()
            },
            "figures": {head: dict(sets) for head, sets in network.record.figures.items()},
        }
    return document
