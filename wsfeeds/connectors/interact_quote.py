"""The Interact quote socket: odds of sportsbook and fancy markets.

Protocol facts are from docs/protocols/interact_quote.md; sections are named where they are used.
There are no acknowledgements and no sequence numbers: a market's first quote is the only sign that
a subscription took effect, and subscriptions live for at least an hour, so they are renewed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from wsfeeds import protocol
from wsfeeds.connectors import _interact_quote_items as items
from wsfeeds.connectors import _interact_quote_wire as wire
from wsfeeds.connectors._interact_quote_markets import Delivered, Subscriptions
from wsfeeds.errors import UsageError
from wsfeeds.events import ErrorEvent, Heartbeat, Quote, Unknown
from wsfeeds.opaque import exact_json
from wsfeeds.protocol import (
    Chain,
    Channel,
    Duration,
    Endpoint,
    FeedSettings,
    Incoming,
    Reconnect,
    Refused,
    Request,
    Skipped,
    Socket,
    Wanted,
)
from wsfeeds.secrets import Secret

_MAX_MARKETS = 200
_MAX_ERRORS = 3
_TICK = 1.0
_REQUESTS_PER_SECOND = 19.5
"""Slightly fewer than the 20 of section 6, so that no second ever sees more however it begins."""
_ABOUT_CREDENTIALS = re.compile(
    r"(?<!unexpected )token|jwt|bearer|unauthori[sz]ed|authori[sz]ation|authenticat|credential",
    re.IGNORECASE,
).search


class InteractQuoteSettings(FeedSettings, frozen=True, kw_only=True):
    """The settings of this feed (contract, section 5)."""

    token: Secret | None = None
    renew_interval: Duration = 3000.0


class Connector(protocol.Connector):
    """One connection to the quotes of at most 200 markets."""

    name: ClassVar[str] = wire.FEED
    aliases: ClassVar[tuple[str, ...]] = ("interact-quote", "interact")
    title: ClassVar[str] = "Interact quotes"
    symbol_help: ClassVar[str] = (
        "EVENT@MARKET such as 40789105-e@219_33753655; a market that ends in _f is fancy"
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel(wire.SPORTSBOOK, default=True, summary="odds of sportsbook markets"),
        Channel(wire.FANCY, default=True, summary="lines and odds of fancy markets (..._f)"),
    )
    settings_type: ClassVar[type[FeedSettings]] = InteractQuoteSettings
    required: ClassVar[tuple[str, ...]] = ("url", "token")
    requests_per_second: ClassVar[float | None] = _REQUESTS_PER_SECOND
    websocket_pongs_count: ClassVar[bool] = True
    wakes_while_unread: ClassVar[bool] = True  # quotes end after an hour, read or not (section 4)

    settings: InteractQuoteSettings

    def __init__(
        self,
        socket: Socket,
        settings: FeedSettings,
        *,
        previous: protocol.Connector | None = None,
        overlaps: bool = False,
    ) -> None:
        """Take over what was delivered where the previous connection still delivers."""
        super().__init__(socket, settings, previous=previous, overlaps=overlaps)
        shared = previous.delivered if overlaps and isinstance(previous, Connector) else None
        self.delivered: Delivered = Delivered() if shared is None else shared
        """What was delivered, shared with the other connection of a hand-over."""
        self._owner = object()
        # A chain of former connectors would never be freed.
        self.previous = None
        self._subscriptions = Subscriptions(socket.wanted.symbols)
        self._running = True
        self._errors = 0
        self._now: float | None = None

    # --- what can be asked for

    @classmethod
    def check_symbols(cls, wanted: Wanted, settings: FeedSettings) -> None:  # noqa: ARG003  # symbols alone
        """Refuse malformed symbols, and those whose channel was not chosen."""
        for symbol in wanted.symbols:
            market = wire.market_of(symbol)
            if market is None:
                raise UsageError(f"malformed symbol {symbol!r}: {cls.symbol_help}")
            channel = wire.family(market[1])
            if channel not in wanted.channels:
                raise UsageError(
                    f"symbol {symbol!r} is of channel {channel!r}, which was not asked for: "
                    f"{cls.symbol_help}"
                )

    @classmethod
    def plan(cls, wanted: Wanted, settings: FeedSettings) -> list[Socket]:
        """Return one connection for each 200 markets (section 6)."""
        del settings
        symbols = wanted.symbols
        starts = range(0, max(len(symbols), 1), _MAX_MARKETS)
        return [
            Socket(
                Wanted(symbols[start : start + _MAX_MARKETS], wanted.channels),
                key=str(start // _MAX_MARKETS + 1) if start else "",
            )
            for start in starts
        ]

    # --- before the connection

    def endpoint(self, token: str | None) -> Endpoint:
        """Return the URL with the token in its query (section 2)."""
        del token
        assert self.settings.url is not None
        url, shown = wire.address(self.settings.url, self._token())
        return Endpoint(urls=(url,), shown=(shown,), carries_secret=True)

    def expires_at(self) -> float | None:
        """Return what the token says of its end (section 3)."""
        return wire.expiry(self._token())

    def _token(self) -> str:
        assert self.settings.token is not None
        return self.settings.token.reveal()

    # --- the conversation

    def opening(self) -> list[Chain]:
        """Start, whatever the state after a connect is, then subscribe to each market (6.2)."""
        subscribes = map(_subscribe, self.socket.wanted.symbols)
        return [(Request(frame=wire.command("start")), *subscribes)]

    def caught_up(self) -> bool:
        """Tell whether each market has delivered."""
        return not self._subscriptions.awaited

    def change(self, wanted: Wanted) -> list[Chain]:
        """Unsubscribe what is no longer wanted and subscribe what is new (6.4)."""
        before, after = self.socket.wanted.symbols, wanted.symbols
        self.socket = Socket(wanted, self.socket.key)
        gone = tuple(_unsubscribe(symbol) for symbol in before if symbol not in after)
        new = tuple(_subscribe(symbol) for symbol in after if symbol not in before)
        return [chain for chain in (gone, new) if chain]

    def pause(self) -> list[Chain] | None:
        """Use the venue's own pause; subscriptions and their renewal go on (section 4)."""
        return [(Request(frame=wire.command("stop")),)]

    def resume(self) -> list[Chain]:
        """Use the venue's own resume."""
        return [(Request(frame=wire.command("start")),)]

    def sent(self, frame: str) -> None:
        """Follow our own commands: what is subscribed, and whether quotes may come."""
        verb, symbol = wire.read_command(frame)
        match verb:
            case "subscribe":
                self._subscriptions.add(symbol, self._now)
            case "unsubscribe":
                self._subscriptions.remove(symbol)
                self.delivered.forget(wire.market_of(symbol))
            case "start":
                self._running = True
            case "stop":
                self._running = False

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Renew what was subscribed long ago, and ask again for what went silent (section 4)."""
        interval = self.settings.renew_interval
        self._now = now
        self.wake_at = now + min(_TICK, interval / 10)
        due = self._subscriptions.due(now, interval)
        if self._running:
            due |= self._subscriptions.silent(now)
        return [Request(frame=wire.subscribe(symbol)) for symbol in due]

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return what is subscribed, whether quotes may come, and what a hand-over shares."""
        state: dict[str, Any] = {"markets": self._subscriptions.symbols, "running": self._running}
        if self.overlaps:
            state["delivered"] = self.delivered.state(self._owner)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._subscriptions = Subscriptions(state["markets"])
        self._running = state["running"]
        self.delivered.restore(state.get("delivered", []), self._owner)

    # --- frames

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Read quotes as they are documented."""
        return self._quotes(items.read_fast(frame))

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Read every other form of quotes, heartbeats, errors and what is undocumented."""
        if frame.lstrip()[:1] != b"{":
            return (self._unknown(frame),)
        message = msgspec.json.decode(frame, type=items.Message)
        match message.type:
            case "order-slip":
                return self._read("sportsbook", message, frame)
            case "order-slip-fancy" | "order-slipt-fancy":
                return self._read("fancy", message, frame)
            case "error":
                exact_json(frame)
                text, code = items.error_text(message), items.error_code(message)
                return self._error(text or "error", code)
            case "alive":
                return (
                    self._heartbeat(None if message.data is UNSET else exact_json(message.data)),
                )
            case None:
                # A sibling socket sends bare `{}`; the vendor's front end drops them (5.5).
                whole = exact_json(frame)
                return (self._heartbeat(None if bytes(whole) == b"{}" else whole),)
            case _:
                return (self._unknown(frame),)

    def _read(self, book: items.Book, message: items.Message, frame: bytes) -> Sequence[Incoming]:
        """Deliver the good items; a bad one among them keeps the frame whole beside them."""
        data = items.NO_ITEMS if message.data is UNSET else message.data
        quotes, bad = items.read_items(book, data)
        text, code = items.error_text(message), items.error_code(message)
        result: list[Incoming] = []
        if quotes or not (text or bad):
            result.extend(self._quotes(quotes))
        if text and quotes:
            result.append(ErrorEvent(feed=self.name, code=code, message=text))
        elif text:
            result.extend(self._error(text, code))
        if bad is not None:
            result.append(self.malformed(frame, bad))
        return result

    def _quotes(self, quotes: list[Quote]) -> Sequence[Incoming]:
        result: list[Incoming] = []
        for quote in quotes:
            if not self._place(quote):
                result.append(_NOT_ASKED)
            elif self.delivered.repeats(quote, self._owner):
                result.append(_DUPLICATE)
            else:
                result.append(quote)
        return result or (_EMPTY,)

    def _place(self, quote: Quote) -> bool:
        """Give a quote its symbol and channel; tell whether it was asked for.

        While paused nothing is: no event comes between pause and resume (contract, section 2).
        """
        event, market = quote.event_id, quote.market_id
        if market is not None:
            quote.channel = wire.family(market)
            if event is None:
                events = self._subscriptions.events_of(market)
                if not events:
                    return False
                if len(events) == 1:
                    event = quote.event_id = events[0]
                else:
                    self._subscriptions.heard_one_of(market, events, self._now)
        # An item that does not say which market it is of is never dropped (section 5.2).
        if event is not None and market is not None:
            quote.symbol = f"{event}@{market}"
            if not self._subscriptions.heard(quote.symbol, self._now):
                return False
        self._errors = 0
        return self._running

    def _error(self, text: str, code: int | str | None) -> Sequence[Incoming]:
        """Deliver the text; the third one without a quote in between is too much (5.5).

        Before any quote, a text about the token is the venue's answer to it (section 3).
        """
        if not self._subscriptions.delivering and _ABOUT_CREDENTIALS(text):
            return (Refused(message=text, code=code),)
        self._errors += 1
        symbol = self._subscriptions.blame(text, self._now)
        event = ErrorEvent(feed=self.name, symbol=symbol, code=code, message=text)
        if self._errors < _MAX_ERRORS:
            return (event,)
        self._errors = 0
        return (event, Reconnect(reason="three errors without a quote in between"))

    def _heartbeat(self, data: Any) -> Heartbeat:
        return Heartbeat(feed=self.name, symbol=self.socket.symbol, data=data)

    def _unknown(self, frame: bytes) -> Unknown:
        return Unknown(feed=self.name, data=exact_json(frame))


_NOT_ASKED = Skipped(reason="not asked for")
_DUPLICATE = Skipped(reason="duplicates")
_EMPTY = Skipped(reason="empty updates")


def _subscribe(symbol: str) -> Request:
    return Request(
        frame=wire.subscribe(symbol),
        action="subscribe",
        channel=wire.family(symbol),
        names={symbol: (symbol,)},
    )


def _unsubscribe(symbol: str) -> Request:
    return Request(
        frame=wire.unsubscribe(symbol),
        action="unsubscribe",
        channel=wire.family(symbol),
        names={symbol: (symbol,)},
    )
