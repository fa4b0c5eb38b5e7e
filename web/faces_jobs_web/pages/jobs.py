"""The HTML pages about jobs: the list of jobs, a job, and its items, tracks, faces and files."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from faces_jobs.jobs.documents import ArtifactPage
from faces_jobs.results import (
    count_artifacts,
    get_item,
    get_job,
    list_artifacts,
    list_items,
    list_jobs,
    list_tracks,
)
from faces_jobs.retention import REQUEST_PATIENCE_SECONDS, delete_job
from faces_jobs_web.api.answers import make_conditional
from faces_jobs_web.api.queries import (
    ArtifactFilters,
    ItemFilters,
    JobFilters,
    MomentFilters,
    TrackFilters,
    read_filters,
    track_query,
    without_blanks,
)
from faces_jobs_web.guard import FORM_FIELD, check_form_token
from faces_jobs_web.operations import FORM, Operation, ResponseSpec, describes, page
from faces_jobs_web.pages.shown_filters import (
    faces_context,
    filter_chips,
    next_page_url,
    tracks_context,
)
from faces_jobs_web.services import current_services

blueprint = Blueprint("job_pages", __name__, url_prefix="/jobs")

JOBS_PER_PAGE = 50
ITEMS_PER_PAGE = 25
TRACKS_PER_PAGE = 24
FACES_PER_PAGE = 25
FILES_PER_PAGE = 100
MAX_SHOWN_VIDEOS = 8
MAX_SHOWN_IMAGES = 24
COPY_KINDS = ("annotated_video", "annotated_image")
EXPORT_KINDS = ("faces_csv", "faces_jsonl", "faces_parquet", "tracks_csv")


@blueprint.get("")
@describes(Operation(tag="pages", responses=page("The list of jobs.")))
def index() -> str:
    """Show all jobs, newest first."""
    filters = read_filters(JobFilters, _with_limit(JOBS_PER_PAGE))
    jobs = list_jobs(
        current_services().database,
        status=filters.status,
        label=filters.label,
        cursor=filters.cursor,
        limit=filters.limit,
    )
    return render_template(
        "jobs.html", page=jobs, filters=filters, next_url=_next_url(jobs.next_cursor)
    )


@blueprint.get("/<job_id>")
@describes(Operation(tag="pages", responses=page("One job.")))
def show(job_id: str) -> str:
    """Show a job: its progress while it runs, its results when it has ended."""
    database = current_services().database
    job = get_job(database, job_id)

    def artifacts(kind: str, limit: int) -> ArtifactPage:
        return list_artifacts(database, job_id, kind=kind, limit=limit)

    videos = artifacts("annotated_video", MAX_SHOWN_VIDEOS)
    images = artifacts("annotated_image", MAX_SHOWN_IMAGES)
    track_filters = read_filters(TrackFilters, MultiDict({"limit": str(TRACKS_PER_PAGE)}))
    return render_template(
        "job.html",
        job=job,
        items=list_items(database, job_id, limit=ITEMS_PER_PAGE),
        videos=videos.artifacts,
        images=images.artifacts,
        more_copies=bool(videos.next_cursor or images.next_cursor),
        exports=[export for kind in EXPORT_KINDS for export in artifacts(kind, 1).artifacts],
        tracks=list_tracks(database, track_query(track_filters, job_id)),
        # The script shows a filtered list here, and its filters in this page's address.
        **faces_context(database, job, _with_limit(FACES_PER_PAGE)),
    )


@blueprint.get("/<job_id>/live")
@describes(Operation(tag="pages", responses=page("The progress part of a job's page.")))
def live(job_id: str) -> AnyResponse:
    """Show only the progress of a job; the page's script replaces it in place."""
    database = current_services().database
    job = get_job(database, job_id)
    items = list_items(database, job_id, limit=ITEMS_PER_PAGE)
    response = Response(render_template("parts/live.html", job=job, items=items))
    response.add_etag()
    make_conditional(response)
    return response


