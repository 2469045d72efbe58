"""What a SignalR connection is read from: a WebSocket, an event stream or polls, opened once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol

import msgspec

from wsfeeds.clock import wall_seconds
from wsfeeds.command.listener import Ended, Listener
from wsfeeds.command.route import CutShort, Reply, Route, refusal
from wsfeeds.command.signalr_framing import RS, EventStream
from wsfeeds.command.signalr_urls import with_query
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import SocketSession
from wsfeeds.errors import Transient, WsfeedsError

_POLL_WITHIN = 110.0
"""Seconds for a poll's answer; servers answer after 90 at the latest."""
_GOODBYE_WITHIN = 2.0
_EVENTS = "text/event-stream"


class Taker(Protocol):
    """What a pipe hands over to."""

    def taken(self, data: bytes) -> None:
        """Take one transport message."""

    def heard(self) -> None:
        """Something has arrived, whatever it was."""

    def lost(self, pipe: Pipe, ended: Ended) -> None:
        """The pipe has come to its end by itself."""


class SocketPipe(SocketSession):
    """One WebSocket of a SignalR connection."""

    deaf = False
    """Whether what still arrives is passed over."""

    def __init__(self, params: Params, route: Route, listener: Listener, taker: Taker) -> None:
        """Prepare."""
        super().__init__(params, route, listener)
        self._taker = taker

    async def open(self) -> None:
        """Connect to the document's URL as it is; see `connect`."""
        await self.connect(self.params.url, {})

    async def connect(self, url: str, headers: Mapping[str, str]) -> None:
        """Open the WebSocket.

        Raises:
            CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        """
        await self.upgrade(self.route.ws(url), dict(headers))

    def opened(self) -> None:
        """Leave the first word to the taker."""

    def received(self, frame: bytes, binary: bool) -> None:
        """Hand a message over; WebSocket pings and pongs prove nothing about the hub."""
        del binary
        if self.deaf:
            return
        self._taker.heard()
        self._taker.taken(frame)

    def on_close(self, code: int, reason: str) -> None:
        """Tell the taker."""
        ended = self.gone(code, reason)
        try:
            if not self.deaf:
                self._taker.lost(self, ended)
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.listener.on_fault(error)


class EventPipe:
    """One response of server-sent events of a SignalR connection."""

    deaf = False
    """Whether what still arrives is passed over."""

    def __init__(self, route: Route, listener: Listener, taker: Taker) -> None:
        """Prepare."""
        self._route = route
        self._listener = listener
        self._taker = taker
        self._reading = asyncio.Event()
        self._reading.set()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def connect(self, url: str, headers: Mapping[str, str]) -> None:
        """Make the request; return when its answer has begun.

        Raises:
            CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        """
        self._listener.spawn(self._run(url, {"Accept": _EVENTS, **headers}))
        try:
            async with asyncio.timeout(self._route.settings.connect_timeout):
                await self._opened
        except TimeoutError:
            await self.close()
            raise Transient("the event stream did not begin in time") from None

    def pause_reading(self) -> None:
        """Leave the response unread."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Read the response again."""
        self._reading.set()

    async def close(self) -> None:
        """Drop the response."""
        self._closed = self.deaf = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self, url: str, headers: dict[str, str]) -> None:
        if self._closed:
            return
        self._task = asyncio.ensure_future(self._read(url, headers))
        try:
            await asyncio.wait((self._task,))
        finally:
            self._task.cancel()
        ended = Ended(code=1006, reason="the event stream ended")
        if self._task.cancelled():
            ended = Ended(code=1006, reason="the event stream was dropped")
        elif (error := self._task.exception()) is not None:
            if not isinstance(error, WsfeedsError):
                raise error
            ended = Ended(code=1006, reason=error.message, error=error)
        if not self._opened.done():
            self._opened.set_exception(ended.error or Transient(ended.reason))
            self._opened.exception()  # `connect` may have given up waiting
        elif not self.deaf:
            self._taker.lost(self, ended)

    def _named(self, data: bytes) -> None:
        """Keep an event that is none of SignalR's: its events have no name."""
        record = data.removesuffix(RS)
        try:
            msgspec.json.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._listener.on_malformed(str(error), data)
        else:
            self._listener.on_unknown(record)

    async def _read(self, url: str, headers: dict[str, str]) -> None:
        events = EventStream(self._route.settings.max_frame, self._named)
        async with self._route.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise refusal(response.status_code, "the event stream", response.headers)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != _EVENTS:
                raise Transient(f"the event stream was answered with {kind or 'no type'}")
            if not self._opened.done():
                self._opened.set_result(None)
            try:
                async for chunk in response.aiter_bytes():
                    await self._reading.wait()
                    if self.deaf:
                        return
                    self._listener.on_data()
                    self._taker.heard()
                    for data in events.feed(chunk):
                        self._taker.taken(data)
                    self._listener.on_read()
            finally:
                if events.rest and not self.deaf:
                    self._listener.on_malformed("the stream ended within an event", events.rest)


