"""The commands about jobs of a server: submit, status, wait, faces, download, delete."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from faces_jobs.cli import exits, tables
from faces_jobs.cli.folder_files import files_in_folder
from faces_jobs.cli.job_progress import sending_bar, wait_with_bar
from faces_jobs.cli.json_output import print_document
from faces_jobs.cli.options import (
    filter_options,
    json_option,
    pop_given_options,
    query_parameters,
    spec_options,
)
from faces_jobs.client.api import Client
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import FaceDocument, JobDocument
from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.names import normalise_name
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.spreadsheets import escape_formula
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import Settings

NEWEST_JOBS = 20

Entry = TypeVar("Entry")


def prefetch_first(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Fetch the first entry now, so that an error comes before the heading of a table."""
    return chain(list(islice(entries, 1)), entries)


def open_client(settings: Settings) -> Client:
    """A client of the server that the settings name."""
    return Client(settings.server, access_token=settings.access_token)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--root", help="Submit a folder on the server instead of PATHS: the name of its root."
)
@click.option("--path", default="", help="Folder below --root. Default: the root itself.")
@click.option(
    "--idempotency-key",
    help="Repeating the command with the same key creates no second job.",
)
@click.option("--owner", default="", help="Owner of the job. Owners take turns.")
@click.option("--wait/--no-wait", "and_wait", default=False, help="Wait until the job has ended.")
@spec_options
@click.pass_obj
def submit(
    settings: Settings,
    /,
    *,
    paths: tuple[Path, ...],
    root: str | None,
    path: str,
    idempotency_key: str | None,
    owner: str,
    and_wait: bool,
    **options: Any,
) -> None:
    """Submit files and folders as one job, and print the job's id."""
    given = pop_given_options(options)
    spec = JobSpec.parse_text(given)  # validated here, before gigabytes are sent
    if bool(paths) == bool(root):
        raise click.UsageError("Name files or folders, or else a --root of the server.")
    with open_client(settings) as client:
        if root:
            job = client.submit_folder(
                root,
                path,
                spec.model_dump(exclude_defaults=True),
                idempotency_key=idempotency_key,
                owner=owner,
            )
        else:
            # As `run` and the server show them; in a form, line ends would arrive as "%0A".
            files = [(normalise_name(name), file) for name, file in _files_below(paths)]
            if not files:
                raise click.UsageError("These folders contain no files.")
            size = sum(file.stat().st_size for _, file in files)
            with sending_bar(size, Console(stderr=True)) as on_sent:
                job = client.submit_files(
                    files, given, idempotency_key=idempotency_key, owner=owner, on_sent=on_sent
                )
        click.echo(job.id)
        if and_wait:
            _wait(client, job.id)


@click.command()
@click.argument("job_id", required=False)
@json_option
@click.pass_obj
def status(settings: Settings, *, job_id: str | None, as_json: bool) -> None:
    """Print the state of a job and its items. Without JOB_ID: the newest jobs."""
    with open_client(settings) as client:
        if job_id is None:
            page = client.jobs(limit=NEWEST_JOBS)
            if as_json:
                print_document(page)
            elif not page.jobs:
                hint = "submit files with `faces-jobs submit FILES`."
                click.echo(f"There are no jobs at {client.server} yet: {hint}", err=True)
            else:
                console = tables.console()
                console.print(tables.table_of_jobs(page.jobs, width=console.width))
            return
        job = client.job(job_id)
        if as_json:
            print_document(job)
        else:
            _print_job(client, job)
    sys.exit(exits.code_of_status(job.status))


@click.command()
@click.argument("job_id")
@click.pass_obj
def wait(settings: Settings, *, job_id: str) -> None:
    """Show a progress bar until the job has ended. The exit code says how it ended."""
    with open_client(settings) as client:
        _wait(client, job_id)


@click.command()
@click.argument("job_id", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="Output format.",
)
@filter_options
@click.pass_obj
def faces(settings: Settings, /, *, job_id: str | None, form: str, **filters: Any) -> None:
    """Print the faces of a job that match the filters. Without JOB_ID: of all jobs."""
    with open_client(settings) as client:
        found = prefetch_first(client.faces(job_id, query_parameters(filters)))
        if form == "jsonl":
            for face in found:
                print_document(face, indent=None)
        else:
            _print_csv(found)


