"""The linking state that a worker keeps between the parts of a video that it finds in sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faces_jobs.pipeline.linking import Linker
from faces_jobs.pipeline.values import Face


@dataclass(slots=True)
class LinkingState:
    """The state of linking an item's first parts, all found by the same worker."""

    item_id: int
    linker: Linker
    shown: Sequence[Face] = ()  # the faces of the last frame that was analysed
    found: list[str] = field(default_factory=list)  # storage keys of each part's findings


class LinkingStateCache:
    """Keeps the linking state of at most one item until its next part: a few numbers per track."""

    def __init__(self) -> None:
        self._linked: LinkingState | None = None

    def take(self, item_id: int, part: int, found: Mapping[int, str]) -> LinkingState | None:
        """Remove and return the state to continue with, or None.

        None if this worker did not find all parts before this one. The state is removed in any
        case, since it is of use for the next part only.

        Args:
            item_id: the part's item.
            part: the part's number.
            found: the storage key of each part's findings. If it differs from those that were
                linked, the item was restarted.
        """
        linked, self._linked = self._linked, None
        if linked is None or linked.item_id != item_id:
            return None
        return linked if linked.found == [found.get(number) for number in range(part)] else None

    def keep(self, linked: LinkingState, found: str) -> None:
        """Keep the state until the next part. `found`: the storage key of this part's findings."""
        linked.found.append(found)
        self._linked = linked
