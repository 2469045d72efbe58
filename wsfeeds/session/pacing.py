"""Budgets: so many connects or requests a second, in the order they were asked for."""

from __future__ import annotations

import asyncio

from wsfeeds.clock import monotonic


class Pace:
    """Evenly spaced slots. Pure: times come in as arguments."""

    def __init__(self, per_second: float | None) -> None:
        """Allow `per_second`; None allows everything at once."""
        self._space = None if per_second is None else 1.0 / per_second
        self._free_at = 0.0

    def next(self, now: float) -> float:
        """Return when the next slot is, `now` or later, and leave it free."""
        return now if self._space is None else max(self._free_at, now)

    def take(self, now: float) -> float:
        """Take the next slot and return when it is, `now` or later."""
        if self._space is None:
            return now
        slot = self.next(now)
        self._free_at = slot + self._space
        return slot


class ConnectBudget:
    """One pace for all the sockets of a feed."""

    def __init__(self, per_second: float | None) -> None:
        """Allow so many connects a second."""
        self._pace = Pace(per_second)

    async def acquire(self) -> None:
        """Wait for this connect's turn."""
        now = monotonic()
        wait = self._pace.take(now) - now
        if wait > 0:
            await asyncio.sleep(wait)