@click.command()
@click.argument("job_id")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    default=Path(),
    help="Folder to write to; created if it does not exist. Default: the current folder.",
)
@click.option("--kind", multiple=True, help="Download only this kind of artifact; repeatable.")
@click.pass_obj
def download(settings: Settings, *, job_id: str, folder: Path, kind: tuple[str, ...]) -> None:
    """Download a job's artifacts and print their paths.

    Of a job that has not ended: those that exist so far, with a note on standard error.
    """
    with open_client(settings) as client:
        job = client.job(job_id)  # before its artifacts: none are added once it has ended
        artifacts = list(client.artifacts(job_id))
        if not job.status.ended:
            click.echo(
                f"Job {job_id} has not ended ({job.status.value}): this is what exists so far. "
                f"For all of it run `faces-jobs wait {job_id}` first.",
                err=True,
            )
        kinds = {artifact.kind for artifact in artifacts}
        if unknown := sorted(set(kind) - kinds):
            raise click.ClickException(
                f"Job {job_id} has no artifact of kind {' or '.join(unknown)}. "
                f"It has: {', '.join(sorted(kinds)) or 'none'}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        selected = [artifact for artifact in artifacts if not kind or artifact.kind in kind]
        missing = 0
        for artifact in selected:
            try:
                click.echo(str(client.download(artifact, folder)))
            except NotFoundError as error:
                missing += 1
                click.echo(f"{artifact.name}: {error}", err=True)
    if missing:
        sys.exit(exits.SOME_FAILED if missing < len(selected) else exits.FAILED)


@click.command()
@click.argument("job_id")
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@json_option
@click.pass_obj
def delete(settings: Settings, *, job_id: str, yes: bool, as_json: bool) -> None:
    """Delete a job, its rows and its files. This can't be undone.

    With --json: print the deletion's audit entry, which says whether it was verified.
    """
    if not yes:
        try:
            confirmed = click.confirm(f"Delete job {job_id} with all its results?", err=True)
        except click.Abort:
            click.echo("\nNothing was deleted. Use --yes to delete without confirmation.", err=True)
            raise
        if not confirmed:
            raise click.ClickException("Nothing was deleted.")
    with open_client(settings) as client:
        client.delete(job_id)
        if as_json:
            print_document(next(client.audit(job_id)))


def _files_below(paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            for name, file in files_in_folder(path):
                yield f"{path.resolve().name}/{name}", file
        elif not path.is_file():  # opening a pipe could wait forever
            raise click.UsageError(f"{path} is neither a file nor a folder.")
        else:
            yield path.name, path


def _wait(client: Client, job_id: str) -> None:
    # On standard error, so that scripts can read standard output.
    job = wait_with_bar(client, job_id, Console(stderr=True))
    if job.status is not JobStatus.SUCCEEDED or job.damaged_frames:
        _print_job(client, job)
    sys.exit(exits.code_of_status(job.status))


def _print_job(client: Client, job: JobDocument) -> None:
    console = tables.console()
    heading = f"{job.id}  {job.status.value}  {escape(job.label)}".rstrip()
    console.print(heading, highlight=False)
    if job.error:
        console.print(escape(job.error.message), highlight=False)
    console.print(tables.table_of_items(client.items(job.id), width=console.width))


def _print_csv(found_faces: Iterator[FaceDocument]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    head_columns = [column for head in HEADS for column in (head, f"{head}_probability")]
    box_columns = ["left", "top", "right", "bottom"]
    writer.writerow(
        ["job_id", "item", "frame_index", "time_ms", "track", *box_columns, "score", *head_columns]
    )
    for face in found_faces:
        box = face.box
        row: list[object] = [
            face.job_id,
            escape_formula(face.item_name),
            face.frame_index,
            face.time_ms,
        ]
        row += [face.track, box.left, box.top, box.right, box.bottom, face.score]
        for head in HEADS:
            attribute = face.attributes.get(head)
            row += [attribute.label, attribute.probability] if attribute else ["", ""]
        writer.writerow(row)
