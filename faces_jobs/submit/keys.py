"""Idempotency keys: a repeated submission returns the job of the first one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.session import Database
from faces_jobs.db.tables import IdempotencyRow
from faces_jobs.db.upsert import upsert
from faces_jobs.errors import IdempotencyConflictError, OptionsError
from faces_jobs.jobs.spec import JobSpec

MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class SubmissionKey:
    """An idempotency key with the digest of its submission."""

    key: str
    request_sha256: str


class UsedKeyError(Exception):
    """Another submission with the same key was committed first. Not raised out of this package."""


def has_key(database: Database, key: str | None) -> bool:
    """Return whether a submission with this key was accepted: repeating it adds no work."""
    if key is None:
        return False
    statement = select(IdempotencyRow.key).where(IdempotencyRow.key == key)
    with database.read() as session:
        return session.scalar(statement) is not None


def checked_key(
    key: str | None, spec: JobSpec, owner: str, request: Mapping[str, Any]
) -> SubmissionKey | None:
    """Validate a key, and make the digest of the options, the owner and `request`.

    Raises:
        OptionsError: the key is empty, too long or not printable.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        raise OptionsError(
            {"Idempotency-Key": f"must be 1 to {MAX_KEY_CHARACTERS} printable characters"}
        )
    canonical = json.dumps(
        {"options": spec.model_dump(mode="json"), "owner": owner, **request},
        sort_keys=True,
        ensure_ascii=True,
    )
    return SubmissionKey(key, hashlib.sha256(canonical.encode()).hexdigest())


def earlier_job(database: Database, key: SubmissionKey | None) -> str | None:
    """Return the job of an earlier submission with this key, if any.

    Raises:
        IdempotencyConflictError: the key was used for a different submission.
    """
    if key is None:
        return None
    with database.read() as session:
        row = session.execute(
            select(IdempotencyRow.request_sha256, IdempotencyRow.job_id).where(
                IdempotencyRow.key == key.key
            )
        ).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != key.request_sha256:
        raise IdempotencyConflictError(
            "This Idempotency-Key was already used with other files or options: "
            "use a new key for a new submission."
        )
    job_id: str = row.job_id
    return job_id


def store_key(session: Session, key: SubmissionKey | None, job_id: str) -> None:
    """Insert the key of a job. A concurrent submission with the same key waits here.

    Raises:
        UsedKeyError: the key was used meanwhile; the transaction is to be rolled back.
    """
    if key is None:
        return
    inserted = session.scalar(
        upsert(session, IdempotencyRow)
        .values(key=key.key, request_sha256=key.request_sha256, job_id=job_id)
        .on_conflict_do_nothing()
        .returning(IdempotencyRow.key)
    )
    if inserted is None:
        raise UsedKeyError
