"""The decoding stage: reads frames in batches and selects those that are analysed."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from faces_jobs.errors import TruncatedError
from faces_jobs.pipeline.batches import Batch, frames_per_batch
from faces_jobs.pipeline.protocols import FrameReader
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stretches import Stretches
from faces_jobs.pipeline.timing import StageTimer
from faces_jobs.pipeline.values import Frame


class DecodeStage:
    """Yields all frames of the reader in batches, up to where the file is cut off. Iterate once."""

    def __init__(
        self,
        reader: FrameReader,
        sampling: Sampling,
        timer: StageTimer,
        *,
        batch_size: int,
        lanes: int = 1,
        stretches: Stretches | None = None,
    ) -> None:
        """Read frames in batches of up to `batch_size`; with stretches, of whole stretches.

        The last batches are smaller, so that all lanes finish at about the same time. Otherwise,
        at the end of each part of a video, one lane would be busy with a batch while the others
        are idle.
        """
        self._reader = reader
        self._frames = iter(reader)
        self._sampling = sampling
        self._timer = timer
        self._batch_size = frames_per_batch(reader.info, batch_size)
        self._lanes = lanes
        self._frames_read = 0
        self._stretches = stretches
        self.truncated: TruncatedError | None = None

    @property
    def damaged_frames(self) -> int:
        """How many frames the reader left out, or found incomplete, so far."""
        return self._reader.damaged_frames

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order.

        A file that is cut off is not an error; `truncated` is set instead.

        Raises:
            MediaError: the reader failed.
        """
        while self.truncated is None:
            with self._timer.measure("decode"):
                batch = self._next_batch()
            if not batch.frames:
                return
            yield batch
            del batch  # release its frames before the next ones are decoded

    def _next_batch(self) -> Batch:
        frames: list[Frame] = []
        analysed: list[Frame] = []
        size = self._next_size()
        try:
            while len(frames) < size or self._is_inside_stretch:
                frame = next(self._frames, None)
                if frame is None:
                    break
                frames.append(frame)
                is_analysed = self._sampling.selects(frame)
                if is_analysed:
                    analysed.append(frame)
                if self._stretches is not None:
                    self._stretches.add(frame, analysed=is_analysed)
        except TruncatedError as error:
            self.truncated = error
        self._frames_read += len(frames)
        if self._stretches is None:
            return Batch(frames, analysed)
        if self._is_inside_stretch:  # after the last frame
            self._stretches.close()
        return Batch(frames, analysed, self._stretches.take_closed())

    def _next_size(self) -> int:
        """Half of a lane's share of the remaining frames, if that is less than a batch."""
        remaining = (self._reader.info.frame_count or 0) - self._frames_read
        if remaining <= 0 or self._lanes == 1:
            return self._batch_size  # their number is unknown, or doesn't matter
        return min(self._batch_size, ceil(remaining / (2 * self._lanes)))

    @property
    def _is_inside_stretch(self) -> bool:
        return self._stretches is not None and self._stretches.is_open
