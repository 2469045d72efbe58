"""What Cryptomus puts on the wire in masses, and how it reads as events.

Fields are as in docs/protocols/cryptomus.md, section 6. Everything here is strict and fast: a frame
that does not fit exactly is read again by `_cryptomus_tolerant`, which accepts every oddity of
section 8.
"""

from __future__ import annotations

import re
from typing import cast

import msgspec
from msgspec import Raw, Struct

from wsfeeds import decimals
from wsfeeds.events import Event, LastPrice, Levels, Side, Ticker, Trade

FEED = "cryptomus"
SECOND = 1_000_000
_SANE_SECONDS = 9_007_199_254
_SIDES: dict[str | None, Side] = {"buy": "buy", "sell": "sell"}
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
# One look at all decimals of a frame; possessive, as no digit is ever given back.
_TWO_PLAIN = re.compile(r"(?:-?[0-9]++(?:\.[0-9]++)?+ ){2}").fullmatch
_SEVEN_PLAIN = re.compile(r"(?:-?[0-9]++(?:\.[0-9]++)?+ ){7}").fullmatch
_LEVEL = rb'\["[0-9]++(?:\.[0-9]++)?+","[0-9]++(?:\.[0-9]++)?+"\]'
_PLAIN_LEVELS = re.compile(rb"\[(?:%b(?:,%b)*+)?+\]" % (_LEVEL, _LEVEL)).fullmatch


# --- the frames that come in masses (fast path) -------------------------------------------------


class FastTrade(Struct, gc=False):
    """One trade; price and quantity are JSON numbers or strings."""

    price: Raw
    quantity: Raw
    timestamp: int
    direction: str | None = None


class FastTrades(Struct, gc=False):
    """`data` of a `trade_update`."""

    symbol: str
    trades: list[FastTrade]


class FastTicker(Struct, gc=False):
    """`data` of a `ticker_update`."""

    symbol: str
    timestamp: int
    price: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    price_change: str


class FastLastPrice(Struct, gc=False):
    """`data` of a `lastprice_update`."""

    symbol: str
    timestamp: int
    price: str


class FastDepth(Struct, gc=False):
    """`data` of a `depth_update`; the sides stay untouched text."""

    symbol: str
    timestamp: int
    full_reload: bool
    scale_index: int
    asks: Raw
    bids: Raw


class TradeFrame(Struct, tag_field="method", tag="trade_update", gc=False):
    """An event of the trade channel."""

    data: FastTrades
    error: None = None
    code: None = None


class TickerFrame(Struct, tag_field="method", tag="ticker_update", gc=False):
    """An event of the ticker channel."""

    data: FastTicker
    error: None = None
    code: None = None


class LastPriceFrame(Struct, tag_field="method", tag="lastprice_update", gc=False):
    """An event of the lastprice channel."""

    data: FastLastPrice
    error: None = None
    code: None = None


class DepthFrame(Struct, tag_field="method", tag="depth_update", gc=False):
    """An event of the depth channel."""

    data: FastDepth
    error: None = None
    code: None = None


FastFrame = TradeFrame | TickerFrame | LastPriceFrame | DepthFrame
decode_fast = msgspec.json.Decoder(FastFrame).decode


def read_trades(data: FastTrades) -> list[Event]:
    """Return one event per trade, in the order sent.

    Raises:
        msgspec.ValidationError: A number is not plain: the tolerant path decides.
    """
    symbol = data.symbol
    result: list[Event] = []
    for trade in data.trades:
        price, quantity = str(trade.price, "utf-8"), str(trade.quantity, "utf-8")
        if not _TWO_PLAIN(f"{price} {quantity} "):
            raise msgspec.ValidationError("not plain")
        result.append(
            Trade(
                feed=FEED,
                channel="trade",
                symbol=symbol,
                ts=micros(trade.timestamp),
                price=price,
                quantity=quantity,
                side=_SIDES.get(trade.direction),
            )
        )
    return result


def read_ticker(data: FastTicker) -> Ticker:
    """Return the event; `price_change` is a percentage of the open (section 6.3).

    Raises:
        msgspec.ValidationError: A number is not plain: the tolerant path decides.
    """
    last, opening, high, low = data.price, data.open, data.high, data.low
    volume, quote_volume, change = data.volume, data.quote_volume, data.price_change
    if not _SEVEN_PLAIN(f"{last} {opening} {high} {low} {volume} {quote_volume} {change} "):
        raise msgspec.ValidationError("not plain")
    return Ticker(
        feed=FEED,
        channel="ticker",
        symbol=data.symbol,
        ts=micros(data.timestamp),
        last=last,
        open=opening,
        high=high,
        low=low,
        volume=volume,
        quote_volume=quote_volume,
        change_percent=change,
    )


def read_last_price(data: FastLastPrice) -> LastPrice:
    """Return the event.

    Raises:
        msgspec.ValidationError: The price is not plain: the tolerant path decides.
    """
    if not _PLAIN(data.price):
        raise msgspec.ValidationError("not plain")
    return LastPrice(
        feed=FEED,
        channel="lastprice",
        symbol=data.symbol,
        ts=micros(data.timestamp),
        price=data.price,
    )


def micros(seconds: int) -> int:
    """Return whole seconds since the epoch as microseconds.

    Raises:
        Unrepresentable: The time is out of range.
    """
    if -_SANE_SECONDS < seconds < _SANE_SECONDS:
        return seconds * SECOND
    return decimals.in_range(seconds * SECOND)


def read_levels(raw: Raw) -> Levels:
    """Return one side of a book as checked text, untouched where it is compact and plain.

    Raises:
        msgspec.ValidationError: It is no list of pairs of decimals.
    """
    return cast("Levels", raw if _PLAIN_LEVELS(raw) else _plain_levels(raw))


_LEVELS = msgspec.json.Decoder(list[tuple[Raw, Raw]] | None)


def _plain_levels(raw: Raw) -> Raw:
    levels = [
        (decimals.from_raw(price), decimals.from_raw(quantity))
        for price, quantity in _LEVELS.decode(raw) or ()
    ]
    if any(part is None for level in levels for part in level):
        raise msgspec.ValidationError("a level's price or quantity is no number - at `$.data`")
    return Raw(msgspec.json.encode(levels))
