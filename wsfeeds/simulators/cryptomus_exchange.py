"""The simulated Cryptomus behind the sockets: its markets, its account, and who hears what.

The exchange moves only while somebody watches, and waits for its slowest reader: nothing is
dropped and memory stays bounded. Cadence: docs/protocols/cryptomus.md, section 9.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from wsfeeds.clock import monotonic, wall_seconds
from wsfeeds.simulators.cryptomus_account import Account
from wsfeeds.simulators.cryptomus_listings import LISTINGS
from wsfeeds.simulators.cryptomus_messages import (
    Messages,
    full_depth,
    last_price,
    partial_depth,
    ticker,
)
from wsfeeds.simulators.market import Market, Trade
from wsfeeds.simulators.websocket import SocketClosed

PUBLIC = ("lastprice", "depth", "ticker", "trade")
PRIVATE = ("order", "balance", "deal")

_OPENING = 0.1
_TICKER_EVERY = 10
_SLICE = 64
_PATIENCE = 8

Topic = tuple[str, str, int]
"""What one can watch: the channel, the symbol or currency, and the scale (0 but for depth)."""


class Reader(Protocol):
    """A connection that hears events."""

    topics: dict[str, dict[Topic, None]]

    def hear(self, channel: str, data: dict[str, Any], frame: Callable[[], bytes]) -> None:
        """Take an event: its data, and the frame that all readers share."""

    async def catch_up(self) -> None:
        """Send what was heard."""


class Pace(Protocol):
    """The options that set the cadence."""

    @property
    def depth_interval(self) -> float:
        """Seconds between the moments of a market."""

    @property
    def reload_interval(self) -> float:
        """Seconds between full reloads."""

    @property
    def full_reload(self) -> str:
        """Full reloads come periodic, never, or on silence."""


@dataclass
class _Published:
    """When a scale of a market was last published."""

    full: float
    any: float


class Exchange:
    """Moves the markets and tells every reader what it watches.

    Args:
        pace: The cadence.
        messages: Writes frames.
        random: Gives the generator of a purpose.
        crossed_book: Probability that a partial update crosses the book.
        rate: Frames a second, or None for a market's natural pace.
    """

    def __init__(
        self,
        pace: Pace,
        messages: Messages,
        random: Callable[..., Random],
        *,
        crossed_book: float,
        rate: float | None,
    ) -> None:
        self.messages = messages
        self.account = Account(random("account"))
        self._pace = pace
        self._random = random
        self._crossed_book = crossed_book
        self._crossings = random("crossed-book")
        self._rate = rate
        self._markets: dict[str, Market] = {}
        self._published: dict[Topic, _Published] = {}
        self._prices: dict[str, int] = {}
        self._moments: dict[str, int] = {}
        self._readers: dict[Reader, None] = {}
        self._heard: dict[Reader, None] = {}
        self._index: dict[Topic, list[Reader]] = {}
        self._watched: list[str] = []
        self._awake = asyncio.Event()

    def market(self, symbol: str) -> Market:
        """Give a market, which opens when it is first asked for."""
        if symbol not in self._markets:
            random = self._random("market", symbol)
            self._markets[symbol] = Market(LISTINGS[symbol], random, wall_seconds())
            self._prices[symbol] = self._markets[symbol].window.last
        return self._markets[symbol]

    def join(self, reader: Reader) -> None:
        """Add a connection."""
        self._readers[reader] = None

    def leave(self, reader: Reader) -> None:
        """Forget a connection."""
        self._readers.pop(reader, None)
        self._heard.pop(reader, None)
        self.changed()

    def changed(self) -> None:
        """Take up what the readers watch now."""
        self._index = {}
        for reader in self._readers:
            for topics in reader.topics.values():
                for topic in topics:
                    self._index.setdefault(topic, []).append(reader)
        watched = {symbol for topic in self._index for symbol in _markets_of(topic)}
        self._watched = sorted(watched)
        for topic in set(self._published) - set(self._index):
            del self._published[topic]
        if watched:
            self._awake.set()
        else:
            self._awake.clear()

    async def run(self, ticks: Callable[[], AsyncGenerator[int, None]]) -> None:
        """Move the markets for as long as the venue is served."""
        while True:
            await self._awake.wait()
            await asyncio.sleep(_OPENING)  # a client that subscribes in one go misses nothing
            if self._rate is None:
                await self._stroll()
            else:
                await self._march(ticks())

    async def _stroll(self) -> None:
        """Let every watched market live one moment an interval."""
        while self._awake.is_set():
            started = monotonic()
            for symbol in self._watched:
                self._tick(symbol)
            await self._catch_up()
            await asyncio.sleep(max(0.0, started + self._pace.depth_interval - monotonic()))

    async def _march(self, ticks: AsyncGenerator[int, None]) -> None:
        """Let the watched markets live as many moments as the rate asks for."""
        due = position = 0
        async with contextlib.aclosing(ticks):
            async for more in ticks:
                if not self._awake.is_set():
                    return
                due = min(due, 0) + more  # what came too much is owed, what lacked is forgotten
                for moment in range(1, more * _PATIENCE + 1):
                    if due <= 0 or not self._watched:
                        break
                    position += 1
                    due -= self._tick(self._watched[position % len(self._watched)])
                    if moment % _SLICE == 0:
                        await self._catch_up()
                        await asyncio.sleep(0)
                await self._catch_up()

    async def _catch_up(self) -> None:
        heard, self._heard = self._heard, {}
        for reader in heard:
            with contextlib.suppress(SocketClosed):
                await reader.catch_up()

    def _tick(self, symbol: str) -> int:
        """Let a market live one moment; give the number of frames that it made."""
        market, now = self.market(symbol), wall_seconds()
        trades = market.trade(now)  # first: trades meet the book as it was published
        self.account.match(market, trades, now)
        if self._is_watched_privately(market):
            trades += self.account.act(market, now)
        market.shuffle()
        made = self._tell_trades(market, trades, int(now))
        made += self._tell_depth(market, int(now))
        for channel, about, data in self.account.take_notices():
            made += self._tell((channel, about, 0), data)
        return made

    def _is_watched_privately(self, market: Market) -> bool:
        symbol, listing = market.listing.symbol, market.listing
        topics = ("order", symbol), ("deal", symbol), ("balance", listing.base)
        quote = ("balance", listing.quote, 0)
        return quote in self._index or any((*topic, 0) in self._index for topic in topics)

    def _tell_trades(self, market: Market, trades: list[Trade], now: int) -> int:
        symbol, made = market.listing.symbol, 0
        moment = self._moments[symbol] = self._moments.get(symbol, 0) + 1
        if trades and ("trade", symbol, 0) in self._index:
            data = self.messages.trades(market.listing, trades, now)
            made += self._tell(("trade", symbol, 0), data)
        if market.window.last != self._prices[symbol]:
            self._prices[symbol] = market.window.last
            if ("lastprice", symbol, 0) in self._index:
                made += self._tell(("lastprice", symbol, 0), last_price(market, now))
        due = bool(trades) if self._rate is not None else moment % _TICKER_EVERY == 0
        if due and ("ticker", symbol, 0) in self._index:
            made += self._tell(("ticker", symbol, 0), ticker(market, now))
        return made

    def _tell_depth(self, market: Market, now: int) -> int:
        made = 0
        for scale, depth in enumerate(market.depths):
            topic = ("depth", market.listing.symbol, scale)
            if topic not in self._index:
                depth.asks.forget_changes()
                depth.bids.forget_changes()
                continue
            asks, bids = depth.asks.take_changes(), depth.bids.take_changes()
            changed = bool(asks or bids)
            if changed:
                self._cross(market, scale, bids)
                made += self._tell(topic, partial_depth(market, scale, now, asks, bids))
            if self._reload_due(topic, changed=changed):
                made += self._tell(topic, full_depth(market, scale, now))
        return made

    def _reload_due(self, topic: Topic, *, changed: bool) -> bool:
        now, mode, every = monotonic(), self._pace.full_reload, self._pace.reload_interval
        published = self._published.setdefault(topic, _Published(full=now, any=now))
        since = published.any if mode == "silence" else published.full
        due = now - since >= every and mode != "never" and not (mode == "silence" and changed)
        if due:
            published.full = published.any = now
        elif changed:
            published.any = now
        return due

    def _cross(self, market: Market, scale: int, bids: list[tuple[int, int]]) -> None:
        """Now and then add a bid above the best ask: a removal that the venue forgot to send."""
        if self._crossed_book and self._crossings.random() < self._crossed_book:
            asks = market.depths[scale].asks.levels
            bids.insert(0, (min(asks) + market.listing.scales[scale], market.listing.lot))

    def _tell(self, topic: Topic, data: dict[str, Any]) -> int:
        readers = self._index.get(topic)
        if not readers:
            return 0
        channel, shared = topic[0], _Shared(self.messages, topic[0], data)
        for reader in readers:
            reader.hear(channel, data, shared)
            self._heard[reader] = None
        return 1


class _Shared:
    """A frame that is written once, by the first reader who wants it."""

    def __init__(self, messages: Messages, channel: str, data: dict[str, Any]) -> None:
        self._write = messages.event, channel, data
        self._frame: bytes | None = None

    def __call__(self) -> bytes:
        if self._frame is None:
            write, channel, data = self._write
            self._frame = write(channel, data)
        return self._frame


def _markets_of(topic: Topic) -> list[str]:
    channel, name, _ = topic
    if channel != "balance":
        return [name]
    own = [listing.symbol for listing in LISTINGS.values() if listing.base == name]
    return own or [listing.symbol for listing in LISTINGS.values() if listing.quote == name]
