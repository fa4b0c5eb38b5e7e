"""A queue in memory, for tests of the code that rings."""

from __future__ import annotations

from faces_jobs.errors import QueueError


class MemoryQueue:
    """A queue without a broker: it keeps its messages in lists."""

    def __init__(self) -> None:
        self.segments: list[int] = []
        self.jobs: list[str] = []
        self.is_down = False  # the broker does not answer

    def ring_segment(self, segment_id: int) -> None:
        self._check_broker()
        self.segments.append(segment_id)

    def ring_job(self, job_id: str) -> None:
        self._check_broker()
        self.jobs.append(job_id)

    def depth(self) -> int:
        self._check_broker()
        return len(self.segments) + len(self.jobs)

    def take(self) -> list[int]:
        """Remove and return the segments of all messages."""
        taken, self.segments = self.segments, []
        return taken

    def close(self) -> None: ...

    def __enter__(self) -> MemoryQueue:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def _check_broker(self) -> None:
        if self.is_down:
            raise QueueError("The broker does not answer.")
