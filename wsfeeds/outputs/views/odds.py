"""Odds: every selection of every market, with direction, lines, lock and age."""

from __future__ import annotations

from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.outputs.views.base import Handlers, Row, Rows
from wsfeeds.outputs.views.numbers import age_text, arrow, digits, direction
from wsfeeds.outputs.views.sports import lock_span
from wsfeeds.outputs.views.table import Column, table
from wsfeeds.outputs.views.text import Line, Span, clean, slim

_FRESH = 3_000_000
"""Microseconds for which a move stands out."""

_COLUMNS = (
    Column("event", 60, widest=20, least=8),
    Column("market", 90, widest=20, least=8),
    Column("sel", 99, widest=12, least=4),
    Column("back", 98, "point"),
    Column("line", 50, "point"),
    Column("lay", 70, "point"),
    Column("line", 49, "point"),
    Column("status", 95, widest=14, least=13),
    Column("age", 30, "right"),
)


class Selection(Row):
    """The latest quote of one selection and which way its prices moved."""

    __slots__ = ("back", "lay", "moved", "quote")

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self.quote: events.Quote | None = None
        self.back = 0
        self.lay = 0
        self.moved = 0


class OddsView:
    """One row a selection, grouped by market."""

    name: ClassVar[str] = "odds"

    def __init__(self) -> None:
        """Start without quotes."""
        self._rows = Rows(Selection)
        self.handlers: Handlers = {events.Quote: self._quote}

    def draw(self, width: int, height: int, now: int) -> list[Line]:
        """Return the grid; where rows are missing it says how many."""
        hidden = len(self._rows) - max(0, height - 1)
        room = height - 1 - (1 if hidden > 0 else 0)
        rows = sorted(self._rows.busiest(room), key=lambda item: _place(item[0]))
        if not rows:
            return [[("waiting for the first quote", "dim")]][:height]
        drawn: list[list[Span]] = []
        before: tuple[Any, Any] = (None, None)
        for key, row in rows:
            drawn.append(_cells(key, row, now, before))
            before = (key[0], key[1])
        lines = table(_COLUMNS, drawn, width)
        if hidden > 0:
            lines.append([(f"and {len(self._rows) - len(rows)} more selections", "dim")])
        return lines[:height]

    def _quote(self, event: events.Quote) -> None:
        row = self._rows.touch((event.event_id, event.market_id, event.selection_id))
        old = row.quote
        if old is not None:
            if old.back_price != event.back_price:
                row.back = direction(old.back_price, event.back_price)
                row.moved = event.recv_ts
            if old.lay_price != event.lay_price:
                row.lay = direction(old.lay_price, event.lay_price)
                row.moved = event.recv_ts
        row.quote = event if event.data is None else slim(event)


def _place(key: tuple[Any, ...]) -> tuple[str, str, int, str]:
    """Sort selections by event, market and their own number."""
    selection = str(key[2])
    return str(key[0]), str(key[1]), len(selection), selection


def _cells(key: tuple[Any, ...], row: Selection, now: int, before: tuple[Any, Any]) -> list[Span]:
    quote = row.quote
    assert quote is not None  # rows are made by quotes
    fresh = "fresh_" if row.moved and now - row.moved < _FRESH else ""
    same_event = key[0] == before[0]
    offered = quote.status == "open"
    return [
        ("" if same_event else clean(key[0]), "name"),
        ("" if same_event and key[1] == before[1] else clean(key[1]), "name"),
        (clean(key[2]), ""),
        _price(quote.back_price, row.back, fresh, offered=offered),
        (digits(quote.back_line) if quote.back_line is not None else "", ""),
        _price(quote.lay_price, row.lay, fresh, offered=offered),
        (digits(quote.lay_line) if quote.lay_line is not None else "", ""),
        lock_span(quote),
        (age_text(now - quote.recv_ts), "dim"),
    ]


def _price(price: Any, way: int, fresh: str, *, offered: bool) -> Span:
    if price is None:
        return "-  ", "dim"
    style = "dim" if not offered else f"{fresh}{'up' if way > 0 else 'down'}" if way else ""
    return f"{digits(price)} {arrow(way)}", style
