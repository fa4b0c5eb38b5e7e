"""Measures, by a monotonic clock, for how long a sweep has seen leases expired."""

from __future__ import annotations

import time
from collections.abc import Callable

from faces_jobs.settings import Settings


class ExpiredLeases:
    """Remembers expired leases from one round of the sweep to the next.

    That a lease has expired does not prove its worker dead: when the database comes back after an
    outage, or its clock is set forward, all leases are expired until their workers renew them.
    """

    def __init__(
        self, patience_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience_seconds = patience_seconds  # in which a living worker renews its lease
        self._clock = clock
        self._before: dict[tuple[str, float], float] = {}
        self._now: dict[tuple[str, float], float] = {}
        self.waits = False  # whether a lease of this round was not yet seen for long enough

    def begin_round(self) -> None:
        """Start a new round. Leases that are not seen during it are forgotten afterwards."""
        self._before, self._now = self._now, {}
        self.waits = False

    def is_dead(self, token: str, lease_until: float) -> bool:
        """Record an expired lease. Returns whether its worker has had time enough to renew it."""
        lease = (token, lease_until)  # another one once it is renewed
        now = self._clock()
        since = self._now.setdefault(lease, self._before.get(lease, now))
        is_dead = now - since >= self._patience_seconds
        self.waits |= not is_dead
        return is_dead


def patience_seconds(settings: Settings) -> float:
    """How long a worker has to renew its expired lease before its last attempt counts as failed.

    By the default settings a round of the sweep: its renewals are more frequent, but one that is
    under way when the database comes back may first have to give up its connection.
    """
    return max(settings.heartbeat_seconds, settings.lease_seconds / 3)
