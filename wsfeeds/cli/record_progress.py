"""How a recording is doing, on stderr: drawn in place on a terminal, else a line a minute."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from wsfeeds.cli.console import Console, logger
from wsfeeds.clock import monotonic
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.pipeline import Stream

_ON_TERMINAL = 1.0
_ELSEWHERE = 60.0
_UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


@dataclass
class Recorded:
    """One feed of a recording, as far as people want to know about it."""

    feed: str
    recorder: Recorder
    stream: Stream
    reconnects: int = 0
    ended: str | None = None
    seen: int = 0
    """Numbered events at the last report."""


class Progress:
    """Reports on all feeds, every second on a terminal and every minute elsewhere."""

    def __init__(self, console: Console, feeds: Sequence[Recorded]) -> None:
        """Report nothing yet."""
        self._console = console
        self._feeds = feeds
        self._live = sys.stderr.isatty() and console.log_format == "text"
        self._every = _ON_TERMINAL if self._live else _ELSEWHERE
        self._since = monotonic()
        self._drawn = 0
        if self._live:
            for handler in logger.handlers:
                handler.addFilter(self._make_room)

    def tick(self) -> None:
        """Report if it is time to."""
        now = monotonic()
        if now - self._since < self._every or self._console.quiet:
            return
        lines = [self._line(feed, now - self._since) for feed in self._feeds]
        self._since = now
        if not self._live:
            for line in lines:
                self._console.say(line)
            return
        self.erase()
        _draw("".join(f"{line}\n" for line in lines))
        self._drawn = len(lines)

    def erase(self) -> None:
        """Take the drawn lines off the terminal, so that something else can be said."""
        if self._drawn:
            _draw(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _make_room(self, record: logging.LogRecord) -> bool:
        del record
        self.erase()
        return True

    def _line(self, feed: Recorded, seconds: float) -> str:
        if feed.ended is not None:
            return f"{feed.feed}: ended: {feed.ended}"
        rate = (feed.stream.seq - feed.seen) / seconds
        feed.seen = feed.stream.seq
        recorder = feed.recorder
        parts = [f"{rate:,.0f} events/s"]
        last = recorder.last
        if last is not None and last.ts is not None:
            parts.append(f"lag {(last.recv_ts - last.ts) / 1000:,.0f} ms")
        parts += [f"{recorder.gaps} gaps", f"{feed.reconnects} reconnects", size(recorder.written)]
        segment = recorder.open_segment
        if segment is not None:
            parts.append(segment.name.removesuffix(".part"))
        return f"{feed.feed}: {', '.join(parts)}"


def _draw(text: str) -> None:
    """Write to the terminal; one that is gone must not disturb the recording."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def size(number: int) -> str:
    """Return bytes for people."""
    for unit, name in _UNITS:
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} B"
