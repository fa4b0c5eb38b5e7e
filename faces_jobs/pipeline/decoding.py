"""The first stage: frames of a reader, batch by batch, and which of them are analysed."""

from __future__ import annotations

from collections.abc import Iterator

from faces_jobs.errors import TruncatedError
from faces_jobs.pipeline.batches import Batch, frames_a_batch
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages import FrameReader
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.values import Frame


class Decoding:
    """Iterate it once: all frames of the reader, up to where the file breaks off."""

    def __init__(
        self, reader: FrameReader, sampling: Sampling, seconds: StageSeconds, *, batch_size: int
    ) -> None:
        self._frames = iter(reader)
        self._sampling = sampling
        self._seconds = seconds
        self._batch_size = frames_a_batch(reader.info, batch_size)
        self.truncated: TruncatedError | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order.

        Raises:
            MediaError: the reader can't go on. That the file breaks off is no error, but is told
                by `truncated` afterwards.
        """
        while self.truncated is None:
            with self._seconds.of("decode"):
                frames = self._take()
            if not frames:
                return
            yield Batch(frames, [frame for frame in frames if self._sampling.takes(frame)])

    def _take(self) -> list[Frame]:
        taken: list[Frame] = []
        try:
            while len(taken) < self._batch_size:
                frame = next(self._frames, None)
                if frame is None:
                    break
                taken.append(frame)
        except TruncatedError as error:
            self.truncated = error
        return taken
