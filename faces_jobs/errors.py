"""The errors of faces_jobs, in one tree.

FacesJobsError
├── SettingsError                 a setting is missing, mistyped or unsafe
├── SubmissionError               what the user sent can't become a job (nothing was stored)
│   ├── OptionsError              an option is unknown, mistyped or out of range
│   ├── FolderError               a server folder is unknown, outside its root or not readable
│   ├── UploadTooLargeError       more bytes than the setting allows
│   └── IdempotencyConflictError  the same key was used for another submission
├── NotFoundError                 no such job, item, track or artifact
├── StateError                    the job's state does not allow this move
├── MediaError                    this file can't be processed (one item fails, the others go on)
│   ├── EmptyFileError
│   ├── UnknownMediaError         neither an image nor a video by its content
│   ├── ArchiveError              an archive: unpack it first
│   ├── TextError             a playlist or other text dressed as a video
│   ├── NoVideoError              a media file without a picture in it
│   ├── FrameSizeError            no pixels, or more than the limit
│   ├── TruncatedError            the file ends before its stream does
│   └── SourceError               the submitted file is gone, has changed or is no regular file
├── PoisonError                   every attempt at this file ended without a result
├── ModelError                    a network's files are missing, changed or of another shape
├── DataLayoutError               labelled pictures in no known layout
├── DownloadError                 a file can't be fetched (not permanent)
├── WebhookError                  a webhook can't be delivered (not permanent)
├── DeviceError                   the device asked for is not there
├── AddressError                  the web server can't listen where it is to
├── StorageFullError              no room to write (not permanent: more room helps)
├── StorageError                  where files are kept does not answer (not permanent)
│   └── StorageRefusedError       no such bucket, a wrong key, or not allowed: correct the settings
├── LeaseLostError                another worker holds this work now (not permanent)
├── CancelledError                the user cancelled (not an error of the work)
├── PausedError                   the job is held: paused, or waiting for space (not permanent)
├── NotReadyError                 a part without which the service can't work is missing
├── BusyError                     too many requests wait already (not permanent)
├── QueueFullError                so much work waits that no more is taken (not permanent)
├── QueueError                    the broker does not answer (not permanent)
├── DatabaseError                 the database is missing, old or unreachable
└── ServerError                   the server answered a client's request with a problem

Each class has a stable `code` that users see (an item's `error.code`, the end of a problem's
`type`), and says with `permanent` whether trying the same again can help.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class FacesJobsError(Exception):
    """Root of the tree. `str(error)` is one sentence for the user that says what to do."""

    code: ClassVar[str] = "error"
    permanent: ClassVar[bool] = True


class SettingsError(FacesJobsError):
    """A setting is missing, mistyped or unsafe. Raised at start, never later."""

    code = "settings"


class SubmissionError(FacesJobsError):
    """What the user sent can't become a job; nothing of it was stored."""

    code = "submission"


class OptionsError(SubmissionError):
    """An option is unknown, mistyped or out of range.

    `fields` maps each offending option to what is wrong with it.
    """

    code = "invalid-options"

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        listed = "; ".join(f"{name}: {why}" for name, why in fields.items())
        super().__init__(f"These options can't be used: {listed}.")


class FolderError(SubmissionError):
    """A server folder is unknown, outside its root, or holds no readable file."""

    code = "folder"


class UploadTooLargeError(SubmissionError):
    """More bytes or files than the settings allow."""

    code = "upload-too-large"


class IdempotencyConflictError(SubmissionError):
    """The same Idempotency-Key was used before for another submission."""

    code = "idempotency-conflict"


class NotFoundError(FacesJobsError):
    """No such job, item, track or artifact."""

    code = "not-found"


class StateError(FacesJobsError):
    """The job's state does not allow this move."""

    code = "state"


class MediaError(FacesJobsError):
    """This file can't be processed. One item fails with it; the job's other items go on."""

    code = "media"


