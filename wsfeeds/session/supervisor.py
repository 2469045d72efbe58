"""One socket's life: attempts, the wait between them, and its end.

States go through the stream as `session` events: connecting → connected → subscribed →
disconnected → reconnecting → … → stopped. Rules are those of contract section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from wsfeeds import config
from wsfeeds.errors import (
    CredentialsRefused,
    LoggedOut,
    OutputFailed,
    ReaderGone,
    Transient,
    UsageError,
    WsfeedsError,
    leaves,
)
from wsfeeds.events import ErrorEvent, Event, Gap, GapReason, SessionEvent
from wsfeeds.protocol import Connector, Socket, Wanted
from wsfeeds.session.dialling import Dialler, Shared
from wsfeeds.session.endings import STALE, Stale
from wsfeeds.session.line import Line
from wsfeeds.session.link import Link
from wsfeeds.session.renewal import Renewal
from wsfeeds.session.retries import Retries


class _Over(Exception):
    """The socket is finished."""


class Session:
    """Keeps one socket connected until it is finished, refused, exhausted or stopped."""

    def __init__(self, shared: Shared, socket: Socket) -> None:
        """Supervise `socket`."""
        self.socket = socket
        self.paused = False
        self._shared = shared
        self._dialler = Dialler(shared, self)
        self._retries = Retries(shared.connector, shared.settings)
        self._renewal = Renewal(self)
        self._link: Link | None = None
        self._previous: Connector | None = None
        self._conn: int | None = None
        self._last_conn = 0
        self._ever_subscribed = False
        self._outage: tuple[GapReason, int | None] | None = None
        self._paused_at: int | None = None
        self._owes_resume = False
        self._tasks: asyncio.TaskGroup | None = None
        self._mute = False
        self.stop_reason = "stopped"

    # --- the outside

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self._shared.connector.name

    def change(self, wanted: Wanted) -> None:
        """Take over a new set of symbols, now or with the next connection."""
        self.socket = Socket(wanted, self.socket.key)
        if self._link is not None and self._link.is_open:
            self._link.change(wanted)

    def pause(self) -> None:
        """Stop the flow."""
        self.paused = True
        self._paused_at = None
        if self._link is not None and self._link.is_open:
            self._link.pause()
        else:
            self._fact(SessionEvent(feed=self.feed, state="paused"))
            self._flush()

    def resume(self) -> None:
        """Start the flow again."""
        self.paused = False
        if self._link is None or not self._link.is_open:
            self._owes_resume = True  # the next link knows since when
            return
        self._restart(self._link)

    def _restart(self, link: Link) -> None:
        """Start the flow of a link; what an end amid the pause cost is reported as a gap."""
        if link.is_unread and self._paused_at is not None:
            self._outage = self._outage or ("paused", self._paused_at)  # told once it is subscribed
        link.resume(self._paused_at)

    def deafen(self) -> None:
        """Take nothing in any more, not even the rest of the read under way."""
        for link in self._links():
            link.end()

    def leave(self) -> None:
        """End because nothing is wanted here any more; whoever calls this cancels the task."""
        self.stop_reason = "unsubscribed"
        self._fact(SessionEvent(feed=self.feed, state="unsubscribed"))
        self._flush()

    def _links(self) -> list[Link]:
        return [link for link in (self._link, self._renewal.successor) if link is not None]

    # --- from the first attempt to the end

    async def run(self) -> None:
        """Run until the end.

        Raises:
            WsfeedsError: The socket is refused, or cannot be reached, or an output failed.
        """
        try:
            await self._run()
            self.stop_reason = "finished"
        except (OutputFailed, ReaderGone):
            self._mute = True
            raise
        except WsfeedsError as error:
            self._fail(error.message, error.code)
            raise
        except (asyncio.CancelledError, Exception) as error:
            fault = self._fault(error)
            if fault is None:
                raise
            # Raised on, for exit code 1, but whoever reads the stream is told too.
            self._fail(f"a fault in wsfeeds itself: {type(fault).__name__}: {fault}", None)
            raise fault from fault.__cause__
        finally:
            await asyncio.gather(*(link.close() for link in self._links()))
            self._report_leftovers()
            self._fact(SessionEvent(feed=self.feed, state="stopped", reason=self.stop_reason))
            self._flush()

    async def _run(self) -> None:
        """Supervise within a task group, and raise what ended it as it is."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._supervise()
                raise _Over
        except BaseExceptionGroup as group:
            for error in leaves(group):
                if not isinstance(error, _Over):
                    raise error from None

    def _fault(self, error: BaseException) -> BaseException | None:
        """Return a bug of ours, which a stop that came with it must not hide."""
        if not isinstance(error, asyncio.CancelledError):
            return error
        return next((link.fault for link in self._links() if link.fault is not None), None)

    def _fail(self, message: str, code: int | str | None) -> None:
        self.stop_reason = message
        event = ErrorEvent(feed=self.feed, code=code, message=message, fatal=True)
        event.symbol = self.socket.symbol
        self._fact(event)

    def _report_leftovers(self) -> None:
        """Report what no connection will bring any more."""
        connector = self._link.connector if self._link is not None else self._previous
        if connector is None:
            return
        for event in connector.ending():
            if isinstance(event, Gap):
                event.from_ts = self._link.last_frame_ts if self._link is not None else None
                event.to_ts = self._shared.clock.now()
            self._fact(event)

    async def _supervise(self) -> None:
        while True:
            try:
                link = await self._open()
                await self._live(link)
            except Transient as error:
                await self._again(error)
            except CredentialsRefused as error:
                await self._again(self._retries.refused(error))
            else:
                return

    async def _again(self, error: Transient) -> None:
        """Wait before the next attempt.

        Raises:
            RetriesExhausted: There were too many failures in a row.
        """
        delay = self._retries.delay(error)
        self._fact(
            SessionEvent(
                feed=self.feed,
                state="reconnecting",
                reason=STALE if isinstance(error, Stale) else error.message,
                code=None if error.code is None else str(error.code),
                attempt=max(1, self._retries.failures),
                delay_ms=round(delay * 1000),
            )
        )
        self._flush()
        await asyncio.sleep(delay)

    # --- one attempt

    async def _open(self) -> Link:
        """Make one attempt: secrets, token, preparation, upgrade."""
        shared = self._shared
        shared.clock.anchor()
        self._link = None
        if self._conn is None:
            self._conn = shared.next_connection()
        settings = config.refreshed(shared.settings)
        shared.learn(settings)
        connector = shared.connector(self.socket, settings, previous=self._previous)
        self._announce(connector)
        link = self._link = await self._dialler.dial(
            connector, settings, self._conn, first=not self._ever_subscribed, paused=self.paused
        )
        self._reconcile(link)
        return link

    def _announce(self, connector: Connector, conn: int | None = None) -> None:
        self._fact(
            SessionEvent(
                feed=self.feed,
                state="connecting",
                attempt=self._retries.failures + 1,
                url=self._dialler.shown(connector),
            ),
            conn,
        )
        self._flush()

    def _reconcile(self, link: Link) -> None:
        """Carry out on a new link the commands that came while it was being opened."""
        if link.connector.socket.wanted != self.socket.wanted:
            link.change(self.socket.wanted)
        if self.paused and not link.paused:
            link.hush()  # the pause was announced when the command came
            link.paused_at = link.last_frame_ts
            link.pause()
        elif link.paused and not self.paused:
            self._restart(link)
        elif self._owes_resume and not self.paused:
            self._fact(SessionEvent(feed=self.feed, state="resumed"))
            if link.subscribed:
                link.gap("paused", self._paused_at)
            elif self._ever_subscribed:
                self._outage = ("paused", self._paused_at)
            self._flush()
        self._owes_resume = False

    # --- while connected

    def opened(self, line: Line) -> None:
        """Use the number up: the next connection has a new one."""
        self._last_conn = line.conn
        if line.conn == self._conn:
            self._conn = None

    def subscribed(self, line: Line) -> None:
        """Report the hole of the outage that ends here, where there was one."""
        self._ever_subscribed = True
        self._retries.subscribed()
        outage, self._outage = self._outage, None
        if outage is None or line.connector.resumes:
            return
        if self.paused:
            self._paused_at = self._paused_at or outage[1]
        else:
            line.gap(*outage)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the link; it ends with the session."""
        assert self._tasks is not None
        self._tasks.create_task(work)

    async def _live(self, link: Link) -> None:
        """Wait for the end of a link, and of every link that takes over from it."""
        while True:
            error = await self._last(link)
            successor = await self._renewal.take()
            if successor is None or not (error is None or isinstance(error, Transient)):
                if successor is not None:
                    await successor.close()
                if error is not None:
                    self._lost(link, error)
                    raise error
                self._disconnected(link, "finished", None)
                return
            self._disconnected(link, "handed over" if error is None else error.message, None)
            if error is not None:
                self._bridge(link, successor, error)
            link = self._link = successor
            self._reconcile(link)

    async def _last(self, link: Link) -> Transient | CredentialsRefused | UsageError | None:
        """Wait for the end of a link, close it, and return what ended it."""
        assert self._tasks is not None
        renewal: asyncio.Task[None] | None = None
        expiry = link.connector.expires_at()
        if expiry is not None:
            renewal = self._tasks.create_task(self._renewal.renew(link, expiry))
        try:
            await asyncio.shield(link.ended)
        except (Transient, CredentialsRefused, UsageError) as failed:
            return failed
        finally:
            if renewal is not None:
                renewal.cancel()
            self._previous = link.connector
            link.connector.previous = None  # one generation is enough
            await link.close()
        return None

    def _lost(self, link: Link, error: Exception) -> None:
        """Say that the connection is gone and remember what may have been missed."""
        reason = STALE if isinstance(error, Stale) else getattr(error, "message", str(error))
        if isinstance(error, LoggedOut):
            reason = f"logout: {error.message}"
        self._disconnected(link, reason, getattr(error, "code", None))
        seen = link.subscribed or link.evidence_at is not None
        if self.paused:
            self._paused_at = self._paused_at or link.paused_at
        elif (seen or self._ever_subscribed) and link.connector.wants_anything:
            self._note_outage(link, error)
        self._retries.lost(link, error)

    def _note_outage(self, link: Link, error: Exception) -> None:
        if self._outage is None:
            stale = isinstance(error, Stale)
            self._outage = ("stale" if stale else "disconnect", link.last_frame_ts)

    def _bridge(self, link: Link, successor: Link, error: Transient) -> None:
        """Report what was lost where a link died before its successor delivered."""
        if successor.subscribed and successor.connector.caught_up():
            return
        self._note_outage(link, error)
        if successor.subscribed:
            self.subscribed(successor)

    def _disconnected(self, link: Link, reason: str, code: int | str | None) -> None:
        text = None if code is None else str(code)
        link.fact(SessionEvent(feed=self.feed, state="disconnected", reason=reason, code=text))
        self._flush()

    # --- a second connection (see `Renewal`)

    async def open_newer(self, link: Link, expiry: float) -> Link | None:
        """Open a second connection with a token that lives longer, None where there is none."""
        shared = self._shared
        settings = config.refreshed(shared.settings)
        connector = shared.connector(self.socket, settings, previous=link.connector, overlaps=True)
        newer = connector.expires_at()
        if newer is not None and newer <= expiry:
            return None
        shared.learn(settings)
        conn = shared.next_connection()
        self._announce(connector, conn)
        return await self._dialler.dial(
            connector, settings, conn, first=not self._ever_subscribed, paused=self.paused
        )

    def complain(self, message: str) -> None:
        """Emit an error event."""
        self._fact(ErrorEvent(feed=self.feed, message=message))
        self._flush()

    # --- facts

    def _fact(self, event: Event, conn: int | None = None) -> None:
        if isinstance(event, SessionEvent) and event.symbols is None:
            event.symbols = list(self.socket.wanted.symbols)
        if not self._mute:
            conn = conn or self._conn or self._last_conn
            self._shared.stream.emit_fact(event, self._shared.clock.now(), conn)

    def _flush(self) -> None:
        if not self._mute:
            self._shared.stream.flush()
