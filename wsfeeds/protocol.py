"""What a connector is: the pure codec and conversation of one connection to one feed.

A connector says what to connect to, what to send and what a frame means. It never waits, connects,
logs or asks the time; the session does, the same way for every feed. A fresh connector serves each
connection, so there is nothing to reset; what outlives a connection is taken from `previous`.

A frame becomes a sequence of `Incoming`: events for the outputs, and control items for the session.
Everything that is sent passes `Connector.sent`, so that a recording of both directions leads a
connector through the same states again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from wsfeeds import decimals
from wsfeeds.decimals import Unrepresentable
from wsfeeds.errors import Transient, UsageError
from wsfeeds.events import Event, Malformed
from wsfeeds.secrets import Secret

# --- settings ---------------------------------------------------------------------------------

Duration = Annotated[float, Meta(extra={"kind": "duration"})]
"""Seconds; written `500ms`, `30s`, `5m`, `1h`."""
Size = Annotated[int, Meta(extra={"kind": "size"})]
"""Bytes; written `64KB`, `16MB`, `64KiB`."""


class FeedSettings(msgspec.Struct, kw_only=True, frozen=True):
    """Settings that every feed has (contract, section 5); a feed adds its own and its defaults."""

    url: str | None = None
    allow_insecure: bool = False
    compression: bool = True
    transport: Literal["auto", "websockets"] = "auto"
    coalesce: Duration | None = None
    pong_timeout: Duration = 10.0
    idle_timeout: Duration = 60.0
    data_timeout: Duration | None = None
    backoff_initial: Duration = 0.5
    backoff_max: Duration = 30.0
    max_retries: int | None = None
    connect_timeout: Duration = 10.0
    max_frame: Size = 16_000_000
    proxy: Secret | None = None
    ca_file: str | None = None
    ciphers: str | None = None
    headers: dict[str, Secret] | None = None


# --- what is asked for ------------------------------------------------------------------------


class Channel(msgspec.Struct, frozen=True):
    """One kind of data that a feed offers under the venue's own name."""

    name: str
    default: bool = False
    private: bool = False
    summary: str = ""


_EVERYTHING = "all"


class Wanted(msgspec.Struct, frozen=True):
    """Symbols as typed, without repeats, and channels; what one connection is for."""

    symbols: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


class Socket(msgspec.Struct, frozen=True):
    """One connection that a feed needs; `key` names it across reconnects and changes."""

    wanted: Wanted
    key: str = ""

    @property
    def symbol(self) -> str | None:
        """The symbol of events about the whole socket, where it carries just one; `all` is many."""
        symbols = self.wanted.symbols
        return symbols[0] if len(symbols) == 1 and symbols[0] != _EVERYTHING else None


class Endpoint(msgspec.Struct, frozen=True):
    """Where to connect: `url` and `headers` may hold secrets, `shown` must not.

    `urls` are tried in order; the next one only when the upgrade is refused with a status that
    `Connector.refusal` calls "elsewhere".
    """

    urls: tuple[str, ...]
    shown: tuple[str, ...]
    headers: dict[str, str] = {}
    carries_secret: bool = False


class Request(msgspec.Struct, frozen=True):
    """One thing to say to the venue, and whom its answer speaks for.

    `frame` None says nothing: the answer comes by itself (a greeting). `key` is what the answer is
    matched by; None expects no answer and counts as accepted once sent. `shown` replaces a frame
    that holds a secret wherever frames are kept. `names` maps what the venue calls a symbol to the
    symbols as typed.
    """

    frame: str | None = None
    key: str | None = None
    action: Literal["subscribe", "unsubscribe", "other"] = "other"
    channel: str | None = None
    names: dict[str, tuple[str, ...]] = {}
    shown: str | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols as typed that the answer speaks for."""
        return tuple(dict.fromkeys(typed for group in self.names.values() for typed in group))


Chain = tuple[Request, ...]
"""Requests of which each is sent once the one before it was answered."""


class Keepalive(msgspec.Struct, frozen=True):
    """The application's own ping: sent every `every` seconds, answered by a `Pong`.

    `tolerated` unanswered pings in a row are forgiven before the peer counts as gone.
    """

    every: float
    tolerated: int = 0


# --- what a frame says ------------------------------------------------------------------------


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a frame that is for the session, not for the outputs."""


