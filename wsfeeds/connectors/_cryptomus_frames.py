"""What Cryptomus puts on the wire, and how each message reads as events.

Fields are as in docs/protocols/cryptomus.md, section 6. The structs of the first part are strict
and fast: a frame that does not fit one of them exactly is read again by the tolerant ones of the
second part, which accept every oddity of section 8.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsfeeds import decimals
from wsfeeds.events import Balance, Event, Fill, LastPrice, Levels, Order, Side, Ticker, Trade
from wsfeeds.protocol import exact_json

FEED = "cryptomus"
SECOND = 1_000_000
_SANE_SECONDS = 9_007_199_254
_MAX_INTEGER_DIGITS = 18
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
    """Return one event per trade, in the order sent."""
    symbol = data.symbol
    result: list[Event] = []
    for trade in data.trades:
        price, quantity = str(trade.price, "utf-8"), str(trade.quantity, "utf-8")
        if not _TWO_PLAIN(f"{price} {quantity} "):
            price, quantity = decimals.from_raw(trade.price), decimals.from_raw(trade.quantity)  # type: ignore[assignment]
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
    """Return the event; `price_change` is a percentage of the open (section 6.3)."""
    last, opening, high, low = data.price, data.open, data.high, data.low
    volume, quote_volume, change = data.volume, data.quote_volume, data.price_change
    if not _SEVEN_PLAIN(f"{last} {opening} {high} {low} {volume} {quote_volume} {change} "):
        plain = decimals.from_text
        last, opening, high, low = plain(last), plain(opening), plain(high), plain(low)  # type: ignore[assignment]
        volume, quote_volume, change = plain(volume), plain(quote_volume), plain(change)  # type: ignore[assignment]
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
    """Return the event."""
    price = data.price
    return LastPrice(
        feed=FEED,
        channel="lastprice",
        symbol=data.symbol,
        ts=micros(data.timestamp),
        price=price if _PLAIN(price) else decimals.from_text(price),
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


# --- everything else (tolerant path) ------------------------------------------------------------


_NULL = Raw(b"null")
"""What a missing member is read as; `Raw | None` would take nothing but null."""


class Envelope(Struct):
    """Any frame that is an object; each part may be missing (section 4)."""

    id: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    message: Raw | UnsetType = UNSET


class Status(Struct):
    """`data` of an acknowledgement."""

    status: str


class _SlowTrade(Struct):
    price: Raw = _NULL
    quantity: Raw = _NULL
    timestamp: Raw = _NULL
    direction: str | None = None


class _SlowTrades(Struct):
    symbol: str
    timestamp: Raw = _NULL
    trades: list[_SlowTrade] = []


class _SlowTicker(Struct):
    symbol: str
    timestamp: Raw = _NULL
    price: Raw = _NULL
    open: Raw = _NULL
    high: Raw = _NULL
    low: Raw = _NULL
    volume: Raw = _NULL
    quote_volume: Raw = _NULL
    price_change: Raw = _NULL


class SlowDepth(Struct):
    """`data` of a `depth_update`; a missing side is an unchanged or an empty one."""

    symbol: str
    timestamp: Raw = _NULL
    full_reload: bool = False
    scale_index: Raw = _NULL
    asks: Raw = _NULL
    bids: Raw = _NULL


class _OrderInfo(Struct, rename="camel"):
    symbol: str | None = None
    id: str | None = None
    order_type: str | None = None
    direction: str | None = None
    price: Raw = _NULL
    quantity: Raw = _NULL
    value: Raw = _NULL
    filled_quantity: Raw = _NULL
    filled_value: Raw = _NULL
    client_oid: str | None = None
    create_ts: Raw = _NULL
    update_ts: Raw = _NULL
    finish_ts: Raw = _NULL
    state: str | None = None
    internal_state: str | None = None


class _OrderData(Struct):
    info: _OrderInfo
    type: str | None = None


class _FillInfo(Struct, rename="camel"):
    symbol: str | None = None
    deal_id: str | None = None
    deal_state: str | None = None
    transaction_id: str | None = None
    filled_price: Raw = _NULL
    filled_quantity: Raw = _NULL
    filled_value: Raw = _NULL
    fee: Raw = _NULL
    fee_currency: str | None = None
    trade_role: str | None = None
    committed_at: Raw = _NULL


class _FillData(Struct):
    info: _FillInfo


class _BalanceInfo(Struct, rename="camel"):
    wallet_id: str | None = None
    currency_code: str | None = None
    amount: Raw = _NULL
    old_balance: Raw = _NULL
    new_balance: Raw = _NULL


class _BalanceData(Struct):
    info: _BalanceInfo


_BALANCE_KEYS = {"walletId", "currencyCode", "amount", "oldBalance", "newBalance"}


def read_update(channel: str, data: Raw) -> list[Event] | SlowDepth:
    """Return the events of an update in any documented form; a depth goes on to the book.

    Raises:
        msgspec.ValidationError: A part has the wrong type.
    """
    match channel:
        case "trade":
            return _slow_trades(msgspec.json.decode(data, type=_SlowTrades))
        case "ticker":
            return [_slow_ticker(msgspec.json.decode(data, type=_SlowTicker))]
        case "lastprice":
            return [_slow_last_price(msgspec.json.decode(data, type=_SlowTicker))]
        case "order":
            return [_order(msgspec.json.decode(data, type=_OrderData))]
        case "deal":
            return [_fill(msgspec.json.decode(data, type=_FillData).info)]
        case "balance":
            return [_balance(data)]
        case _:
            return msgspec.json.decode(data, type=SlowDepth)


def is_null(raw: Raw) -> bool:
    """Tell whether a member is missing or null."""
    return bytes(raw) == b"null"


def decimal(raw: Raw) -> str | None:
    """Return a decimal, None where it is missing, null, empty or no number."""
    return decimals.from_raw(raw)


def time_of(raw: Raw) -> int | None:
    """Return microseconds of a time in seconds: number, decimal or numeric string (section 8)."""
    text = decimal(raw)
    return None if text is None else decimals.seconds_to_micros(text)


def integer(raw: Raw) -> int | None:
    """Return a whole number given as number or string, None where there is none."""
    text = decimal(raw)
    if text is None or len(text) > _MAX_INTEGER_DIGITS or not text.lstrip("-").isdecimal():
        return None
    return int(text)


def _slow_trades(data: _SlowTrades) -> list[Event]:
    sent = time_of(data.timestamp)
    return [
        Trade(
            feed=FEED,
            channel="trade",
            symbol=data.symbol,
            ts=sent if is_null(trade.timestamp) else time_of(trade.timestamp),
            price=decimal(trade.price),
            quantity=decimal(trade.quantity),
            side=_SIDES.get(trade.direction and trade.direction.lower()),
        )
        for trade in data.trades
    ]


def _slow_ticker(data: _SlowTicker) -> Ticker:
    return Ticker(
        feed=FEED,
        channel="ticker",
        symbol=data.symbol,
        ts=time_of(data.timestamp),
        last=decimal(data.price),
        open=decimal(data.open),
        high=decimal(data.high),
        low=decimal(data.low),
        volume=decimal(data.volume),
        quote_volume=decimal(data.quote_volume),
        change_percent=decimal(data.price_change),
    )


def _slow_last_price(data: _SlowTicker) -> LastPrice:
    return LastPrice(
        feed=FEED,
        channel="lastprice",
        symbol=data.symbol,
        ts=time_of(data.timestamp),
        price=decimal(data.price),
    )


def _order(data: _OrderData) -> Order:
    info = data.info
    created, updated = time_of(info.create_ts), time_of(info.update_ts)
    finished = time_of(info.finish_ts)
    return Order(
        feed=FEED,
        channel="order",
        symbol=info.symbol,
        ts=next((time for time in (finished, updated, created) if time is not None), None),
        order_id=info.id,
        state=data.type,
        side=_SIDES.get(info.direction and info.direction.lower()),
        order_type=info.order_type,
        price=decimal(info.price),
        quantity=decimal(info.quantity),
        value=decimal(info.value),
        filled_quantity=decimal(info.filled_quantity),
        filled_value=decimal(info.filled_value),
        client_order_id=info.client_oid,
        created_ts=created,
        updated_ts=updated,
        finished_ts=finished,
        result=info.state,
        detail=info.internal_state,
    )


def _fill(info: _FillInfo) -> Fill:
    return Fill(
        feed=FEED,
        channel="deal",
        symbol=info.symbol,
        ts=time_of(info.committed_at),
        deal_id=info.deal_id,
        transaction_id=info.transaction_id,
        state=info.deal_state,
        price=decimal(info.filled_price),
        quantity=decimal(info.filled_quantity),
        value=decimal(info.filled_value),
        fee=decimal(info.fee),
        fee_currency=info.fee_currency,
        liquidity=info.trade_role,
    )


def _balance(data: Raw) -> Balance:
    info = msgspec.json.decode(data, type=_BalanceData).info
    members: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Raw])
    rest = msgspec.json.decode(members["info"], type=dict[str, Raw])
    rest = {key: exact_json(value) for key, value in rest.items() if key not in _BALANCE_KEYS}
    return Balance(
        feed=FEED,
        channel="balance",
        symbol=info.currency_code,
        wallet_id=info.wallet_id,
        currency=info.currency_code,
        amount=decimal(info.amount),
        old_balance=decimal(info.old_balance),
        new_balance=decimal(info.new_balance),
        data=rest or None,
    )
