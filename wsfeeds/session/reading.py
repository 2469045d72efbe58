"""Whether a socket is being read, and a clock that stands still while it is not.

What the venue has to answer, or to say, within some time may lie unread in the socket while an
output is slow: time during which the socket is kept unread does not count (contract, section 4).
Pure: times come in as arguments, in monotonic seconds.
"""

from __future__ import annotations


class Reading:
    """Why one socket is kept unread, if it is, and its reading time."""

    def __init__(self) -> None:
        """Start with a socket that is read."""
        self._reasons: set[str] = set()
        self._stopped_at: float | None = None
        self._unread = 0.0

    def is_held(self, why: str) -> bool:
        """Tell whether the socket is kept unread for this reason."""
        return why in self._reasons

    def hold(self, why: str, now: float) -> bool:
        """Stop for a reason, and tell whether the socket was read until now."""
        self._reasons.add(why)
        if self._stopped_at is not None:
            return False
        self._stopped_at = now
        return True

    def release(self, why: str, now: float) -> bool:
        """Take a reason back, and tell whether the socket is to be read again."""
        self._reasons.discard(why)
        if self._reasons or self._stopped_at is None:
            return False
        self._unread += now - self._stopped_at
        self._stopped_at = None
        return True

    def at(self, now: float) -> float:
        """Return the reading time at `now`."""
        return (now if self._stopped_at is None else self._stopped_at) - self._unread

    def due(self, time: float | None) -> float | None:
        """Return when it will be this reading time; None while nobody can tell."""
        if time is None or self._stopped_at is not None:
            return None
        return time + self._unread
