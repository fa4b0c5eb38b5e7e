"""All exceptions that faces_jobs raises on purpose, in one class hierarchy.

FacesJobsError
├── SettingsError                 a setting is missing, malformed or unsafe
├── SubmissionError               a submission can't become a job (nothing was stored)
│   ├── OptionsError              an option is unknown, malformed or out of range
│   ├── FolderError               a server folder is unknown, outside its root or not readable
│   ├── UploadTooLargeError       more bytes or files than the settings allow
│   └── IdempotencyConflictError  the idempotency key was used for another submission
├── NotFoundError                 no such job, item, track or artifact
├── StateError                    not allowed in the job's current state
├── MediaError                    this file can't be processed (its item fails, others continue)
│   ├── EmptyFileError            the file has no bytes
│   ├── UnknownMediaError         neither an image nor a video, judged by its content
│   ├── ArchiveError              an archive, which must be unpacked first
│   ├── TextError                 a playlist or other text under the name of a video
│   ├── NoVideoError              a media file without a picture in it
│   ├── FrameSizeError            a picture without pixels, or larger than the limit
│   ├── TruncatedError            the file ends before its stream does
│   └── SourceError               the submitted file is missing, has changed or is no regular file
├── PoisonError                   all attempts at this file ended without a result
├── ModelError                    a network's files are missing, modified or do not fit
├── DataLayoutError               the layout of a labelled data set is not recognised
├── DownloadError                 a file can't be downloaded (not permanent)
├── WebhookError                  a webhook can't be delivered (not permanent)
├── DeviceError                   the requested device is not available
├── AddressError                  the web server can't listen on its host and port
├── StorageFullError              no space left to write (not permanent)
├── StorageError                  the storage is not reachable (not permanent)
│   └── StorageRefusedError       the bucket does not exist or denies access: correct the settings
├── LeaseLostError                another worker holds this work now (not permanent)
├── CancelledError                the job was cancelled while it was being processed
├── PausedError                   the job was paused, or waits for space (not permanent)
├── NotReadyError                 a required part of the service is not working (not permanent)
├── BusyError                     too many requests are waiting already (not permanent)
├── QueueFullError                too much work is queued to accept more (not permanent)
├── QueueError                    the broker is not reachable (not permanent)
├── DatabaseError                 the database is missing, outdated or not reachable (not permanent)
└── ServerError                   a client's request was answered with an error, or not at all

Each class has a stable `code` that users see (as an item's `error.code`, and at the end of a
problem's `type`). `permanent` says that trying the same again can't help.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class FacesJobsError(Exception):
    """Base of all errors. `str(error)` tells the user what happened and what to do about it."""

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = True


class SettingsError(FacesJobsError):
    """A setting is missing, malformed or unsafe. Raised at startup only."""

    code = "settings"


class SubmissionError(FacesJobsError):
    """A submission can't become a job; nothing of it was stored."""

    code = "submission"


class OptionsError(SubmissionError):
    """An option is unknown, malformed or out of range.

    `fields` maps each offending option to what is wrong with it.
    """

    code = "invalid-options"

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        problems = "; ".join(f"{name}: {reason}" for name, reason in fields.items())
        super().__init__(f"Invalid options: {problems}.")


class FolderError(SubmissionError):
    """A server folder is unknown, outside its root, or contains no readable file."""

    code = "folder"


class UploadTooLargeError(SubmissionError):
    """An upload has more bytes or files than the settings allow."""

    code = "upload-too-large"


class IdempotencyConflictError(SubmissionError):
    """The `Idempotency-Key` was used before, for another submission."""

    code = "idempotency-conflict"


class NotFoundError(FacesJobsError):
    """There is no such job, item, track or artifact."""

    code = "not-found"


class StateError(FacesJobsError):
    """The operation is not allowed in the job's current state."""

    code = "state"


class MediaError(FacesJobsError):
    """This file can't be processed. Its item fails; the job's other items continue."""

    code = "media"


class EmptyFileError(MediaError):
    """The file has no bytes."""

    code = "empty-file"


class UnknownMediaError(MediaError):
    """Judged by its content, the file is neither an image nor a video of a supported format."""

    code = "unknown-media"


