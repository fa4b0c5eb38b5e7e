"""Read all pages of a query for faces."""

from __future__ import annotations

from dataclasses import replace

from faces_jobs.db.session import Database
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.results import list_faces


def all_pages(database: Database, query: FaceQuery) -> list[FaceDocument]:
    """Return the faces of all pages, in order."""
    found: list[FaceDocument] = []
    cursor = None
    while True:
        page = list_faces(database, replace(query, cursor=cursor))
        found += page.faces
        cursor = page.next_cursor
        if cursor is None:
            return found
