"""Recent events, newest at the bottom; also the part that other views show beside theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.events import Event
from wsfeeds.outputs.views.base import MAX_TAPE, Handlers
from wsfeeds.outputs.views.lines import LineFormatter
from wsfeeds.outputs.views.text import Line, cells, clean, slim
from wsfeeds.outputs.views.wording import TIMES

_SMALL = (events.Trade, events.LastPrice, events.Ticker, events.Bbo, events.Order, events.Fill)
_TO_SECONDS = len("HH:MM:SS")
_ROOM_FOR_MILLIS = 44


class Tape:
    """The last events, kept small, formatted only when drawn."""

    def __init__(self, *, compact: bool = False) -> None:
        """Where `compact`, leave out what the view around it tells already."""
        self._kept: deque[Event] = deque(maxlen=MAX_TAPE)
        self._compact = compact
        self._formatter = LineFormatter(one_column=compact)
        self.several = True
        """Whether the reader must be told which symbol an event is about."""
        self.take = self._kept.append
        """Keep an event that has no opaque parts."""

    def take_large(self, event: Any) -> None:
        """Keep an event of which the opaque parts are cut."""
        self._kept.append(slim(event))

    def __len__(self) -> int:
        return len(self._kept)

    def draw(self, width: int, height: int) -> list[Line]:
        """Return the last events that fit, the newest at the bottom."""
        formatter = self._formatter
        formatter.room = width
        formatter.forget_values()
        shown = list(self._kept)[-height - 1 :] if height > 0 else []
        make = self._short if self._compact else formatter.line
        lines = [make(event) for event in shown]
        formatter.forget_values()  # once more: now the columns are as wide as all of them need
        return [make(event) for event in shown][-height:] if lines else []

    def _short(self, event: Event) -> Line:
        """Return time and words; the kind only where it is no trade, the symbol last."""
        formatter = self._formatter
        when = formatter.local_time(event.recv_ts)
        if formatter.room is not None and formatter.room < _ROOM_FOR_MILLIS:
            when = when[:_TO_SECONDS]
        symbol = f"  {clean(event.symbol)}" if self.several and event.symbol is not None else ""
        words = formatter.words(event, len(when) + cells(symbol))
        kind = formatter.kind(event)
        if isinstance(event, events.Trade):
            words = [span for span in words if span[0] != TIMES]
            kind = ("", "")
        return [(f"{when} ", "dim"), kind, *words, (symbol, "dim")]


def tape_handlers(tape: Tape, kinds: Iterable[type[Event]]) -> Handlers:
    """Return handlers that put events of these types on the tape."""
    return {kind: tape.take if kind in _SMALL else tape.take_large for kind in kinds}


class TapeView:
    """Everything that arrives, as lines."""

    name: ClassVar[str] = "tape"

    def __init__(self) -> None:
        """Start with an empty tape."""
        self._tape = Tape()
        self.handlers: Handlers = tape_handlers(self._tape, events.TYPES.values())

    def draw(self, width: int, height: int, now: int) -> list[Line]:  # noqa: ARG002
        """Return the last events that fit."""
        return self._tape.draw(width, height)
