"""The loopback server of a simulated venue: HTTP and WebSocket upgrades on one port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import h11

from wsfeeds.errors import UsageError
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.websocket import Session, Socket
from wsfeeds.simulators.wire import Wire

_MAX_BODY = 16 * 2**20
_STOP_TIMEOUT = 0.5
_BODILESS = frozenset({204, 304})
_T = TypeVar("_T")


class Venue(Protocol):
    """What a server needs of a simulator."""

    async def http(self, request: Request) -> Response:
        """Answer a plain request."""

    async def admit(self, request: Request) -> Response | Session:
        """Refuse an upgrade with a response, or give what serves the connection."""

    def opened(self, wire: Wire, request: Request) -> Socket:
        """Make the socket of an accepted upgrade."""


class _Gone(Exception):
    """The client left in the middle of something."""


class Server:
    """Serves one venue; an asynchronous context manager that leaves nothing running.

    Args:
        venue: Answers requests and upgrades.
        host: The address to listen on.
        port: The port; 0 takes a free one.
    """

    def __init__(self, venue: Venue, host: str, port: int) -> None:
        self._venue = venue
        self._host = host
        self._wanted = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()
        self._open: set[Socket] = set()
        self._quiet = asyncio.Event()
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            UsageError: The address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Wire(self), self._host, self._wanted)
        except OSError as error:
            where = f"{self._host}:{self._wanted}"
            raise UsageError(f"cannot listen on {where}: {error.strerror or error}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say goodbye to every client, within half a second, and stop."""
        self._stopping = True
        self._server.close()
        for socket in self._open:
            socket.go_away()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for wire in self._wires:
            wire.transport.close()
        if self._wires:
            try:
                async with asyncio.timeout(_STOP_TIMEOUT):
                    await self._quiet.wait()
            except TimeoutError:
                for wire in self._wires:
                    wire.transport.abort()
                await self._quiet.wait()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """``HOST:PORT`` as it goes into a URL."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def accept(self, wire: Wire) -> None:
        """Start serving a connection."""
        if self._stopping:
            wire.transport.abort()
            return
        self._wires.add(wire)
        self._quiet.clear()
        self.start(self._connection(wire))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until it ends or the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def release(self, wire: Wire) -> None:
        """Forget a connection."""
        self._wires.discard(wire)
        if not self._wires:
            self._quiet.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        task.get_loop().call_exception_handler(
            {"message": "a simulated venue failed", "exception": error, "task": task}
        )

    async def _connection(self, wire: Wire) -> None:
        try:
            await self._requests(wire)
        except (_Gone, ConnectionError):
            pass
        finally:
            wire.transport.close()

    async def _requests(self, wire: Wire) -> None:
        http = h11.Connection(h11.SERVER)
        while (request := await self._request(wire, http)) is not None:
            if request.upgrades and await self._upgrade(wire, http, request):
                return
            if http.our_state is h11.SEND_RESPONSE:
                await _respond(wire, http, request, await self._venue.http(request))
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _request(self, wire: Wire, http: h11.Connection) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as error:
                if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    _refuse(wire, http, error.error_status_hint, str(error))
                return None
            if event is h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    wire.transport.write(http.send(go_on))
                http.receive_data(await wire.read())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MAX_BODY:
                    _refuse(wire, http, 413, "the body is too large")
                    return None
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return Request.build(head, bytes(body))
            else:
                return None

    async def _upgrade(self, wire: Wire, http: h11.Connection, request: Request) -> bool:
        verdict = await _unless_gone(wire, self._venue.admit(request))
        if isinstance(verdict, Response):
            await _respond(wire, http, request, verdict)
            return False
        socket = self._venue.opened(wire, request)
        if socket.accept(http.trailing_data[0]):
            self._open.add(socket)
            try:
                await socket.run(verdict)
            finally:
                self._open.discard(socket)
        return True


async def _respond(wire: Wire, http: h11.Connection, request: Request, response: Response) -> None:
    headers = [(name, value) for name, value in response.headers.items()]
    bodiless = request.method == "HEAD" or response.status in _BODILESS
    if isinstance(response.body, bytes) and response.status != 204:
        headers.append(("Content-Length", str(len(response.body))))
    head = h11.Response(status_code=response.status, headers=headers)
    wire.transport.write(http.send(head) or b"")
    if bodiless:
        pass
    elif isinstance(response.body, bytes):
        wire.transport.write(http.send(h11.Data(data=response.body)) or b"")
    else:
        await _unless_gone(wire, _stream(wire, http, response.body))
    wire.transport.write(http.send(h11.EndOfMessage()) or b"")
    await wire.drain()


async def _stream(wire: Wire, http: h11.Connection, chunks: AsyncIterator[bytes]) -> None:
    try:
        async for chunk in chunks:
            if chunk:
                wire.transport.write(http.send(h11.Data(data=chunk)) or b"")
                await wire.drain()
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _refuse(wire: Wire, http: h11.Connection, status: int, why: str) -> None:
    text = why.encode()
    headers = [("Content-Length", str(len(text))), ("Connection", "close")]
    wire.transport.write(http.send(h11.Response(status_code=status, headers=headers)) or b"")
    wire.transport.write(http.send(h11.Data(data=text)) or b"")
    wire.transport.write(http.send(h11.EndOfMessage()) or b"")


async def _unless_gone(wire: Wire, work: Coroutine[Any, Any, _T]) -> _T:
    """Do some work, unless the client leaves first."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(wire.gone.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise _Gone
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
