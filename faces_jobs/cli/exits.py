"""Exit codes, the same for every command."""

from __future__ import annotations

from faces_jobs.errors import (
    FacesJobsError,
    NotFoundError,
    OptionsError,
    ServerError,
    SettingsError,
)
from faces_jobs.jobs.status import JobStatus

OK = 0
FAILED = 1
USAGE = 2
SOME_FAILED = 3
NOT_FOUND = 4
NO_SERVER = 5
INTERRUPTED = 130

HELP = (
    "Exit codes: 0 success; 1 it failed, was refused or was cancelled; 2 wrong usage, option or "
    "setting; 3 some items failed, the others succeeded; 4 no such job; 5 no server responds; "
    "130 interrupted."
)


def code_of(error: FacesJobsError) -> int:
    """The exit code for an error that ended the command."""
    match error:
        case SettingsError() | OptionsError() | ServerError(status=422):
            return USAGE
        case NotFoundError():
            return NOT_FOUND
        case ServerError(status=0):
            return NO_SERVER
        case _:
            return FAILED


def code_of_status(status: JobStatus) -> int:
    """The exit code for a job in this state."""
    match status:
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return FAILED
        case JobStatus.SUCCEEDED_WITH_ERRORS:
            return SOME_FAILED
        case _:
            return OK
