"""Turns the pages of an answer about faces."""

from __future__ import annotations

from dataclasses import replace

from faces_jobs.db.session import Database
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.results import list_faces


def all_pages(database: Database, query: FaceQuery) -> list[FaceDocument]:
    """The faces of all pages, in their order."""
    found: list[FaceDocument] = []
    cursor = None
    while True:
        page = list_faces(database, replace(query, cursor=cursor))
        found += page.faces
        cursor = page.next_cursor
        if cursor is None:
            return found
