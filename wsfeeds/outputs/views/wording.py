"""The words for market and account events and for opaque payloads, as spans of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from wsfeeds import events
from wsfeeds.outputs.views.numbers import (
    arrow,
    difference,
    digits,
    direction,
    number,
    signed,
    tint,
)
from wsfeeds.outputs.views.text import Line, Span, as_text, clean

PAYLOAD = "payload"
"""Style of a span that takes what room is left on the line."""
TIMES = "\N{MULTIPLICATION SIGN} "

_levels = msgspec.json.Decoder(list[list[Any]], float_hook=str)


class Memory(Protocol):
    """What the words need to know about the lines before."""

    def way(self, key: tuple[Any, ...], value: object) -> int:
        """Return the direction of a value against the one before under this key."""
        ...

    def aligned(self, key: tuple[Any, ...], text: str) -> str:
        """Return a number padded to the widest one seen under this key."""
        ...


Words = Callable[[Any, Memory], Line]


def levels(side: object) -> list[tuple[str, str]]:
    """Return the levels of one side, decoded if they are still JSON text; odd ones are left out."""
    if isinstance(side, msgspec.Raw | bytes):
        try:
            side = _levels.decode(side)
        except msgspec.DecodeError:
            return []
    if not isinstance(side, Iterable):
        return []
    return [
        (as_text(level[0]), as_text(level[1]))
        for level in side
        if isinstance(level, list | tuple) and len(level) >= 2
    ]


def side_span(side: object) -> Span:
    """Return buy or sell, four cells wide, in its colour."""
    if side in {"buy", "sell"}:
        return f"{str(side).upper():<4}", str(side)
    return f"{clean(side):<4}", ""


def level_span(label: str, price: object, quantity: object, style: str) -> list[Span]:
    """Return one level: label, price and quantity."""
    return [
        (f"{label} ", "dim"),
        (f"{digits(price)} ", style),
        (TIMES, "dim"),
        (digits(quantity), ""),
    ]


def trade(event: events.Trade, memory: Memory) -> Line:
    """Side, price with its direction, quantity."""
    way = memory.way(("trade", event.symbol), event.price)
    price = memory.aligned(("price", event.symbol), digits(event.price))
    quantity = memory.aligned(("quantity", event.symbol), digits(event.quantity))
    side = side_span(event.side)
    return [
        side,
        (" ", ""),
        (price, tint(way) or side[1]),
        (f" {arrow(way)} ", tint(way)),
        (TIMES, "dim"),
        (quantity.rstrip(), ""),
    ]


def last_price(event: events.LastPrice, memory: Memory) -> Line:
    """The price with its direction."""
    way = memory.way(("last", event.symbol), event.price)
    price = memory.aligned(("price", event.symbol), digits(event.price))
    return [("     ", ""), (price, tint(way)), (f" {arrow(way)}", tint(way))]


def ticker(event: events.Ticker, memory: Memory) -> Line:
    """Last, change, range and volume."""
    way = memory.way(("ticker", event.symbol), event.last)
    last = memory.aligned(("price", event.symbol), digits(event.last))
    change = number(event.change_percent)
    style = tint(direction("0", event.change_percent)) if change is not None else "dim"
    return [
        ("     ", ""),
        (last, tint(way)),
        (f" {arrow(way)} ", tint(way)),
        (f"{signed(event.change_percent)}%", style),
        ("  high ", "dim"),
        (digits(event.high), ""),
        ("  low ", "dim"),
        (digits(event.low), ""),
        ("  volume ", "dim"),
        (digits(event.volume), ""),
    ]


def book(event: events.Book, _memory: Memory) -> Line:
    """Snapshot or delta with its best levels and how many there are."""
    bids, asks = levels(event.bids), levels(event.asks)
    line: Line = [
        ("snapshot " if event.snapshot else "delta    ", "note" if event.snapshot else "dim")
    ]
    if not event.synced:
        line.append(("unsynced ", "warn"))
    if bids:
        line += level_span("bid", *_best(bids, 1), "buy")
    if asks:
        line += level_span("  ask" if bids else "ask", *_best(asks, -1), "sell")
    scale = f"  scale {clean(event.scale_index)}" if event.scale_index else ""
    return [*line, (f"  {len(bids)}+{len(asks)} levels{scale}", "dim")]


def bbo(event: events.Bbo, memory: Memory) -> Line:
    """Best bid and offer and the spread between them."""
    bid_way = memory.way(("bid", event.symbol), event.bid_price)
    ask_way = memory.way(("ask", event.symbol), event.ask_price)
    spread = difference(event.ask_price, event.bid_price)
    return [
        *level_span("bid", event.bid_price, event.bid_quantity, "buy"),
        (f" {arrow(bid_way)}", tint(bid_way)),
        *level_span("  ask", event.ask_price, event.ask_quantity, "sell"),
        (f" {arrow(ask_way)}", tint(ask_way)),
        ("  spread ", "dim"),
        (digits(spread), ""),
    ]


def order(event: events.Order, _memory: Memory) -> Line:
    """State, side, price, quantities and what became of it."""
    line: Line = [
        (f"{clean(event.state)} ", "note"),
        side_span(event.side),
        (f" {clean(event.order_type)} ", "dim"),
        (f"{digits(event.price)} ", event.side if event.side in {"buy", "sell"} else ""),
        (TIMES, "dim"),
        (digits(event.quantity), ""),
        ("  filled ", "dim"),
        (digits(event.filled_quantity), ""),
    ]
    if event.result or event.detail:
        words = [clean(word) for word in (event.result, event.detail) if word]
        line.append(("  " + " · ".join(words), "note"))
    return [*line, (f"  {clean(event.order_id)}", "dim")]


def fill(event: events.Fill, _memory: Memory) -> Line:
    """Price, quantity, fee and on which side of the market."""
    return [
        (f"{digits(event.price)} ", "name"),
        (TIMES, "dim"),
        (digits(event.quantity), "name"),
        ("  value ", "dim"),
        (digits(event.value), ""),
        ("  fee ", "dim"),
        (f"{digits(event.fee)} {clean(event.fee_currency)}", ""),
        (f"  {clean(event.liquidity)} {clean(event.state)}", "note"),
        (f"  {clean(event.deal_id)}", "dim"),
    ]


def balance(event: events.Balance, _memory: Memory) -> Line:
    """Old and new balance, or the payload where the venue's words are opaque."""
    if event.old_balance is None and event.new_balance is None and event.data is not None:
        return payload(event, _memory)
    way = direction(event.old_balance, event.new_balance)
    return [
        (f"{clean(event.currency)} ", "name"),
        (digits(event.old_balance), "dim"),
        (" → ", "dim"),
        (digits(event.new_balance), tint(way)),
        (f" {arrow(way)}", tint(way)),
        ("  amount ", "dim"),
        (digits(event.amount), ""),
    ]


def payload(event: Any, _memory: Memory) -> Line:
    """Return the opaque payload on one line."""
    return [(clean(event.data), PAYLOAD)]


def _best(side: list[tuple[str, str]], sign: int) -> tuple[str, str]:
    """Return the level nearest to the other side; sign 1 for bids, -1 for asks."""
    known = [(price, level) for level in side if (price := number(level[0])) is not None]
    if not known:
        return side[0]
    return max(known, key=lambda item: sign * item[0])[1]


WORDS: dict[type[events.Event], Words] = {
    events.Trade: trade,
    events.LastPrice: last_price,
    events.Ticker: ticker,
    events.Book: book,
    events.Bbo: bbo,
    events.Order: order,
    events.Fill: fill,
    events.Balance: balance,
    events.Incident: payload,
    events.Bet: payload,
    events.BetResult: payload,
    events.SettingsEvent: payload,
}
