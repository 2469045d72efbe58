"""The transport of a connection to ASP.NET SignalR 2.x, which is opened again when it is lost.

It goes on from the cursor of the last message, so nothing is lost; only when that has failed for
the server's `DisconnectTimeout` is the connection over. docs/protocols/websocket_v2.md, section
6.3, numbers 2, 7 and 8.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from wsfeeds.command import signalr_legacy_messages as messages
from wsfeeds.command.route import CutShort, Reply, Route, refusal
from wsfeeds.command.signalr_legacy_negotiation import Terms
from wsfeeds.command.signalr_pipes import EventPipe, Pipe, SocketPipe, ended_by, refused
from wsfeeds.command.signalr_pulse import Pulse
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import Ended, Listener
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError

_POLL_MARGIN = 10.0


class Owner(Protocol):
    """Whose transport it is."""

    def taken(self, data: bytes) -> None:
        """Take one message of the server."""

    def lost(self, ended: Ended) -> None:
        """The transport has ended by itself; `again` brings it back."""

    def gone(self, ended: Ended) -> None:
        """The connection is over: there was no way back, or the server said so."""


class Link:
    """One transport at a time, each the continuation of the one before; times are in seconds.

    Args:
        params: The document's parameters.
        route: Makes the requests.
        listener: Runs the work and hears of socket errors.
        owner: Takes messages and losses.
        terms: What was negotiated.
        transport: Which kind of transport.
        reconnect_every: The least time from one attempt to come back to the next one.
    """

    def __init__(
        self,
        params: Params,
        route: Route,
        listener: Listener,
        owner: Owner,
        *,
        terms: Terms,
        transport: str,
        reconnect_every: float,
    ) -> None:
        """Prepare; nothing is opened."""
        self.transport = transport
        self.parted = True
        """Whether the peer answered our close, see `VariantSession`."""
        self._params = params
        self._route = route
        self._listener = listener
        self._owner = owner
        self._terms = terms
        self._every = reconnect_every
        self._loop = asyncio.get_running_loop()
        self._cursor: dict[str, str] = {}
        self._delay = 0.0
        self._pipe: Pipe | None = None
        self._pulse: Pulse | None = None
        self._opened_at = 0.0
        self._lost_at: float | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._over = False

    @property
    def socket(self) -> SocketPipe | None:
        """The open WebSocket, if that is the transport."""
        return self._pipe if isinstance(self._pipe, SocketPipe) else None

    async def connect(self) -> None:
        """Open the transport for the first time.

        Raises:
            CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        """
        url = self._terms.url("connect", self.transport)
        if self.transport != "longPolling":
            await self._open(url)
            return
        reply = await self._route.fetch("POST", url, headers=self._terms.headers, data={})
        if reply.status != 200:
            raise refusal(reply.status, "connect", reply.headers)
        self._take(reply)

    def begin(self) -> None:
        """Watch what is open, or poll: the connection has been started."""
        if self.transport == "longPolling":
            self._listener.spawn(self._poll())
        else:
            self._watch()

    def remember(self, frame: messages.Frame) -> None:
        """Keep what a message says about the next request."""
        if frame.cursor is not None:
            self._cursor["messageId"] = str(frame.cursor)
        if frame.groups:
            self._cursor["groupsToken"] = frame.groups
        self._delay = max(frame.delay or 0.0, 0.0) / 1000

    def again(self, reason: str | None) -> None:
        """Open the transport again from the cursor; a `reason` is a socket error.

        Polls need no such thing: the next one goes on from the cursor anyway.
        """
        if self.transport == "longPolling" or self._over:
            return
        self._drop()
        first = self._lost_at is None
        if first:
            self._lost_at = self._loop.time()
        if reason is not None and first:
            self._listener.on_error(reason, "connection")
        self._listener.spawn(self._reconnect(reason or "the server asked to reconnect"))

    # --- what a pipe calls

    def taken(self, data: bytes) -> None:
        """Pass a message on."""
        if not self._over:
            self._owner.taken(data)

    def heard(self) -> None:
        """Something has arrived, whatever it was."""
        self._lost_at = None
        if self._pulse is not None:
            self._pulse.heard()

    def lost(self, pipe: Pipe, ended: Ended) -> None:
        """The transport has ended by itself."""
        if pipe is self._pipe and not self._over:
            self._owner.lost(ended)

    # --- streams

    async def _open(self, url: str) -> None:
        pipe: Pipe
        if self.transport == "webSockets":
            pipe = SocketPipe(self._params, self._route, self._listener, self)
        else:
            pipe = EventPipe(self._route, self._listener, self)
        self._opened_at = self._loop.time()
        self._pipe = pipe
        try:
            await pipe.connect(url, self._terms.headers)
        except WsfeedsError:
            pipe.deaf = True
            self._pipe = None
            raise
        if not self._reading.is_set():
            pipe.pause_reading()

    async def _reconnect(self, reason: str) -> None:
        """Try every two seconds, as long as the server remembers us."""
        error = Transient(reason)
        while not self._over:
            due = self._next_attempt(self._opened_at, error)
            if due is None:
                return
            await asyncio.sleep(due - self._loop.time())
            await self._reading.wait()
            try:
                await self._open(self._terms.url("reconnect", self.transport, cursor=self._cursor))
            except CredentialsRefused as refused:
                self._owner.gone(Ended(code=1006, reason=refused.message, error=refused))
                return
            except Transient as failed:
                error = failed
            else:
                self._watch()
                return

    def _next_attempt(self, last: float, error: Transient) -> float | None:
        """Return when to try again, or end the connection because that would be too late."""
        lost_at = self._lost_at if self._lost_at is not None else self._loop.time()
        due = max(last + self._every, self._loop.time() + (error.retry_after or 0.0))
        if due <= lost_at + self._terms.disconnect:
            return due
        told = f"no way back within {self._terms.disconnect:g} s: {error.message}"
        self._owner.gone(refused(Transient(told, code=error.code, retry_after=error.retry_after)))
        return None

    def _watch(self) -> None:
        """Take silence longer than the server's promise for a loss."""
        if self._pipe is not None and not self._over:
            self._pulse = Pulse(silence=self._terms.keepalive, on_silence=self._silent)
            if not self._reading.is_set():
                self._pulse.sleep()

    def _silent(self) -> None:
        self.again(f"nothing received for {self._terms.keepalive:g} s")

    # --- long polling

    async def _poll(self) -> None:
        terms = self._terms
        patience = terms.connection + _POLL_MARGIN
        while not self._over:
            await self._reading.wait()
            began = self._loop.time()
            url = terms.url("poll", "longPolling")
            try:
                reply = await self._route.fetch(
                    "POST", url, headers=terms.headers, data=self._cursor, timeout=patience
                )
                self._polled(reply)
            except Transient as error:
                await self._poll_failed(error, began)
            else:
                await asyncio.sleep(self._delay)

    def _polled(self, reply: Reply) -> None:
        if reply.status != 200:
            ended = ended_by(reply, "a poll")
            if isinstance(ended.error, Transient):
                raise ended.error
            self._owner.gone(ended)
        else:
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        self._listener.on_data()
        self.heard()
        self.taken(reply.body)
        self._listener.on_read()

    async def _poll_failed(self, error: Transient, began: float) -> None:
        if self._over:
            return
        if self._lost_at is None:
            self._lost_at = self._loop.time()
            self._listener.on_error(error.message, "connection")
        if isinstance(error, CutShort) and (part := error.reply.body.strip()):
            # Its cursor was not seen, so the whole of it comes again.
            self._listener.on_malformed("an answer broke off", part)
        due = self._next_attempt(began, error)
        if due is not None:
            await asyncio.sleep(due - self._loop.time())

    # --- back-pressure

    def pause_reading(self) -> None:
        """Leave the transport unread; silence says nothing now."""
        self._reading.clear()
        if self._pipe is not None:
            self._pipe.pause_reading()
        if self._pulse is not None:
            self._pulse.sleep()

    def resume_reading(self) -> None:
        """Read on."""
        self._reading.set()
        if self._pipe is not None:
            self._pipe.resume_reading()
        if self._pulse is not None:
            self._pulse.wake()

    # --- the end

    def end(self) -> None:
        """Hear, watch and open nothing more."""
        self._over = True
        if self._pulse is not None:
            self._pulse.stop()

    async def close(self) -> None:
        """Drop what is open."""
        self.end()
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.deaf = True
            await pipe.close()
            self.parted = not isinstance(pipe, SocketPipe) or pipe.parted

    def discard(self) -> None:
        """Give the transport up: it did not work."""
        self.end()
        self._drop()

    def _drop(self) -> None:
        """Close what is open, beside all else."""
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.deaf = True
            self._listener.spawn(pipe.close())
