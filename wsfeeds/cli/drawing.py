"""Drawing a live view while events stream, the same for every command that has one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from wsfeeds.outputs.writers import Writer

_FRAME_EVERY = 0.125


class Screen(Protocol):
    """A picture of the stream on a terminal."""

    def start(self) -> None:
        """Draw the first picture."""

    def refresh(self) -> None:
        """Draw what has changed."""

    def close(self) -> None:
        """Draw the last picture."""


async def paint(screen: Screen | None, writer: Writer) -> None:
    """Draw over and over until cancelled; a terminal that cannot be drawn on ends the drawing."""
    with contextlib.suppress(OSError):
        while screen is not None:
            await asyncio.sleep(_FRAME_EVERY)
            if not writer.behind:  # a terminal that was stopped must not pile pictures up
                screen.refresh()


class TextWriter:
    """The terminal's text, as bytes for a writer that never blocks the loop."""

    def __init__(self, writer: Writer) -> None:
        """Pass text on to `writer`."""
        self._writer = writer

    def write(self, text: str) -> int:
        """Hand the text over."""
        self._writer.write(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Everything written is on its way already."""
