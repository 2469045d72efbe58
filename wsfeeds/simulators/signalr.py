"""The simulated ASP.NET Core SignalR hub: negotiation and its three transports.

docs/protocols/websocket_v2.md, sections 6.2 and 8.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, ClassVar

from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.options import Options
from wsfeeds.simulators.signalr_connection import HubConnection
from wsfeeds.simulators.signalr_options import SignalROptions
from wsfeeds.simulators.signalr_outlet import RecordOutlet
from wsfeeds.simulators.signalr_server import HubServer
from wsfeeds.simulators.websocket import Session, Socket

WS, SSE, LP = "WebSockets", "ServerSentEvents", "LongPolling"
_NO_CACHE = {"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"}


class SignalRSimulator(HubServer):
    """A hub of football odds, as ASP.NET Core serves it at `/hub`."""

    feed: ClassVar[str] = "signalr"
    path: ClassVar[str] = "/hub"
    option_type: ClassVar[type[Options]] = SignalROptions
    options: SignalROptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self.connections: dict[str, HubConnection] = {}

    async def http(self, request: Request) -> Response:
        """Answer negotiate, polls, event streams, sends and goodbyes."""
        if (place := self._place(request)) is None:
            return Response.text("Not Found\n", 404)
        hops, negotiates = place
        if (refusal := self.refusal(request, self._token(hops))) is not None:
            return refusal
        if negotiates:
            if request.method != "POST":
                return Response.text("", 405)
            return self._negotiate(request, hops)
        if hops != self.options.redirects or not self.comes_back(request):
            return Response.text("No Connection with that ID", 404)
        match request.method:
            case "GET":
                return await self._receive(request)
            case "POST":
                return self._send(request)
            case "DELETE":
                return self._delete(request)
        return Response.text("", 405)

    async def upgrade(self, request: Request) -> Response | Session:
        """Accept a negotiated connection once, or one that skipped the negotiation."""
        place = self._place(request)
        if place is None or place[1]:
            return Response.text("Not Found\n", 404)
        if (refusal := self.refusal(request, self._token(place[0]))) is not None:
            return refusal
        if not self.options.web_sockets or not self.comes_back(request):
            return Response.text("No Connection with that ID", 404)
        if (token := request.param("id")) is None:
            connection = self._connect()
        elif (known := self.connections.get(token)) is None:
            return Response.text("No Connection with that ID", 404)
        elif known.transport is not None:
            return Response.text("Connection already in use", 409)
        else:
            connection = known
        self._start(connection, WS)
        return partial(self._session, connection=connection)

    # --- who may come, and where

    def _place(self, request: Request) -> tuple[int, bool] | None:
        """Tell after how many redirects this URL comes, and whether it is the negotiation."""
        match = re.fullmatch(r"/hub(?:/([1-9]\d*))?(/negotiate)?/?", request.path)
        if match is None or int(match[1] or 0) > self.options.redirects:
            return None
        return int(match[1] or 0), match[2] is not None

    def _token(self, hops: int) -> str:
        return self.access_token if hops else self.options.token

    # --- negotiation

    def _negotiate(self, request: Request, hops: int) -> Response:
        headers = self.affinity()
        if self.options.negotiate_error:
            return Response.json({"error": self.options.negotiate_error}, headers=headers)
        if hops < self.options.redirects:
            url = f"http://{request.headers['host']}{self.path}/{hops + 1}"
            there = {"negotiateVersion": 0, "url": url, "accessToken": self.access_token}
            return Response.json(there, headers=headers)
        asked = request.param("negotiateVersion") or "0"
        if not asked.isdecimal():
            error = f"The client requested an invalid protocol version '{asked}'"
            return Response.json({"error": error}, headers=headers)
        connection = self._connect(version=min(int(asked), self.options.version, 1))
        answer: dict[str, Any] = {
            "negotiateVersion": 1 if connection.token != connection.id else 0,
            "connectionId": connection.id,
        }
        if connection.token != connection.id:
            answer["connectionToken"] = connection.token
        answer["availableTransports"] = [
            {"transport": name, "transferFormats": formats}
            for name, formats, offered in (
                (WS, ["Text", "Binary"], self.options.web_sockets),
                (SSE, ["Text"], self.options.server_sent_events),
                (LP, ["Text", "Binary"], self.options.long_polling),
            )
            if offered
        ]
        return Response.json(answer, headers=headers)

    def _connect(self, version: int = 1) -> HubConnection:
        number = next(self.count)
        connection_id = secrets.token_urlsafe(16)
        token = secrets.token_urlsafe(16) if version else connection_id
        connection = HubConnection(
            number,
            connection_id,
            token,
            options=self.options,
            outlet=RecordOutlet(
                self.frame_faults(number), self.options.records, self.random("cut", number)
            ),
            hub=self.hub(number),
            ticks=self.ticks,
        )
        self.connections[token] = connection
        self._forget_later(connection)
        return connection

    # --- the life of a connection

    def _start(self, connection: HubConnection, transport: str) -> None:
        connection.transport = transport
        self.serve_connection(self._live(connection))

    async def _live(self, connection: HubConnection) -> None:
        loop, timers = asyncio.get_running_loop(), []
        if connection.transport != WS:  # a socket has these faults by itself
            for after, act in (
                (self.faults.disconnect, connection.snap),
                (self.faults.stall, connection.outlet.stall),
            ):
                if after is not None:
                    timers.append(loop.call_later(after, act))
        try:
            await connection.run(ends=self.ends_early(connection.number, self.options.end))
        finally:
            for timer in timers:
                timer.cancel()
            if self.options.end == "gone" or connection.transport != LP:
                self._forget(connection)
            else:
                self._forget_later(connection)  # unless a last poll comes before

    def _forget_later(self, connection: HubConnection) -> None:
        """Forget what nobody connects to, or what is over and not polled any more."""

        def forget() -> None:
            if connection.transport is None or connection.outlet.over:
                self._forget(connection)

        asyncio.get_running_loop().call_later(self.options.client_timeout, forget)

    def _forget(self, connection: HubConnection) -> None:
        self.connections.pop(connection.token, None)
        connection.over()

    # --- webSockets

    async def _session(self, socket: Socket, *, connection: HubConnection) -> None:
        socket.start(self._write(socket, connection))
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode(errors="replace")
                connection.feed(text)
        finally:
            self._forget(connection)

    async def _write(self, socket: Socket, connection: HubConnection) -> None:
        try:
            while frames := await connection.outlet.take():
                for payload, binary in frames:
                    socket.queue(payload, binary=binary)
                await socket.drain()
        except ConnectionResetError:
            socket.abort()
            return
        await socket.close()

    # --- serverSentEvents and longPolling

    async def _receive(self, request: Request) -> Response:
        streams = request.headers.get("accept", "").startswith("text/event-stream")
        connection = self._known(request)
        if isinstance(connection, Response):
            return connection
        wanted = SSE if streams else LP
        offered = self.options.server_sent_events if streams else self.options.long_polling
        if not offered:
            return Response.text(f"{wanted} transport not supported", 404)
        if connection.transport not in ((None,) if streams else (None, LP)):
            return Response.text("The connection is in use", 409)
        if streams:
            self._start(connection, SSE)
            kind = {"Content-Type": "text/event-stream"} | _NO_CACHE
            return Response(200, self._events(connection), kind)
        if connection.transport is None:
            self._start(connection, LP)
            return _polled(b"")
        return await self._poll(connection)

    async def _events(self, connection: HubConnection) -> AsyncIterator[bytes]:
        try:
            yield b":\r\n"
            while frames := await connection.outlet.take():
                for payload, _ in frames:
                    for chunk in self._chunks(_event(payload.decode(errors="replace"))):
                        yield chunk
        finally:
            self._forget(connection)

    def _chunks(self, event: bytes) -> list[bytes]:
        if self.options.records not in ("split", "mixed"):
            return [event]
        middle = len(event) // 2  # anywhere: inside a character too
        return [event[:middle], event[middle:]]

    async def _poll(self, connection: HubConnection) -> Response:
        """Wait for messages; a later poll takes the place of this one, which gets 204."""
        connection.heard()
        if connection.poll is not None:
            connection.poll.cancel()
        most = 1 if self.options.records in ("split", "mixed") else None
        mine = connection.poll = asyncio.ensure_future(connection.outlet.take(most))
        try:
            done, _ = await asyncio.wait((mine,), timeout=self.options.poll_timeout)
            if mine.cancelled():
                return Response(204)
            if not done:
                return _polled(b"")
            if frames := mine.result():
                return _polled(b"".join(payload for payload, _ in frames))
        finally:
            mine.cancel()
        self._forget(connection)
        return Response(204)

    def _send(self, request: Request) -> Response:
        connection = self._known(request)
        if isinstance(connection, Response):
            return connection
        if connection.transport == WS:
            return Response.text("POST requests are not allowed for WebSocket connections.", 405)
        connection.feed(request.body.decode(errors="replace"))
        return Response.text("")

    def _delete(self, request: Request) -> Response:
        connection = self._known(request)
        if isinstance(connection, Response):
            return connection
        if connection.transport != LP:
            return Response.text("Cannot terminate this connection by DELETE.", 400)
        connection.over()
        self._forget(connection)
        return Response(202)

    def _known(self, request: Request) -> HubConnection | Response:
        if not (token := request.param("id")):
            return Response.text("Connection ID required", 400)
        return self.connections.get(token) or Response.text("No Connection with that ID", 404)


def _polled(body: bytes) -> Response:
    return Response(200, body, {"Content-Type": "text/plain"} | _NO_CACHE)


def _event(text: str) -> bytes:
    """Write one server-sent event: one `data:` line for each line of text."""
    lines = "".join(f"data: {line}\r\n" for line in text.split("\n"))
    return f"{lines}\r\n".encode()
