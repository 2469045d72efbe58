"""One connection from its upgrade to its end.

A link is driven by plain calls: the transport's for what arrives, one timer for what is due. What a
frame becomes is emitted within the call that delivered it. The end is a future: a normal return
where the venue finished, else the error that says what to do next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from wsfeeds import protocol
from wsfeeds.clock import Clock, monotonic
from wsfeeds.errors import CredentialsRefused, LoggedOut, Transient
from wsfeeds.events import ErrorEvent, Event, Gap, GapReason, Heartbeat, SessionEvent
from wsfeeds.pipeline import DATA_CLASSES, Stream
from wsfeeds.protocol import Ack, Connector, Control, Endpoint, Request
from wsfeeds.session.dialogue import Dialogue
from wsfeeds.session.keepalive import Liveness
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Connection

STALE = "stale"
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
        self._shown_url = shown_url
        self._about = about
        self._receive = connector.receive
        self._emit = stream.emit
        self._read_at = monotonic()
        self._liveness = Liveness(connector, self._read_at)
        self._dialogue = Dialogue(self, first=first)
        self._connection: Connection | None = None
        self._unread: set[str] = set()
        self._controls = False
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        self._finish_at: float | None = None
        self._finished_at: float | None = None
        self._evicted: LoggedOut | None = None
        self._paused_at: int | None = None

    # --- what the transport calls

    def on_open(self, connection: Connection) -> None:
        """Announce the connection and say what is to be said first."""
        self.guard(lambda: self._opened(connection))

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
        self._dialogue.open()
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
        self.guard(lambda: self._closed(code, reason))

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

    def guard(self, call: Callable[[], None]) -> None:
        """Run a call of the event loop so that an error ends the link instead of being lost."""
        if self.ended.done():
            return
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
            case protocol.Finished(held=True):
                self._finish_at, self._finished_at = None, self._read_at
            case protocol.Finished(linger=linger):
                since = self._read_at if self._finished_at is None else self._finished_at
                self._finish_at = since + linger
            case protocol.Reconnect(reason=reason):
                self.end(Renewed(reason) if self.evidence_at is not None else Transient(reason))
            case protocol.Resync(channel=channel, symbol=symbol, reason=reason):
                self._dialogue.want_resync(channel, symbol, reason)
            case _:
                raise TypeError(f"{item!r} is for no session")

    def _evict(self, message: str) -> None:
        """Stop everything, and leave the venue some seconds to close by itself."""
        self._evicted = LoggedOut(message)
        self._finish_at = self._read_at + _EVICTION_LINGER

    # --- what is said

    @property
    def now_ts(self) -> int:
        """The receive time of this read, or of this moment between reads."""
        return self.recv_ts if self._reading else self._clock.now()

    def say(self, request: Request) -> None:
        """Send a request's frame, if it has one."""
        if request.frame is None or self._connection is None:
            return
        shown = request.frame if request.shown is None else request.shown
        self._connection.send(request.frame)
        if self._tap is not None:
            # Within a read, its own time: frames of the same read may follow.
            self._tap.outbound(self.now_ts, self.conn, shown)
        self.connector.sent(shown)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the link."""
        self._owner.spawn(work)

    def subscribed_now(self) -> None:
        """The opening round is settled and something was accepted."""
        self.subscribed = True
        self._owner.link_subscribed(self)

    def _answer(self, ack: Ack) -> None:
        if ack.ok and self.evidence_at is None:
            self.evidence_at = self._read_at
        if self.greeted_at is None:
            self.greeted_at = self._read_at
        if self._dialogue.answer(ack):
            self._stream.skipped["acks"] += 1
        elif ack.ok:
            self._stream.skipped["acks without a request"] += 1
        else:
            self.fact(ErrorEvent(feed=self.feed, code=ack.code, message=ack.message))

    def change(self, wanted: protocol.Wanted) -> None:
        """Take over a new set of symbols."""
        self._about["symbols"] = list(wanted.symbols)
        self.guard(lambda: self._dialogue.change(wanted, silent=self.paused))

    def outage(self, reason: GapReason, from_ts: int | None) -> None:
        """Report the hole that a reconnect has left."""
        self._dialogue.gap(reason, from_ts)

    def pause(self) -> None:
        """Stop the flow in the feed's own way; no event comes until `resume`."""
        chains = self.connector.pause()
        if chains is None:
            self._stop_reading("pause")
            self._announce_pause()
        else:
            self.guard(lambda: self._dialogue.pause(chains, self._announce_pause))

    def _announce_pause(self) -> None:
        if self.paused:
            return
        self.paused = True
        self._liveness.sleep_data()
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
        since = paused_at or self._paused_at
        self.guard(lambda: self._dialogue.resume(self._unpause, since))

    def _unpause(self) -> None:
        self.paused = False
        self._liveness.wake_data(monotonic())
        self.fact(SessionEvent(feed=self.feed, state="resumed"))

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
        self.guard(lambda: self._tick(monotonic()))

    def _tick(self, now: float) -> None:
        """Do all that is due."""
        if self.ended.done() or self._connection is None:
            return
        if self._finish_at is not None and now >= self._finish_at:
            self.end(self._evicted)
            return
        self._dialogue.tick(now)
        if self.connector.wake_at is not None and now >= self.connector.wake_at:
            self._wake_connector(now)
        if self._finish_at is None:
            self._keep_alive(now)
        self._schedule()

    def _keep_alive(self, now: float) -> None:
        if self._liveness.ping_due(now):
            self.say(Request(frame=self.connector.ping()))
        if self._liveness.websocket_ping_due(now) and self._connection is not None:
            self._connection.ping()
        verdict = self._liveness.verdict(now)
        if verdict is not None:
            self.end(Stale(verdict))

    def _wake_connector(self, now: float) -> None:
        for item in self.connector.wake(now):
            if isinstance(item, Request):
                self._dialogue.submit_aside(item)
            elif item.__class__ in DATA_CLASSES:
                self._emit(item, self.recv_ts, self.conn)
            else:
                self._other(item)

    def _next_deadline(self) -> float:
        times = (self._dialogue.next_deadline(), self.connector.wake_at, self._finish_at)
        return min([self._liveness.next_deadline(), *(time for time in times if time is not None)])

    def _schedule(self) -> None:
        if self.ended.done() or self._connection is None:
            return
        at = self._next_deadline()
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._on_timer)


def endpoint_pairs(endpoint: Endpoint, start: int) -> list[tuple[int, str, str]]:
    """Return index, URL and shown URL of each candidate, beginning with the one that worked."""
    order = [*range(start, len(endpoint.urls)), *range(start)]
    return [(index, endpoint.urls[index], endpoint.shown[index]) for index in order]
