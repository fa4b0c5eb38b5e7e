"""Open a container with the one demuxer its content names, and let it open nothing else."""

from __future__ import annotations

import errno
import io
import os

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from faces_jobs.errors import MediaError, NoVideoError, TruncatedError
from faces_jobs.pipeline.declared_size import DeclaredSize

# FFmpeg is handed an open file and may open nothing itself: no protocol has this name.
NO_PROTOCOL = "none"
READ_BYTES = 256 * 1024
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


class SourceFile(io.FileIO):
    """A file as FFmpeg reads it, read-only."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place. Impossible ones, which damaged files ask for, are no error of the disk."""
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return -errno.EINVAL  # how FFmpeg is told that it can't be done
            raise


def open_container(
    file: SourceFile, demuxer: str, declared: DeclaredSize, *, max_pixels: int
) -> InputContainer:
    """Open a file with one demuxer and nothing else.

    Raises:
        TruncatedError: it breaks off before it tells what is in it.
        MediaError: it can't be opened, with the reason.
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
                "The file breaks off before it tells what is in it: send it again, whole."
            ) from error
        if not declared.has_index:
            raise MediaError(
                "The video has no index (its moov box is missing), as when a recording was not "
                "finished: repair it or record it again."
            ) from error
        raise MediaError(
            f"The video can't be opened ({reason_of(error)}): "
            "check that it plays, or convert it to MP4."
        ) from error


def reason_of(error: av.error.FFmpegError) -> str:
    """A few words on an error of FFmpeg; its other messages are about files and devices."""
    if isinstance(error, av.error.EOFError):
        return "it ends too early"
    if isinstance(error, av.error.PatchWelcomeError | av.error.DecoderNotFoundError):
        return "it uses something that can't be read"
    return "it holds invalid data"


def choose_stream(container: InputContainer) -> VideoStream:
    """The video stream that a player would show; a cover picture is none.

    Raises:
        NoVideoError: there is none.
        MediaError: it is coded in a way for which there is no decoder.
    """
    streams = [
        stream for stream in container.streams.video if not stream.disposition & _NOT_THE_VIDEO
    ]
    if not streams:
        raise NoVideoError("The file has no video stream: send a video or an image.")
    best = container.streams.best("video")
    chosen = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if chosen.codec_context is None:
        raise MediaError("The video is coded in a way that can't be decoded: convert it to MP4.")
    return chosen
