"""When the simulated FastPath says that its upstream is gone (docs/protocols/img_fastpath.md, 6).

Nothing here knows the time by itself: it is told, so the published example can be checked.
"""

from __future__ import annotations


class Health:
    """The upstream health of one feed: a fixture's stream.

    Args:
        silence: Seconds without a packet or an upstream heartbeat that count as a loss.
    """

    def __init__(self, silence: float = 30.0) -> None:
        self._silence = silence
        self._last: float | None = None
        self._state: str | None = None

    def heard(self, now: float) -> str | None:
        """Note a packet or an upstream heartbeat.

        Returns:
            The state to announce before the packet itself, if it changed from ``Disconnected``.
        """
        changed = "Connected" if self._state == "Disconnected" else None
        self._state, self._last = "Connected", now
        return changed

    def check(self, now: float) -> str | None:
        """Look at the clock, as the venue does every ten seconds.

        Returns:
            ``Disconnected`` where that has to be announced; never for a feed that sent nothing.
        """
        if self._last is None or self._state == "Disconnected":
            return None
        if now - self._last < self._silence:
            return None
        self._state = "Disconnected"
        return self._state
