"""Reads the frames of still and animated images with Pillow, upright."""

from __future__ import annotations

import contextlib
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import BinaryIO, Self

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from faces_jobs.errors import FrameSizeError, MediaError, NoVideoError, TruncatedError
from faces_jobs.media import camera_raw_error
from faces_jobs.pipeline.reading.colour_profiles import in_srgb
from faces_jobs.pipeline.reading.declared_size import DeclaredSize, read_declared_size
from faces_jobs.pipeline.reading.jpeg_scans import check_scans
from faces_jobs.pipeline.reading.pictures import check_frame_size, fit, on_white
from faces_jobs.pipeline.values import Frame, MediaInfo, Picture

# All of these are raised by Pillow's decoders for invalid data.
BROKEN_IMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
TOO_LARGE = Image.DecompressionBombError
# In other formats, such as multi-page TIFF and the JPEGs of phones, only the first picture is read.
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
# Like browsers, so that animations run as their authors saw them: frames of 10 ms or less are
# shown for 100 ms.
_IGNORED_MS, _DEFAULT_MS = 10, 100.0
_MILLISECOND = Fraction(1, 1000)
_SUBFILE_TYPE, _DNG_VERSION = 254, 50706  # TIFF tags
_REDUCED_RESOLUTION = 1  # a bit of the former
_16_BITS, _12_BITS = 65535.0, 4095.0  # maximal levels

_log = logging.getLogger(__name__)


