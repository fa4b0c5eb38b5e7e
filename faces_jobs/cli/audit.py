"""`faces-jobs audit`: which jobs were deleted, and whether each deletion was verified."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator

import click

from faces_jobs.cli.jobs import open_client, prefetch_first
from faces_jobs.cli.options import json_option
from faces_jobs.jobs.documents import AuditDocument
from faces_jobs.settings import Settings


@click.command()
@click.argument("job_id", required=False)
@json_option
@click.pass_obj
def audit(settings: Settings, *, job_id: str | None, as_json: bool) -> None:
    """Print the deletions of a job as CSV, newest first. Without JOB_ID: of all jobs.

    With --json: print them as a JSON array.
    """
    with open_client(settings) as client:
        entries = prefetch_first(client.audit(job_id))
        if as_json:
            documents = [entry.model_dump(mode="json") for entry in entries]
            click.echo(json.dumps(documents, indent=2))
        else:
            _print_csv(entries)


def _print_csv(entries: Iterator[AuditDocument]) -> None:
    columns = list(AuditDocument.model_fields)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for entry in entries:
        values = entry.model_dump(mode="json")
        writer.writerow(["" if values[name] is None else values[name] for name in columns])
