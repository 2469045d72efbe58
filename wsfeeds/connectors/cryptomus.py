"""The Cryptomus exchange socket: spot market data and the account's own orders, deals, balances.

Protocol facts are from docs/protocols/cryptomus.md; sections are named where they are used.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
import orjson
from msgspec import UNSET, Raw

from wsfeeds import protocol
from wsfeeds.connectors import _cryptomus_frames as wire
from wsfeeds.connectors import _cryptomus_rest as rest
from wsfeeds.connectors._cryptomus_books import NO_LEVELS, BookKey, Books
from wsfeeds.connectors._cryptomus_tolerant import (
    Envelope,
    SlowDepth,
    Update,
    ack_status,
    error_parts,
    id_text,
    integer,
    is_null,
    says_something,
    scalar_of,
    text_of,
    time_of,
)
from wsfeeds.errors import UsageError
from wsfeeds.events import ErrorEvent, Levels, Unknown
from wsfeeds.protocol import (
    Ack,
    Chain,
    Channel,
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
    exact_json,
)
from wsfeeds.secrets import MASK, Secret

_DEFAULT_URL = "wss://api-ws.cryptomus.com/ws"
_DEPTH = re.compile(r"([A-Za-z0-9]+_[A-Za-z0-9]+)(?::([0-9]{1,3}))?").fullmatch
_CURRENCY = re.compile(r"[A-Za-z0-9]+").fullmatch
_ALL = "all"
_SNAPSHOT_DEADLINE = 10.0
_SNAPSHOT_TRIES = 5
_SNAPSHOT_PATIENCE = 300.0
_METHOD = re.compile(r"([a-z0-9]+)_(update|subscribe|unsubscribe)").fullmatch


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
        self._markets: list[str] | None = None
        self._listing: list[dict[str, Any]] | None = None
        self._next_id = 1
        self._pending: dict[str, tuple[str, str, frozenset[str]]] = {}
        self._refused: dict[str, frozenset[str]] = {}
        self._asked = {
            channel: frozenset(names) for channel, names in self._names(socket.wanted).items()
        }
        self._books = Books(socket.wanted.channels)
        self._snapshot_wait = _SNAPSHOT_DEADLINE
        self._snapshots_missed = 0
        self._snapshot_due: float | None = None
        self._acked_depth = False
        self._acked_codes = 0
        self._paused = False

    # --- what can be asked for

    @classmethod
    def check(cls, wanted: Wanted, settings: FeedSettings) -> None:
        """Refuse symbols that no chosen channel can take, and channels left without one."""
        super().check(wanted, settings)
        for symbol in wanted.symbols:
            if not any(_wire_name(channel, symbol) for channel in wanted.channels):
                raise UsageError(
                    f"malformed symbol {symbol!r} for {', '.join(wanted.channels)}: "
                    f"{cls.symbol_help}"
                )
        for channel in wanted.channels:
            if not any(_wire_name(channel, symbol) for symbol in wanted.symbols):
                raise UsageError(f"channel {channel!r} needs {_needs(channel)}")

    def _names(self, wanted: Wanted) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return per channel of the wire the venue's names and the symbols typed for each."""
        result: dict[str, dict[str, tuple[str, ...]]] = {}
        for channel in wanted.channels:
            on_wire = "depth" if channel == "bbo" else channel
            names = result.setdefault(on_wire, {})
            for symbol in wanted.symbols:
                name = _wire_name(channel, symbol)
                if name is not None and symbol not in names.get(name, ()):
                    names[name] = (*names.get(name, ()), symbol)
        return {
            channel: self._without_refused(channel, self._expanded(channel, names))
            for channel, names in result.items()
        }

    def _without_refused(
        self, channel: str, names: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        refused = self._refused.get(channel)
        return {n: typed for n, typed in names.items() if n not in refused} if refused else names

    def _expanded(
        self, channel: str, names: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        if _ALL not in names:
            return names
        if channel != "depth" or self._markets is None:
            # Mixing `all` with names is undocumented (section 5): `all` speaks for them. On depth
            # that is what is left where it was added later, without a market list.
            typed = tuple(dict.fromkeys(symbol for group in names.values() for symbol in group))
            return {_ALL: typed}
        # Which scales depth `all` delivers is unknown (section 6.2): every market, scale 0.
        rest_of_names = {name: typed for name, typed in names.items() if name != _ALL}
        return {f"{market}:0": names[_ALL] for market in self._markets} | rest_of_names

    # --- before the connection

    @classmethod
    def derived_secrets(cls, settings: FeedSettings) -> list[str]:
        """Return the constant signature of the token request, which is as good as the key."""
        assert isinstance(settings, CryptomusSettings)
        return [] if settings.api_key is None else [sign(settings.api_key, b"")]

    @classmethod
    def authorize(cls, settings: FeedSettings) -> Exchange:
        """Fetch the one-time token (section 2)."""
        assert isinstance(settings, CryptomusSettings)
        assert settings.user_id is not None
        assert settings.api_key is not None
        return rest.fetch_token(settings.api_url, settings.user_id, sign(settings.api_key, b""))

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
        if _ALL not in self.socket.wanted.symbols or not spelled_out or self._markets is not None:
            return None
        return self._learn_markets()

    def _learn_markets(self) -> Exchange:
        markets = yield from rest.fetch_markets(self.settings.api_url)
        self._markets = [market["symbol"] for market in markets]

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
        if code == 1008 and not self._acked_codes:
            message = f"the venue closed with 1008 {reason}".rstrip()
            return protocol.Refused(message=message, code=code)
        return None

    # --- the conversation

    def opening(self) -> list[Chain]:
        """Subscribe to every channel, each with its full list in one request (section 5)."""
        return [
            (self._subscribe(channel, names),)
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
                chains.append((*self._reset(channel, old), self._subscribe(channel, new)))
            elif gone:
                chains.append((self._request("unsubscribe", channel, gone),))
        return chains

    def pause(self) -> list[Chain] | None:
        """Unsubscribe everything; the venue has no pause of its own."""
        self._paused = True
        names = self._names(self.socket.wanted)
        return [self._reset(channel, names[channel]) for channel in names if names[channel]]

    def resume(self) -> list[Chain]:
        """Subscribe again."""
        self._paused = False
        return self.opening()

    def resync(self, channel: str) -> list[Chain]:
        """Unsubscribe the channel and subscribe its full list again."""
        names = self._names(self.socket.wanted).get(channel, {})
        return [(*self._reset(channel, names), self._subscribe(channel, names))] if names else []

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

    def retry_refused(self, refused: Request, valid: Sequence[str]) -> list[Chain]:
        """Reset the channel, whose state a refusal leaves unknown, and ask for the valid rest."""
        channel = refused.channel or ""
        names = {name: refused.names[name] for name in valid}
        if not names or len(names) == len(refused.names):
            return []
        return [(*self._reset(channel, refused.names), self._subscribe(channel, names))]

    def keepalive(self) -> Keepalive | None:
        """Ping as a JSON request; nothing else counts as activity (section 3)."""
        return Keepalive(every=self.settings.ping_interval)

    def ping(self) -> str:
        """Return G02; id 0 is kept for pings (section 4)."""
        return '{"id":0,"method":"ping","params":[]}'

    def _subscribe(self, channel: str, names: dict[str, tuple[str, ...]]) -> Request:
        return self._request("subscribe", channel, names)

    def _reset(self, channel: str, names: dict[str, tuple[str, ...]]) -> Chain:
        return (self._request("unsubscribe", channel, names, params=[_ALL]),) if names else ()

    def _request(
        self,
        action: str,
        channel: str,
        names: dict[str, tuple[str, ...]],
        *,
        params: list[str] | None = None,
    ) -> Request:
        key = self._next_id
        self._next_id += 1
        frame = {
            "id": key,
            "method": f"{channel}_{action}",
            "params": list(names) if params is None else params,
        }
        return Request(
            frame=orjson.dumps(frame).decode(),
            key=str(key),
            action="subscribe" if action == "subscribe" else "unsubscribe",
            channel=channel,
            names=names,
        )

    # --- the state that follows from what is sent and answered

    def sent(self, frame: str) -> None:
        """Follow our own requests: what is asked for, and which books a subscribe empties."""
        request = orjson.loads(frame)
        match = _METHOD(request["method"])
        if match is None:
            return
        channel, action = match[1], match[2]
        names = frozenset(request["params"])
        self._pending[str(request["id"])] = (action, channel, names)
        if action == "subscribe":
            self._asked[channel] = names
            self._refused[channel] = self._refused.get(channel, frozenset()) - names
            if channel == "depth":
                self._books.forget()
        elif _ALL not in names:
            # Updates that are under way, or go on although the venue refuses, are not wanted.
            self._asked[channel] = self._asked.get(channel, frozenset()) - names

    def _settle(self, ack: Ack) -> None:
        """Take over what an answered request leaves."""
        pending = self._pending.pop(ack.key or "", None) or self._pending_like(ack)
        if pending is None:
            return
        action, channel, names = pending
        if action == "subscribe" and not ack.ok:
            self._refused[channel] = self._refused.get(channel, frozenset()) | names
        everything = action == "unsubscribe" and _ALL in names
        if everything and ack.ok:
            self._asked[channel] = frozenset()
        if channel == "depth" and (action == "subscribe" or (everything and ack.ok)):
            # After a refusal the channel's state is unknown (section 5): ask for books again too.
            if everything or not ack.ok:
                self._books.forget()
            self._acked_depth = action == "subscribe" and ack.ok
            self._snapshot_due = None

    def _pending_like(self, ack: Ack) -> tuple[str, str, frozenset[str]] | None:
        anonymous = ack.action is None and ack.key in {None, "0"}
        for key, pending in self._pending.items():
            if anonymous or pending[:2] == (ack.action, ack.channel):
                return self._pending.pop(key)
        return None

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Ask again for books whose full reload did not come within 10 s of the ack."""
        if not self._acked_depth:
            self.wake_at = None
            return ()
        if self._snapshot_due is None:
            self._snapshot_due = now + self._snapshot_wait
        if now < self._snapshot_due:
            self.wake_at = self._snapshot_due
            return ()
        self.wake_at = None
        self._acked_depth = False
        missing = sorted({market for market, _ in self._expected() - self._books.synced})
        self._snapshots_missed = self._snapshots_missed + 1 if missing else 0
        # A market that never sends one must not disturb the others every 10 s for ever.
        patience = 2.0 ** max(0, self._snapshots_missed - _SNAPSHOT_TRIES)
        self._snapshot_wait = min(_SNAPSHOT_DEADLINE * patience, _SNAPSHOT_PATIENCE)
        return [Resync(channel="depth", symbol=name, reason="no_snapshot") for name in missing]

    def _expected(self) -> set[BookKey]:
        names = self._asked.get("depth", frozenset()) - {_ALL}
        return {(market, int(scale)) for market, _, scale in (n.partition(":") for n in names)}

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return what decides which updates are wanted, synced, and change the top of a book."""
        return {
            "asked": {channel: sorted(names) for channel, names in self._asked.items()},
            "pending": {
                key: [action, channel, sorted(names)]
                for key, (action, channel, names) in self._pending.items()
            },
            **self._books.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._asked = {channel: frozenset(names) for channel, names in state["asked"].items()}
        self._pending = {
            key: (action, channel, frozenset(names))
            for key, (action, channel, names) in state["pending"].items()
        }
        self._books.restore(state)

    # --- frames

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Read the updates that come in masses."""
        message = wire.decode_fast(frame)
        data = message.data
        if isinstance(data, wire.FastDepth):
            if not (0 <= data.scale_index < 1000):
                raise msgspec.ValidationError("scale_index is out of range")
            return self._depth(
                data.symbol,
                data.scale_index,
                wire.micros(data.timestamp),
                data.full_reload,
                wire.read_levels(data.bids),
                wire.read_levels(data.asks),
            )
        if isinstance(data, wire.FastTrades):
            if not self._wants("trade", data.symbol):
                return _NOT_ASKED
            return wire.read_trades(data) or _EMPTY
        if isinstance(data, wire.FastTicker):
            return (wire.read_ticker(data),) if self._wants("ticker", data.symbol) else _NOT_ASKED
        if not self._wants("lastprice", data.symbol):
            return _NOT_ASKED
        return (wire.read_last_price(data),)

    def _wants(self, channel: str, name: str | None) -> bool:
        asked = self._asked.get(channel)
        return asked is not None and (name in asked or _ALL in asked)

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Route any frame in the order of section 4."""
        if frame.lstrip()[:1] != b"{":
            return (self._unknown(frame, None),)
        envelope = msgspec.json.decode(frame, type=Envelope)
        method = text_of(envelope.method)
        if says_something(envelope.error) or says_something(envelope.code):
            return self._failure(envelope, method)
        match = _METHOD(method)
        if match is not None and match[2] == "update":
            return self._update(frame, match[1], envelope.data)
        if method == "pong":
            return (Pong(),)
        status, key = ack_status(envelope.data), id_text(envelope.id)
        if status is not None and (match is not None or not method or key in self._pending):
            return (self._ack(key, method, ok=status == "success", message=status),)
        return (self._unknown(frame, match and match[1]),)

    def _ack(
        self, key: str | None, method: str, *, ok: bool, code: int | str | None = None, message: str
    ) -> Ack:
        match = _METHOD(method)
        channel, action = (match[1], match[2]) if match else (None, None)
        ack = Ack(key=key, action=action, channel=channel, ok=ok, code=code, message=message)
        self._acked_codes += 1
        self._settle(ack)
        return ack

    def _failure(self, envelope: Envelope, method: str) -> Sequence[Incoming]:
        parts = error_parts(envelope.error)
        code = parts.get("code", scalar_of(envelope.code))
        message = str(parts.get("message") or scalar_of(envelope.message) or "error")
        key = id_text(envelope.id)
        known = key in self._pending or (_METHOD(method) is not None and "_update" not in method)
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
            return _EMPTY
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
        return result or _EMPTY

    def _slow_depth(self, data: SlowDepth) -> Sequence[Incoming]:
        scale = integer(data.scale_index)
        if scale is None and not is_null(data.scale_index):
            raise msgspec.ValidationError("scale_index is no whole number - at `$.data`")
        return self._depth(
            data.symbol,
            0 if is_null(data.scale_index) else scale,
            time_of(data.timestamp),
            data.full_reload,
            wire.read_levels(data.bids),
            wire.read_levels(data.asks),
        )

    def _depth(
        self,
        symbol: str,
        scale: int | None,
        time: int | None,
        snapshot: bool,
        bids: Levels,
        asks: Levels,
    ) -> Sequence[Incoming]:
        if not self._wants("depth", f"{symbol}:{scale}"):
            return _NOT_ASKED
        if not snapshot and bids == NO_LEVELS == asks:
            return _EMPTY
        return self._books.update((symbol, scale), time, snapshot, bids, asks)

    def _unknown(self, frame: bytes, channel: str | None) -> Unknown:
        return Unknown(feed=self.name, channel=channel or "session", data=exact_json(frame))


_NOTHING = {b"[]", b"null", b"{}"}
_NOT_ASKED = (Skipped(reason="not asked for"),)
_EMPTY = (Skipped(reason="empty updates"),)


def sign(api_key: Secret, body: bytes) -> str:
    """Return `md5(base64(body) + key)` in lower-case hex (section 2)."""
    text = base64.b64encode(body).decode() + api_key.reveal()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _wire_name(channel: str, symbol: str) -> str | None:
    """Return what a channel calls a symbol, None where it cannot take it."""
    if symbol == _ALL:
        return _ALL
    if channel == "balance":
        return symbol if _CURRENCY(symbol) else None
    match = _DEPTH(symbol)
    if match is None:
        return None
    if channel in {"depth", "bbo"}:
        return f"{match[1]}:{int(match[2] or 0)}"
    return match[1]


def _needs(channel: str) -> str:
    if channel == "balance":
        return "a currency such as BTC, or all"
    return "a market such as BTC_USDT, or all"
