"""How the simulated Cryptomus writes numbers, ids and frames (docs/protocols/cryptomus.md, 4, 11).

Amounts are integers of the smallest step until they are written, so no digit is ever invented.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

import orjson

from wsfeeds.simulators.market import Listing, Market, Trade

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NO_METHOD = frozenset({"deal_subscribe"})
_EXTRA = {"server": "simulated-1", "hops": 3}


def text(amount: int, digits: int) -> str:
    """Write an amount of steps as a decimal, every digit kept."""
    if not digits:
        return str(amount)
    sign, whole = ("-", -amount) if amount < 0 else ("", amount)
    padded = str(whole).rjust(digits + 1, "0")
    return f"{sign}{padded[:-digits]}.{padded[-digits:]}"


def decimal(amount: int, digits: int, places: int) -> str:
    """Write an amount of steps with a fixed number of decimals, at least its own."""
    return text(amount * 10 ** (places - digits), places)


def trimmed(amount: int, digits: int) -> str:
    """Write an amount of steps as a decimal without trailing zeros."""
    return text(amount, digits).rstrip("0").rstrip(".") if digits else str(amount)


def exponent(amount: int, digits: int) -> str:
    """Write an amount of steps in exponent form, such as ``2.54e-4``."""
    significant = str(amount).rstrip("0") or "0"
    power = len(str(amount)) - 1 - digits
    fraction = f".{significant[1:]}" if len(significant) > 1 else ""
    return f"{significant[0]}{fraction}e{power}"


def ulid(milliseconds: int, random: Random) -> str:
    """Make an id whose first ten characters are a time."""
    number = milliseconds << 80 | random.getrandbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def levels(rows: Iterable[tuple[int, int]], listing: Listing) -> list[tuple[str, str]]:
    """Write levels as ``[price, quantity]``."""
    price_digits, quantity_digits = listing.price_digits, listing.quantity_digits
    return [
        (trimmed(price, price_digits), trimmed(quantity, quantity_digits))
        for price, quantity in rows
    ]


class Toggles(Protocol):
    """The options that change how frames are written."""

    @property
    def trade_numbers(self) -> str:
        """Trade prices and quantities as number, string or exponent."""

    @property
    def ack_method(self) -> str:
        """Acks carry their method as documented, always or never."""

    @property
    def unknown_fields(self) -> bool:
        """Frames have members that nobody documented."""

    @property
    def whitespace(self) -> bool:
        """Frames are spread over lines."""


class Messages:
    """Writes every frame that the venue sends."""

    def __init__(self, toggles: Toggles) -> None:
        self._toggles = toggles
        self._layout = orjson.OPT_INDENT_2 if toggles.whitespace else 0

    def event(self, channel: str, data: Any, event_id: int | str = 0) -> bytes:
        """Write an update event."""
        if self._toggles.unknown_fields:
            data = data | {"extra": _EXTRA}
        method = f"{channel}_update"
        return self._frame({"id": event_id, "method": method, "data": data, "error": None})

    def ack(self, request_id: int, method: str) -> bytes:
        """Write the ack of a request, with or without its method (section 8, oddity 1)."""
        bare = method.endswith("_unsubscribe") or method in _NO_METHOD
        if self._toggles.ack_method == "always":
            bare = False
        elif self._toggles.ack_method == "never":
            bare = True
        head = {"id": request_id} if bare else {"id": request_id, "method": method}
        return self._frame(head | {"data": {"status": "success"}, "error": None})

    def pong(self, request_id: int) -> bytes:
        """Write the answer to a ping (G03)."""
        return self._frame({"id": request_id, "method": "pong", "data": None, "error": None})

    def bad_format(self, request_id: int, method: object) -> bytes:
        """Write error code 1 (G04)."""
        head: dict[str, Any] = {"id": request_id}
        if isinstance(method, str):
            head["method"] = method
        error = {"code": 1, "message": "Invalid message format"}
        return self._frame(head | {"data": None, "error": error})

    def other_error(self, request_id: int, message: str) -> bytes:
        """Write error code 2, which has no method (G05)."""
        return self._frame(
            {"id": request_id, "data": None, "error": {"code": 2, "message": message}}
        )

    def trades(self, listing: Listing, trades: Iterable[Trade], now: int) -> dict[str, Any]:
        """Write the data of a trade event (G43)."""
        rows = [
            {
                "price": self._number(trade.price, listing.price_digits),
                "quantity": self._number(trade.quantity, listing.quantity_digits),
                "timestamp": trade.ts,
                "direction": "buy" if trade.buy else "sell",
            }
            for trade in trades
        ]
        return {"symbol": listing.symbol, "timestamp": now, "trades": rows}

    def _number(self, amount: int, digits: int) -> Any:
        match self._toggles.trade_numbers:
            case "string":
                return trimmed(amount, digits)
            case "exponent":
                return orjson.Fragment(exponent(amount, digits))
            case _:
                return orjson.Fragment(trimmed(amount, digits))

    def _frame(self, members: dict[str, Any]) -> bytes:
        if self._toggles.unknown_fields:
            members = members | {"traceId": "0af7651916cd43dd8448eb211c80319c"}
        return orjson.dumps(members, option=self._layout)


def last_price(market: Market, now: int) -> dict[str, Any]:
    """Write the data of a lastprice event (G13)."""
    listing = market.listing
    price = trimmed(market.window.last, listing.price_digits)
    return {"symbol": listing.symbol, "timestamp": now, "price": price}


def ticker(market: Market, now: int) -> dict[str, Any]:
    """Write the data of a ticker event (G33); the change is a percentage of the opening price."""
    listing, window = market.listing, market.window
    window.roll(now)
    opened, high, low, volume, value = window.day
    move = (window.last - opened) * 10_000
    percent = abs(move) // opened
    digits = listing.price_digits
    return {
        "symbol": listing.symbol,
        "timestamp": now,
        "price": trimmed(window.last, digits),
        "open": trimmed(opened, digits),
        "high": trimmed(high, digits),
        "low": trimmed(low, digits),
        "volume": trimmed(volume, listing.quantity_digits),
        "quote_volume": trimmed(value, digits + listing.quantity_digits),
        "price_change": text(-percent if move < 0 else percent, 2),
    }


def full_depth(market: Market, scale: int, now: int) -> dict[str, Any]:
    """Write the data of a depth event with the whole book (G24)."""
    depth = market.depths[scale]
    return _depth(market, scale, now, True, depth.asks.sorted(), depth.bids.sorted())


def partial_depth(
    market: Market,
    scale: int,
    now: int,
    asks: list[tuple[int, int]],
    bids: list[tuple[int, int]],
) -> dict[str, Any]:
    """Write the data of a depth event with changed levels (G23)."""
    return _depth(market, scale, now, False, asks, bids)


def _depth(
    market: Market,
    scale: int,
    now: int,
    full: bool,
    asks: list[tuple[int, int]],
    bids: list[tuple[int, int]],
) -> dict[str, Any]:
    return {
        "symbol": market.listing.symbol,
        "timestamp": now,
        "full_reload": full,
        "scale_index": scale,
        "asks": levels(asks, market.listing),
        "bids": levels(bids, market.listing),
    }
