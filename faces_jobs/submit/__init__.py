"""A submission becomes a job: stored files, rows in one transaction, then a ring of the bell.

Once the transaction is committed the job will run: where the broker does not answer, the sweep
rings later. Before, nothing is left of it.
"""

from __future__ import annotations

from faces_jobs.submit.keys import has_key
from faces_jobs.submit.names import MAX_NAME_CHARACTERS, checked_owner, normalise_name
from faces_jobs.submit.submission import Submitted, submit_files, submit_folder

__all__ = [
    "MAX_NAME_CHARACTERS",
    "Submitted",
    "checked_owner",
    "has_key",
    "normalise_name",
    "submit_files",
    "submit_folder",
]
