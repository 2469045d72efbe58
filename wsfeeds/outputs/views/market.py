"""Markets at a glance: a table of symbols, the book of the first one, recent trades."""

from __future__ import annotations

from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.outputs.views.base import Handlers, Row, Rows
from wsfeeds.outputs.views.ladder import Ladder, draw_ladder
from wsfeeds.outputs.views.numbers import (
    age_text,
    arrow,
    difference,
    digits,
    direction,
    signed,
    tint,
)
from wsfeeds.outputs.views.table import Column, beside, heading, table
from wsfeeds.outputs.views.tape import Tape, tape_handlers
from wsfeeds.outputs.views.text import Line, Span, clean

MAX_BOOKS = 64
"""Books kept; later symbols show a best bid and offer only with the channel of that name."""
_LADDER_SYMBOLS = 4
"""With more symbols than these, the room goes to the table."""
_LADDER_WIDTH = (26, 52)
_LEAST_LADDER = 5
_LEAST_BESIDE = 56

_COLUMNS = (
    Column("symbol", 99, least=12),
    Column("last", 98, "point"),
    Column("change", 90, "right"),
    Column("bid", 80, "point"),
    Column("ask", 79, "point"),
    Column("spread", 40, "point"),
    Column("high", 30, "point"),
    Column("low", 29, "point"),
    Column("volume", 35, "point"),
    Column("traded", 50, "right"),
)
_ON_TAPE = (
    events.Trade,
    events.Order,
    events.Fill,
    events.Balance,
    events.Gap,
    events.ErrorEvent,
    events.Malformed,
    events.Unknown,
)


class Market(Row):
    """What is known of one symbol."""

    __slots__ = ("bbo", "books", "last", "seen", "ticker", "traded", "ways")

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self.last: Any = None
        self.ticker: events.Ticker | None = None
        self.bbo: events.Bbo | None = None
        self.books: dict[Any, Ladder] = {}
        self.traded: int | None = None
        self.seen: dict[str, Any] = {}
        self.ways: dict[str, int] = {}

    def way(self, name: str, value: Any) -> int:
        """Return which way a value moved when it last changed between two drawings."""
        old = self.seen.get(name)
        if value is not None and value != old:
            self.seen[name] = value
            self.ways[name] = direction(old, value)
        return self.ways.get(name, 0)

    def best(self) -> tuple[Any, Any]:
        """Return bid and ask: as the venue or the kept book says."""
        if self.bbo is not None:
            return self.bbo.bid_price, self.bbo.ask_price
        ladder = self.ladder()
        return ladder.top() if ladder is not None else (None, None)

    def ladder(self) -> Ladder | None:
        """Return the finest book that is known."""
        if not self.books:
            return None
        return self.books[min(self.books, key=lambda scale: (scale is None, str(scale)))]


class MarketView:
    """A table of symbols, a tape, and a ladder while there are few symbols."""

    name: ClassVar[str] = "market"

    def __init__(self) -> None:
        """Start without symbols."""
        self._rows = Rows(Market)
        self._books = 0
        self._tape = Tape(compact=True)
        self.handlers: Handlers = {
            **tape_handlers(self._tape, _ON_TAPE),
            events.Trade: self._trade,
            events.LastPrice: self._last_price,
            events.Ticker: self._ticker,
            events.Bbo: self._bbo,
            events.Book: self._book,
        }

    def draw(self, width: int, height: int, now: int) -> list[Line]:
        """Return the table, and below it ladder and tape as far as there is room."""
        least_below = min(height // 2, 12) if len(self._tape) or self._ladder() else 0
        room = max(1, height - 1 - least_below)
        rows = self._rows.busiest(room)
        lines = table(_COLUMNS, [_cells(key, row, now) for key, row in rows], width)
        hidden = len(self._rows) - len(rows)
        if hidden > 0:
            lines[-1:] = [[(f"and {hidden + 1} more symbols, less busy", "dim")]]
        if not rows:
            lines = [[("waiting for the first event", "dim")]]
        return [*lines, *self._below(width, height - len(lines))][:height]

    def _below(self, width: int, height: int) -> list[Line]:
        found = self._ladder()
        if height < _LEAST_LADDER or found is None:
            return self._tape_block(width, height)
        title, ladder = found
        if not len(self._tape) or width < _LEAST_BESIDE:
            return draw_ladder(ladder, title, width, height)
        left = min(_LADDER_WIDTH[1], max(_LADDER_WIDTH[0], width * 2 // 5))
        drawn = draw_ladder(ladder, title, left - 2, height)
        return beside(drawn, self._tape_block(width - left, height), left)

    def _tape_block(self, width: int, height: int) -> list[Line]:
        if height < 2 or not len(self._tape):
            return []
        self._tape.several = len(self._rows) > 1
        return [heading("recent trades", width), *self._tape.draw(width, height - 1)]

    def _ladder(self) -> tuple[str, Ladder] | None:
        if len(self._rows) > _LADDER_SYMBOLS:
            return None
        for symbol, row in self._rows.busiest(_LADDER_SYMBOLS):
            ladder = row.ladder()
            if ladder is not None:
                return f"book {clean(symbol)}", ladder
        return None

    def _trade(self, event: events.Trade) -> None:
        row = self._rows.touch(event.symbol)
        row.last = event.price
        row.traded = event.recv_ts
        self._tape.take(event)

    def _last_price(self, event: events.LastPrice) -> None:
        self._rows.touch(event.symbol).last = event.price

    def _ticker(self, event: events.Ticker) -> None:
        row = self._rows.touch(event.symbol)
        row.ticker = event
        if row.last is None:
            row.last = event.last

    def _bbo(self, event: events.Bbo) -> None:
        self._rows.touch(event.symbol).bbo = event

    def _book(self, event: events.Book) -> None:
        row = self._rows.touch(event.symbol)
        ladder = row.books.get(event.scale_index)
        if ladder is None:
            if self._books >= MAX_BOOKS:
                return
            self._books += 1
            ladder = row.books[event.scale_index] = Ladder()
        ladder.take(event)


def _spread(bid: Any, ask: Any) -> Span:
    spread = digits(difference(ask, bid))
    return spread, "bad" if spread.startswith("-") and spread != "-" else "dim"


def _cells(symbol: Any, row: Market, now: int) -> list[Span]:
    ticker = row.ticker
    bid, ask = row.best()
    last = row.last
    way = row.way("last", last)
    change = ticker.change_percent if ticker else None
    stated: list[Span] = [
        (digits(getattr(ticker, name, None)), "") for name in ("high", "low", "volume")
    ]
    return [
        (clean(symbol), "name"),
        (f"{digits(last)} {arrow(way)}", tint(way)),
        (f"{signed(change)}%" if change is not None else "-", tint(direction("0", change))),
        (digits(bid), tint(row.way("bid", bid))),
        (digits(ask), tint(row.way("ask", ask))),
        _spread(bid, ask),
        *stated,
        (age_text(now - row.traded) if row.traded else "-", "dim"),
    ]
