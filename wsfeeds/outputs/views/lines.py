"""One readable line per event: time, symbol, kind, and the words for what happened."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

from wsfeeds.clock import to_datetime
from wsfeeds.events import Event
from wsfeeds.outputs.views import facts, sports, wording
from wsfeeds.outputs.views.numbers import direction, parts
from wsfeeds.outputs.views.text import Line, Span, as_text, cells, clean, cut, fit, short, size
from wsfeeds.outputs.views.wording import Memory

MAX_REMEMBERED = 2_000
"""Previous values and column widths kept; beyond, the oldest ones are forgotten."""
_MAX_ALIGNED = 16
_SECOND = 1_000_000
_KIND_WIDTH = 10
_SYMBOL_WIDTHS = (8, 24)
_WIDE_SYMBOL = 44
_WIDE_SCREEN = 120
_TIMELESS = "--:--:--.---"

WORDS = wording.WORDS | sports.WORDS | facts.WORDS
KIND_STYLES = {
    "gap": "warn",
    "error": "bad",
    "malformed": "bad",
    "unknown": "warn",
    "session": "note",
    "feed_status": "note",
    "heartbeat": "dim",
}


class LineFormatter(Memory):
    """Turns events into lines; remembers previous values and column widths, both bounded."""

    def __init__(self, room: int | None = None, *, one_column: bool = False) -> None:
        """Cut opaque payloads so that lines fit in `room` cells (None: 200).

        With `one_column` the numbers of all symbols are aligned with each other.
        """
        self.room = room
        self._one_column = one_column
        self._values: OrderedDict[Any, Any] = OrderedDict()
        self._widths: OrderedDict[Any, tuple[int, int]] = OrderedDict()
        self.local_time = LocalTime().text
        self._symbol_width = _SYMBOL_WIDTHS[0]

    def line(self, event: Event) -> Line:
        """Return the whole line of one event."""
        if self.room is None or self.room >= _WIDE_SCREEN:
            symbol, widest = "" if event.symbol is None else clean(event.symbol), _WIDE_SYMBOL
        else:
            symbol, widest = short(event.symbol), _SYMBOL_WIDTHS[1]
        self._symbol_width = max(self._symbol_width, min(cells(symbol), widest))
        head: Line = [
            (self.local_time(event.recv_ts), "dim"),
            (" " + fit(symbol, self._symbol_width) + " ", "name"),
            self.kind(event, _KIND_WIDTH),
        ]
        return head + self.words(event, size(head))

    def kind(self, event: Event, width: int = 0) -> Span:
        """Return the event's type in its colour, padded to `width`, and a blank."""
        kind = as_text(type(event).__struct_config__.tag)
        return f"{kind:<{width}} ", KIND_STYLES.get(kind, "dim")

    def words(self, event: Event, taken: int = 0) -> Line:
        """Return what happened, without time, symbol and kind; `taken` cells are used already."""
        words = WORDS.get(type(event))
        if words is None:
            return [(clean(event), "")]
        try:
            line = words(event, self)
        except (TypeError, ValueError, AttributeError):  # types that the contract rules out
            line = [(clean(event), "")]
        text, style = line[-1] if line else ("", "")
        if style == wording.PAYLOAD:
            room = (self.room or 200) - taken - size(line[:-1])
            line[-1] = (cut(text, max(room, 20)), "")
        return line

    def way(self, key: tuple[Any, ...], value: object) -> int:
        """Return the direction of a value against the one before under this key."""
        values = self._values
        if key in values:
            old = values[key]
            if value is None:
                return 0
            values[key] = value
            values.move_to_end(key)
            return direction(old, value)
        values[key] = value
        if len(values) > MAX_REMEMBERED:
            values.popitem(last=False)
        return 0

    def aligned(self, key: tuple[Any, ...], text: str) -> str:
        """Return a number padded to the widest one seen under this key."""
        if self._one_column:
            key = key[:1]
        before, after = parts(text)
        known = self._widths.pop(key, (0, 0))
        wide = (
            max(known[0], min(before, _MAX_ALIGNED)),
            max(known[1], min(after, _MAX_ALIGNED)),
        )
        self._widths[key] = wide
        if len(self._widths) > MAX_REMEMBERED:
            self._widths.popitem(last=False)
        return " " * (wide[0] - before) + text + " " * (wide[1] - after)

    def forget_values(self) -> None:
        """Forget previous values, but keep the columns where they are."""
        self._values.clear()


class LocalTime:
    """Local wall time of receive times; the text of the current second is computed once."""

    def __init__(self) -> None:
        """Start without a second."""
        self._second = -1
        self._text = ""

    def text(self, micros: object) -> str:
        """Return `HH:MM:SS.mmm` in the local time zone."""
        if type(micros) is not int:
            return _TIMELESS
        second, rest = divmod(micros, _SECOND)
        if second != self._second:
            try:
                local: datetime = to_datetime(second * _SECOND).astimezone()
            except (OverflowError, ValueError, OSError):
                return _TIMELESS
            self._second, self._text = second, f"{local:%H:%M:%S}"
        return f"{self._text}.{rest // 1000:03d}"
