"""One connection from its upgrade to its end.

A link is driven by plain calls: the transport's for what arrives, one timer for what is due. What a
frame becomes is emitted within the call that delivered it. The end is a future: a normal return
where the venue finished, else the error that says what to do next. With the end the link stops
listening: what the same read, or the closing, still brings is counted and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wsfeeds import protocol
from wsfeeds.clock import Clock, monotonic
from wsfeeds.errors import CredentialsRefused, LoggedOut, Transient
from wsfeeds.events import ErrorEvent, Event, Gap, Heartbeat, SessionEvent
from wsfeeds.pipeline import DATA_CLASSES, Stream
from wsfeeds.protocol import Ack, Connector, Control, Incoming, Request
from wsfeeds.session import endings
from wsfeeds.session.alarm import Alarm
from wsfeeds.session.endings import Renewed, Stale
from wsfeeds.session.flow import Flow
from wsfeeds.session.line import Owner
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import TOO_BIG, Connection

_EVICTION_LINGER = 5.0


class Link(Flow):
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
        super().__init__(
            owner, connector, stream, clock, conn=conn, tap=tap, first=first, paused=paused
        )
        self.greeted_at: float | None = None
        self.got_data = False
        self._batch: list[Event] = []
        """The data events of this read that are still to be passed on."""
        self._room = 0
        self._ear = tap
        self._shown_url = shown_url
        self._about = about
        self._receive: Callable[[bytes], Sequence[Incoming]] = connector.receive
        self._now = monotonic()
        """Of this read or this ring of the alarm, in monotonic seconds."""
        self._controls = False
        self._alarm = Alarm(self._ring)
        self._finish_at: float | None = None  # this and the next in reading time
        self._finished_at: float | None = None
        self._evicted: LoggedOut | None = None

    # --- what the transport calls

    def on_open(self, connection: Connection) -> None:
        """Announce the connection and say what is to be said first."""
        self.guard(lambda: self._opened(connection))

    def _opened(self, connection: Connection) -> None:
        self._connection = connection
        now = self._now = monotonic()
        self.recv_ts = self._clock.now()
        self._liveness.wake(now)
        if self._tap is not None:
            self._tap.opened(self.recv_ts, self.conn, self._about, self.connector.state)
        self.fact(SessionEvent(feed=self.feed, state="connected", url=self._shown_url))
        self._owner.opened(self)
        if self._owner.paused and not self.paused:
            self.hush()  # the command came while this was being opened
        self._stream.gate.attach(self)
        self._dialogue.open()
        self._wake_connector(now)
        if self.paused:
            self.pause()

    def on_data(self) -> None:
        """Stamp what is about to be read."""
        self._in_read = True
        self._room = self._stream.room
        self.recv_ts = self._clock.now()
        self._now = monotonic()

    def on_frame(self, frame: bytes, binary: bool) -> None:
        """Turn one frame into events, within this call."""
        try:
            if self._ear is not None:
                self._ear.inbound(self.recv_ts, self.conn, frame, binary)
            for item in self._receive(frame):
                if item.__class__ in DATA_CLASSES:
                    self._batch.append(item)
                else:
                    self._other(item)
            self.last_frame_ts = self.recv_ts
            self._liveness.last_frame = self._now
            if len(self._batch) >= self._room:
                self._deliver()
                self._stream.flush()
                self._room = self._stream.room
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)

    def _deliver(self) -> None:
        """Pass on the data events gathered so far, before anything else is said."""
        if self._batch:
            events, self._batch = self._batch, []
            self.got_data = True
            self._emit(events, self.recv_ts, self.conn)

    def on_read(self) -> None:
        """Pass on what this read brought, then see to what it asks for."""
        try:
            self._deliver()
            self._stream.flush()
            if self.got_data:
                self._note_data()
            if self._controls and not self.ended.done():
                self._controls = False
                self._wake_connector(self._now)
                self._tick(self._now)
                self._stream.flush()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)
        finally:
            self._in_read = False

    def on_pong(self) -> None:
        """Count a WebSocket pong where the feed lets it count."""
        self._liveness.websocket_pong(self._now)

    def on_close(self, code: int, reason: str) -> None:
        """The connection is gone."""
        self.guard(lambda: self._closed(code, reason))

    def _closed(self, code: int, reason: str) -> None:
        ours = self._connection is not None and self._connection.gave_up
        limit = self.connector.settings.max_frame
        error = endings.closed(code, reason, ours=ours, max_frame=limit)
        meaning = None if ours else self.connector.closed(code, reason)
        if ours and code == TOO_BIG:
            self.fact(ErrorEvent(feed=self.feed, code=code, message=error.message))
        if self._evicted is not None:
            self.end(self._evicted)
        elif isinstance(meaning, protocol.Finished) or self._finish_at is not None:
            self.end()
        elif meaning is not None:
            self._control(meaning)
        self.end(error)

    # --- the end

    def end(self, error: BaseException | None = None) -> None:
        """End the link, once, and listen no more."""
        self._receive, self._ear = self._too_late, None
        super().end(error)

    def _too_late(self, frame: bytes) -> Sequence[Incoming]:
        """Count a frame that came after the end; it is not what a gap is reckoned from."""
        del frame
        self._stream.skipped["frames after the end"] += 1
        raise _TooLate

    async def close(self) -> None:
        """Close the connection and stop all timers."""
        self.end()
        self._alarm.cancel()
        self._stream.gate.detach(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
            if self._tap is not None:
                self._tap.closed(self._clock.now(), self.conn)

    # --- what a frame means

    def _other(self, item: Event | Control) -> None:
        if isinstance(item, protocol.Skipped):
            self._stream.skipped[item.reason] += 1
            return
        self._deliver()
        if isinstance(item, Control):
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
            self.evidence_at = self.evidence_at or self._now
        self._stream.emit_fact(event, self.recv_ts, self.conn)

    def _control(self, item: Control) -> None:
        self._controls = True
        match item:
            case protocol.Pong():
                self._stream.skipped["pongs"] += 1
                self._liveness.pong(self._now)
            case Ack():
                self._answer(item)
            case protocol.Refused(message=message, code=code):
                self.end(CredentialsRefused(message, code=code))
            case protocol.Evicted(message=message):
                # Stop everything, and leave the venue some seconds to close by itself.
                self._evicted = LoggedOut(message)
                self._finish_at = self.reading.at(self._now) + _EVICTION_LINGER
            case protocol.Finished(held=True):
                self._finish_at, self._finished_at = None, self.reading.at(self._now)
            case protocol.Finished(linger=linger):
                now = self.reading.at(self._now)
                self._finish_at = linger + (now if self._finished_at is None else self._finished_at)
            case protocol.Reconnect(reason=reason):
                self.end(Renewed(reason) if self.evidence_at is not None else Transient(reason))
            case protocol.Resync(channel=channel, symbol=symbol, reason=reason):
                self._dialogue.want_resync(channel, symbol, reason)
            case _:
                raise TypeError(f"{item!r} is for no session")

    def _note_data(self) -> None:
        self.got_data = False
        self._liveness.last_data = self._now
        if self.evidence_at is None:
            self.evidence_at = self._now

    def _answer(self, ack: Ack) -> None:
        if ack.ok and self.evidence_at is None:
            self.evidence_at = self._now
        if self.greeted_at is None:
            self.greeted_at = self._now
        if self._dialogue.answer(ack):
            self._stream.skipped["acks"] += 1
        elif ack.ok:
            self._stream.skipped["acks without a request"] += 1
        else:
            self.fact(ErrorEvent(feed=self.feed, code=ack.code, message=ack.message))

    def change(self, wanted: protocol.Wanted) -> None:
        """Take over a new set of symbols."""
        self._about["symbols"] = list(wanted.symbols)
        if not self.connector.wants_anything:
            self._liveness.last_data = monotonic()  # until now none was due
        self.guard(lambda: self._dialogue.change(wanted, silent=self.paused))

    @property
    def talks(self) -> bool:
        """Whether a command is still being carried out."""
        return self._dialogue.under_way

    # --- what is due

    def _ring(self) -> None:
        # What an alarm brings happens now, not at the last read: receive times never decrease.
        self._now = monotonic()
        self.recv_ts = self._clock.now()
        self.guard(lambda: self._tick(self._now))

    def _tick(self, now: float) -> None:
        """Do all that is due."""
        if self.ended.done() or self._connection is None:
            return
        if self._finish_at is not None and self.reading.at(now) >= self._finish_at:
            self.end(self._evicted)
            return
        self._dialogue.tick(now)
        if self.connector.wake_at is not None and self._connectors(now) >= self.connector.wake_at:
            self._wake_connector(now)
        if self._finish_at is None:
            self._keep_alive(now)
        self.schedule()

    def _keep_alive(self, now: float) -> None:
        if self._liveness.ping_due(now):
            self.say(Request(frame=self.connector.ping()))
        if self._liveness.websocket_ping_due(now) and self._connection is not None:
            self._connection.ping()
        verdict = self._liveness.verdict(now)
        if verdict is not None:
            self.end(Stale(verdict))

    def _connectors(self, now: float) -> float:
        """Return the connector's time."""
        return now if self.connector.wakes_while_unread else self.reading.at(now)

    def _wake_connector(self, now: float) -> None:
        for item in self.connector.wake(self._connectors(now)):
            if isinstance(item, Request):
                self._dialogue.submit_aside(item)
            elif item.__class__ in DATA_CLASSES:
                self._batch.append(item)
            else:
                self._other(item)
        self._deliver()
        if self.got_data:
            self._note_data()

    def schedule(self) -> None:
        """Set the alarm to the earliest thing due."""
        if self.ended.done() or self._connection is None:
            return
        wake_at = self.connector.wake_at
        if not self.connector.wakes_while_unread:
            wake_at = self.reading.due(wake_at)
        times = (self._dialogue.next_deadline(), wake_at, self.reading.due(self._finish_at))
        due = [time for time in times if time is not None]
        self._alarm.set(min([self._liveness.next_deadline(), *due]))


class _TooLate(Exception):
    """Leaves `on_frame` for a frame that is not handled."""
