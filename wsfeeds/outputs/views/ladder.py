"""The order book as a person reads it: asks above, bids below, the spread in between."""

from __future__ import annotations

from wsfeeds.books import OrderBook
from wsfeeds.events import Book
from wsfeeds.outputs.views.numbers import align, difference, digits, number
from wsfeeds.outputs.views.table import heading
from wsfeeds.outputs.views.text import Line, cells, clean, fit
from wsfeeds.outputs.views.wording import levels

MAX_PENDING = 128
"""Updates that wait for the next drawing; beyond, they are applied as they come."""
_BAR = "▇"
_WIDEST_BAR = 14


class Ladder:
    """One book, brought up to date only when it is looked at."""

    __slots__ = ("_book", "_pending", "known", "synced")

    def __init__(self) -> None:
        """Start empty and unknown."""
        self._book = OrderBook()
        self._pending: list[Book] = []
        self.known = False
        self.synced = False

    def take(self, event: Book) -> None:
        """Note an update; a snapshot makes all earlier ones irrelevant."""
        pending = self._pending
        if event.snapshot:
            pending.clear()
        pending.append(event)
        if len(pending) > MAX_PENDING:
            self.catch_up()

    def catch_up(self) -> None:
        """Apply what has arrived since."""
        pending, self._pending = self._pending, []
        for event in pending:
            self.synced = event.synced is True
            if not (event.snapshot or self.known):
                continue  # a part of a book that was never seen whole says nothing
            self.known = True
            apply = self._book.load if event.snapshot else self._book.apply
            try:
                apply(levels(event.bids), levels(event.asks))
            except ValueError:  # a price that is no number: what the book is cannot be told
                self.synced = False

    def top(self) -> tuple[str | None, str | None]:
        """Return the best bid and the best ask, None where a side is empty."""
        self.catch_up()
        bid, _, ask, _ = self._book.top()
        return bid, ask

    def crossed(self) -> bool:
        """Tell whether the best bid is at or above the best ask."""
        return self._book.crossed()

    def sides(self, count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return the best `count` bids and asks, best first."""
        self.catch_up()
        return self._book.bids.items()[:count], self._book.asks.items()[:count]


def draw_ladder(ladder: Ladder, title: str, width: int, height: int) -> list[Line]:
    """Return the ladder in exactly `height` lines: title, asks, spread, bids."""
    each = max(1, (height - 2) // 2)
    bids, asks = ladder.sides(each)
    state = "" if ladder.synced and ladder.known else " (waiting for a full book)"
    lines = [heading(clean(title) + state, width)]
    rows = [*reversed(asks), *bids]
    prices = align([digits(price) for price, _ in rows])
    quantities = align([digits(quantity) for _, quantity in rows])
    styles = ["sell"] * len(asks) + ["buy"] * len(bids)
    used = cells(prices[0]) + cells(quantities[0]) + 5 if rows else 0
    bars = _bars([quantity for _, quantity in rows], min(_WIDEST_BAR, width - used))
    drawn: list[Line] = [
        [(price, style), ("  ", ""), (quantity, ""), ("  ", ""), (bar, style)]
        for price, quantity, bar, style in zip(prices, quantities, bars, styles, strict=True)
    ]
    lines += [[] for _ in range(each - len(asks))] + drawn[: len(asks)]
    lines.append(_spread(ladder, cells(prices[0]) if prices else 8))
    lines += drawn[len(asks) :]
    return lines[:height] + [[] for _ in range(height - len(lines))]


def _spread(ladder: Ladder, width: int) -> Line:
    bid, ask = ladder.top()
    if bid is None or ask is None:
        return [("no book yet" if not ladder.known else "one side empty", "dim")]
    if ladder.crossed():
        return [(fit(digits(difference(ask, bid)), width, right=True), "bad"), ("  crossed", "bad")]
    spread = digits(difference(ask, bid))
    return [(fit(spread, max(width, cells(spread)), right=True), "dim"), ("  spread", "dim")]


def _bars(quantities: list[str], widest: int) -> list[str]:
    """Return a bar for each quantity, the longest for the largest one."""
    sizes = [number(quantity) or 0 for quantity in quantities]
    largest = max(sizes, default=0)
    if not largest or widest <= 0:
        return ["" for _ in sizes]
    return [_BAR * int(widest * one / largest) for one in sizes]