class ArchiveError(MediaError):
    """The file is an archive; the message names it, so that the user can unpack it."""

    code = "archive"


class TextError(MediaError):
    """The file is text, such as a playlist named `.mp4`. No media library ever opens it."""

    code = "text"


class NoVideoError(MediaError):
    """A media file has no video stream, or its stream contains no frame."""

    code = "no-video"


class FrameSizeError(MediaError):
    """The header declares no pixels, or more than the limit; nothing was decoded."""

    code = "frame-size"


class TruncatedError(MediaError):
    """The file ends before its stream does. Results of the frames before its end are kept."""

    code = "truncated"


class SourceError(MediaError):
    """The submitted file is missing, has changed, is not readable, or is no regular file."""

    code = "source"


class PoisonError(FacesJobsError):
    """All attempts at this file ended without a result: workers died, or failed unexpectedly."""

    code = "poison"


class ModelError(FacesJobsError):
    """A network's files are missing, differ from their record, or have unexpected shapes."""

    code = "model"


class DataLayoutError(FacesJobsError):
    """A labelled data set has no known layout; the message says what was expected and found."""

    code = "data-layout"


class DownloadError(FacesJobsError):
    """A file can't be downloaded: no network, an HTTP error, or a broken connection."""

    code = "download"
    permanent = False


class WebhookError(FacesJobsError):
    """A delivery failed: its address is not allowed, or the receiver did not answer in time."""

    code = "webhook"
    permanent = False


class DeviceError(FacesJobsError):
    """The requested device (`cuda`, a screen) is not available."""

    code = "device"


class AddressError(FacesJobsError):
    """The web server's host is not of this machine, or its port is in use or not permitted."""

    code = "address"


class StorageFullError(FacesJobsError):
    """No space is left where uploads, artifacts or rows are written."""

    code = "storage-full"
    permanent = False


class StorageError(FacesJobsError):
    """The storage of files is not reachable. Nothing is lost: jobs wait until it is."""

    code = "storage"
    permanent = False


class StorageRefusedError(StorageError):
    """The bucket does not exist or denies access: the operator has to correct the settings.

    Permanent for a request. Jobs do not fail by it: they wait until the settings are corrected.
    """

    code = "storage-refused"
    permanent = True


class LeaseLostError(FacesJobsError):
    """Another worker holds this work now; results of this attempt are discarded."""

    code = "lease-lost"
    permanent = False


class CancelledError(FacesJobsError):
    """The job was cancelled while it was being processed."""

    code = "cancelled"


class PausedError(FacesJobsError):
    """The job was paused, by the user or for lack of space, while it was being processed."""

    code = "paused"
    permanent = False


class NotReadyError(FacesJobsError):
    """A required part of the service is not working: database, broker, a worker, ...

    `fields` maps each such part to what is wrong with it.
    """

    code = "not-ready"
    permanent = False

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(f"Not ready: {', '.join(fields)}. `fields` says what is wrong with each.")


class BusyError(FacesJobsError):
    """As many requests as the server allows are waiting for a change already."""

    code = "busy"
    permanent = False


class QueueFullError(FacesJobsError):
    """So much work is queued, of this owner or in total, that no more is accepted for now."""

    code = "queue-full"
    permanent = False


class QueueError(FacesJobsError):
    """The broker is not reachable. Rows are kept; the sweep rings again later."""

    code = "queue"
    permanent = False


class DatabaseError(FacesJobsError):
    """The database is missing, has an older or newer schema, or is not reachable."""

    code = "database"
    permanent = False


class ServerError(FacesJobsError):
    """A client's request failed: the server answered with an error, or could not be reached.

    `status` is the HTTP status, 0 if no faces_jobs server answered. `problem` is the decoded
    problem+json, empty if there was none.
    """

    code = "server"

    def __init__(self, message: str, *, status: int, problem: dict[str, object]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem

    @property
    def fields(self) -> Mapping[str, object]:
        """The options or parameters at fault and why, if the problem names any."""
        fields = self.problem.get("fields")
        return fields if isinstance(fields, dict) else {}
