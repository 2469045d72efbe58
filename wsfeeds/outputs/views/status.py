"""The lines around every view: who, in which state, how fast, and what went wrong last."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Any

from wsfeeds import events
from wsfeeds.events import Event
from wsfeeds.outputs.views import facts
from wsfeeds.outputs.views.base import Handlers
from wsfeeds.outputs.views.lines import LocalTime
from wsfeeds.outputs.views.numbers import span_text
from wsfeeds.outputs.views.text import Line, Span, clean, size, slim

MAX_SOCKETS = 256
MAX_FEEDS = 4
_ALWAYS_COUNTED = ("gaps", "errors")
_MILLI = 1_000
_SECOND = 1_000_000
_WINDOW = 24
"""Drawings over which the rate is taken: three seconds at eight a second."""


class Status:
    """Counts and the state of the sockets, for header and footer."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self.counts: dict[Any, int] = dict.fromkeys(events.TYPES.values(), 0)
        self.timed: Event | None = None
        """The last event with a venue time."""
        self.odd = 0
        """Events that were not drawn, because their types are none of the contract's."""
        self.conn = 0
        self.feeds: dict[str, None] = {}
        self._sockets: OrderedDict[str | None, events.SessionEvent] = OrderedDict()
        self._problem: Any = None
        self._rates: deque[tuple[int, int]] = deque(maxlen=_WINDOW)
        self._time = LocalTime()
        self.handlers: Handlers = {
            events.SessionEvent: self._session,
            events.Gap: self._trouble,
            events.ErrorEvent: self._trouble,
            events.Malformed: self._trouble,
            events.Unknown: self._trouble,
        }

    def total(self) -> int:
        """Return how many data events have come."""
        return sum(self.counts[kind] for kind in events.DATA_EVENTS)

    def header(self, width: int, now: int, tick: int) -> Line:
        """Return feed, state and numbers; `now` is the events' time, `tick` the clock's, in µs."""
        total = self.total()
        name = (" ".join(self.feeds) or "wsfeeds", "name")
        parts: list[tuple[int, Line]] = [
            (9, [name, ("  ", ""), *self._state(now)]),
            (2, [(f"  #{clean(self.conn)}" if self.conn else "", "dim")]),
            (5, [(f"  {_counted(total)}", "")]),
            (6, [(f"  {self._rate(tick, total)}/s", "")]),
        ]
        delay = self._latency()
        if delay is not None:
            parts.append((3, [(f"  lag {delay}", "dim")]))
        troubles = (
            ("gaps", self.counts[events.Gap], "warn"),
            ("errors", self.counts[events.ErrorEvent], "bad"),
            ("malformed", self.counts[events.Malformed], "bad"),
            ("unknown", self.counts[events.Unknown], "warn"),
            ("not drawn", self.odd, "warn"),
        )
        for word, count, style in troubles:
            if count or word in _ALWAYS_COUNTED:
                rank = 8 if count else 1
                parts.append((rank, [(f"  {word} {count:,}", style if count else "dim")]))
        return _most_important(parts, width)

    def problem(self) -> Line:
        """Return the last gap, error or bad frame, or nothing."""
        event = self._problem
        if event is None:
            return []
        where = f" {clean(event.symbol)}" if event.symbol else ""
        words = facts.WORDS[type(event)](event, _NoMemory())
        kind = clean(type(event).__struct_config__.tag)
        when = self._time.text(event.recv_ts)
        return [(f"{when}{where}  ", "dim"), (f"{kind}  ", "warn"), *words]

    def summary(self) -> Line:
        """Return what came in the whole run, by type."""
        parts = [
            f"{clean(kind.__struct_config__.tag)} {count:,}"
            for kind, count in Counter(self.counts).most_common()
            if count and kind in events.DATA_EVENTS
        ]
        return [(_counted(self.total()), "name"), ("  " + " · ".join(parts), "dim")]

    def note_feed(self, event: Event) -> None:
        """Learn the feed's name and the connection's number from an event."""
        if len(self.feeds) < MAX_FEEDS:
            self.feeds.setdefault(clean(event.feed, 40), None)
        if isinstance(event.conn, int):
            self.conn = max(self.conn, event.conn)

    def _session(self, event: events.SessionEvent) -> None:
        self.note_feed(event)
        key = event.symbol
        if key is None and isinstance(event.symbols, list) and len(event.symbols) == 1:
            key = event.symbols[0]
        sockets = self._sockets
        for other, before in list(sockets.items()):
            if other != key and before.conn == event.conn:
                del sockets[other]
        sockets[key] = slim(event)
        sockets.move_to_end(key)
        if len(sockets) > MAX_SOCKETS:
            sockets.popitem(last=False)

    def _trouble(self, event: Any) -> None:
        self._problem = slim(event)

    def _state(self, now: int) -> list[Span]:
        open_ = [one for one in self._sockets.values() if one.state != "stopped"]
        if not open_:
            return [("stopped" if self._sockets else "starting", "dim")]
        up = [one for one in open_ if one.state in facts.UP]
        down = [one for one in open_ if one.state not in facts.UP]
        spans: list[Span] = []
        if up:
            count = f" {len(up)}/{len(open_)}" if len(open_) > 1 else ""
            word = "connected" if len(open_) > 1 else _word(up[0])
            spans.append((f"● {word}{count}", "good"))
        if down:
            spans.append((("  " if up else "○ ") + _waiting(down[-1], now), "warn"))
        return spans

    def _rate(self, now: int, total: int) -> str:
        self._rates.append((now, total))
        then, before = self._rates[0]
        if now <= then:
            return "0"
        rate = (total - before) * _SECOND / (now - then)
        return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"

    def _latency(self) -> str | None:
        event = self.timed
        if event is None or event.ts is None:
            return None
        try:
            return span_text(event.recv_ts - event.ts)
        except TypeError:  # times that are no integers
            return None


def _counted(total: int) -> str:
    return "1 event" if total == 1 else f"{total:,} events"


def _most_important(parts: list[tuple[int, Line]], width: int) -> Line:
    """Return the parts in order, without the lowest ranks where they would not fit."""
    kept = list(parts)
    while len(kept) > 1 and sum(size(line) for _, line in kept) > width:
        lowest = min(rank for rank, _ in kept)
        kept = [part for part in kept if part[0] > lowest] or kept[:1]
    return [span for _, line in kept for span in line]


class _NoMemory:
    """Session facts need no values from before."""

    def way(self, key: tuple[Any, ...], value: object) -> int:  # noqa: ARG002
        return 0

    def aligned(self, key: tuple[Any, ...], text: str) -> str:  # noqa: ARG002
        return text


def _word(event: events.SessionEvent) -> str:
    return "connected" if event.state in {"subscribed", "resumed"} else clean(event.state)


def _waiting(event: events.SessionEvent, now: int) -> str:
    if event.state == "reconnecting" and isinstance(event.delay_ms, int):
        left = max(0, event.recv_ts + event.delay_ms * _MILLI - now)
        return f"reconnecting in {span_text(left)}"
    return clean(event.state)
