"""One WebSocket connection: `websockets` for the protocol, our own hot path.

Frames are taken by a plain call instead of through the library's queue, so that nothing stands
between a read of the socket and the lines it becomes. Whole text messages are cut out of the bytes
read by `framing`; only what is anything else, or seldom, goes through the library's parser.
benchmarks/README.md has the numbers that led here.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Event

from wsfeeds.transport.base import CLOSE_WITHIN, LOST, Connection, Dial, Listener
from wsfeeds.transport.framing import MAX_LENGTH, size_of_other, take_texts

_READ = 65_536
"""Bytes read at once at most."""
_TEXT, _BINARY, _CONT, _PONG = Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PONG


class WebSocket(ClientConnection, asyncio.BufferedProtocol):
    """One connection that hands its messages straight to a listener.

    Reads go into one buffer: asyncio would allocate 256 KiB for each, however little arrives, which
    costs more than all the rest of a read of one frame.
    """

    def __init__(
        self, protocol: ClientProtocol, listener: Listener, dial: Dial, **options: Any
    ) -> None:
        super().__init__(protocol, **options)
        self._listener = listener
        self._coalesce = dial.coalesce
        self._nap: asyncio.TimerHandle | None = None
        self._held = False
        self._parts: list[bytes] = []
        self._binary = False
        self._deaf = False
        self._opened = False
        self._abort_timer: asyncio.TimerHandle | None = None
        self._longest = min(protocol.max_message_size or MAX_LENGTH, MAX_LENGTH)
        self._rest = b""
        self._kept = b""
        """What came with the answer to the upgrade, where nothing was to be read any more."""
        """The beginning of a frame whose end has not come yet."""
        self._owed = 0
        """How much of a frame that the library has begun to read is still to come."""
        self._buffer = memoryview(bytearray(_READ))

    # --- reading

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next read goes."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Take what was read."""
        self.data_received(bytes(self._buffer[:size]))

    def data_received(self, data: bytes) -> None:
        """Handle all that one read has brought."""
        self._listener.on_data()
        if not self._opened:
            data = self._shake_hands(data)
            if self._held:
                data, self._kept = b"", data
        if self._opened:
            self._read(data)
            self._listener.on_read()
            if self.protocol.state is not OPEN:
                self._limit_closing()
            elif self._coalesce is not None:
                self._doze(self._coalesce)

    def _shake_hands(self, data: bytes) -> bytes:
        """Let the library read the answer to the upgrade, and return what follows it.

        The answer ends with a line, and the library gets line after line until it is through: so it
        never has a part of the first frame.
        """
        at = 0
        while at < len(data) and not self._opened:
            stop = data.find(b"\n", at) + 1 or len(data)
            super().data_received(data[at:stop])
            at = stop
        return data[at:]

    def _read(self, data: bytes) -> None:
        data, self._rest = self._rest + data, b""
        at = self._pass_on(data, 0, self._owed)
        while self.protocol.state is OPEN:
            # Inside a fragmented message the library has to see every frame.
            longest = self._longest if self.protocol.current_size is None else -1
            at = take_texts(data, at, longest, self._listener.on_frame)
            stop = at
            while size := size_of_other(data, stop, longest):
                stop += size
            if stop == at:
                self._rest = data[at:]
                return
            at = self._pass_on(data, at, stop - at)
        self._pass_on(data, at, len(data) - at)

    def _pass_on(self, data: bytes, at: int, size: int) -> int:
        """Give frames, or what there is of them, to the library's parser; return where they end."""
        stop = min(at + size, len(data))
        self._owed = at + size - stop
        if stop > at:
            super().data_received(data[at:stop])
        return stop

    def process_event(self, event: Event) -> None:
        """Take the answer to the upgrade, or a frame, from the library's parser."""
        if self.response is None:
            super().process_event(event)
            # The close may have come in the same read: the state says nothing about the upgrade.
            if self.protocol.handshake_exc is None:
                self._opened = True
                self._listener.on_open(cast("Connection", Handle(self)))
            return
        assert isinstance(event, Frame)
        opcode = event.opcode
        if opcode is _TEXT and event.fin:
            if not self._deaf:
                data = event.data
                self._listener.on_frame(data if type(data) is bytes else bytes(data), False)
        elif opcode in {_TEXT, _BINARY, _CONT}:
            self._part(event)
        elif opcode is _PONG:
            self._listener.on_pong()

    def _part(self, event: Frame) -> None:
        if event.opcode is not _CONT:
            self._binary = event.opcode is _BINARY
            self._parts = []
        self._parts.append(bytes(event.data))
        if event.fin and not self._deaf:
            frame, self._parts = b"".join(self._parts), []
            self._listener.on_frame(frame, self._binary)

    # --- not reading

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`."""
        self._held = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._held = False
        if self._kept:
            self.loop.call_soon(self._read_kept)  # before whatever the socket still has
        if self._nap is None:
            self.transport.resume_reading()

    def _read_kept(self) -> None:
        if not self._held and self._opened:
            data, self._kept = self._kept, b""
            self.data_received(data)

    def _doze(self, seconds: float) -> None:
        """Let bytes gather: one read of many frames costs far less than many reads of one."""
        self.transport.pause_reading()
        self._nap = self.loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._nap = None
        if not self._held:
            self.transport.resume_reading()

    # --- the end

    def connection_lost(self, exc: Exception | None) -> None:
        """Say why the connection ended, where it had begun."""
        if not hasattr(self, "recv_messages"):
            return  # TLS failed within a proxy's tunnel: the library has made nothing of it yet
        super().connection_lost(exc)
        if self._nap is not None:
            self._nap.cancel()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self._opened:
            self._opened = False
            self._listener.on_close(*self._why())

    @property
    def gave_up(self) -> bool:
        """Whether a frame was refused: too big, or against the protocol."""
        sent = self.protocol.close_sent
        return self.protocol.close_rcvd is None and sent is not None and sent.code != 1000

    def _why(self) -> tuple[int, str]:
        close = self.protocol.close_sent if self.gave_up else self.protocol.close_rcvd
        return (LOST, "") if close is None else (int(close.code), close.reason)

    def _limit_closing(self, within: float = CLOSE_WITHIN) -> None:
        """Do not leave it to the peer how long a closed connection stays."""
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(within, self.transport.abort)
            if self.protocol.close_rcvd is not None:
                self.transport.close()

    # --- sending

    def send_text(self, text: str) -> None:
        """Send one message, unless the connection is closing."""
        if self.protocol.state is OPEN:
            self.protocol.send_text(text.encode())
            self.send_data()

    def send_ping(self) -> None:
        """Send a ping, unless the connection is closing."""
        if self.protocol.state is OPEN:
            self.protocol.send_ping(b"wsfeeds")
            self.send_data()

    async def finish(self, code: int, reason: str, within: float) -> None:
        """Close without reading what is still to come into events."""
        self._deaf = True
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason)
            self.send_data()
            # The peer's close frame lies behind whatever was left unread.
            self.resume_reading()
        if not self.connection_lost_waiter.done():
            # Closed or not: a transport whose peer reads nothing keeps what is still to be sent.
            self._limit_closing(within)
        try:
            await asyncio.shield(self.connection_lost_waiter)
        except asyncio.CancelledError:
            self.transport.abort()  # nobody waits any more: not for the peer either
            raise


class Handle:
    """The seam's view of a connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: WebSocket) -> None:
        self._connection = connection

    @property
    def gave_up(self) -> bool:
        """Whether this side closed because of what the peer had sent."""
        return self._connection.gave_up

    def send(self, text: str) -> None:
        """Send one text message."""
        self._connection.send_text(text)

    def ping(self) -> None:
        """Send a WebSocket ping."""
        self._connection.send_ping()

    def pause_reading(self) -> None:
        """Stop reading."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._connection.resume_reading()

    async def close(
        self, code: int = 1000, reason: str = "", *, within: float = CLOSE_WITHIN
    ) -> None:
        """Close within so many seconds."""
        await self._connection.finish(code, reason, within)
