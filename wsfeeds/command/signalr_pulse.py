"""Keepalives both ways: when to ping because nothing was sent, and when silence is the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pulse:
    """The timers of one connection; silence while reading is paused does not count.

    Args:
        silence: Seconds without anything received that mean the end; None for no end.
        on_silence: Called once then.
        every: Seconds without anything sent after which `on_idle` is called; None for never.
        on_idle: Sends something.
    """

    def __init__(
        self,
        *,
        silence: float | None,
        on_silence: Callable[[], None],
        every: float | None = None,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        """Start counting now."""
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._on_silence = on_silence
        self._every = every
        self._on_idle = on_idle
        self._asleep = False
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._sent_at = self._loop.time()
        self._schedule()

    def heard(self) -> None:
        """Something was received."""
        self._heard_at = self._loop.time()

    def sent(self) -> None:
        """Something was sent."""
        self._sent_at = self._loop.time()

    def sleep(self) -> None:
        """Nothing is read any more, on purpose."""
        self._asleep = True

    def wake(self) -> None:
        """It is read again: silence counts from here."""
        self._asleep = False
        self.heard()
        self._schedule()

    def stop(self) -> None:
        """Call nothing more."""
        self._silence = self._every = None
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        times = []
        if self._silence is not None and not self._asleep:
            times.append(self._heard_at + self._silence)
        if self._every is not None:
            times.append(self._sent_at + self._every)
        if times:
            self._timer = self._loop.call_at(min(times), self._due)

    def _due(self) -> None:
        now = self._loop.time()
        if self._silence is not None and not self._asleep and now >= self._heard_at + self._silence:
            self.stop()
            self._on_silence()
            return
        if self._every is not None and now >= self._sent_at + self._every:
            self.sent()
            if self._on_idle is not None:
                self._on_idle()
        self._schedule()
