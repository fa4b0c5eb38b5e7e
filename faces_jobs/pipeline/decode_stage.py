"""The first stage: frames of a reader, batch by batch, and which of them are analysed."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from faces_jobs.errors import TruncatedError
from faces_jobs.pipeline.batches import Batch, frames_per_batch
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages import FrameReader
from faces_jobs.pipeline.stretches import Stretches
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.values import Frame


class DecodeStage:
    """Iterate it once: all frames of the reader, up to where the file breaks off."""

    def __init__(
        self,
        reader: FrameReader,
        sampling: Sampling,
        seconds: StageSeconds,
        *,
        batch_size: int,
        lanes: int = 1,
        stretches: Stretches | None = None,
    ) -> None:
        """Read frames in batches of so many; with stretches, up to where the next one ends.

        The last ones are smaller, so that all lanes end together: else one of them would have a
        batch to look at while the others wait, in each part of a video.
        """
        self._reader = reader
        self._frames = iter(reader)
        self._sampling = sampling
        self._seconds = seconds
        self._batch_size = frames_per_batch(reader.info, batch_size)
        self._lanes = lanes
        self._frames_taken = 0
        self._stretches = stretches
        self.truncated: TruncatedError | None = None

    @property
    def damaged_frames(self) -> int:
        """Frames that the reader left out, or gave in part, so far."""
        return self._reader.damaged_frames

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order.

        Raises:
            MediaError: the reader can't go on. That the file breaks off is no error, but is told
                by `truncated` afterwards.
        """
        while self.truncated is None:
            with self._seconds.of("decode"):
                batch = self._take()
            if not batch.frames:
                return
            yield batch
            del batch  # its frames are not to be held while the next ones are decoded

    def _take(self) -> Batch:
        taken: list[Frame] = []
        analysed: list[Frame] = []
        most = self._next_size()
        try:
            while len(taken) < most or self._is_amidst:
                frame = next(self._frames, None)
                if frame is None:
                    break
                taken.append(frame)
                is_analysed = self._sampling.takes(frame)
                if is_analysed:
                    analysed.append(frame)
                if self._stretches is not None:
                    self._stretches.see(frame, analysed=is_analysed)
        except TruncatedError as error:
            self.truncated = error
        self._frames_taken += len(taken)
        if self._stretches is None:
            return Batch(taken, analysed)
        if self._is_amidst:  # after the last frame
            self._stretches.finish()
        return Batch(taken, analysed, self._stretches.take())

    def _next_size(self) -> int:
        """Half of a lane's share of what is left, where that is less than a batch."""
        left = (self._reader.info.frame_count or 0) - self._frames_taken
        if left <= 0 or self._lanes == 1:
            return self._batch_size  # nobody knows how many come
        return min(self._batch_size, ceil(left / (2 * self._lanes)))

    @property
    def _is_amidst(self) -> bool:
        return self._stretches is not None and self._stretches.is_open
