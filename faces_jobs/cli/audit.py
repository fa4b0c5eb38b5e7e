"""The command that tells what was deleted: audit."""

from __future__ import annotations

import csv
import sys

import click

from faces_jobs.cli.jobs import open_client, prefetch_first
from faces_jobs.jobs.documents import AuditDocument
from faces_jobs.settings import Settings


@click.command()
@click.argument("job_id", required=False)
@click.pass_obj
def audit(settings: Settings, *, job_id: str | None) -> None:
    """Print what was deleted as CSV, newest first. Of one job, or of all."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = list(AuditDocument.model_fields)
    with open_client(settings) as client:
        entries = prefetch_first(client.audit(job_id))
        writer.writerow(columns)
        for entry in entries:
            values = entry.model_dump(mode="json")
            writer.writerow(["" if values[one] is None else values[one] for one in columns])
