"""One connection from its upgrade to its end.

A link is driven by plain calls: the transport's for what arrives, one timer for what is due. What a
frame becomes is emitted within the call that delivered it. The end is a future: a normal return
where the venue finished, else the error that says what to do next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from wsfeeds import protocol
from wsfeeds.clock import Clock, monotonic
from wsfeeds.errors import (
    CredentialsRefused,
    LoggedOut,
    SubscriptionRefused,
    Transient,
    WsfeedsError,
)
from wsfeeds.events import ErrorEvent, Event, Gap, GapReason, Heartbeat, SessionEvent
from wsfeeds.pipeline import DATA_CLASSES, Stream
from wsfeeds.protocol import Ack, Chain, Connector, Control, Endpoint, Request
from wsfeeds.session.keepalive import Liveness
from wsfeeds.session.pacing import Pace
from wsfeeds.session.rest import converse
from wsfeeds.session.subscriptions import Conversation, Round
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Connection

STALE = "stale"
_RESYNC_EVERY = 10.0
_EVICTION_LINGER = 5.0


class Stale(Transient):
    """The peer, or the data, has been silent for too long."""


class Renewed(Transient):
    """The connector wants a new connection although this one worked: no failure to be counted."""


class Owner(Protocol):
    """What a link tells the session that opened it."""

    def link_opened(self, link: Link) -> None:
        """The upgrade is through."""

    def link_subscribed(self, link: Link) -> None:
        """The opening round is settled and something was accepted."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the link; it ends with the session."""