class EmptyFileError(MediaError):
    """The file has no bytes."""

    code = "empty-file"


class UnknownMediaError(MediaError):
    """By its content the file is neither an image nor a video that we read."""

    code = "unknown-media"


class ArchiveError(MediaError):
    """The file is an archive; its name is told so that the user can unpack it."""

    code = "archive"


class TextError(MediaError):
    """Text, such as a playlist dressed as a video. It is never opened by a media library."""

    code = "text"


class NoVideoError(MediaError):
    """A media file without a video stream, or whose stream gives no frame."""

    code = "no-video"


class FrameSizeError(MediaError):
    """The header announces no pixels, or more than the limit; nothing was decoded."""

    code = "frame-size"


class TruncatedError(MediaError):
    """The file ends before its stream does. What was read before the end is kept."""

    code = "truncated"


class SourceError(MediaError):
    """The submitted file is gone, has changed since, may not be read, or is no regular file."""

    code = "source"


class PoisonError(FacesJobsError):
    """Every attempt at this file ended without a result: its workers died, or failed oddly."""

    code = "poison"


class ModelError(FacesJobsError):
    """A network's files are missing, changed since they were recorded, or of another shape."""

    code = "model"


class DataLayoutError(FacesJobsError):
    """Labelled pictures are in no known layout; says what was looked for and what was found."""

    code = "data-layout"


class DownloadError(FacesJobsError):
    """A file can't be fetched: no network, a refusal, or a connection that broke off."""

    code = "download"
    permanent = False


class WebhookError(FacesJobsError):
    """A delivery did not reach its receiver: refused by us, or nothing answered in time."""

    code = "webhook"
    permanent = False


class DeviceError(FacesJobsError):
    """The device asked for (`cuda`) is not there."""

    code = "device"


class AddressError(FacesJobsError):
    """The host or port that the web server is to listen at is taken, foreign or not allowed."""

    code = "address"


class StorageFullError(FacesJobsError):
    """No room left where uploads, artifacts or rows are written."""

    code = "storage-full"
    permanent = False


class StorageError(FacesJobsError):
    """Where files are kept does not answer. Nothing is lost: work on them waits."""

    code = "storage"
    permanent = False


class StorageRefusedError(StorageError):
    """The bucket is not there, or refuses: who runs the service has to correct the settings.

    Permanent as a request, not for the work: that waits until the settings are right.
    """

    code = "storage-refused"
    permanent = True


class LeaseLostError(FacesJobsError):
    """Another worker holds this work now; what this one did is thrown away."""

    code = "lease-lost"
    permanent = False


class CancelledError(FacesJobsError):
    """The user cancelled the job while it was being worked on."""

    code = "cancelled"


class PausedError(FacesJobsError):
    """The job is held, by the user or for want of space, while it was being worked on."""

    code = "paused"
    permanent = False


class NotReadyError(FacesJobsError):
    """A part without which the service can't work is missing: database, broker, a worker, ...

    `fields` maps each missing part to a sentence about it.
    """

    code = "not-ready"
    permanent = False

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(f"Not ready: {', '.join(fields)} missing.")


class BusyError(FacesJobsError):
    """As many requests wait for something to happen as the server lets wait."""

    code = "busy"
    permanent = False


class QueueFullError(FacesJobsError):
    """So much work waits, of this owner or of all, that no more is taken for now."""

    code = "queue-full"
    permanent = False


class QueueError(FacesJobsError):
    """The broker does not answer. Rows are kept; a sweep rings again."""

    code = "queue"
    permanent = False


class DatabaseError(FacesJobsError):
    """The database is missing, has an older or newer schema, or does not answer."""

    code = "database"
    permanent = False


class ServerError(FacesJobsError):
    """A faces_jobs server answered a client's request with a problem.

    `status` is the HTTP status; `problem` the decoded problem+json, empty where there was none.
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