@blueprint.get("/<job_id>/items")
@describes(Operation(tag="pages", responses=page("The items of a job.")))
def items(job_id: str) -> str:
    """Show the items of a job, page by page."""
    database = current_services().database
    filters = read_filters(ItemFilters, _with_limit(FILES_PER_PAGE))
    found = list_items(
        database, job_id, status=filters.status, cursor=filters.cursor, limit=filters.limit
    )
    return render_template(
        "items.html",
        job=get_job(database, job_id),
        items=found,
        status=filters.status,
        next_url=_next_url(found.next_cursor),
    )


@blueprint.get("/<job_id>/items/<row:item_id>")
@describes(Operation(tag="pages", responses=page("The annotated copy of one file.")))
def item(job_id: str, item_id: int) -> str:
    """Show the annotated copy of one item; a video starts at the requested time."""
    database = current_services().database
    filters = read_filters(MomentFilters, without_blanks(request.args))
    found = get_item(database, job_id, item_id)
    return render_template(
        "item.html",
        job=get_job(database, job_id),
        item=found,
        at=filters.at,
        copies=[
            copy
            for kind in COPY_KINDS
            for copy in list_artifacts(
                database, job_id, item_id=item_id, kind=kind, limit=1
            ).artifacts
        ],
    )


@blueprint.get("/<job_id>/tracks")
@describes(Operation(tag="pages", responses=page("The tracks of a job, filtered.")))
def tracks(job_id: str) -> str:
    """Show the tracks of a job with filters, page by page."""
    database = current_services().database
    job = get_job(database, job_id)
    context = tracks_context(database, job, _with_limit(TRACKS_PER_PAGE))
    return render_template("tracks.html", job=job, **context)


@blueprint.get("/<job_id>/faces")
@describes(Operation(tag="pages", responses=page("The faces of a job, filtered.")))
def faces(job_id: str) -> str:
    """Show the faces of a job in a table with filters, page by page."""
    database = current_services().database
    job = get_job(database, job_id)
    context = faces_context(database, job, _with_limit(FACES_PER_PAGE))
    return render_template("faces.html", job=job, **context)


@blueprint.get("/<job_id>/files")
@describes(Operation(tag="pages", responses=page("The files created for a job.")))
def files(job_id: str) -> str:
    """Show the files created for a job, page by page."""
    database = current_services().database
    filters = read_filters(ArtifactFilters, _with_limit(FILES_PER_PAGE))
    found = list_artifacts(
        database,
        job_id,
        item_id=filters.item,
        kind=filters.kind,
        cursor=filters.cursor,
        limit=filters.limit,
    )
    kinds = count_artifacts(database, job_id, item_id=filters.item)
    return render_template(
        "files.html",
        job=get_job(database, job_id),
        artifacts=found.artifacts,
        filters=filters,
        kinds=kinds,
        chips=filter_chips(
            database,
            job_id,
            _current_url(),
            _parameters(),
            # A kind that the job has is chosen among the others.
            exclude={"kind"} if filters.kind in kinds else set(),
        ),
        next_url=_next_url(found.next_cursor),
    )


@blueprint.post("/<job_id>/delete")
@describes(
    Operation(
        tag="pages",
        bodies={FORM: {"type": "object"}},
        responses={303: ResponseSpec("Deleted: redirects to the list of jobs.")},
    )
)
def delete(job_id: str) -> AnyResponse:
    """Delete a job."""
    check_form_token(request.form.get(FORM_FIELD))
    services = current_services()
    delete_job(
        job_id,
        database=services.database,
        storage=services.storage,
        by="page",
        patience_seconds=REQUEST_PATIENCE_SECONDS,
    )
    return redirect(url_for("job_pages.index"), 303)


def _with_limit(limit: int) -> MultiDict[str, str]:
    arguments = without_blanks(request.args)
    arguments.setdefault("limit", str(limit))
    return arguments


def _next_url(cursor: str | None) -> str | None:
    return next_page_url(_current_url(), _parameters(), cursor)


def _parameters() -> dict[str, list[str]]:
    return without_blanks(request.args).to_dict(flat=False)


def _current_url() -> str:
    return url_for(str(request.endpoint), **(request.view_args or {}))
