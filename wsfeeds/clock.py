"""Wall and monotonic time: the only module that asks the operating system what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_MICRO = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

monotonic = time.monotonic


class Clock:
    """Receive times that never decrease: wall clock at the start plus monotonic time.

    A wall clock that was set forward (NTP after a suspend, say) is followed at `anchor`; one that
    was set back is not, so consumers can rely on the order (contract, section 3).
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        """Anchor on the wall clock of this moment."""
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        """Return microseconds since 1970-01-01 UTC, never less than any value before."""
        return (time.monotonic_ns() + self._offset) // _MICRO

    def anchor(self) -> None:
        """Follow the wall clock if it runs ahead of ours by more than 10 ms."""
        offset = time.time_ns() - time.monotonic_ns()
        if offset > self._offset + 10_000_000:
            self._offset = offset


def to_datetime(micros: int) -> datetime:
    """Turn microseconds since the epoch into an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def wall_seconds() -> float:
    """Return the wall clock in seconds since the epoch, for expiry dates."""
    return time.time()
