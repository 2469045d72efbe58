"""A simulated market: a seeded random walk with an order book that never crosses.

Prices and quantities are integers, counted in the smallest step of the market, so nothing is
ever rounded. The same seed and the same calls give the same market.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

_MIN_LEVELS = 10
_MAX_LEVELS = 32
_HISTORY = 100
_BUCKET = 900
_DAY_BUCKETS = 96


class Trade(NamedTuple):
    """One execution; ``buy`` is the side of the one who took."""

    number: int
    price: int
    quantity: int
    buy: bool
    ts: int


@dataclass(frozen=True)
class Listing:
    """What is traded and in which steps.

    Args:
        symbol: Such as ``BTC_USDT``.
        price: Where the walk starts, in price steps.
        price_digits: Decimals of a price step.
        quantity_digits: Decimals of a quantity step.
        lot: A usual order's size, in quantity steps.
        scales: Width of the depth buckets of each scale, in price steps.
    """

    symbol: str
    price: int
    price_digits: int
    quantity_digits: int
    lot: int
    scales: tuple[int, ...]

    @property
    def base(self) -> str:
        """The currency that is traded."""
        return self.symbol.partition("_")[0]

    @property
    def quote(self) -> str:
        """The currency that it is paid in."""
        return self.symbol.partition("_")[2]


@dataclass
class Side:
    """One side of a book at one bucket width, and what changed since it was last published."""

    width: int
    up: bool
    levels: dict[int, int] = field(default_factory=dict)
    _before: dict[int, int] = field(default_factory=dict)

    def add(self, price: int, quantity: int) -> None:
        """Add to the bucket of a price, or take from it: bids round down, asks up."""
        bucket = (-(-price // self.width) if self.up else price // self.width) * self.width
        old = self.levels.get(bucket, 0)
        self._before.setdefault(bucket, old)
        if old + quantity:
            self.levels[bucket] = old + quantity
        else:
            del self.levels[bucket]

    def take_changes(self) -> list[tuple[int, int]]:
        """Give every changed bucket with what is there now, zero where it is gone."""
        levels = self.levels
        changes = [
            (bucket, levels.get(bucket, 0))
            for bucket, old in self._before.items()
            if levels.get(bucket, 0) != old
        ]
        self._before.clear()
        return sorted(changes, reverse=not self.up)

    def forget_changes(self) -> None:
        """Drop the changes: nobody watches this scale."""
        self._before.clear()

    def sorted(self) -> list[tuple[int, int]]:
        """Give the whole side, the best bucket first."""
        return sorted(self.levels.items(), reverse=not self.up)


class Depth:
    """The book as one scale shows it."""

    def __init__(self, width: int) -> None:
        self.bids = Side(width, up=False)
        self.asks = Side(width, up=True)


class Window:
    """What a ticker says: the last 24 hours in buckets of 15 minutes."""

    def __init__(self, listing: Listing, random: Random, now: float) -> None:
        self._buckets: deque[list[int]] = deque()
        self._number = int(now) // _BUCKET
        price, walk = listing.price, []
        for _ in range(_DAY_BUCKETS):
            walk.append(price)
            price = max(1, price + round(random.gauss(0, 0.002) * listing.price))
        walk.append(price)
        for close, start in itertools.pairwise(walk):
            high, low = max(start, close), min(start, close)
            volume = listing.lot * random.randint(20, 200)
            self._buckets.appendleft([start, high, low, volume, volume * (high + low) // 2])
        self._sum()

    def record(self, price: int, quantity: int, now: float) -> None:
        """Count a trade."""
        self.roll(now)
        bucket = self._buckets[-1]
        bucket[1], bucket[2] = max(bucket[1], price), min(bucket[2], price)
        bucket[3] += quantity
        bucket[4] += price * quantity
        self.last = price

    def roll(self, now: float) -> None:
        """Let what is older than a day fall out."""
        number = int(now) // _BUCKET
        if number <= self._number:
            return
        for _ in range(min(number - self._number, _DAY_BUCKETS)):
            self._buckets.append([self.last, self.last, self.last, 0, 0])
        while len(self._buckets) > _DAY_BUCKETS:
            self._buckets.popleft()
        self._number = number
        self._sum()

    @property
    def day(self) -> tuple[int, int, int, int, int]:
        """Open, high, low, volume and quote volume of the window."""
        now = self._buckets[-1]
        high, low, volume, value = self._closed
        return (
            self._buckets[0][0],
            max(high, now[1]),
            min(low, now[2]),
            volume + now[3],
            value + now[4],
        )

    def _sum(self) -> None:
        closed = list(self._buckets)[:-1]
        self._closed = (
            max(bucket[1] for bucket in closed),
            min(bucket[2] for bucket in closed),
            sum(bucket[3] for bucket in closed),
            sum(bucket[4] for bucket in closed),
        )


class Market:
    """One market: its book in every scale, its trades, its day.

    Args:
        listing: What is traded.
        random: The only source of chance.
        now: Unix time in seconds.
    """

    def __init__(self, listing: Listing, random: Random, now: float) -> None:
        self.listing = listing
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.reserved: dict[int, int] = {}
        self.depths = tuple(Depth(width) for width in listing.scales)
        self.trades: deque[Trade] = deque(maxlen=_HISTORY)
        self.window = Window(listing, random, now)
        self.window.last = listing.price
        self._random = random
        self._gap = max(1, listing.price // 50_000)
        self._fair = float(listing.price)
        self._number = 0
        while len(self.bids) < _MAX_LEVELS - 8 or len(self.asks) < _MAX_LEVELS - 8:
            self._place(buy=len(self.bids) < len(self.asks))
        self._print_history(now)
        for depth in self.depths:
            depth.bids.forget_changes()
            depth.asks.forget_changes()

    @property
    def best_bid(self) -> int:
        """The highest bid."""
        return max(self.bids)

    @property
    def best_ask(self) -> int:
        """The lowest ask."""
        return min(self.asks)

    def trade(self, now: float) -> list[Trade]:
        """Let somebody take from the book, or nobody."""
        random = self._random
        self._fair += random.gauss(0.0, 0.8) * self._gap
        self._fair += (self.listing.price - self._fair) * 0.0005  # the walk stays near its start
        if self._fair > self.best_ask:
            buy = True
        elif self._fair < self.best_bid:
            buy = False
        elif random.random() < 0.4:
            buy = random.random() < 0.5
        else:
            return []
        return self.take(buy=buy, quantity=self._appetite(buy=buy), now=now)

    def shuffle(self) -> None:
        """Let orders come and go."""
        random = self._random
        for _ in range(random.randint(1, 4)):
            if random.random() < 0.5:
                self._place(buy=random.random() < 0.5)
            else:
                self._cancel(buy=random.random() < 0.5)
        while len(self.bids) < _MIN_LEVELS:
            self._place(buy=True)
        while len(self.asks) < _MIN_LEVELS:
            self._place(buy=False)

    def take(
        self, *, buy: bool, quantity: int, now: float, limit: int | None = None
    ) -> list[Trade]:
        """Take from the book, the best price first, no worse than the limit."""
        trades: list[Trade] = []
        side = self.asks if buy else self.bids
        while quantity and len(side) > 1:
            price = min(side) if buy else max(side)
            if limit is not None and (price > limit if buy else price < limit):
                break
            size = min(quantity, side[price])
            quantity -= size
            self.change(price, -size, buy=not buy)
            self._number += 1
            trade = Trade(self._number, price, size, buy, int(now))
            self.trades.append(trade)
            self.window.record(price, size, now)
            trades.append(trade)
        return trades

    def change(self, price: int, quantity: int, *, buy: bool) -> None:
        """Add to a level or take from it, in the book and in every scale of it."""
        side = self.bids if buy else self.asks
        left = side.get(price, 0) + quantity
        if left:
            side[price] = left
        else:
            del side[price]
        for depth in self.depths:
            (depth.bids if buy else depth.asks).add(price, quantity)

    def _place(self, *, buy: bool) -> None:
        offset = int(self._random.random() ** 2 * 60 * self._gap)
        fair = int(self._fair)
        if buy:
            price = min(fair, min(self.asks, default=fair + 1) - 1) - offset
        else:
            price = max(fair, max(self.bids, default=fair - 1) + 1, 2) + offset
        if price >= 1:
            self.change(price, self._size(), buy=buy)
        self._trim(buy=buy)

    def _cancel(self, *, buy: bool) -> None:
        side = self.bids if buy else self.asks
        if len(side) <= _MIN_LEVELS:
            return
        price = self._random.choice(list(side))
        free = side[price] - self.reserved.get(price, 0)
        if free > 1 and self._random.random() < 0.4:
            free = self._random.randint(1, free - 1)
        if free:
            self.change(price, -free, buy=buy)

    def _trim(self, *, buy: bool) -> None:
        side = self.bids if buy else self.asks
        if len(side) > _MAX_LEVELS:
            price = min(side) if buy else max(side)
            if free := side[price] - self.reserved.get(price, 0):
                self.change(price, -free, buy=buy)

    def _appetite(self, *, buy: bool) -> int:
        side, price = (self.asks, self.best_ask) if buy else (self.bids, self.best_bid)
        kind = self._random.random()
        if kind < 0.6:
            return self._random.randint(1, side[price])
        return side[price] if kind < 0.9 else side[price] + self._size()

    def _size(self) -> int:
        return int(self.listing.lot * self._random.expovariate(1.0)) + 1

    def _print_history(self, now: float) -> None:
        price = self.listing.price
        for ago in range(20, 0, -1):
            at = price if ago == 1 else price + int(self._random.gauss(0, 1) * self._gap)
            self._number += 1
            buy = self._random.random() < 0.5
            self.trades.append(Trade(self._number, at, self._size(), buy, int(now) - ago * 2))
