"""The IMG Arena FastPath (DDE) streams: actions and statistics of matches, one socket a stream.

Protocol facts are from docs/protocols/img_fastpath.md; sections are named where they are used. The
URL's path is the subscription, the first frame carries the token, and a stream is resumed by its
start position: see `_img_fastpath_numbers` for how nothing is lost by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
import orjson

from wsfeeds import protocol
from wsfeeds.connectors import _img_fastpath_frames as wire
from wsfeeds.connectors import _img_fastpath_paths as paths
from wsfeeds.connectors import _img_fastpath_rest as rest
from wsfeeds.connectors._img_fastpath_numbers import Hole, Mark, Numbers, Passage
from wsfeeds.errors import UsageError
from wsfeeds.events import (
    Action,
    ErrorEvent,
    Event,
    FeedStatus,
    Gap,
    Heartbeat,
    Statistics,
    Unknown,
)
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
    Finished,
    Incoming,
    Reconnect,
    Refusal,
    Refused,
    Request,
    Skipped,
    Socket,
    Wanted,
)
from wsfeeds.secrets import MASK, Secret

_DEFAULT_URL = "wss://dde-streams.data.srarena.io"
_AUTH = "auth"
_LINGER = 2.0
_TICK = 0.5
_VENUE_TROUBLE = frozenset({1001, 1006, 1011, 1012, 1013, 1014})
"""Closes that say nothing about a token: going away, restarting, overloaded."""


class FastPathSettings(FeedSettings, frozen=True, kw_only=True):
    """The settings of this feed (contract, section 5)."""

    url: str | None = _DEFAULT_URL
    api_url: str | None = rest.DEFAULT_API
    token: Secret | None = None
    compression: bool = False
    idle_timeout: Duration = 30.0
    speed: Literal["fast", "normal"] | None = None
    start_position: int | None = None


class Connector(protocol.Connector):
    """One connection to one stream of one fixture."""

    name: ClassVar[str] = "img_fastpath"
    aliases: ClassVar[tuple[str, ...]] = ("img-fastpath", "fastpath")
    title: ClassVar[str] = "IMG Arena FastPath"
    symbol_help: ClassVar[str] = paths.SYMBOL_HELP
    channels: ClassVar[tuple[Channel, ...]] = (
        Channel("actions", default=True, summary="everything that happens in a match"),
        Channel("statistics", summary="aggregates of a match"),
        Channel("stream", default=True, summary="tennis: everything that happens in a match"),
        Channel("details", default=True, summary="MMA: the state of a fight"),
    )
    settings_type: ClassVar[type[FeedSettings]] = FastPathSettings
    required: ClassVar[tuple[str, ...]] = ("token",)
    resumes: bool = True
    connects_per_second: ClassVar[float | None] = 5.0

    settings: FastPathSettings

    def __init__(
        self,
        socket: Socket,
        settings: FeedSettings,
        *,
        previous: protocol.Connector | None = None,
        overlaps: bool = False,
    ) -> None:
        """Go on where `previous` was; what it knew of the stream's numbers is taken over."""
        super().__init__(socket, settings, previous=previous, overlaps=overlaps)
        self._answered = False
        self._fixture = paths.fixture(socket.wanted.symbols[0])
        self._channel = socket.wanted.channels[0]
        self._replays = self.resumes = self._fixture.has_replay(self._channel)
        self._numbers = Numbers(
            self.settings.start_position or 0, overlaps=self._fixture.generation == "team"
        )
        if isinstance(previous, Connector):
            self._numbers = previous._numbers  # noqa: SLF001  # one of us
        # Otherwise every connection of the run would be kept alive by the next one.
        self.previous = None
        self._passage = Passage(self._numbers)
        self._proven = False
        self._over = False
        self._told = False
        self._leaving = False

    # --- what can be asked for

    @classmethod
    def check(cls, wanted: Wanted, settings: FeedSettings) -> None:
        """Refuse channels that fit none of the symbols, and a negative start, too."""
        assert isinstance(settings, FastPathSettings)
        if settings.start_position is not None and settings.start_position < 0:
            raise UsageError("start_position cannot be negative")
        super().check(wanted, settings)
        used = {each.wanted.channels[0] for each in cls.plan(wanted, settings)}
        unused = [channel for channel in wanted.channels if channel not in used]
        if unused and set(wanted.channels) != set(paths.DEFAULTS):
            raise UsageError(f"channel {unused[0]!r} fits none of {', '.join(wanted.symbols)}")

    @classmethod
    def check_symbols(cls, wanted: Wanted, settings: FeedSettings) -> None:  # noqa: ARG003  # symbols alone
        """Refuse symbols that are malformed, have none of the channels, or are the same stream."""
        keys: dict[str, str] = {}
        for symbol in wanted.symbols:
            fixture = paths.fixture(symbol)
            chosen = fixture.chosen(wanted.channels)
            if not chosen:
                offered = " and ".join(fixture.offered)
                raise UsageError(
                    f"{symbol!r} has no {', '.join(wanted.channels)}: {fixture.sport} has {offered}"
                )
            same = keys.setdefault(fixture.path(chosen[0]), symbol)
            if same != symbol:
                raise UsageError(f"{same!r} and {symbol!r} are the same stream")

    @classmethod
    def plan(cls, wanted: Wanted, settings: FeedSettings) -> list[Socket]:  # noqa: ARG003  # every fixture alike
        """Return one socket a fixture and stream; its key is the path.

        Channels apply to the sports that have them. The feed's own defaults, or no channels, mean
        the default stream of each symbol's sport.
        """
        sockets: list[Socket] = []
        for symbol in wanted.symbols:
            fixture = paths.fixture(symbol)
            for channel in fixture.chosen(wanted.channels):
                key = fixture.path(channel).lstrip("/")
                sockets.append(Socket(Wanted((symbol,), (channel,)), key))
        return sockets

    @classmethod
    def markets(
        cls, settings: FeedSettings, *, symbols: Sequence[str] = (), sport: str | None = None
    ) -> Exchange:
        """Return the conversation that lists a sport's fixtures (section 10).

        Its result is a list of dicts with `symbol`, `name`, `status`, `collection_status`,
        `start`, `type`, `coverage_level`.

        Raises:
            UsageError: The sport is missing or malformed, or there is no token.
        """
        assert isinstance(settings, FastPathSettings)
        if sport is None:
            raise UsageError("which sport? Say --sport soccer, ice-hockey, v2/volleyball, tennis …")
        if settings.token is None:
            raise UsageError("the list of fixtures needs the setting token")
        token, path = settings.token.reveal(), paths.sport(sport)
        return rest.fetch_fixtures(settings.api_url, token, path, symbols)

    # --- the connection

    def endpoint(self, token: str | None) -> Endpoint:  # noqa: ARG002  # goes into the first frame
        """Return the stream's URL, with the start position that loses nothing (section 2)."""
        base = urlsplit(self.settings.url or _DEFAULT_URL)
        query = "&".join(part for part in (base.query, urlencode(self._parameters())) if part)
        path = base.path.rstrip("/") + self._fixture.path(self._channel)
        url = urlunsplit((base.scheme, base.netloc, path, query, ""))
        headers = {"Accept": rest.ACCEPT}
        if self._fixture.media:
            # One media page asks for it; nowhere does it replace the first frame (section 2.3).
            headers["Authorization"] = f"Bearer {self._token()}"
        return Endpoint(urls=(url,), shown=(url,), headers=headers, carries_secret=True)

    def _parameters(self) -> dict[str, str | int]:
        if not self._replays:
            return {}
        parameters: dict[str, str | int] = {}
        if self.settings.speed is not None:
            parameters["speed"] = self.settings.speed
        start = self._passage.start
        if start or self._numbers.resumed or self.settings.start_position is not None:
            parameters["startPosition"] = start
        return parameters

    def refusal(self, status: int) -> Refusal:
        """Read 204 and 404 as a stream that is not there yet (section 11)."""
        return "absent" if status in {204, 404} else super().refusal(status)

    def opening(self) -> list[Chain]:
        """Send the token, first thing after open (G1)."""
        request = Request(
            frame=orjson.dumps({"authToken": self._token()}).decode(),
            shown=orjson.dumps({"authToken": MASK}).decode(),
            key=_AUTH,
            action="subscribe",
            channel=self._channel,
            names={self._fixture.id: (self._fixture.symbol,)},
        )
        return [(request,)]

    def _token(self) -> str:
        assert self.settings.token is not None
        return self.settings.token.reveal()

    def closed(self, code: int, reason: str) -> Control | None:
        """Read a close in place of an answer as refused credentials (section 3).

        Whether the venue closes after the last frame is not known (section 11): then it is the end.
        """
        if self._told:
            return Finished()
        refused = not self._answered or (code == 1008 and not self._proven)
        if not refused or code in _VENUE_TROUBLE:
            return None
        said = f"{code} {reason}".rstrip()
        return Refused(message=f"the venue closed in answer to the token: {said}", code=code)

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        """Look twice a second whether a hole in the numbers stays open."""
        if not self._answered or not self._replays or self._leaving:
            self.wake_at = None
            return ()
        due = self.wake_at is not None and now >= self.wake_at
        if due or self.wake_at is None:
            self.wake_at = now + _TICK
        if not due:
            return ()
        hole = self._passage.settle()
        result: list[Incoming] = []
        if hole is not None:
            result.append(self._mend(hole))
        if not self._leaving:
            result.extend(self._end())
        return result

    def _end(self) -> Sequence[Incoming]:
        """Say once that the match is over, but not while a resume may still bring something."""
        over = self._over or (self._numbers.over and self._numbers.placed)
        if not over or self._told or self._passage.open:
            return ()
        self._told = True
        return (Finished(linger=_LINGER),)

    def _mend(self, hole: Hole) -> Incoming:
        if not hole.lost:
            self._leaving = True
            self.wake_at = None
            return Reconnect(reason="numbers are missing: resuming before them")
        return self._gap(hole)

    def _gap(self, hole: Hole) -> Gap:
        return Gap(
            feed=self.name,
            symbol=self.socket.symbol,
            reason="sequence",
            from_seq=hole.first,
            to_seq=hole.last,
            missed=hole.last - hole.first + 1,
        )

    def ending(self) -> Sequence[Event]:
        """Report the holes that no resume will fill any more."""
        return [self._gap(hole) for hole in self._numbers.holes()] if self._replays else ()

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return what decides which frames are new."""
        return {
            "answered": self._answered,
            "proven": self._proven,
            "numbers": self._numbers.state(),
            "passage": self._passage.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._answered = state["answered"]
        self._proven = state["proven"]
        self._numbers.restore(state["numbers"])
        self._passage.restore(state["passage"])

    # --- frames

    def parse(self, frame: bytes) -> Sequence[Incoming]:
        """Read an action of a team sport."""
        if self._channel == "statistics":
            raise msgspec.ValidationError("no action is expected")
        message = wire.decode_action(frame)
        return self._data(*wire.read_action(frame, message, self._channel, self.socket.symbol))

    def parse_other(self, frame: bytes) -> Sequence[Incoming]:
        """Route any other frame by its shape (sections 3 to 8)."""
        try:
            data = exact_json(frame)
        except msgspec.DecodeError:
            if self._answered:
                raise
            return (self._refused(frame.decode()),)
        if bytes(data)[:1] != b"{":
            if not self._answered and wire.text(data):
                return (self._refused(wire.text(data)),)
            return self._accepted(Unknown(feed=self.name, symbol=self.socket.symbol, data=data))
        return self._object(frame, wire.decode_members(frame), data)

    def _object(self, frame: bytes, members: wire.Members, data: msgspec.Raw) -> Sequence[Incoming]:
        symbol = self.socket.symbol
        kind = wire.element_type(members)
        if wire.is_heartbeat(members):
            sent = wire.heartbeat_time(members)
            return self._accepted(Heartbeat(feed=self.name, symbol=symbol, ts=sent, data=data))
        if kind == "connectionstatechanged":
            sent = wire.time_of(members.get("timestamp", msgspec.UNSET))
            state = wire.state_of(members)
            return self._accepted(FeedStatus(feed=self.name, symbol=symbol, ts=sent, state=state))
        if self._channel != "statistics" and "fixtureAction" in members:
            message = wire.decode_action(frame)
            return self._data(*wire.read_action(frame, message, self._channel, symbol))
        if self._channel != "statistics" and "eventElementType" in members:
            return self._data(*wire.read_flat(frame, self._channel, symbol))
        failure = None if kind else wire.failure(members)
        if failure is not None:
            return self._failed(failure)
        if wire.is_acceptance(members) or (not self._answered and wire.is_information(members)):
            self._proven = True
            return self._accepted() or (Skipped(reason="acks without a request"),)
        if self._is_statistics(members):
            return self._data(*wire.read_statistics(frame, symbol))
        return self._accepted(Unknown(feed=self.name, symbol=symbol, data=data))

    def _is_statistics(self, members: wire.Members) -> bool:
        if self._channel != "statistics" or "fixtureAction" in members:
            return False
        # The first frame of tennis has a shape that nobody published (section 8).
        known = {"seqNum", "teamActionAggregates"}
        return self._fixture.sport == "tennis" or not known.isdisjoint(members)

    def _data(self, event: Action | Statistics, mark: Mark) -> Sequence[Incoming]:
        self._proven = True
        result: list[Incoming] = list(self._accepted())
        if not self._replays or self._passage.take(mark):
            result.append(event)
        else:
            result.append(Skipped(reason="duplicates"))
        if event.finished and not self._over:
            # The time until the close runs from this very frame, whatever is known or missing.
            self._over = self._numbers.over = True
            self._told = False
            if self._passage.open:
                result.append(Finished(linger=_LINGER, held=True))
        result.extend(self._end())
        return result

    def _accepted(self, *events: Incoming) -> Sequence[Incoming]:
        """Take the first frame that is no error for the answer to the token (section 3)."""
        if self._answered:
            return events
        self._answered = True
        ack = Ack(key=_AUTH, action="subscribe", channel=self._channel)
        # The end may be known already, from a connection that broke over a hole before it.
        return (ack, *events, *self._end())

    def _failed(self, failure: wire.Failure) -> Sequence[Incoming]:
        # Heartbeats alone do not prove that the token was accepted.
        if not self._proven and not failure.warning:
            return (self._refused(failure.message, failure.code),)
        event = ErrorEvent(
            feed=self.name,
            symbol=self.socket.symbol,
            code=failure.code,
            message=failure.message,
        )
        return self._accepted(event)

    def _refused(self, said: str, code: int | str | None = None) -> Refused:
        message = said.strip()[:200]
        return Refused(message=f"the venue refused the token: {message}", code=code)