class Ack(Control, frozen=True, kw_only=True):
    """The answer to a `Request`: by `key`, else by `action` and `channel`."""

    key: str | None = None
    action: str | None = None
    channel: str | None = None
    ok: bool = True
    code: int | str | None = None
    message: str = ""


class Pong(Control, frozen=True, kw_only=True):
    """The answer to the application's ping."""


class Skipped(Control, frozen=True, kw_only=True):
    """A frame, or a part of one, that rightly becomes no event; counted under `reason`."""

    reason: Literal[
        "acks without a request",
        "empty updates",
        "not asked for",
        "unchanged top of book",
        "duplicates",
    ]


class Refused(Control, frozen=True, kw_only=True):
    """The venue does not accept the credentials."""

    message: str
    code: int | str | None = None


class Evicted(Control, frozen=True, kw_only=True):
    """The venue logged this client out for another one; nothing may reconnect by itself."""

    message: str


class Finished(Control, frozen=True, kw_only=True):
    """The venue has nothing more to say here; the client closes after `linger` seconds.

    `held`: something is still missing, so that only another one closes; the time runs already.
    """

    linger: float = 0.0
    held: bool = False


class Reconnect(Control, frozen=True, kw_only=True):
    """Only a new connection can mend this (a hole to be filled by a resume, say).

    It counts as a failure only where the connection had brought nothing.
    """

    reason: str


class Resync(Control, frozen=True, kw_only=True):
    """What is known of `symbol` on `channel` is wrong: ask for it again."""

    channel: str
    symbol: str
    reason: Literal["crossed_book", "no_snapshot", "sequence"]


Incoming = Event | Control
Refusal = Literal["retry", "credentials", "elsewhere", "absent"]
"""A refused upgrade means: try again · wrong credentials · try the next URL · not there yet."""


# --- REST conversations -----------------------------------------------------------------------


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request that a connector wants made; `headers` may hold secrets."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}


class HttpReply(msgspec.Struct, frozen=True):
    """The answer: status, body and headers with lower-case names.

    `retry_after` is the venue's wish in seconds, whichever form its header had.
    """

    status: int
    body: bytes
    headers: dict[str, str] = {}
    retry_after: float | None = None

    def json(self) -> Any:
        """Return what the body says; a number with a fraction or an exponent is a plain decimal.

        Such a number is text, with all its digits, as events have it.

        Raises:
            msgspec.DecodeError: It is no JSON.
        """
        try:
            return _decode(self.body)
        except (RecursionError, UnicodeDecodeError) as error:
            raise msgspec.DecodeError(str(error)) from error


_decode = msgspec.json.Decoder(float_hook=decimals.from_text).decode

Exchange = Generator[HttpRequest, HttpReply, Any]
"""A REST conversation without I/O: yields requests, is sent replies, returns its result."""


def unavailable(what: str, reply: HttpReply) -> Transient:
    """Return the error for a REST answer that time may mend."""
    return Transient(
        f"{what} answered HTTP {reply.status}",
        code=reply.status,
        status=reply.status,
        retry_after=reply.retry_after,
    )


# --- the connector ----------------------------------------------------------------------------


