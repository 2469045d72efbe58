"""What Cryptomus puts on the wire in masses, and how it reads as events.

Fields are as in docs/protocols/cryptomus.md, section 6. Everything here is strict and fast: a frame
that does not fit exactly is read again by `_cryptomus_tolerant`, which accepts every oddity of
section 8.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Raw, Struct

from wsfeeds import decimals
from wsfeeds.events import Event, LastPrice, Levels, Side, Ticker, Trade

FEED = "cryptomus"
SECOND = 1_000_000
_Seconds = Annotated[int, Meta(gt=-9_007_199_254, lt=9_007_199_254)]
"""Seconds whose microseconds a JSON consumer keeps exact (2^53)."""
_Scale = Annotated[int, Meta(ge=0, lt=1000)]
SIDES: dict[str | None, Side] = {"buy": "buy", "sell": "sell"}
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
    timestamp: _Seconds
    direction: str | None = None


class FastTrades(Struct, gc=False):
    """`data` of a `trade_update`."""

    channel: ClassVar[str] = "trade"

    symbol: str
    trades: list[FastTrade]

    def events(self) -> list[Event]:
        """Return one event per trade, in the order sent.

        Raises:
            msgspec.ValidationError: A number is not plain: the tolerant path decides.
        """
        result: list[Event] = []
        for trade in self.trades:
            price, quantity = str(trade.price, "utf-8"), str(trade.quantity, "utf-8")
            if not _TWO_PLAIN(f"{price} {quantity} "):
                raise msgspec.ValidationError("not plain")
            result.append(
                Trade(
                    feed=FEED,
                    channel="trade",
                    symbol=self.symbol,
                    ts=trade.timestamp * SECOND,
                    price=price,
                    quantity=quantity,
                    side=SIDES.get(trade.direction),
                )
            )
        return result


class FastTicker(Struct, gc=False):
    """`data` of a `ticker_update`; `price_change` is a percentage of the open (section 6.3)."""

    channel: ClassVar[str] = "ticker"

    symbol: str
    timestamp: _Seconds
    price: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    price_change: str

    def events(self) -> tuple[Event]:
        """Return the event.

        Raises:
            msgspec.ValidationError: A number is not plain: the tolerant path decides.
        """
        last, opening, high, low = self.price, self.open, self.high, self.low
        volume, quote_volume, change = self.volume, self.quote_volume, self.price_change
        if not _SEVEN_PLAIN(f"{last} {opening} {high} {low} {volume} {quote_volume} {change} "):
            raise msgspec.ValidationError("not plain")
        return (
            Ticker(
                feed=FEED,
                channel="ticker",
                symbol=self.symbol,
                ts=self.timestamp * SECOND,
                last=last,
                open=opening,
                high=high,
                low=low,
                volume=volume,
                quote_volume=quote_volume,
                change_percent=change,
            ),
        )


class FastLastPrice(Struct, gc=False):
    """`data` of a `lastprice_update`."""

    channel: ClassVar[str] = "lastprice"

    symbol: str
    timestamp: _Seconds
    price: str

    def events(self) -> tuple[Event]:
        """Return the event.

        Raises:
            msgspec.ValidationError: The price is not plain: the tolerant path decides.
        """
        if not _PLAIN(self.price):
            raise msgspec.ValidationError("not plain")
        return (
            LastPrice(
                feed=FEED,
                channel="lastprice",
                symbol=self.symbol,
                ts=self.timestamp * SECOND,
                price=self.price,
            ),
        )


class FastDepth(Struct, gc=False):
    """`data` of a `depth_update`; the sides stay untouched text."""

    symbol: str
    timestamp: _Seconds
    full_reload: bool
    scale_index: _Scale
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


def read_levels(raw: Raw) -> Levels:
    """Return one side of a book as checked text, untouched where it is compact and plain.

    Raises:
        msgspec.ValidationError: It is no list of pairs of decimals.
    """
    checked: Any = raw if _PLAIN_LEVELS(raw) else _plain_levels(raw)
    return checked  # type: ignore[no-any-return]  # `cast` is a call, and this is called twice a frame


_LEVELS = msgspec.json.Decoder(list[tuple[Raw, Raw]] | None)


def _plain_levels(raw: Raw) -> Raw:
    levels = [
        (decimals.from_raw(price), decimals.from_raw(quantity))
        for price, quantity in _LEVELS.decode(raw) or ()
    ]
    if any(part is None for level in levels for part in level):
        raise msgspec.ValidationError("a level's price or quantity is no number - at `$.data`")
    return Raw(msgspec.json.encode(levels))
