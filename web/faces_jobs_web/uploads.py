"""Multipart submissions, streamed: each file goes to the storage's incoming folder as it arrives.

Memory holds one chunk, whatever the upload's size. What was received is removed again unless
the submission takes it.
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
# Bounds what a part without an end of its headers, or a long text field, can hold in memory.
MAX_BUFFER_BYTES = 4 * CHUNK_BYTES
MAX_FIELDS = 64
# What a file costs besides its content: the boundary and the headers with its name.
ENVELOPE_BYTES = 2048
# A refused upload that is no longer than this is read to its end, because a client that is still
# sending may not see the answer: its connection would be reset instead.
DRAIN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A form as it was received: its files on disk, its other fields as text."""

    files: tuple[IncomingFile, ...]
    fields: dict[str, tuple[str, ...]]

    def options(self, *, besides: frozenset[str] = frozenset()) -> dict[str, str]:
        """The fields as options, each given once; those named in `besides` left out.

        Raises:
            OptionsError: a field is given more than once.
        """
        doubled = {
            name: "given more than once"
            for name, values in self.fields.items()
            if len(values) > 1 and name not in besides
        }
        if doubled:
            raise OptionsError(doubled)
        return {name: values[0] for name, values in self.fields.items() if name not in besides}


@contextmanager
def receive_upload(
    request: Request,
    *,
    storage: Storage,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Upload]:
    """Stream a multipart body to disk; what is left of it at the end is removed.

    `check` is called before any of it is read.

    Raises:
        UploadTooLargeError: more bytes or files than the settings allow; before any of it is
            read where Content-Length says so.
        StorageFullError: no room.
        BadRequest: the body is no whole multipart form.
    """
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send the files as multipart/form-data.")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise BadRequest("The Content-Type header names no boundary.")
    is_there = True
    most = settings.max_upload_bytes + ENVELOPE_BYTES * (settings.max_files + MAX_FIELDS)
    try:
        if request.content_length is not None and request.content_length > most:
            raise _too_large(settings)
        check()
        stream = get_input_stream(request.environ, max_content_length=most)
        expected = request.content_length or 0
        with storage.receive(
            max_bytes=settings.max_upload_bytes, expected_bytes=expected
        ) as incoming:
            reader = _Reader(stream, boundary, settings)
            yield reader.read(incoming)
    except RequestEntityTooLarge as error:
        raise _too_large(settings) from error
    except ClientDisconnected:
        is_there = False  # gone, or silent
        raise
    finally:
        if is_there:
            _drain(request)


class _Reader:
    """Turns a multipart body into files and fields, one event at a time."""

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
        while not isinstance(event := self._next(), Epilogue):
            if isinstance(event, File):
                file = self._file(event, incoming)
                if file is not None:
                    files.append(file)
                if len(files) > self._settings.max_files:
                    raise UploadTooLargeError(
                        f"More than {self._settings.max_files} files, the most that this server "
                        "takes at once: submit them in parts."
                    )
            elif isinstance(event, Field):
                name = event.name or ""
                fields[name] = (*fields.get(name, ()), self._text())
                if sum(len(values) for values in fields.values()) > MAX_FIELDS:
                    raise BadRequest(f"The form has more than {MAX_FIELDS} fields.")
        return Upload(tuple(files), fields)

    def _file(self, event: File, incoming: Incoming) -> IncomingFile | None:
        chunks = self._content()
        if not event.filename:
            # A file input that was left empty sends a part without a name and content.
            if any(chunks):
                raise BadRequest("A file was sent without a name.")
            return None
        if event.name != FILES_FIELD:
            raise OptionsError({event.name or "": f"send files in the field {FILES_FIELD!r}"})
        return incoming.add(event.filename, chunks)

    def _text(self) -> str:
        content = bytearray()
        for chunk in self._content():
            content += chunk
            if len(content) > MAX_BUFFER_BYTES:
                raise BadRequest("A field of the form is too long.")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest("A field of the form is no UTF-8 text.") from error

    def _content(self) -> Iterator[bytes]:
        more = True
        while more:
            event = self._next()
            if not isinstance(event, Data):
                raise BadRequest("The form breaks off within a part.")
            more = event.more_data
            if event.data:
                yield event.data

    def _next(self) -> Event:
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                self._decoder.receive_data(self._stream.read(CHUNK_BYTES) or None)
        except ValueError as error:
            raise BadRequest("The form breaks off or is malformed: send it again.") from error
        return event


def _drain(request: Request) -> None:
    length = request.content_length
    ended = request.environ.get("wsgi.input_terminated")
    if not ended or (length is not None and length > DRAIN_BYTES):
        return
    for _ in range(DRAIN_BYTES // CHUNK_BYTES):
        try:
            if not request.environ["wsgi.input"].read(CHUNK_BYTES):
                return
        except (
            OSError,
            ValueError,
            ParseException,
        ):  # broken, or the connection is gone: nobody waits for an answer
            return


def _too_large(settings: Settings) -> UploadTooLargeError:
    return UploadTooLargeError(
        f"The files are together larger than {settings.max_upload_bytes} bytes, the most that "
        "this server takes at once: submit them in parts."
    )