class Connector:
    """One connection's codec and conversation; each module in `connectors/` has one subclass.

    Class attributes say what the feed is; instances hold the state of one connection.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str]
    symbol_help: ClassVar[str]
    channels: ClassVar[tuple[Channel, ...]]
    settings_type: ClassVar[type[FeedSettings]] = FeedSettings
    required: ClassVar[tuple[str, ...]] = ()
    """Settings without which nothing can be opened."""
    needs_symbols: ClassVar[bool] = True
    resumes: bool = False
    """Whether a reconnect by itself loses nothing, so that a gap is the connector's to report.

    An instance may differ from its class where not all streams of a feed can resume.
    """
    acks_subscriptions: ClassVar[bool] = False
    """Whether the venue answers each subscription, so that one without any answer is no use.

    Elsewhere silence may be that of a quiet venue.
    """
    single_use_token: ClassVar[bool] = False
    """Whether a refused upgrade may be the token's fault and deserves one more."""
    connects_per_second: ClassVar[float | None] = None
    """The budget that all connects of the feed share."""
    requests_per_second: ClassVar[float | None] = None
    absent_retry: ClassVar[float] = 30.0
    """Seconds until a stream that is not there is asked for again."""
    wakes_while_unread: ClassVar[bool] = False
    """Whether the time of `wake` goes on while back-pressure keeps the socket unread.

    It does for what the venue lets expire, not for what the venue is expected to say.
    """
    websocket_pongs_count: ClassVar[bool] = False
    """Whether a WebSocket pong proves the peer (where the venue documents no ping of its own)."""
    takeover_closes: ClassVar[tuple[int, float] | None] = None
    """So many closes in a row, each within so many seconds of the ack, mean a silent takeover."""

    def __init__(
        self,
        socket: Socket,
        settings: FeedSettings,
        *,
        previous: Connector | None = None,
        overlaps: bool = False,
    ) -> None:
        """Serve one connection.

        Args:
            socket: What this connection is for.
            settings: The feed's settings.
            previous: The connector that served the same socket before, None for the first.
            overlaps: Whether `previous` is still being served (a planned hand-over).
        """
        self.socket = socket
        self.settings = settings
        self.wake_at: float | None = None
        """When `wake` wants to be called next, in the seconds it is given."""
        self.previous = previous
        self.overlaps = overlaps

    @property
    def wants_anything(self) -> bool:
        """Whether anything is subscribed here that could be missed."""
        return bool(self.socket.wanted.symbols) or not self.needs_symbols

    # before the connection

    @classmethod
    def default_channels(cls, symbols: Sequence[str]) -> tuple[str, ...]:
        """Return the channels for these symbols where nobody chose any.

        Raises:
            UsageError: A symbol is malformed.
        """
        return tuple(channel.name for channel in cls.channels if channel.default)

    @classmethod
    def markets(
        cls, settings: FeedSettings, *, symbols: Sequence[str] = (), sport: str | None = None
    ) -> Exchange | None:
        """Return the conversation that lists what can be subscribed, if the venue has such a list.

        Its result is a list of dicts that begin with `symbol`; `symbols` and `sport` narrow it.

        Raises:
            UsageError: What it is narrowed by is missing or does not fit the feed.
        """
        return None

    @classmethod
    def check(cls, wanted: Wanted, settings: FeedSettings) -> None:
        """Refuse what cannot be asked for, before anything is opened.

        Raises:
            UsageError: A symbol cannot be used, or a channel is left without one.
        """
        if cls.needs_symbols and not wanted.symbols:
            raise UsageError(f"{cls.name} needs a SYMBOL: {cls.symbol_help}")
        cls.check_symbols(wanted, settings)

    @classmethod
    def check_symbols(cls, wanted: Wanted, settings: FeedSettings) -> None:
        """Refuse symbols that cannot be used, at the start or added to a running subscription.

        There a channel may be without a symbol: what it had may have been unsubscribed.

        Raises:
            UsageError: A symbol is malformed, or fits none of the channels.
        """

    @classmethod
    def plan(cls, wanted: Wanted, settings: FeedSettings) -> list[Socket]:
        """Return the connections that are needed for all that is wanted."""
        return [Socket(wanted)]

    @classmethod
    def derived_secrets(cls, settings: FeedSettings) -> list[str]:
        """Return what follows from secret settings and is as secret (a constant signature)."""
        return []

    @classmethod
    def authorize(cls, settings: FeedSettings) -> Exchange | None:
        """Return the conversation that fetches the token of one attempt (its result), if any."""
        return None

    def prepare(self) -> Exchange | None:
        """Return the conversation needed before subscribing (a market list, say), if any."""
        return None

    def endpoint(self, token: str | None) -> Endpoint:
        """Return where to connect."""
        raise NotImplementedError

    def expires_at(self) -> float | None:
        """Return when the credentials end, in seconds since the epoch, where that can be told."""
        return None

    def refusal(self, status: int) -> Refusal:
        """Return what an upgrade refused with this HTTP status means."""
        return "credentials" if status in {401, 403} else "retry"

    # the conversation

    def opening(self) -> list[Chain]:
        """Return what to say once connected; chains run side by side."""
        return []

    def caught_up(self) -> bool:
        """Tell whether data has come for all that was subscribed (a hand-over waits for it)."""
        return True

    def change(self, wanted: Wanted) -> list[Chain]:
        """Take over a new set of symbols on the running connection and return what to say."""
        self.socket = Socket(wanted, self.socket.key)
        return []

    def pause(self) -> list[Chain] | None:
        """Return what stops the flow; None where only not reading does."""
        return None

    def resume(self) -> list[Chain]:
        """Return what starts the flow again after `pause`."""
        return []

    def resync(self, channel: str) -> list[Chain]:
        """Return what asks again for the full state of a channel."""
        return []

    def validate(self, refused: Request) -> Exchange | None:
        """Return the conversation that tells which symbols of a refused list exist.

        Its result is the list of the venue's names that do. None: the refusal is for all of them.
        """
        return None

    def proven(self, refused: Request) -> Sequence[str]:
        """Return the names of a refused list that the venue has accepted before.

        They are asked for again where `validate` cannot tell, because the venue's lists are down.
        """
        return ()

    def retry_refused(self, refused: Request, valid: Sequence[str]) -> list[Chain]:
        """Return what to say to get the valid rest of a list that was refused whole."""
        return []

    def keepalive(self) -> Keepalive | None:
        """Return the rhythm of the application's ping, if the feed has one."""
        return None

    def ping(self) -> str:
        """Return the application's ping frame."""
        raise NotImplementedError

    def sent(self, frame: str) -> None:
        """Learn what was sent; the only way in which outbound frames change the state."""

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Do what is due at `now` (seconds) and set `wake_at` to when to be called next.

        Called when connected, after each control item, and when `wake_at` has come. The time stands
        still while the socket is kept unread, unless `wakes_while_unread`.
        """
        return ()

    # recordings

    def state(self) -> dict[str, Any]:
        """Return what this connector has learned from frames, as JSON values; empty if nothing.

        A connector of the same socket that is given it by `restore` makes the same data events of
        all further frames: recordings are replayed from the middle of a connection that way.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, on a fresh connector."""

    # frames

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Return what a frame says; the fast path for the frames that come in masses.

        Raises:
            msgspec.MsgspecError: It is none of those; `parse_other` decides.
        """
        raise NotImplementedError

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Return what any other frame says.

        Raises:
            msgspec.MsgspecError: The frame is malformed.
        """
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> Control | None:
        """Return what a close by the venue means beyond the loss of the connection."""
        return None

    def ending(self) -> Sequence[Event]:
        """Return what is still to be reported when the run ends on purpose: holes, above all."""
        return ()

    def receive(self, frame: bytes) -> Sequence[Incoming]:
        """Return what a frame says, whatever it is: bad frames become `malformed` events."""
        try:
            if not frame.isascii():
                frame.decode()
            return self.parse(frame)
        except msgspec.MsgspecError:
            pass
        except (UnicodeDecodeError, RecursionError, Unrepresentable) as error:
            return (self.malformed(frame, error), *self.spoiled(frame))
        try:
            return self.parse_other(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unrepresentable) as error:
            return (self.malformed(frame, error), *self.spoiled(frame))

    def spoiled(self, frame: bytes) -> Sequence[Control]:
        """Return what has to be asked for again because a malformed frame may have changed it."""
        return ()

    def malformed(self, frame: bytes, error: Exception) -> Malformed:
        """Return the event that keeps a bad frame whole."""
        text, encoding = frame_text(frame)
        return Malformed(
            feed=self.name,
            symbol=self.socket.symbol,
            error=_complaint(frame, error),
            frame=text,
            encoding=encoding,
        )


_SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2})(?=[^\\]|\\[^u]|\\u[0-9a-fA-F]{4})"  # one, not a cut pair
    rb"|\\."
).finditer


def _complaint(frame: bytes, error: Exception) -> str:
    """Return what is wrong with a frame, in the decoder's words where they are to the point.

    It calls half a surrogate pair "truncated" where the text ends soon after it.
    """
    if isinstance(error, RecursionError):
        return "nested too deeply"
    said = str(error)
    if any(word in said for word in ("truncated", "surrogate", "hex escape")):
        lone = next((match[1] for match in _SURROGATES(frame) if match[1]), None)
        if lone is not None:
            return f"a lone surrogate escape, \\u{lone.decode()}"
    return said


def frame_text(frame: bytes) -> tuple[str, Literal["utf8", "base64"]]:
    """Return a frame as text: as it is where it is UTF-8, else as base64."""
    try:
        return frame.decode(), "utf8"
    except UnicodeDecodeError:
        return base64.b64encode(frame).decode(), "base64"
