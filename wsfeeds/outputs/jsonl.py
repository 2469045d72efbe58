"""Events as JSON lines: gathered in a buffer, written once per read or 64 KiB, whole lines."""

from __future__ import annotations

from collections.abc import Sequence

from wsfeeds.events import Event, encoder
from wsfeeds.outputs.writers import Writer

BUFFER = 65_536
"""Bytes gathered at most before they are passed on."""


class JsonlOutput:
    """Encodes each event once, for all writers."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        """Write to these, in this order."""
        self._writers = tuple(writers)
        self._buffer = bytearray()
        self._encode = encoder.encode

    def emit(self, event: Event) -> None:
        """Append the event's line to the buffer."""
        buffer = self._buffer
        buffer += self._encode(event)
        buffer.append(10)
        if len(buffer) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand the gathered lines to the writers."""
        buffer = self._buffer
        if buffer:
            for writer in self._writers:
                writer.write(buffer)
            buffer.clear()
