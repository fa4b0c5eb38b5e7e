"""Submissions: files are stored, rows are inserted in one transaction, and workers are notified.

Once the transaction is committed, the job will run: if the broker does not answer, the sweep rings
later. If it fails before, nothing of the submission is kept.
"""

from __future__ import annotations

from faces_jobs.submit.keys import has_key
from faces_jobs.submit.submission import Submitted, submit_files, submit_folder

__all__ = [
    "Submitted",
    "has_key",
    "submit_files",
    "submit_folder",
]
