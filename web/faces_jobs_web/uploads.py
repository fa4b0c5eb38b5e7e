"""Streams multipart uploads: each file is written to the storage's incoming folder as it arrives.

Memory use is one chunk, whatever the size of the upload. Received files that the submission does
not take over are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)
from werkzeug.wsgi import get_input_stream

from faces_jobs.errors import OptionsError, UploadTooLargeError
from faces_jobs.settings import Settings
from faces_jobs.storage import Incoming, IncomingFile, Storage

FILES_FIELD = "files"
CHUNK_BYTES = 64 * 1024
# Bounds the memory used by a part whose headers never end, or by a long text field.
MAX_BUFFER_BYTES = 4 * CHUNK_BYTES
MAX_FIELDS = 64
# Bytes that a part takes besides its content: the boundary, and the headers with the file name.
PART_OVERHEAD_BYTES = 2048
# A refused upload up to this size is read to its end. Otherwise the connection of a client that is
# still sending would be reset, and it would not see the response.
MAX_DRAIN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A received form: its files on disk, its other fields as text."""

    files: tuple[IncomingFile, ...]
    fields: dict[str, tuple[str, ...]]

    def options(self) -> dict[str, str]:
        """Return the text fields as options.

        Raises:
            OptionsError: a field is given more than once.
        """
        repeated = {
            name: "given more than once" for name, values in self.fields.items() if len(values) > 1
        }
        if repeated:
            raise OptionsError(repeated)
        return {name: values[0] for name, values in self.fields.items()}


@contextmanager
def receive_upload(
    request: Request,
    *,
    storage: Storage,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Upload]:
    """Stream a multipart body to disk; on exit, remove the files that nobody took over.

    `check` is called before any of the body is read.

    Raises:
        UploadTooLargeError: the upload has more bytes or files than the settings allow; raised
            before any of it is read if Content-Length says so.
        StorageFullError: there is not enough free disk space.
        UnsupportedMediaType: the request is not multipart/form-data.
        BadRequest: the body is not a complete multipart form.
        RequestTimeout: the body stopped arriving, or arrives too slowly.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the files as multipart/form-data.")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise BadRequest("The Content-Type header has no valid boundary.")
    is_connected = True
    max_body_bytes = settings.max_upload_bytes + PART_OVERHEAD_BYTES * (
        settings.max_files + MAX_FIELDS
    )
    try:
        stream = get_input_stream(request.environ, max_content_length=max_body_bytes)
        check()
        with storage.receive(
            max_bytes=settings.max_upload_bytes, expected_bytes=request.content_length or 0
        ) as incoming:
            reader = _FormReader(stream, boundary, settings)
            yield reader.read(incoming)
    except RequestEntityTooLarge as error:
        raise _too_large(settings) from error
    except (ClientDisconnected, RequestTimeout):
        is_connected = False  # or as good as that: waiting for the rest would take as long again
        raise
    finally:
        if is_connected:
            _drain(request)


class _FormReader:
    """Parses a multipart body into files and fields, one event at a time."""

    def __init__(self, stream: IO[bytes], boundary: str, settings: Settings) -> None:
        self._stream = stream
        self._settings = settings
        self._decoder = MultipartDecoder(
            boundary.encode("ascii"),
            max_form_memory_size=MAX_BUFFER_BYTES,
            max_parts=settings.max_files + MAX_FIELDS,
        )

    def read(self, incoming: Incoming) -> Upload:
        files: list[IncomingFile] = []
        fields: dict[str, tuple[str, ...]] = {}
        while not isinstance(event := self._next_event(), Epilogue):
            if isinstance(event, File | Field) and not event.name:
                raise BadRequest("A part of the form has no name.")
            if isinstance(event, File):
                file = self._receive_file(event, incoming)
                if file is not None:
                    files.append(file)
                if len(files) > self._settings.max_files:
                    raise UploadTooLargeError(
                        f"More than {self._settings.max_files} files, the maximum for one "
                        "submission: submit them in several jobs."
                    )
            elif isinstance(event, Field):
                if event.name == FILES_FIELD:
                    raise OptionsError({FILES_FIELD: "sent as text: send files, with their names"})
                fields[event.name] = (*fields.get(event.name, ()), self._read_text())
                if sum(len(values) for values in fields.values()) > MAX_FIELDS:
                    raise BadRequest(f"The form has more than {MAX_FIELDS} fields.")
        return Upload(tuple(files), fields)

    def _receive_file(self, event: File, incoming: Incoming) -> IncomingFile | None:
        chunks = self._content_chunks()
        if not event.filename:
            # Browsers send a part without name and content for a file input left empty.
            if any(chunks):
                raise BadRequest("A file was sent without a name.")
            return None
        if event.name != FILES_FIELD:
            raise OptionsError({event.name: f"send files in the field {FILES_FIELD!r}"})
        return incoming.add(event.filename, chunks)

    def _read_text(self) -> str:
        content = bytearray()
        for chunk in self._content_chunks():
            content += chunk
            if len(content) > MAX_BUFFER_BYTES:
                raise BadRequest("A field of the form is too long.")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest("A field of the form is not valid UTF-8.") from error

    def _content_chunks(self) -> Iterator[bytes]:
        more = True
        while more:
            event = self._next_event()
            if not isinstance(event, Data):
                raise BadRequest("The form ends in the middle of a part: send it again.")
            more = event.more_data
            if event.data:
                yield event.data

    def _next_event(self) -> Event:
        event = self._decode()
        while isinstance(event, NeedData):
            event = self._decode(self._stream.read(CHUNK_BYTES))
        return event

    def _decode(self, received: bytes | None = None) -> Event:
        """Pass on what was received, if anything (b"": the end); return the next event."""
        try:
            if received is not None:
                self._decoder.receive_data(received or None)
            return self._decoder.next_event()
        except UnicodeDecodeError as error:  # of the headers of a part
            raise BadRequest("A file name in the form is not valid UTF-8.") from error
        except ValueError as error:
            raise BadRequest("The form is incomplete or malformed: send it again.") from error
        except RequestEntityTooLarge as error:  # of the buffer, not of the body
            raise BadRequest("The form has too many parts, or too much besides them.") from error


def _drain(request: Request) -> None:
    """Read and discard what is left of the body, up to `MAX_DRAIN_BYTES`."""
    length = request.content_length
    is_terminated = request.environ.get("wsgi.input_terminated")
    if not is_terminated or (length is not None and length > MAX_DRAIN_BYTES):
        return
    for _ in range(MAX_DRAIN_BYTES // CHUNK_BYTES):
        try:
            if not request.environ["wsgi.input"].read(CHUNK_BYTES):
                return
        except (OSError, ValueError, ParseException, RequestTimeout):
            return  # malformed or disconnected: no client is waiting for the response


def _too_large(settings: Settings) -> UploadTooLargeError:
    return UploadTooLargeError(
        f"The files have more than {settings.max_upload_bytes:,} bytes in total, the maximum for "
        "one submission: submit them in several jobs."
    )
