"""Cryptomus messages in any documented form: every oddity of section 8 is accepted here.

Fields are as in docs/protocols/cryptomus.md, section 6. The frames that come in masses are read by
`_cryptomus_frames` as long as they fit it exactly; all others come here.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from wsfeeds import decimals
from wsfeeds.connectors._cryptomus_frames import FEED, SIDES
from wsfeeds.events import Balance, Event, Fill, LastPrice, Order, Side, Ticker, Trade
from wsfeeds.opaque import exact_json

_NULL = Raw(b"null")
"""What a missing member is read as; `Raw | None` would take nothing but null."""


class _SlowTrade(Struct):
    price: Raw = _NULL
    quantity: Raw = _NULL
    timestamp: Raw = _NULL
    direction: str | None = None


class _SlowTrades(Struct):
    symbol: str
    trades: list[_SlowTrade]
    timestamp: Raw = _NULL


class _SlowLastPrice(Struct):
    symbol: str
    price: Raw
    timestamp: Raw = _NULL


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


class Update:
    """What an update says: its events, or a depth for the book, and what in it was no number."""

    def __init__(self, channel: str, data: Raw) -> None:
        """Read the `data` of an update.

        Raises:
            msgspec.ValidationError: A part is missing or has the wrong type.
        """
        self.depth: SlowDepth | None = None
        self.events: list[Event] = []
        self.wrong: list[str] = []
        match channel:
            case "trade":
                self.events = self._trades(msgspec.json.decode(data, type=_SlowTrades))
            case "ticker":
                self.events = [self._ticker(msgspec.json.decode(data, type=_SlowTicker))]
            case "lastprice":
                self.events = [self._last_price(msgspec.json.decode(data, type=_SlowLastPrice))]
            case "order":
                self.events = [self._order(msgspec.json.decode(data, type=_OrderData))]
            case "deal":
                self.events = [self._fill(msgspec.json.decode(data, type=_FillData).info)]
            case "balance":
                self.events = [self._balance(data)]
            case _:
                self.depth = msgspec.json.decode(data, type=SlowDepth)
                if not self.depth.full_reload and self.depth.asks == _NULL == self.depth.bids:
                    raise msgspec.ValidationError("neither asks nor bids - at `$.data`")

    def _decimal(self, name: str, raw: Raw) -> str | None:
        """Read a decimal: null where it is missing, null or empty, noted where it is no number."""
        value = decimals.from_raw(raw)
        if value is None and bytes(raw) not in {b"null", b'""'}:
            self.wrong.append(name)
        return value

    def _time(self, name: str, raw: Raw) -> int | None:
        """Read a time in seconds: number, decimal or numeric string (section 8)."""
        text = self._decimal(name, raw)
        return None if text is None else decimals.seconds_to_micros(text)

    def _trades(self, data: _SlowTrades) -> list[Event]:
        sent = self._time("timestamp", data.timestamp)
        return [
            Trade(
                feed=FEED,
                channel="trade",
                symbol=data.symbol,
                ts=self._time("timestamp", trade.timestamp) if trade.timestamp != _NULL else sent,
                price=self._decimal("price", trade.price),
                quantity=self._decimal("quantity", trade.quantity),
                side=_side(trade.direction),
            )
            for trade in data.trades
        ]

    def _ticker(self, data: _SlowTicker) -> Ticker:
        return Ticker(
            feed=FEED,
            channel="ticker",
            symbol=data.symbol,
            ts=self._time("timestamp", data.timestamp),
            last=self._decimal("price", data.price),
            open=self._decimal("open", data.open),
            high=self._decimal("high", data.high),
            low=self._decimal("low", data.low),
            volume=self._decimal("volume", data.volume),
            quote_volume=self._decimal("quote_volume", data.quote_volume),
            change_percent=self._decimal("price_change", data.price_change),
        )

    def _last_price(self, data: _SlowLastPrice) -> LastPrice:
        return LastPrice(
            feed=FEED,
            channel="lastprice",
            symbol=data.symbol,
            ts=self._time("timestamp", data.timestamp),
            price=self._decimal("price", data.price),
        )

    def _order(self, data: _OrderData) -> Order:
        info = data.info
        created, updated = (
            self._time("createTs", info.create_ts),
            self._time("updateTs", info.update_ts),
        )
        finished = self._time("finishTs", info.finish_ts)
        return Order(
            feed=FEED,
            channel="order",
            symbol=info.symbol,
            ts=next((time for time in (finished, updated, created) if time is not None), None),
            order_id=info.id,
            state=data.type,
            side=_side(info.direction),
            order_type=info.order_type,
            price=self._decimal("price", info.price),
            quantity=self._decimal("quantity", info.quantity),
            value=self._decimal("value", info.value),
            filled_quantity=self._decimal("filledQuantity", info.filled_quantity),
            filled_value=self._decimal("filledValue", info.filled_value),
            client_order_id=info.client_oid,
            created_ts=created,
            updated_ts=updated,
            finished_ts=finished,
            result=info.state,
            detail=info.internal_state,
        )

    def _fill(self, info: _FillInfo) -> Fill:
        return Fill(
            feed=FEED,
            channel="deal",
            symbol=info.symbol,
            ts=self._time("committedAt", info.committed_at),
            deal_id=info.deal_id,
            transaction_id=info.transaction_id,
            state=info.deal_state,
            price=self._decimal("filledPrice", info.filled_price),
            quantity=self._decimal("filledQuantity", info.filled_quantity),
            value=self._decimal("filledValue", info.filled_value),
            fee=self._decimal("fee", info.fee),
            fee_currency=info.fee_currency,
            liquidity=info.trade_role,
        )

    def _balance(self, data: Raw) -> Balance:
        info = msgspec.json.decode(data, type=_BalanceData).info
        event = Balance(
            feed=FEED,
            channel="balance",
            symbol=info.currency_code,
            wallet_id=info.wallet_id,
            currency=info.currency_code,
            amount=self._decimal("amount", info.amount),
            old_balance=self._decimal("oldBalance", info.old_balance),
            new_balance=self._decimal("newBalance", info.new_balance),
        )
        if self.wrong:
            event.data = exact_json(data)  # the item stays whole
            self.wrong.clear()
        else:
            event.data = _beyond(data)
        return event


def _beyond(data: Raw) -> dict[str, Any] | None:
    """Return the members that nobody documented, those beside `info` included."""
    members: dict[str, Raw] = msgspec.json.decode(data, type=dict[str, Raw])
    info: dict[str, Raw] = msgspec.json.decode(members.pop("info"), type=dict[str, Raw])
    rest = {key: value for key, value in info.items() if key not in _BALANCE_KEYS} | members
    return {key: exact_json(value) for key, value in rest.items()} or None


def _side(direction: str | None) -> Side | None:
    return SIDES.get(direction and direction.lower())


def time_of(raw: Raw) -> int | None:
    """Return microseconds of a time in seconds: number, decimal or numeric string (section 8)."""
    text = decimals.from_raw(raw)
    return None if text is None else decimals.seconds_to_micros(text)


def integer(raw: Raw) -> int | None:
    """Return a whole number given as number or string, None where there is none."""
    return decimals.whole(decimals.from_raw(raw))


def is_null(raw: Raw) -> bool:
    """Tell whether a member is missing or null."""
    return raw == _NULL