class ImageReader:
    """A `FrameReader` for an image file: one frame, or those of an animation.

    Transparent pictures are blended with white, and the EXIF orientation is applied. Only the first
    page of a TIFF is read. Open it with `with`; iterate it once.
    """

    def __init__(self, file: BinaryIO, name: str, *, max_pixels: int) -> None:
        """Check the header of a file in the image format `name`, and decode its first frame.

        The file belongs to the reader, which closes it.

        Raises:
            FrameSizeError: the picture has no pixels, or more than `max_pixels`.
            TruncatedError: the file is cut off before the end of its first frame.
            UnknownMediaError: it is a camera's raw file.
            MediaError: the file can't be decoded.
        """
        self._max_pixels = max_pixels
        with ExitStack() as opened:
            opened.enter_context(file)
            self._declared = read_declared_size(file, name)
            self._image = _open_image(file, name, self._declared, max_pixels=max_pixels)
            opened.callback(self._image.close)
            self._frames = self._count(name)
            # An APNG may start with a picture for viewers that don't support animations.
            self._skipped = int(
                self._frames > 1 and bool(getattr(self._image, "default_image", False))
            )
            self._first: Picture | None = self._read(self._skipped)
            height, width = self._first.shape[:2]
            self._info = MediaInfo(
                kind="video" if self._frames > 1 else "image",
                format=name.lower(),
                width=width,
                height=height,
                frame_count=self._frames - self._skipped,
                duration_ms=None,
                average_rate=None,
                has_audio=False,
                time_base=_MILLISECOND,
            )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    @property
    def info(self) -> MediaInfo:
        """The properties of the image; width and height are those of the upright picture."""
        return self._info

    @property
    def damaged_frames(self) -> int:
        """Always 0: damaged images are rejected, and animations end before damaged frames."""
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame once, in order of time.

        Raises:
            TruncatedError: the animation is cut off; raised after its last whole frame.
        """
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError("a reader's frames can be read once; open the file again")
        picture, time_ms, exact_end_ms = first, 0.0, 0.0
        for index in range(self._frames - self._skipped):
            if index:
                picture = fit(
                    self._read(index + self._skipped), self._info.width, self._info.height
                )
            if self._frames == 1:
                yield Frame(index, time_ms, picture)
                continue
            # Rounded as a sum, since rounded durations would add up to another speed.
            exact_end_ms += self._shown_ms()
            end_ms = float(round(exact_end_ms))
            yield Frame(index, time_ms, picture, end_ms - time_ms)
            time_ms = end_ms
        if self._info.kind == "video" and self._declared.is_truncated:
            raise TruncatedError(_CUT_OFF)

    def _count(self, name: str) -> int:
        if name not in _ANIMATED:
            return 1
        try:
            return int(getattr(self._image, "n_frames", 1))
        except BROKEN_IMAGE:
            return 1

    def _shown_ms(self) -> float:
        stated = self._image.info.get("duration", 0)
        if not isinstance(stated, int | float) or stated <= _IGNORED_MS:
            return _DEFAULT_MS
        return float(stated)

    def _read(self, number: int) -> Picture:
        try:
            if self._frames > 1:
                self._image.seek(number)
                check_frame_size(*self._image.size, max_pixels=self._max_pixels)
            self._image.load()
            upright = _upright(self._image) if self._frames == 1 else self._image
            return to_bgr(upright)
        except TOO_LARGE as error:
            raise _too_large(self._max_pixels) from error
        except BROKEN_IMAGE as error:
            # Later frames of an animation are drawn on top of the damaged one, so it ends here.
            if number or self._declared.is_truncated or "truncated" in str(error).lower():
                raise TruncatedError(_CUT_OFF) from error
            raise _unreadable(error) from error


_CUT_OFF = "The image file is cut off: send the complete file again."


def _open_image(
    file: BinaryIO, name: str, declared: DeclaredSize, *, max_pixels: int
) -> Image.Image:
    # Pillow's own limit is global. It applies when later frames of an animation change its size;
    # the check below applies to the first frame. Opening decodes nothing.
    Image.MAX_IMAGE_PIXELS = max_pixels
    # What Pillow warns of is raised below, or does no harm, such as a damaged EXIF entry.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        image = Image.open(file, formats=[name])
    except TOO_LARGE as error:
        raise _too_large(max_pixels) from error
    except BROKEN_IMAGE as error:
        if declared.is_truncated:
            raise TruncatedError(_CUT_OFF) from error
        raise _unreadable(error) from error
    try:
        if _is_camera_raw(image):
            raise camera_raw_error()
        check_frame_size(*image.size, max_pixels=max_pixels)
        if name == "JPEG":
            check_scans(file)
    except MediaError:
        image.close()
        raise
    return image


def _is_camera_raw(image: Image.Image) -> bool:
    """Whether the image is a TIFF whose first picture is only the preview of a raw picture."""
    if not isinstance(image, TiffImageFile):
        return False
    with contextlib.suppress(*BROKEN_IMAGE):  # damaged tags will fail later on anyway
        kind = image.tag_v2.get(_SUBFILE_TYPE, 0)
        is_preview = isinstance(kind, int) and bool(kind & _REDUCED_RESOLUTION)
        return is_preview or _DNG_VERSION in image.tag_v2
    return False


def _too_large(max_pixels: int) -> FrameSizeError:
    return FrameSizeError(
        f"The picture has more pixels than the limit of {max_pixels:,}: "
        "scale it down and send it again."
    )


def _unreadable(error: Exception) -> MediaError:
    if isinstance(error, EOFError):
        return NoVideoError("The image has no frame that can be decoded: export it again.")
    return MediaError(
        "The image can't be decoded. It is damaged, or of a kind that is not supported: "
        "export it again, or convert it to JPEG or PNG."
    )


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(*BROKEN_IMAGE):  # with damaged EXIF data, use the picture as stored
        return ImageOps.exif_transpose(image)
    return image


def to_bgr(image: Image.Image) -> Picture:
    """Convert a picture of any mode to (height, width, 3) uint8 BGR, blended with white.

    12-bit, 16-bit and float levels are scaled to 8 bits, and colours are converted to sRGB.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_gray(image)
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = np.asarray(in_srgb(image.convert("RGBA")), np.uint8)
        return on_white(rgba[:, :, [2, 1, 0, 3]])
    if image.mode == "P":
        image = image.convert("RGB")
    rgb = np.asarray(in_srgb(image).convert("RGB"), np.uint8)
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _scaled_gray(image: Image.Image) -> Picture:
    levels = np.asarray(image, np.float32)
    levels = np.nan_to_num(levels, nan=0.0, posinf=_16_BITS, neginf=0.0)
    highest = float(levels.max(initial=0.0))
    # Integers have 16 bits, or only 12 from cameras and scanners, which would look almost black.
    # Floats have no standard range, so it is 0..1, 0..255 or 0..their maximum.
    if image.mode.startswith("I"):
        brightest = _16_BITS if highest > _12_BITS else _12_BITS
        scale = 255.0 / brightest if highest > 255 or image.mode != "I" else 1.0
    else:
        scale = 255.0 if highest <= 1 else 255.0 / max(255.0, highest)
    gray = np.clip(levels * scale + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(gray[:, :, np.newaxis], 3, axis=2)
