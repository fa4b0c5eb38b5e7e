"""Opens a container with one given demuxer, and prevents FFmpeg from opening anything else."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from faces_jobs.errors import MediaError, NoVideoError, TruncatedError
from faces_jobs.pipeline.reading.declared_size import DeclaredSize

# FFmpeg gets an open file and must not open others: no protocol has this name.
NO_PROTOCOL = "none"
READ_BYTES = 256 * 1024
_CLOCK_TIME = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


class SourceFile(io.FileIO):
    """A read-only file that reports invalid seeks the way FFmpeg expects."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Seek. Returns an error code for an invalid offset, as damaged files request them."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return -errno.EINVAL  # FFmpeg's convention for a failed seek
            raise


def open_container(
    file: SourceFile, demuxer: str, declared: DeclaredSize, *, max_pixels: int
) -> InputContainer:
    """Open a file with this demuxer and no other.

    Raises:
        TruncatedError: the file can't be opened because it is cut off.
        MediaError: the file can't be opened; the message says why.
    """
    try:
        return av.open(
            file,
            "r",
            format=demuxer,
            options={"protocol_whitelist": NO_PROTOCOL, "max_pixels": str(max_pixels)},
            metadata_errors="replace",
            buffer_size=READ_BYTES,
        )
    except av.error.FFmpegError as error:
        if declared.is_truncated:
            raise TruncatedError(
                "The file is cut off and can't be opened: send the complete file again."
            ) from error
        if not declared.has_index:
            raise MediaError(
                "The video has no index (its moov box is missing), probably because its recording "
                "was interrupted: repair it or record it again."
            ) from error
        raise MediaError(
            f"The video can't be opened ({reason_of(error)}): "
            "check that it plays, or convert it to MP4."
        ) from error


def demux(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of these streams, or of all, in the order of the file.

    Raises:
        FFmpegError: the file can't be read any further.
    """
    try:
        yield from container.demux(*streams)
    except IndexError:
        # At the end of the file PyAV looks for each stream, but knows only those of its start: the
        # sound or the subtitles of a DVD may begin minutes later.
        return


def reason_of(error: av.error.FFmpegError) -> str:
    """Describe an error of FFmpeg, whose own messages may mention files and devices."""
    if isinstance(error, av.error.EOFError):
        return "it ends too early"
    if isinstance(error, av.error.PatchWelcomeError | av.error.DecoderNotFoundError):
        return "it uses an unsupported feature"
    return "it contains invalid data"


def tagged_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Return when the stream ends, in seconds, if its writer noted it in a tag, as Matroska's do.

    A tag may have been copied from another file, so the length in the header limits it.
    """
    # Without a language, as FFmpeg writes it, before "DURATION-eng", which it copies unchanged.
    names = sorted(name for name in stream.metadata if name.startswith("DURATION"))
    found = _CLOCK_TIME.match(stream.metadata[names[0]]) if names else None
    if found is None or not container.duration:
        return None
    hours, minutes, seconds = found.groups()
    tagged = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return min(tagged, container.duration / 1_000_000)


def choose_stream(container: InputContainer) -> VideoStream:
    """Return the video stream that a player would show, which is never a cover picture.

    Raises:
        NoVideoError: the file has no video stream.
        MediaError: there is no decoder for its codec.
    """
    streams = [
        stream for stream in container.streams.video if not stream.disposition & _NOT_THE_VIDEO
    ]
    if not streams:
        raise NoVideoError("The file has no video stream: send a video or an image.")
    best = container.streams.best("video")
    chosen = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if chosen.codec_context is None:
        raise MediaError("There is no decoder for the codec of the video: convert it to MP4.")
    return chosen
