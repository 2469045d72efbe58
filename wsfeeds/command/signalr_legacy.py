"""The `signalr-legacy` variant: ASP.NET SignalR 2.x; docs/protocols/websocket_v2.md, section 6.3.

A lost transport is opened again from the cursor of the last message, so nothing is lost; only when
that has failed for the server's `DisconnectTimeout` is the connection over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import ClassVar

import msgspec

from wsfeeds.command import signalr_legacy_messages as messages
from wsfeeds.command.route import Reply, Route, refusal
from wsfeeds.command.signalr_legacy_negotiation import Filter, Terms, connection_data, negotiate
from wsfeeds.command.signalr_pipes import EventPipe, Pipe, SocketPipe, ended_by
from wsfeeds.command.signalr_posting import Poster
from wsfeeds.command.signalr_pulse import Pulse
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import Ended, Listener, SendFailed, Unusable, VariantSession
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError

_POLL_MARGIN = 10.0
_GOODBYE_WITHIN = 2.0
_ORDER = ("webSockets", "serverSentEvents", "longPolling")
_LOG = logging.getLogger("wsfeeds")


class Client(VariantSession):
    """One connection, which may outlive several transports; times are in seconds."""

    reconnect_every: ClassVar[float] = 2.0

    def __init__(self, params: Params, route: Route, listener: Listener) -> None:
        """Prepare; nothing is opened."""
        super().__init__(params, route, listener)
        options = params.signalr
        self._filter = Filter(options.methods if options else ())
        self._wanted = options.transport if options else None
        self._numbers = messages.numbers()
        self._loop = asyncio.get_running_loop()
        self._terms: Terms | None = None
        self._transport = ""
        self._init: asyncio.Future[None] = self._loop.create_future()
        self._broken: WsfeedsError | None = None
        self._early: list[bytes] | None = []
        self._early_end: Callable[[], None] | None = None
        """Calls that came before `start` was answered, None from then on."""
        self._cursor: dict[str, str] = {}
        self._delay = 0.0
        self._pipe: Pipe | None = None
        self._poster: Poster | None = None
        self._pulse: Pulse | None = None
        self._opened_at = 0.0
        self._lost_at: float | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._over = False

    @classmethod
    def check(cls, params: Params) -> list[str]:
        """Refuse a document that names no hub; negotiation cannot be skipped here."""
        connection_data(params)
        if params.signalr is not None and params.signalr.skip_negotiation:
            place = "params.signalr.skipNegotiation"
            return [f"{place}: signalr-legacy cannot do without negotiation; ignored"]
        return []

    # --- opening

    async def open(self) -> None:
        """Negotiate, connect by the first transport that works, start."""
        terms = self._terms = await negotiate(self.route, connection_data(self.params))
        wanted = [each for each in _ORDER if self._wanted in {None, each}]
        if not terms.web_sockets:
            wanted = [each for each in wanted if each != "webSockets"]
        if not wanted:
            raise Unusable("the server does not offer the transport webSockets")
        for transport in wanted:
            try:
                await self._connect(terms, transport)
                break
            except Transient as error:
                self._discard()
                if transport == wanted[-1]:
                    raise
                _LOG.info("%s failed, trying the next transport: %s", transport, error.message)
        await self._start(terms)

    async def _connect(self, terms: Terms, transport: str) -> None:
        self._transport = transport
        self._init = self._loop.create_future()
        self._early, self._cursor, self._broken = [], {}, None
        self._early_end = None
        if transport == "longPolling":
            url = terms.url("connect", transport)
            reply = await self.route.fetch("POST", url, headers=terms.headers, data={})
            if reply.status != 200:
                raise refusal(reply.status, "connect", reply.headers)
            self.taken(reply.body)
            if not self._init.done():
                raise Transient("the server did not begin with an init message")
        else:
            await self._open_pipe(terms.url("connect", transport))
        try:
            async with asyncio.timeout(max(terms.transport_connect, 0.1)):
                await self._init
        except TimeoutError:
            raise Transient("the server sent no init message in time") from None

    async def _open_pipe(self, url: str) -> None:
        assert self._terms is not None
        pipe: Pipe
        if self._transport == "webSockets":
            pipe = SocketPipe(self.params, self.route, self.listener, self)
        else:
            pipe = EventPipe(self.route, self.listener, self)
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

    async def _start(self, terms: Terms) -> None:
        url = terms.url("start", self._transport)
        reply = await self.route.fetch("GET", url, headers=terms.headers)
        if reply.status != 200:
            raise refusal(reply.status, "start", reply.headers)
        if b"started" not in reply.body:
            raise Transient("start was answered with something else than started")
        if self._broken is not None:
            raise self._broken
        if self._transport != "webSockets":
            self._poster = Poster(self.listener, self._post, self._posted, self._unsent)
        self._watch()
        early, self._early = self._early or [], None
        self.listener.on_connected()
        for call in early:
            self._deliver(call)
        if early:
            self.listener.on_read()
        if self._early_end is not None:  # it ended while `/start` was on its way
            self._early_end()
            return
        if self._transport == "longPolling":
            self.listener.spawn(self._poll(terms))

    # --- what arrives

    def taken(self, data: bytes) -> None:
        """Take one message of the server."""
        if self._over or data == messages.INITIALIZED or not data.strip():
            return
        try:
            frame = messages.frame_of(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.listener.on_malformed(str(error), data)
            return
        if frame.answers:
            self._answered(frame)
            return
        self._remember(frame)
        for call in frame.calls or ():
            self._call(bytes(call))
        if frame.init and not self._init.done():
            self._init.set_result(None)
        if frame.ends:
            reason = frame.error or "the server ended the connection"
            self._end(Ended(code=1000, reason=reason, clean=True, by_server=True))
        elif frame.reconnect and self._pipe is not None:
            self._reconnect_soon(None)

    def heard(self) -> None:
        """Something has arrived, whatever it was."""
        self._lost_at = None
        if self._pulse is not None:
            self._pulse.heard()

    def lost(self, pipe: Pipe, ended: Ended) -> None:
        """The transport has ended by itself."""
        if pipe is not self._pipe or self._over:
            return
        reason = ended.reason or "the transport broke"
        if self._early is not None and ended.error is None and self._init.done():
            self._early_end = lambda: self.lost(pipe, ended)
        elif self._early is not None:
            self._fail(ended.error or Transient(reason, code=ended.code))
        elif ended.by_server and self.params.stop_on.server_close:
            self._end(ended)
        else:
            self._reconnect_soon(None if ended.by_server else reason)

    def _remember(self, frame: messages.Frame) -> None:
        if frame.cursor is not None:
            self._cursor["messageId"] = str(frame.cursor)
        if frame.groups:
            self._cursor["groupsToken"] = frame.groups
        self._delay = max(frame.delay or 0.0, 0.0) / 1000

    def _call(self, call: bytes) -> None:
        if self._early is not None:
            self._early.append(call)
        elif not self._over:
            self._deliver(call)

    def _deliver(self, call: bytes) -> None:
        try:
            text = call.decode()
            if not self._filter.everything:
                named = messages.call_of(call)
                if not self._filter.passes(named.hub, named.method):
                    return
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.listener.on_malformed(str(error), call)
            return
        self.listener.on_message(text)

    def _answered(self, frame: messages.Frame) -> None:
        if frame.error is not None:
            _LOG.warning("call %s failed: %s", frame.call, frame.error)

    # --- reconnecting

    def _reconnect_soon(self, reason: str | None) -> None:
        """Open the transport again from the cursor; a `reason` is a socket error."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.deaf = True
            self.listener.spawn(pipe.close())
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        first = self._lost_at is None
        if first:
            self._lost_at = self._loop.time()
        if reason is not None and first:
            self.listener.on_error(reason, "connection")
        self.listener.spawn(self._reconnect(reason or "the server asked to reconnect"))

    async def _reconnect(self, reason: str) -> None:
        """Try every two seconds, as long as the server remembers us."""
        assert self._terms is not None
        error = Transient(reason)
        while not self._over:
            lost_at = self._lost_at if self._lost_at is not None else self._loop.time()
            due = max(self._opened_at + self.reconnect_every, self._loop.time())
            if due > lost_at + self._terms.disconnect:
                told = f"no way back within {self._terms.disconnect:g} s: {error.message}"
                self._end(Ended(code=1006, reason=told, error=Transient(told, code=error.code)))
                return
            await asyncio.sleep(due - self._loop.time())
            await self._reading.wait()
            try:
                url = self._terms.url("reconnect", self._transport, cursor=self._cursor)
                await self._open_pipe(url)
            except CredentialsRefused as refused:
                self._end(Ended(code=1006, reason=refused.message, error=refused))
            except Transient as failed:
                error = failed
            else:
                self._watch()
                return

    def _watch(self) -> None:
        """Take silence longer than the server's promise for a loss."""
        if self._transport != "longPolling" and self._pipe is not None:
            assert self._terms is not None
            self._pulse = Pulse(silence=self._terms.keepalive, on_silence=self._silent)
            if not self._reading.is_set():
                self._pulse.sleep()

    def _silent(self) -> None:
        assert self._terms is not None
        self._reconnect_soon(f"nothing received for {self._terms.keepalive:g} s")

    # --- long polling

    async def _poll(self, terms: Terms) -> None:
        patience = terms.connection + _POLL_MARGIN
        while not self._over:
            await self._reading.wait()
            began = self._loop.time()
            url = terms.url("poll", "longPolling")
            try:
                reply = await self.route.fetch(
                    "POST", url, headers=terms.headers, data=self._cursor, timeout=patience
                )
                self._polled(reply)
            except Transient as error:
                await self._poll_failed(terms, error, began)
            else:
                await asyncio.sleep(self._delay)

    def _polled(self, reply: Reply) -> None:
        if reply.status != 200:
            ended = ended_by(reply, "a poll")
            if isinstance(ended.error, Transient):
                raise ended.error
            self._end(ended)
            return
        self.listener.on_data()
        self.heard()
        self.taken(reply.body)
        self.listener.on_read()

    async def _poll_failed(self, terms: Terms, error: Transient, began: float) -> None:
        if self._over:
            return
        if self._lost_at is None:
            self._lost_at = self._loop.time()
            self.listener.on_error(error.message, "connection")
        due = max(began + self.reconnect_every, self._loop.time())
        if due > self._lost_at + terms.disconnect:
            told = f"no way back within {terms.disconnect:g} s: {error.message}"
            self._end(Ended(code=1006, reason=told, error=Transient(told, code=error.code)))
            return
        await asyncio.sleep(due - self._loop.time())

    # --- sending

    def send(self, text: str) -> None:
        """Send a call, see `signalr_legacy_messages.outgoing`.

        Raises:
            SendFailed: The connection is not open, or its socket is being opened again.
        """
        if self._over or self._early is not None:
            raise SendFailed("the connection is not open")
        message = messages.outgoing(text, self._numbers)
        if self._poster is not None:
            self._poster.put(message)
        elif isinstance(self._pipe, SocketPipe):
            self._pipe.send(message)
        else:
            raise SendFailed("the connection is being opened again")

    async def _post(self, message: str) -> Reply:
        assert self._terms is not None
        url = self._terms.url("send", self._transport)
        form = {"data": message}
        return await self.route.fetch("POST", url, headers=self._terms.headers, data=form)

    def _posted(self, reply: Reply) -> None:
        if not 200 <= reply.status < 300:
            self._unsent(refusal(reply.status, "a call", reply.headers))
        elif reply.body.strip():
            self.taken(reply.body)

    def _unsent(self, error: WsfeedsError) -> None:
        self.listener.on_error(error.message, "send")

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

    async def close(self) -> None:
        """Tell the server to forget us, and drop the transport."""
        tell, self._over = not self._over and bool(self._transport), True
        if self._pulse is not None:
            self._pulse.stop()
        with contextlib.suppress(TimeoutError, WsfeedsError):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if self._poster is not None:
                    await self._poster.drained()
        if tell and self._terms is not None:
            with contextlib.suppress(TimeoutError, WsfeedsError):
                async with asyncio.timeout(_GOODBYE_WITHIN):
                    url = self._terms.url("abort", self._transport)
                    await self.route.fetch("POST", url, headers=self._terms.headers)
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()

    def _discard(self) -> None:
        """Give up a transport that did not work."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.deaf = True
            self.listener.spawn(pipe.close())

    def _fail(self, error: WsfeedsError) -> None:
        """End the attempt to open."""
        self._broken = error
        if not self._init.done():
            self._init.set_exception(error)
            self._init.exception()  # nobody may be waiting yet

    def _end(self, ended: Ended) -> None:
        if self._over:
            return
        if self._early is not None and ended.error is None and self._init.done():
            self._early_end = lambda: self._end(ended)
            return
        if self._early is not None:
            self._fail(ended.error or Transient(ended.reason, code=ended.code))
            return
        self._over = True
        if self._pulse is not None:
            self._pulse.stop()
        self.listener.on_ended(ended)
