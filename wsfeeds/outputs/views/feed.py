"""Feeds of opaque payloads: operations with their counts, and the last payloads."""

from __future__ import annotations

from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.outputs.views.base import Handlers, Row, Rows
from wsfeeds.outputs.views.numbers import age_text
from wsfeeds.outputs.views.table import Column, heading, table
from wsfeeds.outputs.views.tape import Tape
from wsfeeds.outputs.views.text import LIMIT, Line, Span, clean

MAX_OPERATIONS = 100
_COLUMNS = (
    Column("operation", 99, widest=20),
    Column("symbol", 60, widest=24),
    Column("count", 90, "right"),
    Column("age", 80, "right"),
    Column("last payload", 70, widest=LIMIT, least=12),
)


class Operation(Row):
    """The latest payload of one operation."""

    __slots__ = ("at", "payload")

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self.at = 0
        self.payload = ""


class FeedView:
    """Operations above, the last events below."""

    name: ClassVar[str] = "feed"

    def __init__(self) -> None:
        """Start without operations."""
        self._rows = Rows(Operation, MAX_OPERATIONS)
        self._tape = Tape()
        self.handlers: Handlers = {
            kind: self._fact if kind in events.SESSION_FACTS else self._data
            for kind in events.TYPES.values()
        }

    def draw(self, width: int, height: int, now: int) -> list[Line]:
        """Return the operations, and as many of the last events as fit."""
        rows = self._rows.busiest(max(1, height // 2 - 1))
        lines: list[Line] = []
        if rows:
            lines = table(_COLUMNS, [_cells(key, row, now) for key, row in rows], width)
        if len(self._tape) and height - len(lines) > 1:
            lines.append(heading("recent", width))
            lines += self._tape.draw(width, height - len(lines))
        return (lines or [[("waiting for the first event", "dim")]])[:height]

    def _data(self, event: Any) -> None:
        row = self._rows.touch((event.channel, event.symbol))
        row.at = event.recv_ts
        row.payload = clean(getattr(event, "data", None))
        self._tape.take_large(event)

    def _fact(self, event: Any) -> None:
        if not isinstance(event, events.Heartbeat):
            self._tape.take_large(event)


def _cells(key: tuple[Any, Any], row: Operation, now: int) -> list[Span]:
    return [
        (clean(key[0]), "name"),
        ("" if key[1] is None else clean(key[1]), ""),
        (f"{row.count:,}", ""),
        (age_text(now - row.at), "dim"),
        (row.payload, ""),
    ]
