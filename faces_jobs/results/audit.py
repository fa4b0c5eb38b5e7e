"""Lists the audit log: what was deleted, and whether that was verified."""

from __future__ import annotations

from faces_jobs.db.audit import AuditEntry, read_audit
from faces_jobs.db.clock import as_datetime
from faces_jobs.db.session import Database
from faces_jobs.jobs.documents import AuditDocument, AuditPage
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.results.pages import check_limit, decode_cursor, encode_cursor


def list_audit(
    database: Database,
    *,
    job_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> AuditPage:
    """Return a page of deletions, newest first: those of one job, or all.

    Raises:
        OptionsError: the cursor or limit is invalid.
    """
    check_limit(limit)
    position = decode_cursor(cursor, (int,))
    before = None if position is None else int(position[0])
    found = read_audit(database, job_id=job_id, before=before, limit=limit + 1)
    shown = found[:limit]
    return AuditPage(
        entries=[_document(entry) for entry in shown],
        next_cursor=encode_cursor([shown[-1].id]) if len(found) > limit else None,
    )


def _document(entry: AuditEntry) -> AuditDocument:
    verified_at = entry.verified_at
    return AuditDocument(
        id=entry.id,
        at=as_datetime(entry.at),
        what=entry.what,
        job_id=entry.job_id,
        why=entry.why,
        by=entry.by,
        rows=entry.rows,
        files=entry.files,
        bytes=entry.bytes,
        verified_at=None if verified_at is None else as_datetime(verified_at),
        attempts=entry.attempts,
        last_error=entry.last_error,
    )
