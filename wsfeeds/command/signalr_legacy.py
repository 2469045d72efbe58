"""The `signalr-legacy` variant: ASP.NET SignalR 2.x; docs/protocols/websocket_v2.md, section 6.3.

What the server says is read here; the transport, and its way back after a loss, are the `Link`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import ClassVar

import msgspec

from wsfeeds.command import signalr_legacy_messages as messages
from wsfeeds.command.listener import Ended, Listener, SendFailed, Unusable
from wsfeeds.command.route import Reply, Route, refusal
from wsfeeds.command.signalr_legacy_link import Link
from wsfeeds.command.signalr_legacy_negotiation import Filter, Terms, connection_data, negotiate
from wsfeeds.command.signalr_posting import Poster
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import VariantSession
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError

_GOODBYE_WITHIN = 2.0
_ORDER = ("webSockets", "serverSentEvents", "longPolling")
_NOT_STARTED = "calls of a connection that could not be started"
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
        self._terms: Terms | None = None
        self._link: Link | None = None
        self._poster: Poster | None = None
        self._init: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._early: list[partial[None]] | None = []
        """What came before `start` was answered, in order; None from then on."""
        self._last_word: Ended | None = None
        self._paused = self._over = False

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
                link = await self._connect(terms, transport)
                break
            except Transient as error:
                if self._link is not None:
                    self._link.discard()
                if transport == wanted[-1]:
                    raise
                _LOG.info("%s failed, trying the next transport: %s", transport, error.message)
        try:
            await self._start(terms, link)
        except Transient as error:
            if self._last_word is not None:  # it is the reason why there is nothing to start
                raise Transient(self._last_word.reason, code=error.code) from error
            raise

    async def _connect(self, terms: Terms, transport: str) -> Link:
        self._init = asyncio.get_running_loop().create_future()
        self._drop_early()
        self._early = []
        link = self._link = Link(
            self.params,
            self.route,
            self.listener,
            self,
            terms=terms,
            transport=transport,
            reconnect_every=self.reconnect_every,
        )
        if self._paused:
            link.pause_reading()
        await link.connect()
        if transport == "longPolling" and not self._init.done():
            raise Transient("the server did not begin with an init message")
        try:
            async with asyncio.timeout(max(terms.transport_connect, 0.1)):
                await self._init
        except TimeoutError:
            raise Transient("the server sent no init message in time") from None
        return link

    async def _start(self, terms: Terms, link: Link) -> None:
        url = terms.url("start", link.transport)
        reply = await self.route.fetch("GET", url, headers=terms.headers)
        if reply.status != 200:
            raise refusal(reply.status, "start", reply.headers)
        if b"started" not in reply.body:
            raise Transient("start was answered with something else than started")
        if link.transport != "webSockets":
            self._poster = Poster(
                self.listener,
                self._post,
                self._posted,
                self._unsent,
                within=self.route.settings.connect_timeout,
            )
        link.begin()
        early, self._early = self._early or [], None
        self.listener.on_connected()
        for take in early:
            take()
        if early:
            self.listener.on_read()

    # --- what arrives

    def taken(self, data: bytes) -> None:
        """Take one message of the server."""
        if self._over or data == messages.INITIALIZED or not data.strip():
            return
        try:
            frame = messages.frame_of(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if messages.is_unknown(data):
                self.listener.on_unknown(data)
            else:
                self.listener.on_malformed(str(error), data)
            return
        if frame.empty:
            if messages.is_unknown(data):
                self.listener.on_unknown(data)
            else:
                self.listener.on_skipped("heartbeats")
        elif frame.answers:
            self._answered(frame)
        else:
            self._take(frame)

    def _take(self, frame: messages.Frame) -> None:
        if self._link is not None:
            self._link.remember(frame)
        for call in frame.calls or ():
            self._when_started(partial(self._deliver, bytes(call)))
        if frame.init and not self._init.done():
            self._init.set_result(None)
        if frame.ends:
            reason = frame.error or "the server ended the connection"
            self.gone(Ended(code=1000, reason=reason, clean=True, by_server=True))
        elif frame.reconnect:
            self._when_started(partial(self._again, None))
        elif not frame.calls and not frame.init:
            self.listener.on_skipped("empty updates")

    def _deliver(self, call: bytes) -> None:
        if self._over:
            self.listener.on_skipped("after the end")
            return
        try:
            text = call.decode()
            if not self._filter.everything:
                named = messages.call_of(call)
                if not self._filter.passes(named.hub, named.method):
                    self.listener.on_skipped("not asked for")
                    return
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if messages.is_no_call(call):
                self.listener.on_unknown(call)
            else:
                self.listener.on_malformed(str(error), call)
            return
        self.listener.on_message(text)

    def _answered(self, frame: messages.Frame) -> None:
        if frame.progress is not None:
            self.listener.on_skipped("progress reports")
            return
        if frame.error is not None:
            _LOG.warning("call %s failed: %s", frame.call, frame.error)
        self.listener.on_skipped("completions")

    # --- the transport and its end

    def lost(self, ended: Ended) -> None:
        """Bring back a transport that has ended by itself, unless that is to be the end."""
        if not self._init.done():
            self._fail(ended)
            return
        by_server = ended.by_server
        if by_server and self.params.stop_on.server_close:
            self.gone(ended)
        else:
            reason = None if by_server else ended.reason or "the transport broke"
            self._when_started(partial(self._again, reason))

    def gone(self, ended: Ended) -> None:
        """Take it that the connection is over."""
        if not self._init.done():
            self._fail(ended)
        else:
            self._last_word = self._last_word or ended
            self._when_started(partial(self._end, ended))

    def _when_started(self, call: partial[None]) -> None:
        """Do something now, or after `onConnect` if that is still to come."""
        if self._early is not None:
            self._early.append(call)
        else:
            call()

    def _again(self, reason: str | None) -> None:
        if self._link is not None and not self._over:
            self._link.again(reason)

    def _fail(self, ended: Ended) -> None:
        """End the attempt to open."""
        reason = ended.reason or "the transport broke"
        self._init.set_exception(ended.error or Transient(reason, code=ended.code))
        self._init.exception()  # nobody may be waiting yet

    def _end(self, ended: Ended) -> None:
        if not self._over:
            self._over = True
            if self._link is not None:
                self._link.end()
            self.listener.on_ended(ended)

    # --- sending

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send a call, see `signalr_legacy_messages.outgoing`.

        Raises:
            SendFailed: The connection is not open, or its socket is being opened again.
        """
        if self._over or self._early is not None or self._link is None:
            raise SendFailed("the connection is not open")
        message = messages.outgoing(text, self._numbers)
        if self._poster is not None:
            return self._poster.put(message)
        if self._link.socket is None:
            raise SendFailed("the connection is being opened again")
        self._link.socket.send(message)
        return None

    async def _post(self, message: str) -> Reply:
        assert self._terms is not None
        assert self._link is not None
        url = self._terms.url("send", self._link.transport)
        form = {"data": message}
        return await self.route.fetch("POST", url, headers=self._terms.headers, data=form)

    def _posted(self, reply: Reply) -> None:
        if not 200 <= reply.status < 300:
            raise refusal(reply.status, "a call", reply.headers)
        if reply.body.strip():
            self.taken(reply.body)

    def _unsent(self, error: WsfeedsError) -> None:
        if isinstance(error, CredentialsRefused):
            self.gone(Ended(code=1006, reason=error.message, error=error, phase="send"))
        elif not self._over:
            self.listener.on_error(error.message, "send")

    # --- back-pressure

    def pause_reading(self) -> None:
        """Leave the transport unread; silence says nothing now."""
        self._paused = True
        if self._link is not None:
            self._link.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._paused = False
        if self._link is not None:
            self._link.resume_reading()

    # --- the end

    async def close(self) -> None:
        """Tell the server to forget us, and drop the transport."""
        tell, self._over = not self._over, True
        self._drop_early()
        if self._link is None or self._terms is None:
            return
        self._link.end()
        with contextlib.suppress(TimeoutError, WsfeedsError):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if self._poster is not None:
                    await self._poster.drained()
        if tell:
            with contextlib.suppress(TimeoutError, WsfeedsError):
                async with asyncio.timeout(_GOODBYE_WITHIN):
                    url = self._terms.url("abort", self._link.transport)
                    await self.route.fetch("POST", url, headers=self._terms.headers)
        await self._link.close()
        self.parted = self._link.parted

    def _drop_early(self) -> None:
        """Count the calls that nobody will see, for their connection was never started."""
        for take in self._early or ():
            if take.func == self._deliver:
                self.listener.on_skipped(_NOT_STARTED)
        self._early = None if self._early is None else []
