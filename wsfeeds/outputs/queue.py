"""Events for Python code: a bounded queue between the sockets and an `async for`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from wsfeeds.events import AnyEvent, Event, materialize
from wsfeeds.pipeline import Gate

HIGH_WATER = 4_096
"""Events kept for a slow consumer before the sockets are left unread."""


class QueueOutput:
    """Keeps events until they are taken; a consumer that is behind stops the reading."""

    def __init__(self, gate: Gate) -> None:
        """Hold `gate` closed while the queue is full."""
        self._gate = gate
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def emit(self, event: Event) -> None:
        """Keep one event."""
        self._events.append(event)

    def emit_all(self, events: Sequence[Event]) -> None:
        """Keep the events."""
        self._events += events

    def flush(self) -> None:
        """Wake the consumer, and stop the reading if it is behind."""
        if self._events:
            self._arrived.set()
            if len(self._events) >= HIGH_WATER:
                self._gate.close(self)

    def end(self) -> None:
        """Let the consumer come to its end when everything is taken."""
        self._ended = True
        self._arrived.set()

    async def take(self) -> AnyEvent | None:
        """Return the next event with everything in it as Python objects, None at the end."""
        while not self._events:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        if len(self._events) < HIGH_WATER // 2:
            self._gate.open(self)
        return materialize(event)
