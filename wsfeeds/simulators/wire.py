"""One TCP connection of a simulated venue, with bounds and back-pressure in both directions."""

from __future__ import annotations

import asyncio
from typing import Protocol

_HIGH_WATER = 64 * 1024


class Acceptor(Protocol):
    """What a wire needs of its server."""

    def accept(self, wire: Wire) -> None:
        """Start serving a connection."""

    def release(self, wire: Wire) -> None:
        """Forget a connection."""


class Receiver(Protocol):
    """What takes over the bytes of a wire."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrive."""


class Wire(asyncio.Protocol):
    """One TCP connection: bytes in and out, both bounded.

    Bytes are read with `read` until something takes them over by setting `receiver`.
    """

    transport: asyncio.Transport

    def __init__(self, server: Acceptor) -> None:
        self.gone = asyncio.Event()
        self.receiver: Receiver | None = None
        self._server = server
        self._incoming = bytearray()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the new connection to the server."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.accept(self)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or keep them until they are read."""
        if self.receiver is not None:
            self.receiver.feed(data)
            return
        self._incoming += data
        if len(self._incoming) > _HIGH_WATER:
            self.transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        """Note that the client sends no more; what it asked is still answered."""
        self._end()
        return self.receiver is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everything that waits for this connection."""
        del exc  # the far end's reasons do not matter to a venue
        self._end()
        self._writable.set()
        self._server.release(self)

    def pause_writing(self) -> None:
        """Hold writers back: the client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writable.set()

    async def read(self) -> bytes:
        """Give the next bytes, none at the end of the stream."""
        await self._readable.wait()
        data = bytes(self._incoming)
        self._incoming.clear()
        if not self.gone.is_set():
            self._readable.clear()
            self.transport.resume_reading()
        return data

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written.

        Raises:
            ConnectionError: The connection is lost.
        """
        await self._writable.wait()
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is lost")

    def _end(self) -> None:
        self.gone.set()
        self._readable.set()
