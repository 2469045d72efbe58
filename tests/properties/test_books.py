"""The order book is compared with a naive one that only knows Decimal and dict."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.books import OrderBook, Top, price_key, same_top

PRICES = st.sampled_from(["1", "1.0", "1.5", "1.50", "2", "02", "0.1", "0.10", "-1", "10", "9.99"])
QUANTITIES = st.sampled_from(["0", "0.000", "-0", "1", "1.0", "0.5", "2"])
SIDE = st.lists(st.tuples(PRICES, QUANTITIES), max_size=6)
STEPS = st.lists(st.tuples(st.booleans(), SIDE, SIDE), max_size=12)


Level = tuple[str, str]
Levels = dict[Decimal, Level]


class Naive:
    """Levels by value; the text of the latest update."""

    def __init__(self) -> None:
        self.sides: tuple[Levels, Levels] = ({}, {})

    def step(self, full: bool, bids: list[Level], asks: list[Level]) -> None:
        for side, levels in zip(self.sides, (bids, asks), strict=True):
            if full:
                side.clear()
            for price, quantity in levels:
                if Decimal(quantity) == 0:
                    side.pop(Decimal(price), None)
                else:
                    side[Decimal(price)] = (price, quantity)

    def top(self) -> Top:
        bids, asks = self.sides
        bid = bids[max(bids)] if bids else (None, None)
        ask = asks[min(asks)] if asks else (None, None)
        return (*bid, *ask)

    def crossed(self) -> bool:
        bids, asks = self.sides
        return bool(bids and asks) and max(bids) >= min(asks)


@given(STEPS)
def test_a_book_equals_a_naive_one(steps):
    book, naive = OrderBook(), Naive()
    for full, bids, asks in steps:
        (book.load if full else book.apply)(bids, asks)
        naive.step(full, bids, asks)
        assert book.top() == naive.top()
        assert book.crossed() == naive.crossed()
        bids_now, asks_now = naive.sides
        assert book.bids.items() == [bids_now[p] for p in sorted(bids_now, reverse=True)]
        assert book.asks.items() == [asks_now[p] for p in sorted(asks_now)]


@given(st.decimals(-(10**9), 10**9, places=8), st.decimals(-(10**9), 10**9, places=3))
def test_prices_are_ordered_by_value(one, other):
    first, second = price_key(format(one, "f")), price_key(format(other, "f"))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(*[st.tuples(*[st.none() | PRICES] * 4)] * 2)
def test_tops_are_equal_when_their_values_are(old, new):
    values = [tuple(None if part is None else Decimal(part) for part in top) for top in (old, new)]
    assert same_top(old, new) == (values[0] == values[1])