class Link:
    """The conversation over one connection."""

    def __init__(
        self,
        owner: Owner,
        connector: Connector,
        stream: Stream,
        clock: Clock,
        *,
        conn: int,
        shown_url: str,
        about: dict[str, Any],
        tap: Tap | None = None,
        first: bool = True,
        paused: bool = False,
    ) -> None:
        """Prepare for a connection that is about to be opened with this link as listener."""
        self.connector = connector
        self.conn = conn
        self.recv_ts = clock.now()
        self.last_frame_ts: int | None = None
        self.subscribed = False
        self.evidence_at: float | None = None
        self.greeted_at: float | None = None
        self.got_data = False
        self.paused = paused
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._stream = stream
        self._clock = clock
        self._tap = tap
        self._first = first
        self._shown_url = shown_url
        self._about = about
        self._receive = connector.receive
        self._emit = stream.emit
        self._read_at = monotonic()
        self._liveness = Liveness(connector, self._read_at)
        self._conversation = Conversation(self._submit)
        self._pace = Pace(connector.requests_per_second)
        self._outbox: deque[tuple[float, Request, bool]] = deque()
        self._connection: Connection | None = None
        self._unread: set[str] = set()
        self._controls = False
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        self._resync_wanted: dict[str, set[str]] = {}
        self._resync_allowed_at = 0.0
        self._finish_at: float | None = None
        self._evicted: LoggedOut | None = None
        self._paused_at: int | None = None

    # --- what the transport calls

    def on_open(self, connection: Connection) -> None:
        """Announce the connection and say what is to be said first."""
        self._guard(lambda: self._opened(connection))

    def _opened(self, connection: Connection) -> None:
        self._connection = connection
        now = self._read_at = monotonic()
        self.recv_ts = self._clock.now()
        self._liveness.wake(now)
        if self._tap is not None:
            self._tap.opened(self.recv_ts, self.conn, self._about, self.connector.state)
        self.fact(SessionEvent(feed=self.feed, state="connected", url=self._shown_url))
        self._owner.link_opened(self)
        self._stream.gate.attach(self)
        symbols = self.connector.socket.wanted.symbols
        self._conversation.begin(
            Round("opening", self.connector.opening(), self._settled_opening, added=symbols)
        )
        self._wake_connector(now)
        if self.paused:
            self.pause()

    def on_data(self) -> None:
        """Stamp what is about to be read."""
        self._reading = True
        self.recv_ts = self._clock.now()
        self._read_at = monotonic()

    def on_frame(self, frame: bytes, binary: bool) -> None:
        """Turn one frame into events, within this call."""
        try:
            recv_ts, conn = self.recv_ts, self.conn
            if self._tap is not None:
                self._tap.inbound(recv_ts, conn, frame, binary)
            for item in self._receive(frame):
                if item.__class__ in DATA_CLASSES:
                    if self.paused:
                        self._stream.skipped["paused"] += 1
                        continue
                    self.got_data = True
                    self._emit(item, recv_ts, conn)
                else:
                    self._other(item)
            self.last_frame_ts = recv_ts
            self._liveness.last_frame = self._read_at
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)

    def on_read(self) -> None:
        """Pass on what this read brought, then see to what it asks for."""
        try:
            self._stream.flush()
            if self.got_data:
                self.got_data = False
                self._liveness.last_data = self._read_at
                if self.evidence_at is None:
                    self.evidence_at = self._read_at
            if self._controls:
                self._controls = False
                self._wake_connector(self._read_at)
                self._tick(self._read_at)
                self._stream.flush()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)
        finally:
            self._reading = False

    def on_pong(self) -> None:
        """Count a WebSocket pong where the feed lets it count."""
        self._liveness.websocket_pong(self._read_at)

    def on_close(self, code: int, reason: str) -> None:
        """The connection is gone."""
        self._guard(lambda: self._closed(code, reason))

    def _closed(self, code: int, reason: str) -> None:
        if self.ended.done():
            return
        meaning = self.connector.closed(code, reason)
        if code == 1009:
            limit = self.connector.settings.max_frame
            message = f"a frame was larger than max_frame ({limit} bytes)"
            self.fact(ErrorEvent(feed=self.feed, code=code, message=message))
        if self._evicted is not None:
            self.end(self._evicted)
        elif isinstance(meaning, protocol.Finished) or self._finish_at is not None:
            self.end()
        elif meaning is not None:
            self._control(meaning)
        what = "the connection was lost" if code == 1006 else "the venue closed the connection"
        self.end(Transient(f"{what}{f': {reason}' if reason else ''}", code=code))

    # --- the end

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self.connector.name

    @property
    def is_open(self) -> bool:
        """Whether the upgrade went through and nothing has ended the link yet."""
        return self._connection is not None and not self.ended.done()

    def end(self, error: BaseException | None = None) -> None:
        """End the link, once; None where everything that was to come has come."""
        if not self.ended.done():
            if error is None:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(error)
                self.ended.exception()  # whoever waits gets it; nobody waiting is no leak

    async def close(self) -> None:
        """Close the connection and stop all timers."""
        self.end()
        if self._timer is not None:
            self._timer.cancel()
        self._stream.gate.detach(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
            if self._tap is not None:
                self._tap.closed(self._clock.now(), self.conn)

    def _guard(self, call: Callable[[], None]) -> None:
        """Run a call of the event loop so that an error ends the link instead of being lost."""
        try:
            call()
            self._stream.flush()
            self._schedule()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)

    # --- facts and control items

    def fact(self, event: Event) -> None:
        """Emit a session fact of this moment; the symbol is the socket's own where it has one."""
        if isinstance(event, SessionEvent):
            if event.symbols is None:
                event.symbols = list(self.connector.socket.wanted.symbols)
        elif event.symbol is None:
            event.symbol = self.connector.socket.symbol
        if not self._reading:
            self.recv_ts = self._clock.now()
        self._stream.emit_fact(event, self.recv_ts, self.conn)

    def _other(self, item: Event | Control) -> None:
        if isinstance(item, protocol.Skipped):
            self._stream.skipped[item.reason] += 1
        elif isinstance(item, Control):
            self._control(item)
        else:
            self._connector_fact(item)

    def _connector_fact(self, event: Event) -> None:
        if event.symbol is None and isinstance(event, (Gap, Heartbeat)):
            event.symbol = self.connector.socket.symbol
        if isinstance(event, Gap):
            event.from_ts = self.last_frame_ts if event.from_ts is None else event.from_ts
            event.to_ts = self.recv_ts if event.to_ts is None else event.to_ts
        elif isinstance(event, Heartbeat):
            self._stream.skipped["heartbeats"] += 1
            self.evidence_at = self.evidence_at or self._read_at
        self._stream.emit_fact(event, self.recv_ts, self.conn)

    def _control(self, item: Control) -> None:
        self._controls = True
        match item:
            case protocol.Pong():
                self._stream.skipped["pongs"] += 1
                self._liveness.pong(self._read_at)
            case Ack():
                self._answer(item)
            case protocol.Refused(message=message, code=code):
                self.end(CredentialsRefused(message, code=code))
            case protocol.Evicted(message=message):
                self._evict(message)
            case protocol.Finished(linger=linger):
                if self._finish_at is None:
                    self._finish_at = self._read_at + linger
            case protocol.Reconnect(reason=reason):
                self.end(Renewed(reason) if self.evidence_at is not None else Transient(reason))
            case protocol.Resync(channel=channel, symbol=symbol, reason=reason):
                self._want_resync(channel, symbol, reason)
            case _:
                raise TypeError(f"{item!r} is for no session")

    def _evict(self, message: str) -> None:
        """Stop everything, and leave the venue some seconds to close by itself."""
        self._evicted = LoggedOut(message)
        self._finish_at = self._read_at + _EVICTION_LINGER

    # --- requests and answers

    def _submit(self, request: Request) -> None:
        now = monotonic()
        slot = self._pace.take(now) if request.frame is not None else now
        if slot <= now and not self._outbox:
            self._transmit(request, now)
        else:
            self._outbox.append((slot, request, False))

    def _transmit(self, request: Request, now: float) -> None:
        one = self._conversation.current
        if one is not None and request.action == "unsubscribe":
            one.started.setdefault(request.channel, self.last_frame_ts or self.recv_ts)
        self._say(request)
        self._conversation.sent(request, now)

    def _say(self, request: Request) -> None:
        if request.frame is None or self._connection is None:
            return
        shown = request.frame if request.shown is None else request.shown
        self._connection.send(request.frame)
        if self._tap is not None:
            # Within a read, its own time: frames of the same read may follow.
            sent_ts = self.recv_ts if self._reading else self._clock.now()
            self._tap.outbound(sent_ts, self.conn, shown)
        self.connector.sent(shown)

    def _answer(self, ack: Ack) -> None:
        if ack.ok and self.evidence_at is None:
            self.evidence_at = self._read_at
        if self.greeted_at is None:
            self.greeted_at = self._read_at
        if not self._conversation.knows(ack):
            if ack.ok:
                self._stream.skipped["acks without a request"] += 1
            else:
                self.fact(ErrorEvent(feed=self.feed, code=ack.code, message=ack.message))
            return
        self._stream.skipped["acks"] += 1
        refused = self._conversation.answer(ack)
        if refused is not None:
            exchange = self.connector.validate(refused)
            if exchange is None:
                self._conversation.refuse(refused, ack)
            else:
                self._owner.spawn(self._look_up(refused, ack, exchange))

    async def _look_up(self, refused: Request, ack: Ack, exchange: protocol.Exchange) -> None:
        """Let the venue's own lists decide which symbols of a refused list exist."""
        try:
            valid = await converse(exchange, self.connector.settings)
        except WsfeedsError as error:
            self.end(error)
            return

        def settle() -> None:
            again = self.connector.retry_refused(refused, valid)
            self._conversation.validated(refused, ack, valid, again)

        if not self.ended.done():
            self._guard(settle)

    def _settled_opening(self, one: Round) -> None:
        self._report(one)
        verdicts = one.verdicts
        accepted = [symbol for symbol in one.added if symbol in verdicts.accepted]
        if verdicts.refused and not accepted and not verdicts.unanswered:
            raise self._everything_refused(one)
        self.subscribed = True
        self.fact(SessionEvent(feed=self.feed, state="subscribed", symbols=accepted))
        self._owner.link_subscribed(self)

    def _everything_refused(self, one: Round) -> WsfeedsError:
        symbol, (_, ack) = next(iter(one.verdicts.refused.items()))
        message = f"the venue refused every subscription ({symbol}: {ack.message})"
        if self._first:
            return SubscriptionRefused(f"{message}; see `wsfeeds markets {self.feed}`")
        return Transient(message)

    def _report(self, one: Round) -> None:
        for symbol, (request, ack) in one.verdicts.refused.items():
            message = f"{request.channel or 'subscription'} of {symbol} was refused: {ack.message}"
            self.fact(ErrorEvent(feed=self.feed, symbol=symbol, code=ack.code, message=message))
        for symbol, request in one.verdicts.unanswered.items():
            what = request.channel or "the subscription"
            message = f"{what} of {symbol} was not answered within 10 s; what comes is delivered"
            self.fact(ErrorEvent(feed=self.feed, symbol=symbol, message=message))

    # --- changes while it runs

    def change(self, wanted: protocol.Wanted) -> None:
        """Take over a new set of symbols."""
        before = self.connector.socket.wanted.symbols
        added = tuple(symbol for symbol in wanted.symbols if symbol not in before)
        removed = tuple(symbol for symbol in before if symbol not in wanted.symbols)
        self._about["symbols"] = list(wanted.symbols)

        def begin() -> None:
            chains = self.connector.change(wanted)
            one = Round("change", chains, self._settled_change, added=added, removed=removed)
            self._conversation.begin(one)

        self._guard(begin)

    def _settled_change(self, one: Round) -> None:
        self._report(one)
        if one.removed:
            symbols = list(one.removed)
            self.fact(SessionEvent(feed=self.feed, state="unsubscribed", symbols=symbols))
        if one.added:
            accepted = [symbol for symbol in one.added if symbol in one.verdicts.accepted]
            self.fact(SessionEvent(feed=self.feed, state="subscribed", symbols=accepted))
        for channel in one.started:
            if _resubscribes(one.chains, channel):
                self._gap("resubscribe", one.started[channel], channel=channel)

    def _want_resync(self, channel: str, symbol: str, reason: GapReason) -> None:
        """Report what is wrong, once until it is mended, and ask again as soon as allowed."""
        wanted = self._resync_wanted.setdefault(channel, set())
        if symbol not in wanted:
            wanted.add(symbol)
            since = self.last_frame_ts or self.recv_ts
            self._gap(reason, since, channel=channel, symbol=symbol)

    def _resync(self, now: float) -> None:
        self._resync_allowed_at = now + _RESYNC_EVERY
        wanted, self._resync_wanted = self._resync_wanted, {}
        for channel, symbols in wanted.items():

            def settled(one: Round, symbols: set[str] = symbols) -> None:
                self._settled_resync(one, symbols)

            chains = self.connector.resync(channel)
            self._conversation.begin(Round("resync", chains, settled, channel=channel))

    def _settled_resync(self, one: Round, symbols: set[str]) -> None:
        self._report(one)
        others = any(len(request.names) > len(symbols) for chain in one.chains for request in chain)
        if others and one.channel in one.started:
            self._gap("resubscribe", one.started[one.channel], channel=one.channel)

    def _gap(
        self,
        reason: GapReason,
        from_ts: int | None,
        *,
        channel: str | None = None,
        symbol: str | None = None,
    ) -> None:
        event = Gap(feed=self.feed, reason=reason, symbol=symbol, from_ts=from_ts)
        event.to_ts = self.recv_ts if self._reading else self._clock.now()
        if channel is not None:
            event.channel = channel
        self.fact(event)

    def outage(self, reason: GapReason, from_ts: int | None) -> None:
        """Report the hole that a reconnect has left."""
        self._gap(reason, from_ts)

    def pause(self) -> None:
        """Stop the flow in the feed's own way; no event comes until `resume`."""
        chains = self.connector.pause()
        if chains is None:
            self._stop_reading("pause")
            self._announce_pause()
        else:
            one = Round("pause", chains, lambda _: self._announce_pause())
            self._guard(lambda: self._conversation.begin(one))

    def _announce_pause(self) -> None:
        if self.paused:
            return
        self.paused = True
        self._paused_at = self.last_frame_ts or self.recv_ts
        self.fact(SessionEvent(feed=self.feed, state="paused"))
        self._stream.flush()

    def resume(self, paused_at: int | None = None) -> None:
        """Start the flow again; what was missed meanwhile is reported as a gap."""
        if "pause" in self._unread:
            self.paused = False
            self.fact(SessionEvent(feed=self.feed, state="resumed"))
            self._stream.flush()
            self._read_on("pause")
            return
        one = Round(
            "resume",
            self.connector.resume(),
            lambda one: self._resumed(one, paused_at or self._paused_at),
            begun=self._unpause,
        )
        self._guard(lambda: self._conversation.begin(one))

    def _unpause(self) -> None:
        self.paused = False
        self.fact(SessionEvent(feed=self.feed, state="resumed"))

    def _resumed(self, one: Round, since: int | None) -> None:
        self._report(one)
        self._gap("paused", since)

    # --- back-pressure

    def pause_reading(self) -> None:
        """The gate has closed: an output cannot take more."""
        self._stop_reading("gate")

    def resume_reading(self) -> None:
        """The gate is open again."""
        self._read_on("gate")

    def _stop_reading(self, why: str) -> None:
        if not self._unread and self._connection is not None:
            self._connection.pause_reading()
            self._liveness.sleep()
        self._unread.add(why)

    def _read_on(self, why: str) -> None:
        self._unread.discard(why)
        if not self._unread and self._connection is not None:
            self._liveness.wake(monotonic())
            self._connection.resume_reading()
            self._schedule()

    # --- the timer

    def _on_timer(self) -> None:
        self._timer = None
        # What a timer brings happens now, not at the last read: receive times never decrease.
        self.recv_ts = self._clock.now()
        self._guard(lambda: self._tick(monotonic()))

    def _tick(self, now: float) -> None:
        """Do all that is due."""
        if self.ended.done() or self._connection is None:
            return
        if self._finish_at is not None and now >= self._finish_at:
            self.end(self._evicted)
            return
        while self._outbox and self._outbox[0][0] <= now:
            _, request, aside = self._outbox.popleft()
            if aside:
                self._say(request)
            else:
                self._transmit(request, now)
        self._conversation.expire(now)
        if self.connector.wake_at is not None and now >= self.connector.wake_at:
            self._wake_connector(now)
        if self._resync_wanted and now >= self._resync_allowed_at:
            self._resync(now)
        if self._evicted is None:
            self._keep_alive(now)
        self._schedule()

    def _keep_alive(self, now: float) -> None:
        if self._liveness.ping_due(now):
            self._say(Request(frame=self.connector.ping()))
        if self._liveness.websocket_ping_due(now) and self._connection is not None:
            self._connection.ping()
        verdict = self._liveness.verdict(now)
        if verdict is not None:
            self.end(Stale(verdict))

    def _wake_connector(self, now: float) -> None:
        for item in self.connector.wake(now):
            if isinstance(item, Request):
                self._submit_aside(item)
            elif item.__class__ in DATA_CLASSES:
                self._emit(item, self.recv_ts, self.conn)
            else:
                self._other(item)

    def _submit_aside(self, request: Request) -> None:
        """Send what a connector's own timer asks for; no answer is waited for."""
        now = monotonic()
        slot = self._pace.take(now)
        if slot <= now and not self._outbox:
            self._say(request)
        else:
            self._outbox.append((slot, request, True))

    def _next_deadline(self) -> float:
        times = [self._liveness.next_deadline()]
        if self._outbox:
            times.append(self._outbox[0][0])
        if self._resync_wanted:
            times.append(self._resync_allowed_at)
        others = (self._conversation.next_deadline(), self.connector.wake_at, self._finish_at)
        return min([*times, *(time for time in others if time is not None)])

    def _schedule(self) -> None:
        if self.ended.done() or self._connection is None:
            return
        at = self._next_deadline()
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._on_timer)


def _resubscribes(chains: list[Chain], channel: str | None) -> bool:
    return any(
        len(chain) > 1 and chain[-1].action == "subscribe" and chain[-1].channel == channel
        for chain in chains
    )


def endpoint_pairs(endpoint: Endpoint, start: int) -> list[tuple[int, str, str]]:
    """Return index, URL and shown URL of each candidate, beginning with the one that worked."""
    order = [*range(start, len(endpoint.urls)), *range(start)]
    return [(index, endpoint.urls[index], endpoint.shown[index]) for index in order]
