"""The parts that a video is cut into, and the JSON form in which their segments store them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


class NotCuttableError(Exception):
    """The parts of a video don't fit together, so it must be read whole. Workers handle this."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key packet at which decoding starts, identified by its timestamps and size."""

    pts: int
    dts: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A run of consecutive frames of one video, and where to start decoding them.

    It holds the frames with `start_pts` <= pts < `end_pts`, in ticks of the stream's time base;
    without `end_pts` it extends to the end of the file. Without `key` it starts with the file.
    """

    number: int  # from 0
    first_frame: int
    frames: int  # counted from the packets; the last part may turn out to have more
    start_pts: int
    end_pts: int | None = None
    key: Key | None = None
    # Time of the last frame before this part that the job's stride selects.
    sampled_ms: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether it extends to the end of the file, wherever that is."""
        return self.end_pts is None

    def to_json(self) -> dict[str, Any]:
        """Return the part as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Create a part from its JSON object."""
        key = document["key"]
        return cls(**{**document, "key": None if key is None else Key(**key)})


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a video in order. A video that is not cut has none, and a `reason` instead."""

    parts: tuple[Part, ...]
    reason: str = ""
