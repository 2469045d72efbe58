"""The order book of one symbol, over the whole screen."""

from __future__ import annotations

from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.outputs.views.base import Handlers, Row, Rows
from wsfeeds.outputs.views.ladder import Ladder, draw_ladder
from wsfeeds.outputs.views.numbers import arrow, digits, direction, tint
from wsfeeds.outputs.views.text import Line, clean
from wsfeeds.outputs.views.wording import TIMES, side_span

MAX_BOOKS = 32


class _Book(Row):
    __slots__ = ("before", "ladder", "trade")

    def __init__(self) -> None:
        super().__init__()
        self.ladder = Ladder()
        self.trade: events.Trade | None = None
        self.before: Any = None


class BookView:
    """A ladder of the first book subscribed, with the last trade above it."""

    name: ClassVar[str] = "book"

    def __init__(self) -> None:
        """Start without a book."""
        self._books = Rows(_Book, MAX_BOOKS)
        self._trades = Rows(_Book, MAX_BOOKS)
        self.handlers: Handlers = {events.Book: self._book, events.Trade: self._trade}

    def draw(self, width: int, height: int, now: int) -> list[Line]:  # noqa: ARG002
        """Return the last trade and the ladder."""
        books = self._books.busiest(MAX_BOOKS)
        if not books:
            return [[("waiting for a book: subscribe to the depth channel", "dim")]]
        (symbol, scale), row = books[0]
        title = f"book {clean(symbol)}" + (f" scale {clean(scale)}" if scale else "")
        if len(books) > 1:
            title += f" (1 of {len(books)})"
        ladder = draw_ladder(row.ladder, title, width, height - 1)
        return [_last_trade(self._trades.get(symbol)), *ladder]

    def _book(self, event: events.Book) -> None:
        self._books.touch((event.symbol, event.scale_index)).ladder.take(event)

    def _trade(self, event: events.Trade) -> None:
        row = self._trades.touch(event.symbol)
        if row.trade is not None:
            row.before = row.trade.price
        row.trade = event


def _last_trade(row: _Book | None) -> Line:
    if row is None or row.trade is None:
        return [("no trade yet", "dim")]
    way = direction(row.before, row.trade.price)
    return [
        ("last trade ", "dim"),
        side_span(row.trade.side),
        (f" {digits(row.trade.price)} {arrow(way)} ", tint(way)),
        (TIMES, "dim"),
        (digits(row.trade.quantity), ""),
    ]
