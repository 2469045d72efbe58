"""The Igratech socket: incidents, bets, their results, the user's balance, statistics, settings.

Protocol facts are from docs/protocols/igratech.md; sections are named where they are used. The
venue documents its operations only, so payloads are passed on untouched and every envelope style of
section 5 is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from msgspec import Raw

from wsfeeds import protocol
from wsfeeds.connectors import _igratech_envelope as wire
from wsfeeds.errors import UsageError
from wsfeeds.events import (
    Balance,
    Bet,
    BetResult,
    ErrorEvent,
    Event,
    Incident,
    SettingsEvent,
    Statistics,
    Unknown,
)
from wsfeeds.opaque import exact_json
from wsfeeds.protocol import (
    Ack,
    Chain,
    Channel,
    Duration,
    Endpoint,
    Evicted,
    FeedSettings,
    Incoming,
    Keepalive,
    Pong,
    Refusal,
    Request,
    Skipped,
    Socket,
    Wanted,
)
from wsfeeds.secrets import MASK, Secret

_DEFAULT_URL = "ws://ws.igratech.webspark.dev/"
_OTHER_PATH = "/wspublic"
_QUERY_SAFE = "=&%+-_.~:/?@!$'()*,;[]"
_GREETING = "greeting"
_GREETING_TIMEOUT = 9.9
"""Just before the session's own deadline of 10 s, so that no game id counts as unanswered."""
_LEARNING = 2.0
_SETTINGS_TIMEOUT = 10.0
_SETTINGS_ATTEMPTS = 2
_SHOWN = 200


class IgratechSettings(FeedSettings, frozen=True, kw_only=True):
    """The settings of this feed (contract, section 5)."""

    url: str | None = _DEFAULT_URL
    ping_interval: Duration = 25.0
    request_settings: bool = False
    query: Secret | None = None
    first_message: Secret | None = None


