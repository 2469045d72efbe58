"""The simulated ASP.NET SignalR 2.x server: negotiation and its three transports.

docs/protocols/websocket_v2.md, sections 6.3 and 8.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import ClassVar
from urllib.parse import parse_qs

import orjson

from wsfeeds.simulators.faults import Faults, Frame
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.options import Options
from wsfeeds.simulators.signalr_legacy_connection import LegacyConnection, Message, Reader
from wsfeeds.simulators.signalr_legacy_terms import clamped, hubs_problem, terms
from wsfeeds.simulators.signalr_options import LegacyOptions
from wsfeeds.simulators.signalr_server import HubServer
from wsfeeds.simulators.websocket import Session, Socket

_HOME, _ELSEWHERE = "/signalr", "/signalr-elsewhere"
_STREAMS = frozenset({"connect", "reconnect", "poll"})
_LATER = frozenset({"start", "send", "reconnect", "poll"})
"""What a client may ask for once it has connected; it need not wait for the answer to start."""
_TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
_LAST_WORDS = frozenset({"D", "E", "T"})
_HOP = "hop"
_FOREVER = 1e9
_POLLED = {"Content-Type": "application/json; charset=UTF-8", "Cache-Control": "no-cache"}


class SignalRLegacySimulator(HubServer):
    """A hub of football odds, as ASP.NET SignalR 2.x serves it at `/signalr`."""

    feed: ClassVar[str] = "signalr_legacy"
    path: ClassVar[str] = _HOME
    option_type: ClassVar[type[Options]] = LegacyOptions
    options: LegacyOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self.connections: dict[str, LegacyConnection] = {}
        self._hop = secrets.token_urlsafe(6)

    async def http(self, request: Request) -> Response:
        """Answer negotiate, start, sends, streams, polls and goodbyes."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        base, action = found
        if action == "negotiate":
            return self._negotiate(request, base)
        if action == "ping":
            return Response.json({"Response": "pong"})
        connection = self._known(request, action)
        if isinstance(connection, Response):
            return connection
        match action:
            case "start":
                kind = {"Content-Type": "application/json; charset=UTF-8"}
                return Response(200, b'{ "Response": "started" }', kind)
            case "send":
                answers = connection.call(_form(request, "data") or "")
                return Response.json(answers[-1]) if answers else Response.text("")
            case "abort":
                connection.finish()
                self.connections.pop(connection.token, None)
                return Response.text("")
        if request.param("transport") == "serverSentEvents" and action != "poll":
            reader = self._attach(connection, request, action)
            kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
            fresh = action == "connect"
            return Response(200, self._events(connection, reader, fresh=fresh), kind)
        if request.param("transport") == "longPolling":
            return await self._poll(connection, request, action)
        return Response.text("Protocol error: Unknown transport.", 400)

    async def upgrade(self, request: Request) -> Response | Session:
        """Accept a negotiated connection, for the first time or again."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        action = found[1]
        connection = self._known(request, action)
        if isinstance(connection, Response):
            return connection
        if action not in _STREAMS - {"poll"} or request.param("transport") != "webSockets":
            return Response.text("Protocol error: Unknown transport.", 400)
        reader = self._attach(connection, request, action)
        fresh = action == "connect"
        return partial(self._session, connection=connection, reader=reader, fresh=fresh)

    # --- who may come, and where

    def _find(self, request: Request) -> tuple[str, str] | Response:
        """Tell the base and the action of a URL, or refuse the request."""
        base, _, action = request.path.rpartition("/")
        homes = {_HOME, _ELSEWHERE} if self.options.redirect != "none" else {_HOME}
        if action in _STREAMS:
            homes = homes & {_ELSEWHERE} | {self.options.url_path}
        if base not in homes:
            return Response.text("Not Found", 404)
        away = base == _ELSEWHERE
        if away and request.param(_HOP) != self._hop:
            return Response.text("Protocol error: the redirect's query is missing.", 400)
        wanted = self.access_token if away else self.options.token
        if (refusal := self.refusal(request, wanted)) is not None:
            return refusal
        if action != "negotiate" and not self.comes_back(request):
            return Response.text("Unknown connection", 404)
        return base, action

    def _known(self, request: Request, action: str) -> LegacyConnection | Response:
        if request.param("transport") not in _TRANSPORTS:
            return Response.text("Protocol error: Unknown transport.", 400)
        if not (token := request.param("connectionToken")):
            return Response.text("Protocol error: Missing connectionToken.", 400)
        if (connection := self.connections.get(token)) is None:
            return Response.text("The ConnectionId is in the incorrect format.", 400)
        if action in _LATER and not connection.connected:
            return Response.text("Protocol error: the connection was not connected.", 400)
        return connection

    # --- negotiation

    def _negotiate(self, request: Request, base: str) -> Response:
        headers = self.affinity()
        version = {"ProtocolVersion": clamped(request.param("clientProtocol"))}
        if self.options.negotiate_error:
            error = version | {"Error": self.options.negotiate_error}
            return Response.json(error, headers=headers)
        new = version["ProtocolVersion"] == "2.0"
        away = self.options.redirect == "all" or (self.options.redirect == "new" and new)
        if away and base != _ELSEWHERE:
            url = f"http://{request.headers['host']}{_ELSEWHERE}?{_HOP}={self._hop}"
            there = version | {"RedirectUrl": url, "AccessToken": self.access_token}
            return Response.json(there, headers=headers)
        if (problem := hubs_problem(request.param("connectionData"))) is not None:
            return Response.text(problem, 500)
        path = base if base == _ELSEWHERE else self.options.url_path
        answer = terms(self._connect(), self.options, path) | version
        return Response.json(answer, headers=headers)

    def _connect(self) -> LegacyConnection:
        number = next(self.count)
        token = base64.b64encode(b"\xfb\xff" + secrets.token_bytes(32)).decode()  # with + and /
        connection = LegacyConnection(
            number,
            secrets.token_hex(16),
            token,
            base64.b64encode(b"\xfb\xef" + secrets.token_bytes(12)).decode(),
            options=self.options,
            faults=self.frame_faults(number),
            hub=self.hub(number),
            ticks=self.ticks,
        )
        self.connections[token] = connection

        def forget() -> None:
            if not connection.connected:
                self.connections.pop(token, None)

        asyncio.get_running_loop().call_later(self.options.disconnect_timeout, forget)
        return connection

    # --- the life of a connection

    def _attach(self, connection: LegacyConnection, request: Request, action: str) -> Reader:
        """Let a request read the connection's log, and start its life with the first one."""
        if not connection.connected:
            connection.connected = True
            self.serve_connection(self._live(connection))
        if action == "connect":
            return connection.attach(0)
        cursor = request.param("messageId") or _form(request, "messageId")
        reader = connection.attach(connection.place(cursor))
        if connection.over:
            reader.end()
        return reader

    async def _live(self, connection: LegacyConnection) -> None:
        loop = asyncio.get_running_loop()
        blows = ((self.faults.disconnect, Reader.snap), (self.faults.stall, Reader.stall))
        timers = [
            loop.call_later(after, connection.strike, blow)
            for after, blow in blows
            if after is not None
        ]
        try:
            await connection.run(ends=self.ends_early(connection.number, self.options.end))
        finally:
            for timer in timers:
                timer.cancel()
            self.connections.pop(connection.token, None)

    async def _frames(
        self, connection: LegacyConnection, reader: Reader, *, fresh: bool
    ) -> AsyncIterator[Frame]:
        """Give what a stream sends: the init message, calls, keepalives."""
        if fresh:
            yield _json({"C": connection.cursor(0), "S": 1, "M": []}), False
        beat = self.options.keepalive if self.options.keepalive_timeout else _FOREVER
        while (message := await reader.next(beat)) is not None:
            if message.get("M"):
                for frame in connection.faults.apply((_json(message), False)):
                    yield frame
            else:
                yield _json(message), False

    # --- webSockets

    async def _session(
        self, socket: Socket, *, connection: LegacyConnection, reader: Reader, fresh: bool
    ) -> None:
        socket.start(self._write(socket, connection, reader, fresh=fresh))
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode(errors="replace")
                for answer in connection.call(text):
                    socket.queue(_json(answer))
                await socket.drain()
        finally:
            connection.detach(reader)

    async def _write(
        self, socket: Socket, connection: LegacyConnection, reader: Reader, *, fresh: bool
    ) -> None:
        try:
            async for payload, binary in self._frames(connection, reader, fresh=fresh):
                await socket.send(payload, binary=binary)
        except ConnectionResetError:
            socket.abort()
            return
        await socket.close()

    # --- serverSentEvents and longPolling

    async def _events(
        self, connection: LegacyConnection, reader: Reader, *, fresh: bool
    ) -> AsyncIterator[bytes]:
        try:
            yield b"data: initialized\n\n"
            async for payload, _ in self._frames(connection, reader, fresh=fresh):
                yield b"data: " + payload.replace(b"\n", b" ") + b"\n\n"
        finally:
            connection.detach(reader)

    async def _poll(self, connection: LegacyConnection, request: Request, action: str) -> Response:
        """Answer when there are calls; where that takes long, begin with a blank."""
        reader = self._attach(connection, request, action)
        if action == "connect":
            connection.detach(reader)
            return Response(200, _json({"C": connection.cursor(0), "S": 1, "M": []}), _POLLED)
        patience = self.options.connection_timeout
        beat = min(self.options.keepalive, patience)
        try:
            answer = await self._answer(connection, reader, beat)
        except (ConnectionResetError, asyncio.CancelledError):
            connection.detach(reader)
            raise
        if answer is None:
            return Response(200, self._late(connection, reader, patience - beat), _POLLED)
        connection.detach(reader)
        return Response(200, answer, _POLLED)

    async def _late(
        self, connection: LegacyConnection, reader: Reader, patience: float
    ) -> AsyncIterator[bytes]:
        try:
            yield b" "
            answer = await self._answer(connection, reader, patience)
            yield self._body(connection, reader, {}) if answer is None else answer
        finally:
            connection.detach(reader)

    async def _answer(
        self, connection: LegacyConnection, reader: Reader, patience: float
    ) -> bytes | None:
        """Wait for what a poll is answered with; None when nothing came in time.

        A body holds one message: what a fault adds is left to the next polls.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience
        while not connection.polled:
            message = await reader.next(max(deadline - clock(), 0.0))
            if message == {}:
                return None
            if message is None or not message["M"] or message.keys() & _LAST_WORDS:
                return self._body(connection, reader, message or {})
            frames = connection.faults.apply((orjson.dumps(message["M"]), False))
            connection.polled.extend(payload for payload, _ in frames)
        calls = orjson.Fragment(connection.polled.popleft())
        return self._body(connection, reader, {"G": connection.groups, "M": calls})

    def _body(self, connection: LegacyConnection, reader: Reader, message: Message) -> bytes:
        answer: Message = {"C": connection.cursor(reader.cursor), "M": [], **message}
        if self.options.long_poll_delay:
            answer = answer | {"L": int(self.options.long_poll_delay * 1000)}
        return _json(answer)


def _json(message: Message) -> bytes:
    return orjson.dumps(message)


def _form(request: Request, name: str) -> str | None:
    values = parse_qs(request.body.decode(errors="replace")).get(name)
    return values[0] if values else None
