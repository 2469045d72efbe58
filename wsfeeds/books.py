"""An order book: levels by price, best bid and offer in flat cost per level, bounded in size.

Prices are compared as integers of one fixed point, never as text (`"1.50"` and `"1.5"` are one
level) and never as doubles; what is handed out is the venue's own text.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from wsfeeds.decimals import Unrepresentable

MAX_LEVELS = 10_000
"""Levels kept on one side; the worst ones beyond are dropped (no reader of the top sees them)."""
_DIGITS = 24
_MAX_WHOLE_DIGITS = 4_000
_STALE_ENTRIES = 64

Top = tuple[str | None, str | None, str | None, str | None]
"""Bid price, bid quantity, ask price, ask quantity; None where a side is empty."""


@lru_cache(maxsize=8_192)
def price_key(price: str) -> int:
    """Return a plain decimal as an integer in units of 10^-24; finer digits are cut.

    The prices around the top come again and again, so some thousands are remembered.

    Raises:
        Unrepresentable: It has thousands of digits.
    """
    whole, _, fraction = price.partition(".")
    if len(fraction) > _DIGITS:
        fraction = fraction[:_DIGITS]  # beyond any venue's tick
    if len(whole) > _MAX_WHOLE_DIGITS:
        raise Unrepresentable(f"a price of {len(whole)} digits")
    return int(whole + fraction.ljust(_DIGITS, "0"))


class Side:
    """One side of a book: a dict of levels and a heap that finds the best one lazily."""

    __slots__ = ("_heap", "_levels", "_sign")

    def __init__(self, *, best_is_highest: bool) -> None:
        """Hold bids (the highest is best) or asks (the lowest is)."""
        self._sign = -1 if best_is_highest else 1
        self._levels: dict[int, tuple[str, str]] = {}
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._levels)

    def clear(self) -> None:
        """Forget all levels."""
        self._levels.clear()
        self._heap.clear()

    def apply(self, levels: Iterable[tuple[str, str]]) -> None:
        """Set each level's quantity; a quantity of zero removes the level."""
        known, heap, sign = self._levels, self._heap, self._sign
        for price, quantity in levels:
            key = sign * price_key(price)
            if quantity.strip("0.-"):
                if key not in known:
                    heapq.heappush(heap, key)
                known[key] = (price, quantity)
            else:
                known.pop(key, None)
        if len(known) > 2 * MAX_LEVELS or len(heap) > 2 * len(known) + _STALE_ENTRIES:
            self._rebuild()

    def best(self) -> int | None:
        """Return the key of the best level, smaller is better, None on an empty side."""
        heap, known = self._heap, self._levels
        while heap and heap[0] not in known:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def level(self, key: int) -> tuple[str, str]:
        """Return price and quantity of a key that `best` returned."""
        return self._levels[key]

    def items(self) -> list[tuple[str, str]]:
        """Return all levels, best first."""
        return [self._levels[key] for key in sorted(self._levels)]

    def _rebuild(self) -> None:
        keep = heapq.nsmallest(MAX_LEVELS, self._levels)
        self._levels = {key: self._levels[key] for key in keep}
        self._heap = keep


class OrderBook:
    """Both sides of one market at one scale."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        """Start empty."""
        self.bids = Side(best_is_highest=True)
        self.asks = Side(best_is_highest=False)

    def load(self, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> None:
        """Replace both sides by a full reload."""
        self.bids.clear()
        self.asks.clear()
        self.apply(bids, asks)

    def apply(self, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> None:
        """Apply a partial update."""
        self.bids.apply(bids)
        self.asks.apply(asks)

    def crossed(self) -> bool:
        """Tell whether the best bid is at or above the best ask."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid is not None and ask is not None and -bid >= ask

    def top(self) -> Top:
        """Return best bid and offer with their quantities, in the venue's own text."""
        bid, ask = self.bids.best(), self.asks.best()
        bid_price, bid_quantity = (None, None) if bid is None else self.bids.level(bid)
        ask_price, ask_quantity = (None, None) if ask is None else self.asks.level(ask)
        return bid_price, bid_quantity, ask_price, ask_quantity


def same_top(old: Top | None, new: Top) -> bool:
    """Tell whether two tops are equal in value, whatever the notation."""
    if old is None:
        return False
    return old == new or all(_same(a, b) for a, b in zip(old, new, strict=True))


def _same(a: str | None, b: str | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or Decimal(a) == Decimal(b)