class Connector(protocol.Connector):
    """One connection to the one socket that carries all operations."""

    name: ClassVar[str] = "igratech"
    title: ClassVar[str] = "Igratech betting"
    symbol_help: ClassVar[str] = (
        "none, or the ids of the games to keep; frames in which no game id is recognisable "
        "(gameId, game_id, game) are always kept"
    )
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel("incident", default=True, summary="upcoming incidents of a game"),
        Channel("bet", default=True, summary="bets of a game"),
        Channel("bets-result", default=True, summary="changes in the status of bets"),
        Channel("balance", default=True, summary="the user's balance"),
        Channel("stats", default=True, summary="statistics"),
        Channel("settings", default=True, summary="the venue's settings, pushed or asked for"),
    )
    settings_type: ClassVar[type[FeedSettings]] = IgratechSettings
    needs_symbols: ClassVar[bool] = False
    takeover_closes: ClassVar[tuple[int, float] | None] = (3, 5.0)

    settings: IgratechSettings

    def __init__(
        self,
        socket: Socket,
        settings: FeedSettings,
        *,
        previous: protocol.Connector | None = None,
        overlaps: bool = False,
    ) -> None:
        """Start without a greeting: how the venue writes is learned anew on each connection."""
        super().__init__(socket, settings, previous=previous, overlaps=overlaps)
        self._style: wire.ReplyStyle | None = None
        self._greeted = False
        self._opened: float | None = None
        self._asks_settings = self.settings.request_settings
        self._attempts = 0
        self._settings_due = 0.0

    # --- before the connection

    @classmethod
    def check_symbols(cls, wanted: Wanted, settings: FeedSettings) -> None:  # noqa: ARG003  # symbols alone
        """Refuse game ids that cannot be any."""
        for symbol in wanted.symbols:
            if not symbol.strip():
                raise UsageError(f"malformed symbol {symbol!r} for {cls.name}: {cls.symbol_help}")

    def endpoint(self, token: str | None) -> Endpoint:
        """Return `/` and, where the upgrade is refused, `/wspublic` (section 2).

        A configured URL that has a path is the only one.
        """
        del token
        settings = self.settings
        parts = urlsplit(settings.url or _DEFAULT_URL)
        paths = ("/", _OTHER_PATH) if parts.path in {"", "/"} else (parts.path,)
        extra = settings.query.reveal().strip().lstrip("?&") if settings.query else ""
        secret = any((settings.query, settings.headers, settings.first_message))

        def urls(query: str) -> tuple[str, ...]:
            joined = "&".join(filter(None, (parts.query, query)))
            return tuple(urlunsplit(parts._replace(path=path, query=joined)) for path in paths)

        return Endpoint(
            urls=urls(quote(extra, safe=_QUERY_SAFE)),
            shown=urls(MASK if extra else ""),
            carries_secret=secret,
        )

    def refusal(self, status: int) -> Refusal:
        """Read 400, 404 and 426 as a wrong path (section 2), 401 and 403 as final (section 6.4)."""
        return "elsewhere" if status in {400, 404, 426} else super().refusal(status)

    # --- the conversation

    def opening(self) -> list[Chain]:
        """Send the operator's own first message, if any, and wait for the greeting (6.1)."""
        chains: list[Chain] = []
        if self.settings.first_message is not None:
            chains.append((Request(frame=self.settings.first_message.reveal(), shown=MASK),))
        names = _as_typed(self.socket.wanted.symbols)
        chains.append((Request(key=_GREETING, action="subscribe", names=names),))
        return chains

    def change(self, wanted: Wanted) -> list[Chain]:
        """Keep other games from now on; the venue has nothing to be told (section 8)."""
        before, after = self.socket.wanted.symbols, wanted.symbols
        self.socket = Socket(wanted, self.socket.key)
        gone = _as_typed(symbol for symbol in before if symbol not in after)
        new = _as_typed(symbol for symbol in after if symbol not in before)
        chains: list[Chain] = []
        if gone:
            chains.append((Request(action="unsubscribe", names=gone),))
        if new:
            chains.append((Request(action="subscribe", names=new),))
        return chains

    def keepalive(self) -> Keepalive | None:
        """Ping as the application; the second unanswered ping is fatal (section 6.2)."""
        return Keepalive(every=self.settings.ping_interval, tolerated=1)

    def ping(self) -> str:
        """Return G2, in the style learned from the greeting."""
        return self._encode("ping-pong")

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Miss the greeting after 10 s, and ask for the settings where that is wanted (6.1)."""
        if self._opened is None:
            self._opened = now
        result: list[Incoming | Request] = []
        greeting_due = self._opened + _GREETING_TIMEOUT
        if not self._greeted and now >= greeting_due:
            self._greeted = True
            message = "no greeting within 10 s; staying connected"
            result.append(ErrorEvent(feed=self.name, code="no_greeting", message=message))
            result.append(_GREETED)
        self.wake_at = None if self._greeted else greeting_due
        if self._greeted and self._asks_settings:
            result += self._ask_settings(now, self._opened)
        return result

    def _ask_settings(self, now: float, opened: float) -> list[Incoming | Request]:
        """Ask once the venue's style is known or 2 s have passed; ask once more after 10 s."""
        if self._attempts == 0:
            self._settings_due = opened + _LEARNING if self._style is None else now
        if now < self._settings_due:
            self.wake_at = self._settings_due
            return []
        if self._attempts == _SETTINGS_ATTEMPTS:
            self._asks_settings = False
            message = "the venue did not answer the request for its settings"
            return [ErrorEvent(feed=self.name, code="no_settings", message=message)]
        self._attempts += 1
        self._settings_due = self.wake_at = now + _SETTINGS_TIMEOUT
        return [Request(frame=self._encode("settings"))]

    def _encode(self, operation: str) -> str:
        return wire.encode(operation, self._style or wire.ReplyStyle())

    # --- frames

    def receive(self, frame: bytes) -> Sequence[Incoming]:
        """Take any first frame for the greeting (section 6.1), but for a logout."""
        incoming = super().receive(frame)
        if self._greeted:
            return incoming
        self._greeted = True
        if any(isinstance(each, Evicted) for each in incoming):
            return incoming
        return (_GREETED, *incoming)

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Read the default style, which comes in masses."""
        usual = wire.decode_usual(frame)
        if usual.event not in _EVENTS:
            return self.parse_other(frame)
        return self._operation(usual.event, exact_json(usual.data))

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Read every other style, and what is for the session."""
        envelope = wire.read(frame)
        match envelope.operation:
            case None:
                channel = envelope.name or "session"
                return (Unknown(feed=self.name, channel=channel, data=envelope.data),)
            case "connected":
                return self._connected(envelope.style)
            case "ping-pong":
                # Never answered: two peers that both answer loop for ever (section 6.2).
                return (Pong(),)
            case "logout":
                return (_evicted(envelope.data),)
            case operation:
                return self._operation(operation, envelope.data)

    def _connected(self, style: wire.ReplyStyle) -> Sequence[Incoming]:
        if self._style is None:
            self._style = style
        if self._greeted:
            return (Skipped(reason="acks without a request"),)
        self._greeted = True
        return (_GREETED,)

    def _operation(self, operation: str, data: Raw) -> Sequence[Incoming]:
        if operation == "settings" and self._attempts:
            self._asks_settings = False
        wanted = self.socket.wanted
        if operation not in wanted.channels:
            return _NOT_ASKED
        games = wire.game_ids(data)
        if wanted.symbols and games and games.isdisjoint(wanted.symbols):
            return _NOT_ASKED
        symbol = next(iter(games)) if len(games) == 1 else None
        event = _EVENTS[operation]
        return (event(feed=self.name, channel=operation, symbol=symbol, data=data),)


_GREETED = Ack(key=_GREETING)
_NOT_ASKED = (Skipped(reason="not asked for"),)
_EVENTS: dict[str, Callable[..., Event]] = {
    "incident": Incident,
    "bet": Bet,
    "bets-result": BetResult,
    "balance": Balance,
    "stats": Statistics,
    "settings": SettingsEvent,
}


def _as_typed(symbols: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {symbol: (symbol,) for symbol in symbols}


def _evicted(payload: Raw) -> Evicted:
    said = bytes(payload).decode()
    detail = "" if said in {"{}", "null", '""'} else f": {said[:_SHOWN]}"
    return Evicted(message=f"the venue logged this client out: another client logged in{detail}")
