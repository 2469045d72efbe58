"""What an interact_quote connection has subscribed, when it was heard, and what was delivered."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from wsfeeds.connectors import _interact_quote_wire as wire
from wsfeeds.events import Quote

_FRESH = 5.0
"""How long an error without an id may be the answer to a subscribe (section 5.5)."""
_SILENCE = 3600.0
_SPREAD = 0.04
"""Renewals are spread by ±2 min around the default of 50 min, in proportion around others."""
_MAX_SPREAD = 120.0
_MAX_DELIVERED = 200_000


class _Market(Struct):
    """One subscription; times are monotonic seconds, None where not known yet.

    `phase`, -1 to 1, is by how much of the spread its renewal is shifted, the same in every run.
    """

    phase: float
    asked: float | None = None
    heard: float | None = None
    delivers: bool = False
    asked_in_silence: bool = False

    def lag(self, interval: float) -> float:
        """Return the seconds by which a renewal comes later than `interval`."""
        return self.phase * min(_MAX_SPREAD, _SPREAD * interval)


class Subscriptions:
    """The markets of one connection by symbol, those of the socket from the start."""

    def __init__(self, symbols: Sequence[str]) -> None:
        """Begin with the symbols that the connection is for: they are about to be subscribed."""
        self._markets: dict[str, _Market] = {}
        self._events: dict[str, tuple[str, ...]] = {}
        self._unanswered: dict[str, float | None] = {}
        self.awaited = set(symbols)
        self.delivering = False
        for symbol in symbols:
            self._hold(symbol)

    @property
    def symbols(self) -> list[str]:
        """What is subscribed."""
        return list(self._markets)

    def add(self, symbol: str, now: float | None) -> None:
        """Note a subscribe that was sent; repeating it renews it."""
        self._hold(symbol).asked = now
        self._unanswered.pop(symbol, None)
        self._unanswered[symbol] = now

    def remove(self, symbol: str) -> None:
        """Forget a market at once (section 6.4)."""
        if self._markets.pop(symbol, None) is None:
            return
        self.awaited.discard(symbol)
        self._unanswered.pop(symbol, None)
        event, _, market = symbol.partition("@")
        left = tuple(each for each in self._events[market] if each != event)
        if left:
            self._events[market] = left
        else:
            del self._events[market]

    def _hold(self, symbol: str) -> _Market:
        held = self._markets.get(symbol)
        if held is None:
            event, _, market = symbol.partition("@")
            phase = zlib.crc32(symbol.encode()) / 2**31 - 1
            held = self._markets[symbol] = _Market(phase)
            self._events[market] = (*self._events.get(market, ()), event)
        return held

    def events_of(self, market: str) -> tuple[str, ...]:
        """Return the events under which a market id is subscribed."""
        return self._events.get(market, ())

    def heard(self, symbol: str, now: float | None) -> bool:
        """Note a quote of a market; tell whether it is subscribed."""
        market = self._markets.get(symbol)
        if market is None:
            return False
        market.heard = now
        market.asked_in_silence = False
        if not market.delivers:
            market.delivers = self.delivering = True
            self.awaited.discard(symbol)
        if self._unanswered:
            self._unanswered.pop(symbol, None)
        return True

    def heard_one_of(self, market: str, events: Sequence[str], now: float | None) -> None:
        """Note a quote that is of one of these events; which one cannot be told."""
        for event in events:
            self.heard(f"{event}@{market}", now)

    def blame(self, text: str, now: float | None) -> str | None:
        """Return the symbol that an error is about: one it names, else the latest unanswered one.

        That one must have been asked for within the last 5 s.
        """
        named = [symbol for symbol in self._markets if symbol in text]
        if not named and self._unanswered:
            latest, asked = next(reversed(self._unanswered.items()))
            if asked is None or now is None or now - asked < _FRESH:
                named = [latest]
        if len(named) != 1:
            return None
        self._unanswered.pop(named[0], None)
        self.awaited.discard(named[0])
        return named[0]

    def due(self, now: float, interval: float) -> dict[str, None]:
        """Return the markets to renew: asked for `interval` seconds ago, more or less."""
        self._date(now)
        found: dict[str, None] = {}
        for symbol, market in self._markets.items():
            if market.asked is not None and now >= market.asked + interval + market.lag(interval):
                market.asked = now
                found[symbol] = None
        return found

    def silent(self, now: float) -> dict[str, None]:
        """Return the markets silent for an hour while others were not, each once per silence."""
        heard = [market.heard for market in self._markets.values() if market.heard is not None]
        alive = max(heard, default=now)
        found: dict[str, None] = {}
        for symbol, market in self._markets.items():
            last = market.heard
            if last is None or market.asked_in_silence or now - last < _SILENCE or alive <= last:
                continue
            market.asked_in_silence = True
            market.asked = now
            found[symbol] = None
        return found

    def _date(self, now: float) -> None:
        """Date what happened before the first look at the clock."""
        for market in self._markets.values():
            if market.asked is None:
                market.asked = now
            if market.delivers and market.heard is None:
                market.heard = now
        for symbol, asked in self._unanswered.items():
            if asked is None:
                self._unanswered[symbol] = now


class Delivered:
    """The last item of each selection, shared by the two connections of a hand-over.

    While a token changes, two connections deliver the same items. Each delivered item silences one
    equal item of the other connection, if it comes before another one of the same selection. With
    one connection nothing is ever a repetition.
    """

    def __init__(self, limit: int = _MAX_DELIVERED) -> None:
        """Begin with nothing delivered; remember at most `limit` selections."""
        self._limit = limit
        self._last: dict[wire.Market, dict[str | None, tuple[object, tuple[object, ...]]]] = {}
        self._size = 0

    def repeats(self, quote: Quote, owner: object) -> bool:
        """Tell whether the other connection has just delivered the same; else note the item."""
        market = (quote.event_id or "", quote.market_id or "")
        selections = self._last.get(market)
        if selections is None:
            selections = self._last[market] = {}
        value = _value(quote)
        last = selections.get(quote.selection_id)
        if last is None:
            self._size += 1
        elif last[0] is not owner and last[0] is not None and last[1] == value:
            selections[quote.selection_id] = (None, value)
            return True
        selections[quote.selection_id] = (owner, value)
        if self._size > self._limit:
            # Nobody has that many selections; memory stays bounded whatever the venue sends.
            self._last.clear()
            self._size = 0
        return False

    def state(self, owner: object) -> list[list[Any]]:
        """Return what was delivered, as JSON values; whether `owner` did so, None for silenced."""
        return [
            [*market, selection, None if last[0] is None else last[0] is owner, _texts(last[1])]
            for market, selections in self._last.items()
            for selection, last in selections.items()
        ]

    def restore(self, state: list[list[Any]], owner: object) -> None:
        """Take over what `state` returned."""
        other = object()
        for event, market, selection, own, value in state:
            by = None if own is None else owner if own else other
            texts = (*value[:-1], None if value[-1] is None else value[-1].encode())
            self._last.setdefault((event, market), {})[selection] = (by, texts)
            self._size += 1

    def forget(self, market: wire.Market | None) -> None:
        """Forget a market that was unsubscribed."""
        if market is not None:
            self._size -= len(self._last.pop(market, ()))


def _texts(value: tuple[object, ...]) -> list[object]:
    return [each.decode() if isinstance(each, bytes) else each for each in value]


def _value(quote: Quote) -> tuple[object, ...]:
    return (
        quote.book,
        quote.ts,
        quote.back_price,
        quote.back_line,
        quote.lay_price,
        quote.lay_line,
        quote.status_code,
        None if quote.data is None else bytes(quote.data),
    )
