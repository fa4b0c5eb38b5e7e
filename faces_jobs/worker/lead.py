"""How far a worker has got with a video whose parts it finds one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faces_jobs.pipeline.linking import Linker
from faces_jobs.pipeline.values import Face


@dataclass(slots=True)
class LinkingState:
    """What linking an item's first parts has come to, by the worker that found them all."""

    item_id: int
    linker: Linker
    shown: Sequence[Face] = ()  # of the last frame that was analysed
    found: list[str] = field(default_factory=list)  # where each part's findings are stored


class Lead:
    """Keeps it between two parts, of one item at most: some numbers a track."""

    def __init__(self) -> None:
        self._linked: LinkingState | None = None

    def take(self, item_id: int, part: int, found: Mapping[int, str]) -> LinkingState | None:
        """What linking this part goes on from; None: this worker did not find all before it.

        It is gone then, whether it was taken or not: it is of use for the next part alone.

        Args:
            item_id: the part's item.
            part: its number.
            found: where each part's findings are stored. Others than those that were linked:
                the item was begun anew.
        """
        linked, self._linked = self._linked, None
        if linked is None or linked.item_id != item_id:
            return None
        return linked if linked.found == [found.get(each) for each in range(part)] else None

    def keep(self, linked: LinkingState, found: str) -> None:
        """Keep it until the next part; this part's findings are recorded, and stored there."""
        linked.found.append(found)
        self._linked = linked