class PollPipe:
    """The polls of a connection to ASP.NET Core SignalR, one after the other."""

    deaf = False
    """Whether what still arrives is passed over."""

    def __init__(self, route: Route, listener: Listener, taker: Taker) -> None:
        """Prepare."""
        self._route = route
        self._listener = listener
        self._taker = taker
        self._reading = asyncio.Event()
        self._reading.set()
        self._url = ""
        self._headers: Mapping[str, str] = {}

    async def connect(self, url: str, headers: Mapping[str, str]) -> None:
        """Make the first poll, which is answered at once, and go on with the next ones.

        Raises:
            CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        """
        self._url, self._headers = url, headers
        reply = await self._poll(self._route.settings.connect_timeout)
        if reply.status != 200:
            raise refusal(reply.status, "the first poll", reply.headers)
        self._take(reply)
        self._listener.spawn(self._run())

    def pause_reading(self) -> None:
        """Begin no further poll."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Poll again."""
        self._reading.set()

    async def close(self) -> None:
        """Tell the server that there will be no further poll."""
        if self.deaf:
            return
        self.deaf = True
        with contextlib.suppress(TimeoutError, Transient):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                await self._route.fetch("DELETE", self._url, headers=self._headers)

    async def _poll(self, patience: float) -> Reply:
        now = str(int(wall_seconds() * 1000))  # against caches, as the official client has it
        url = with_query(self._url, {"_": now})
        return await self._route.fetch("GET", url, headers=self._headers, timeout=patience)

    async def _run(self) -> None:
        while True:
            await self._reading.wait()
            try:
                reply = await self._poll(_POLL_WITHIN)
            except Transient as error:
                if isinstance(error, CutShort) and error.reply.status == 200 and not self.deaf:
                    self._take(error.reply)
                self._lose(refused(error))
                return
            if self.deaf:
                return
            if reply.status == 200:
                self._take(reply)
            else:
                self._listener.on_data()
                self._lose(ended_by(reply, "a poll"))
                return

    def _take(self, reply: Reply) -> None:
        self._listener.on_data()
        self._taker.heard()
        self._taker.taken(reply.body)
        self._listener.on_read()

    def _lose(self, ended: Ended) -> None:
        if not self.deaf:
            self._taker.lost(self, ended)


def refused(error: WsfeedsError) -> Ended:
    """Return the end that an error is, with the wait that the server asks for."""
    wait = error.retry_after if isinstance(error, Transient) else None
    return Ended(code=1006, reason=error.message, error=error, retry_after=wait)


def ended_by(reply: Reply, what: str) -> Ended:
    """Return what the status of an answer that is no success means for its connection."""
    if reply.status == 204:
        reason = "the server ended the connection"
        return Ended(code=1000, reason=reason, clean=True, by_server=True)
    if reply.status == 404:
        reason = "the server does not know this connection any more"
        return Ended(code=1000, reason=reason, by_server=True)
    return refused(refusal(reply.status, what, reply.headers))


Pipe = SocketPipe | EventPipe | PollPipe
