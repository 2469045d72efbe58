"""Events as JSON lines: gathered while a read is handled, encoded and written at its end.

One call encodes all events of a read, at half the cost of one call for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsfeeds.events import Event, encoder
from wsfeeds.outputs.writers import Writer

BATCH = 256
"""Events gathered at most before they are written: some 64 KiB of lines."""


class JsonlOutput:
    """Encodes each event once, for all writers."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        """Write to these, in this order."""
        self._writers = tuple(writers)
        self._events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Keep the event until the end of the read, or until there are many."""
        events = self._events
        events.append(event)
        if len(events) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand the gathered events' lines to the writers."""
        if self._events:
            events, self._events = self._events, []
            lines = encoder.encode_lines(events)
            for writer in self._writers:
                writer.write(lines)
