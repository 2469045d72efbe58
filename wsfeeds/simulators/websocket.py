"""The venue's end of one WebSocket connection: RFC 6455 by `websockets`, bytes by a `Wire`."""

from __future__ import annotations

import asyncio
import logging
import socket as sockets
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import orjson
from websockets.extensions.base import ServerExtensionFactory
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.protocol import State
from websockets.server import ServerProtocol

from wsfeeds.simulators.faults import Faults, FrameFaults
from wsfeeds.simulators.httpd import Request
from wsfeeds.simulators.wire import Wire

Session = Callable[["Socket"], Awaitable[None]]
"""What serves one WebSocket; the connection is closed with 1000 when it returns."""

_CLOSE_TIMEOUT = 1.0
_MAX_UNREAD = 256
_MAX_UNSENT = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
_LOG = logging.getLogger("wsfeeds.simulators.websocket")
_LOG.setLevel(logging.WARNING)  # below that, websockets logs every frame, tokens included


class SocketClosed(Exception):
    """The connection is gone; it ends the session and is handled by the server."""


class Socket:
    """One WebSocket connection as a simulator sees it.

    Text goes in as str, or as bytes that are UTF-8; binary needs ``binary=True``.

    Args:
        wire: The TCP connection.
        request: The request that opened it.
        number: 1, 2, 3 … in the order of the upgrades.
        faults: What happens to the connection.
        frame_faults: What happens to data frames on their way out.
        compress: Whether permessage-deflate is accepted where the client offers it.
    """

    def __init__(
        self,
        wire: Wire,
        request: Request,
        *,
        number: int,
        faults: Faults,
        frame_faults: FrameFaults,
        compress: bool,
    ) -> None:
        self.request = request
        self.number = number
        self._wire = wire
        self._faults = faults
        self._frame_faults = frame_faults
        self._protocol = ServerProtocol(
            extensions=_deflate() if compress else None, logger=_LOG, max_size=2**20
        )
        self._messages: deque[str | bytes] = deque()
        self._readable = asyncio.Event()
        self._parts: list[Frame] = []
        self._unsent_size = 0
        self._stalled = False
        self._loop = asyncio.get_running_loop()
        self._last_message = self._last_ping = self._loop.time()
        self._group: asyncio.TaskGroup | None = None

    def accept(self, trailing: bytes) -> bool:
        """Answer the handshake; tell whether the connection is open."""
        head = f"GET {self.request.target} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in self.request.headers.items()
        )
        self._protocol.receive_data(f"{head}\r\n".encode("latin-1"))
        for handshake in self._protocol.events_received():
            assert isinstance(handshake, Handshake)
            self._protocol.send_response(self._protocol.accept(handshake))
        self._flush()
        if self._protocol.state is not State.OPEN:
            return False
        self._wire.receiver = self
        if trailing:
            self.feed(trailing)
        return True

    async def run(self, session: Session) -> None:
        """Serve the connection until the session returns or the client is gone."""
        timers = [
            self._loop.call_later(after, act)
            for after, act in (
                (self._faults.disconnect, self.abort),
                (self._faults.stall, self.stall),
            )
            if after is not None
        ]
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._watch())
                group.create_task(self._serve(session))
        except* SocketClosed:
            pass
        finally:
            for timer in timers:
                timer.cancel()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the session; it ends with the connection."""
        assert self._group is not None
        return self._group.create_task(coroutine)

    async def receive(self) -> str | bytes:
        """Wait for the client's next message.

        Raises:
            SocketClosed: The connection is gone.
        """
        while not self._messages:
            if self._wire.gone.is_set() or self._closing:
                raise SocketClosed
            self._readable.clear()
            await self._readable.wait()
        message = self._messages.popleft()
        if len(self._messages) < _MAX_UNREAD:
            self._wire.transport.resume_reading()
        return message

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except SocketClosed:
            raise StopAsyncIteration from None

    async def send(self, data: str | bytes, *, binary: bool = False) -> None:
        """Send a reply or a heartbeat, which no frame fault touches."""
        self.queue(data, binary=binary)
        await self.drain()

    async def send_json(self, value: Any) -> None:
        """Send a reply as JSON text."""
        await self.send(orjson.dumps(value))

    async def publish(self, data: str | bytes, *, binary: bool = False) -> None:
        """Send a data frame, to which the frame faults apply."""
        self.post(data, binary=binary)
        await self.drain()

    def queue(self, data: str | bytes, *, binary: bool = False) -> None:
        """Queue a reply, which no frame fault touches; `drain` sends it."""
        self._write(data.encode() if isinstance(data, str) else data, binary)

    def post(self, data: str | bytes, *, binary: bool = False) -> None:
        """Queue a data frame; `drain` sends it. Meant for many frames at one time."""
        payload = data.encode() if isinstance(data, str) else data
        if not self._frame_faults:
            self._write(payload, binary)
            return
        for frame in self._frame_faults.apply((payload, binary)):
            self._write(*frame)

    async def drain(self) -> None:
        """Send what is queued and wait for a client that reads slowly.

        Raises:
            SocketClosed: The connection is gone.
        """
        self._flush()
        try:
            await self._wire.drain()
        except ConnectionError as error:
            raise SocketClosed from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in good order: say so, wait for the answer a second, then leave."""
        if self._stalled:
            await self._wire.gone.wait()
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
        self._flush()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._wire.gone.wait()
        except TimeoutError:
            self._wire.transport.abort()

    def go_away(self) -> None:
        """Say 1001 without waiting: the server stops."""
        if self._protocol.state is State.OPEN and not self._stalled:
            self._protocol.send_close(1001, "")
            self._flush()

    def abort(self) -> None:
        """Drop the connection at once with a TCP reset."""
        raw = self._wire.transport.get_extra_info("socket")
        if raw is not None and not self._wire.transport.is_closing():
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET)
        self._wire.transport.abort()

    def stall(self) -> None:
        """Fall silent for good: neither data nor pongs nor a close, yet the connection stays."""
        self._stalled = True

    def silent_for(self, *, pings: bool = False) -> float:
        """Seconds since the client's last message, or since its last WebSocket ping."""
        last = max(self._last_message, self._last_ping) if pings else self._last_message
        return self._loop.time() - last

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire."""
        if self._stalled or self._wire.gone.is_set():
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            self._handle(event)
        self._flush()
        if len(self._messages) >= _MAX_UNREAD:
            self._wire.transport.pause_reading()
        if self._messages or self._closing:
            self._readable.set()

    @property
    def _closing(self) -> bool:
        return self._protocol.state is not State.OPEN

    async def _serve(self, session: Session) -> None:
        await session(self)
        await self.close()
        raise SocketClosed

    async def _watch(self) -> None:
        await self._wire.gone.wait()
        raise SocketClosed

    def _handle(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._last_ping = self._loop.time()
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(frame)
        if not frame.fin:
            return
        payload, opcode = b"".join(part.data for part in self._parts), self._parts[0].opcode
        self._parts.clear()
        self._last_message = self._loop.time()
        try:
            self._messages.append(payload.decode() if opcode is Opcode.TEXT else payload)
        except UnicodeDecodeError:
            self._protocol.fail(1007, "text that is not UTF-8")

    def _write(self, payload: bytes, binary: bool) -> None:
        if self._stalled or self._closing:
            return
        if binary:
            self._protocol.send_binary(payload)
        else:
            self._protocol.send_text(payload)
        self._unsent_size += len(payload)
        if self._unsent_size > _MAX_UNSENT:
            self._flush()

    def _flush(self) -> None:
        self._unsent_size = 0
        writes = self._protocol.data_to_send()
        if self._stalled or not writes:
            return
        self._wire.transport.write(b"".join(writes))
        if not writes[-1]:  # an empty write is the end of the stream
            self._wire.transport.close()


def _deflate() -> Sequence[ServerExtensionFactory]:
    return [
        ServerPerMessageDeflateFactory(
            server_max_window_bits=12,
            client_max_window_bits=12,
            compress_settings={"memLevel": 5, "level": 1},
        )
    ]
