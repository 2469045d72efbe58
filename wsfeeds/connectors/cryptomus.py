"""The Cryptomus exchange socket: spot market data and the account's own orders, deals, balances.

Protocol facts are from docs/protocols/cryptomus.md; sections are named where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw

from wsfeeds import protocol
from wsfeeds.connectors import _cryptomus_frames as wire
from wsfeeds.connectors import _cryptomus_rest as rest
from wsfeeds.connectors._cryptomus_books import EMPTY, Books, Overdue
from wsfeeds.connectors._cryptomus_envelope import (
    Envelope,
    ack_status,
    error_parts,
    id_text,
    named_book,
    says_something,
    scalar_of,
    text_of,
)
from wsfeeds.connectors._cryptomus_names import (
    ALL,
    Names,
    expanded,
    on_wire,
    refuse_idle,
    refuse_malformed,
)
from wsfeeds.connectors._cryptomus_requests import METHOD, Requests
from wsfeeds.connectors._cryptomus_tolerant import SlowDepth, Update, integer, is_null, time_of
from wsfeeds.errors import UsageError
from wsfeeds.events import ErrorEvent, Unknown
from wsfeeds.opaque import exact_json
from wsfeeds.protocol import (
    Ack,
    Chain,
    Channel,
    Control,
    Duration,
    Endpoint,
    Exchange,
    FeedSettings,
    Incoming,
    Keepalive,
    Pong,
    Request,
    Resync,
    Skipped,
    Socket,
    Wanted,
)
from wsfeeds.secrets import MASK, Secret

_DEFAULT_URL = "wss://api-ws.cryptomus.com/ws"


class CryptomusSettings(FeedSettings, frozen=True, kw_only=True):
    """The settings of this feed (contract, section 5)."""

    url: str | None = _DEFAULT_URL
    api_url: str | None = None
    user_id: str | None = None
    api_key: Secret | None = None
    ping_interval: Duration = 45.0


class Connector(protocol.Connector):
    """One connection to the exchange's public and private channels."""

    name: ClassVar[str] = "cryptomus"
    title: ClassVar[str] = "Cryptomus exchange"
    symbol_help: ClassVar[str] = (
        "a market such as BTC_USDT, BTC_USDT:1 for depth scale 1, all, or for balance a currency"
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel("trade", default=True, summary="every trade"),
        Channel("ticker", default=True, summary="24 h statistics"),
        Channel("lastprice", default=True, summary="price of the latest trade"),
        Channel("depth", default=True, summary="order book: full reloads and changes"),
        Channel("bbo", summary="best bid and offer, derived from depth"),
        Channel("order", private=True, summary="the account's orders"),
        Channel("balance", private=True, summary="the account's wallets"),
        Channel("deal", private=True, summary="the account's executions"),
    )
    settings_type: ClassVar[type[FeedSettings]] = CryptomusSettings
    required: ClassVar[tuple[str, ...]] = ("user_id", "api_key")
    acks_subscriptions: ClassVar[bool] = True
    single_use_token: ClassVar[bool] = True

    settings: CryptomusSettings

    def __init__(
        self,
        socket: Socket,
        settings: FeedSettings,
        *,
        previous: protocol.Connector | None = None,
        overlaps: bool = False,
    ) -> None:
        """Start with nothing subscribed, no book synced and no market list."""
        super().__init__(socket, settings, previous=previous, overlaps=overlaps)
        self._listing: list[dict[str, Any]] | None = None
        self._markets: list[str] | None = None
        self._books = Books(socket.wanted.channels)
        self._overdue = Overdue()
        self._answered = False
        self._paused = False
        self._requests = Requests()
        self._requests.expect(self._names(socket.wanted))
        if isinstance(previous, Connector):
            self._requests.accepted |= previous.accepted

    # --- what can be asked for

    @classmethod
    def check(cls, wanted: Wanted, settings: FeedSettings) -> None:
        """Refuse channels left without a symbol too."""
        super().check(wanted, settings)
        refuse_idle(wanted.channels, wanted.symbols)

    @classmethod
    def check_symbols(cls, wanted: Wanted, settings: FeedSettings) -> None:  # noqa: ARG003  # names alone
        """Refuse symbols that no chosen channel can take."""
        refuse_malformed(wanted.channels, wanted.symbols, cls.symbol_help)

    def _names(self, wanted: Wanted) -> dict[str, Names]:
        """Return per channel of the wire the venue's names and the symbols typed for each."""
        return {
            channel: self._requests.without_refused(
                channel, expanded(channel, names, self._markets)
            )
            for channel, names in on_wire(wanted.channels, wanted.symbols).items()
        }

    # --- before the connection

    @classmethod
    def derived_secrets(cls, settings: FeedSettings) -> list[str]:
        """Return the constant signature of the token request, which is as good as the key."""
        assert isinstance(settings, CryptomusSettings)
        return [] if settings.api_key is None else [rest.sign(settings.api_key, b"")]

    @classmethod
    def authorize(cls, settings: FeedSettings) -> Exchange:
        """Fetch the one-time token (section 2)."""
        assert isinstance(settings, CryptomusSettings)
        assert settings.user_id is not None
        assert settings.api_key is not None
        return rest.fetch_token(
            settings.api_url, settings.user_id, rest.sign(settings.api_key, b"")
        )

    @classmethod
    def markets(
        cls, settings: FeedSettings, *, symbols: Sequence[str] = (), sport: str | None = None
    ) -> Exchange:
        """List the markets, for those named with their depth scales (section 7)."""
        if sport is not None:
            raise UsageError("cryptomus has no sports")
        assert isinstance(settings, CryptomusSettings)
        return rest.list_markets(settings.api_url, symbols)

    def prepare(self) -> Exchange | None:
        """Fetch the market list where `all` has to be spelled out."""
        spelled_out = {"depth", "bbo"} & set(self.socket.wanted.channels)
        if ALL not in self.socket.wanted.symbols or not spelled_out or self._markets is not None:
            return None
        return self._learn_markets()

    def _learn_markets(self) -> Exchange:
        self._listing = yield from rest.fetch_markets(self.settings.api_url)
        self._markets = [market["symbol"] for market in self._listing]

    def endpoint(self, token: str | None) -> Endpoint:
        """Return the socket's URL with the token in its query (section 1)."""
        base = self.settings.url or _DEFAULT_URL
        mark = "&" if "?" in base else "?"
        return Endpoint(
            urls=(f"{base}{mark}token={quote(token or '', safe='')}",),
            shown=(f"{base}{mark}token={MASK}",),
            carries_secret=True,
        )

    def closed(self, code: int, reason: str) -> protocol.Control | None:
        """Read a policy close before any ack as a refused token (section 10, row 7)."""
        if code == 1008 and not self._answered:
            message = f"the venue closed with 1008 {reason}".rstrip()
            return protocol.Refused(message=message, code=code)
        return None

    # --- the conversation

    def opening(self) -> list[Chain]:
        """Subscribe to every channel, each with its full list in one request (section 5)."""
        return [
            (self._requests.subscribe(channel, names),)
            for channel, names in self._names(self.socket.wanted).items()
            if names
        ]

    def change(self, wanted: Wanted) -> list[Chain]:
        """Change the lists of the channels so that every reading of section 5 gives the same."""
        before = self._names(self.socket.wanted)
        self.socket = Socket(wanted, self.socket.key)
        if self._paused:
            return []  # `resume` asks for all of it
        after = self._names(wanted)
        chains: list[Chain] = []
        for channel in {**before, **after}:
            old, new = before.get(channel, {}), after.get(channel, {})
            gone = {name: typed for name, typed in old.items() if name not in new}
            if set(new) - set(old):
                chains.append(
                    (*self._requests.reset(channel, old), self._requests.subscribe(channel, new))
                )
            elif gone:
                chains.append((self._requests.unsubscribe(channel, gone),))
        return chains

    def pause(self) -> list[Chain] | None:
        """Unsubscribe everything; the venue has no pause of its own."""
        self._paused = True
        names = self._names(self.socket.wanted)
        return [
            self._requests.reset(channel, names[channel]) for channel in names if names[channel]
        ]

    def resume(self) -> list[Chain]:
        """Subscribe again."""
        self._paused = False
        return self.opening()

    def resync(self, channel: str) -> list[Chain]:
        """Unsubscribe the channel and subscribe its full list again."""
        names = self._names(self.socket.wanted).get(channel, {})
        return (
            [(*self._requests.reset(channel, names), self._requests.subscribe(channel, names))]
            if names
            else []
        )

    def validate(self, refused: Request) -> Exchange | None:
        """Look up which names of a refused list exist: markets, and scales where not 0."""
        if len(refused.names) < 2 or refused.channel is None:
            return None
        return self._existing(refused.channel, list(refused.names))

    def _existing(self, channel: str, names: list[str]) -> Exchange:
        if self._listing is None:
            self._listing = yield from rest.fetch_markets(self.settings.api_url)
        found = yield from rest.existing(self.settings.api_url, self._listing, channel, names)
        return found

    @property
    def accepted(self) -> dict[str, frozenset[str]]:
        """By channel of the wire, the names that were ever accepted, before this connection too."""
        return self._requests.accepted

    def proven(self, refused: Request) -> Sequence[str]:
        """Return the names of a refused list that were accepted before."""
        known = self.accepted.get(refused.channel or "", frozenset())
        return [name for name in refused.names if name in known]

    def retry_refused(self, refused: Request, valid: Sequence[str]) -> list[Chain]:
        """Reset the channel, whose state a refusal leaves unknown, and ask for the valid rest."""
        channel = refused.channel or ""
        names = {name: refused.names[name] for name in valid}
        if not names or len(names) == len(refused.names):
            return []
        return [
            (
                *self._requests.reset(channel, refused.names),
                self._requests.subscribe(channel, names),
            )
        ]

    def keepalive(self) -> Keepalive | None:
        """Ping as a JSON request; nothing else counts as activity (section 3)."""
        return Keepalive(every=self.settings.ping_interval)

    def ping(self) -> str:
        """Return G02; id 0 is kept for pings (section 4)."""
        return '{"id":0,"method":"ping","params":[]}'

    # --- the state that follows from what is sent and answered

    def sent(self, frame: str) -> None:
        """Follow our own requests: what is asked for, and which books a subscribe empties."""
        pending = self._requests.sent(frame)
        if pending is not None and pending[:2] == ("subscribe", "depth"):
            self._books.forget()

    def _settle(self, ack: Ack) -> None:
        """Take over what an answered request leaves."""
        self._answered = True
        pending = self._requests.settle(ack)
        if pending is None:
            return
        action, channel, names = pending
        everything = action == "unsubscribe" and ALL in names
        if channel == "depth" and (action == "subscribe" or (everything and ack.ok)):
            # After a refusal the channel's state is unknown (section 5): ask for books again too.
            if everything or not ack.ok:
                self._books.forget()
            self._overdue.start(waiting=action == "subscribe" and ack.ok)

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Ask again for books whose full reload did not come within 10 s of the ack."""
        missing = self._overdue.look(now, self._requests.expected_books, self._books.synced)
        self.wake_at = self._overdue.at
        return [Resync(channel="depth", symbol=name, reason="no_snapshot") for name in missing]

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return what decides which updates are wanted, synced, and change the top of a book."""
        return {**self._requests.state(), **self._books.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._requests.restore(state)
        self._books.restore(state)

    # --- frames

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Read the updates that come in masses."""
        data = wire.decode_fast(frame).data
        if isinstance(data, wire.FastDepth):
            key = (data.symbol, data.scale_index)
            if key not in self._requests.books:
                return _NOT_ASKED
            bids, asks = wire.read_levels(data.bids), wire.read_levels(data.asks)
            ts = data.timestamp * wire.SECOND
            return self._books.update(key, ts, data.full_reload, bids, asks)
        if data.symbol not in self._requests.wanted.get(data.channel, ()):
            return _NOT_ASKED
        return data.events() or EMPTY

    def _wants(self, channel: str, name: str | None) -> bool:
        return name in self._requests.wanted.get(channel, ())

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Route any frame in the order of section 4."""
        if frame.lstrip()[:1] != b"{":
            return (self._unknown(frame, None),)
        envelope = msgspec.json.decode(frame, type=Envelope)
        method = text_of(envelope.method)
        if says_something(envelope.error) or says_something(envelope.code):
            return self._failure(envelope, method)
        match = METHOD(method)
        if match is not None and match[2] == "update":
            return self._update(frame, match[1], envelope.data)
        if method == "pong":
            return (Pong(),)
        status, key = ack_status(envelope.data), id_text(envelope.id)
        if status is not None and (match is not None or not method or self._requests.awaits(key)):
            return (self._ack(key, method, ok=status == "success", message=status),)
        return (self._unknown(frame, match and match[1]),)

    def _ack(
        self, key: str | None, method: str, *, ok: bool, code: int | str | None = None, message: str
    ) -> Ack:
        match = METHOD(method)
        channel, action = (match[1], match[2]) if match else (None, None)
        ack = Ack(key=key, action=action, channel=channel, ok=ok, code=code, message=message)
        self._settle(ack)
        return ack

    def _failure(self, envelope: Envelope, method: str) -> Sequence[Incoming]:
        parts = error_parts(envelope.error)
        code = parts.get("code", scalar_of(envelope.code))
        message = str(parts.get("message") or scalar_of(envelope.message) or "error")
        key = id_text(envelope.id)
        known = self._requests.awaits(key) or (
            METHOD(method) is not None and "_update" not in method
        )
        if known:
            return (self._ack(key, method, ok=False, code=code, message=message),)
        return (ErrorEvent(feed=self.name, code=code, message=message),)

    def _update(
        self, frame: bytes, channel: str, data: Raw | msgspec.UnsetType
    ) -> Sequence[Incoming]:
        if not any(channel == known.name for known in self.channels) or channel == "bbo":
            return (self._unknown(frame, channel),)
        if data is UNSET:
            return (self._unknown(frame, channel),)
        if bytes(data).translate(None, b" \t\r\n") in _NOTHING:
            return EMPTY
        update = Update(channel, data)
        if update.depth is not None:
            return self._slow_depth(update.depth)
        if any(event.symbol and not self._wants(channel, event.symbol) for event in update.events):
            return _NOT_ASKED
        result: list[Incoming] = [*update.events]
        if update.wrong:
            # An event cannot hold what is no number: the whole frame can.
            error = msgspec.ValidationError(f"no number: {', '.join(update.wrong)}")
            result.append(self.malformed(frame, error))
        return result or EMPTY

    def _slow_depth(self, data: SlowDepth) -> Sequence[Incoming]:
        scale = integer(data.scale_index)
        if scale is None and not is_null(data.scale_index):
            raise msgspec.ValidationError("scale_index is no whole number - at `$.data`")
        key = (data.symbol, 0 if is_null(data.scale_index) else scale)
        if key not in self._requests.books:
            return _NOT_ASKED
        bids, asks = wire.read_levels(data.bids), wire.read_levels(data.asks)
        return self._books.update(key, time_of(data.timestamp), data.full_reload, bids, asks)

    def spoiled(self, frame: bytes) -> Sequence[Control]:
        """Ask again for the books that a depth update may have changed that nobody can read."""
        if b"depth_update" not in frame:
            return ()
        lost = self._books.spoil(*named_book(frame))
        return [Resync(channel="depth", symbol=name, reason="sequence") for name in lost]

    def _unknown(self, frame: bytes, channel: str | None) -> Unknown:
        return Unknown(feed=self.name, channel=channel or "session", data=exact_json(frame))


_NOTHING = {b"[]", b"null", b"{}"}
_NOT_ASKED = (Skipped(reason="not asked for"),)
