"""What can be said on one connection, and said about it, until its end.

A link is a line that listens too; its dialogue only needs the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from wsfeeds.clock import Clock
from wsfeeds.errors import WsfeedsError
from wsfeeds.events import Event, Gap, GapReason, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector, Request
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Connection


class Owner(Protocol):
    """What a line tells the session that opened it."""

    @property
    def paused(self) -> bool:
        """Whether no data is wanted now."""

    def opened(self, line: Line) -> None:
        """The upgrade is through."""

    def subscribed(self, line: Line) -> None:
        """The opening round is settled and something was accepted."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the line; it ends with the session."""


class Line:
    """One connection's way out: frames to the venue, facts to the stream."""

    def __init__(
        self,
        owner: Owner,
        connector: Connector,
        stream: Stream,
        clock: Clock,
        *,
        conn: int,
        tap: Tap | None,
    ) -> None:
        """Prepare for a connection that is about to be opened."""
        self.connector = connector
        self.conn = conn
        self.recv_ts = clock.now()
        self.last_frame_ts: int | None = None
        self.subscribed = False
        self.evidence_at: float | None = None
        """When data, an ack or a heartbeat first came (monotonic seconds)."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = owner
        self._stream = stream
        self._clock = clock
        self._tap = tap
        self._connection: Connection | None = None
        self._in_read = False

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self.connector.name

    @property
    def is_open(self) -> bool:
        """Whether the upgrade went through and nothing has ended the line yet."""
        return self._connection is not None and not self.ended.done()

    @property
    def fault(self) -> BaseException | None:
        """What ended the line, where that was a bug of ours."""
        error = self.ended.exception() if self.ended.done() else None
        return None if isinstance(error, WsfeedsError) else error

    def end(self, error: BaseException | None = None) -> None:
        """End the line, once; None where everything that was to come has come."""
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
            self.ended.exception()  # whoever waits gets it; nobody waiting is no leak

    def schedule(self) -> None:
        """See to it that what is due gets done."""
        raise NotImplementedError

    def guard(self, call: Callable[[], None]) -> None:
        """Run a call of the event loop so that an error ends the line instead of being lost."""
        if self.ended.done():
            return
        try:
            call()
            self._stream.flush()
            self.schedule()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.end(error)

    def fact(self, event: Event) -> None:
        """Emit a session fact of this moment; the symbol is the socket's own where it has one."""
        if isinstance(event, SessionEvent):
            if event.symbols is None:
                event.symbols = list(self.connector.socket.wanted.symbols)
        elif event.symbol is None:
            event.symbol = self.connector.socket.symbol
        if not self._in_read:
            self.recv_ts = self._clock.now()
        self._stream.emit_fact(event, self.recv_ts, self.conn)

    def gap(
        self,
        reason: GapReason,
        from_ts: int | None,
        *,
        channel: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Report a hole that ends now."""
        event = Gap(feed=self.feed, reason=reason, symbol=symbol, from_ts=from_ts)
        event.to_ts = self.now_ts
        if channel is not None:
            event.channel = channel
        self.fact(event)

    @property
    def now_ts(self) -> int:
        """The receive time of this read, or of this moment between reads."""
        return self.recv_ts if self._in_read else self._clock.now()

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
        """Run something beside the line."""
        self._owner.spawn(work)

    def subscribed_now(self) -> None:
        """The opening round is settled and something was accepted."""
        self.subscribed = True
        self._owner.subscribed(self)
