"""The commands that talk to a server: submit, status, wait, faces, download, delete."""

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
from faces_jobs.cli.options import filter_options, given_options, query_of, spec_options
from faces_jobs.client import Client
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import FaceDocument, JobDocument
from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.spreadsheets import escape_formula
from faces_jobs.settings import Settings

Answer = TypeVar("Answer")


def begun(answers: Iterator[Answer]) -> Iterator[Answer]:
    """The same answers, the first of which is there: a refusal comes before a table's heading."""
    return chain(list(islice(answers, 1)), answers)


def open_client(settings: Settings) -> Client:
    """A client for the server that the settings name."""
    return Client(settings.server, access_token=settings.access_token)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--root", help="Instead of PATHS: a folder below this root of the server, by --path.")
@click.option("--path", default="", help="Folder below --root; the root itself if left out.")
@click.option("--idempotency-key", help="Repeating the command with this key makes no second job.")
@click.option("--owner", default="", help="Whose job it is: owners take turns.")
@click.option("--wait/--no-wait", "and_wait", default=False, help="Wait until the job ends.")
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
    """Submit files and folders as one job, and print its id."""
    given = given_options(options)
    spec = JobSpec.parse_text(given)  # judged here, before gigabytes are sent
    if bool(paths) == bool(root):
        raise click.UsageError("Name files or folders, or a --root of the server: one of the two.")
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
            files = list(_files_below(paths))
            if not files:
                raise click.UsageError("There is no file in these folders.")
            job = client.submit_files(files, given, idempotency_key=idempotency_key, owner=owner)
        click.echo(job.id)
        if and_wait:
            _wait(client, job.id)


@click.command()
@click.argument("job_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the document of the API.")
@click.pass_obj
def status(settings: Settings, *, job_id: str | None, as_json: bool) -> None:
    """Tell the state of a job and its items. Without JOB_ID: the newest jobs."""
    with open_client(settings) as client:
        if job_id is None:
            page = client.jobs(limit=20)
            if as_json:
                click.echo(page.model_dump_json(indent=2))
            else:
                console = tables.console()
                console.print(tables.table_of_jobs(page.jobs, width=console.width))
            return
        job = client.job(job_id)
        if as_json:
            click.echo(job.model_dump_json(indent=2))
        else:
            _print_job(client, job)
    sys.exit(exits.code_of_status(job.status))


@click.command()
@click.argument("job_id")
@click.pass_obj
def wait(settings: Settings, *, job_id: str) -> None:
    """Show a progress bar until the job ends. The exit code tells how it ended."""
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
    help="How faces are printed.",
)
@filter_options
@click.pass_obj
def faces(settings: Settings, /, *, job_id: str | None, form: str, **filters: Any) -> None:
    """Print the faces of a job that pass the filters. Without JOB_ID: of all jobs."""
    with open_client(settings) as client:
        found = begun(client.faces(job_id, query_of(filters)))
        if form == "jsonl":
            for face in found:
                click.echo(face.model_dump_json())
        else:
            _print_csv(found)


@click.command()
@click.argument("job_id")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to write to; made if it is missing. Default: the current folder.",
)
@click.option("--kind", multiple=True, help="Only artifacts of this kind; repeatable.")
@click.pass_obj
def download(settings: Settings, *, job_id: str, folder: Path, kind: tuple[str, ...]) -> None:
    """Download a job's artifacts and print their paths."""
    with open_client(settings) as client:
        every = list(client.artifacts(job_id))
        if absent := sorted(set(kind) - {artifact.kind for artifact in every}):
            kinds = ", ".join(sorted({artifact.kind for artifact in every})) or "none"
            raise click.ClickException(
                f"Job {job_id} has no artifact of kind {' or '.join(absent)}. It has: {kinds}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [artifact for artifact in every if not kind or artifact.kind in kind]
        gone = 0
        for artifact in wanted:
            try:
                click.echo(str(client.download(artifact, folder)))
            except NotFoundError as error:
                gone += 1
                click.echo(f"{artifact.name}: {error}", err=True)
    if gone:
        sys.exit(exits.SOME_FAILED if gone < len(wanted) else exits.FAILED)


@click.command()
@click.argument("job_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(settings: Settings, *, job_id: str, yes: bool) -> None:
    """Delete a job, its rows and its files. This can't be undone."""
    if not yes:
        try:
            sure = click.confirm(f"Delete job {job_id} with all its results?", err=True)
        except click.Abort:
            click.echo("\nNothing was deleted: --yes deletes without a question.", err=True)
            raise
        if not sure:
            raise click.ClickException("Nothing was deleted.")
    with open_client(settings) as client:
        client.delete(job_id)


def _files_below(paths: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if path.is_dir():
            for name, file in files_in_folder(path):
                yield f"{path.resolve().name}/{name}", file
        else:
            yield path.name, path


def _wait(client: Client, job_id: str) -> None:
    # Bars go to stderr: what a script reads from stdout stays clean.
    job = tables.wait_with_bar(client, job_id, Console(stderr=True))
    if job.status.value != "succeeded" or job.damaged_frames:
        _print_job(client, job)
    sys.exit(exits.code_of_status(job.status))


def _print_job(client: Client, job: JobDocument) -> None:
    console = tables.console()
    heading = f"{job.id}  {job.status.value}  {escape(job.label)}".rstrip()
    console.print(heading, highlight=False)
    if job.error:
        console.print(escape(job.error.message), highlight=False)
    console.print(tables.table_of_items(client.items(job.id), width=console.width))


def _print_csv(found: Iterator[FaceDocument]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    head_columns = [column for head in HEADS for column in (head, f"{head}_probability")]
    box_columns = ["left", "top", "right", "bottom"]
    writer.writerow(
        ["job_id", "item", "frame_index", "time_ms", "track", *box_columns, "score", *head_columns]
    )
    for face in found:
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
