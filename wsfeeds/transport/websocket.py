"""The transport over `websockets`: its handshake, TLS, proxies and framing, our own hot path.

Frames are taken by a plain call instead of through the library's queue, so that nothing stands
between a read of the socket and the lines it becomes. Whole text messages are cut out of the bytes
read by `framing`; only what is anything else, or seldom, goes through the library's parser.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import (
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import Frame, Opcode
from websockets.protocol import CLOSED, OPEN, Event

from wsfeeds._version import __version__
from wsfeeds.errors import Transient, UsageError
from wsfeeds.transport import retry_after
from wsfeeds.transport.base import Connection, Dial, Listener, UpgradeRefused
from wsfeeds.transport.faults import plain
from wsfeeds.transport.framing import MAX_LENGTH, size_of_other, take_texts

USER_AGENT = f"wsfeeds/{__version__}"
_CLOSE_GRACE = 2.0
"""Seconds that a peer gets to finish the closing handshake."""

# At DEBUG the library prints query tokens, Authorization headers and auth frames.
_quiet = logging.getLogger("wsfeeds.websockets")
_quiet.setLevel(logging.WARNING)

_TEXT, _BINARY, _CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
_CLOSE, _PONG = Opcode.CLOSE, Opcode.PONG


class _Connection(ClientConnection):
    """One connection that hands its messages straight to a listener."""

    def __init__(self, protocol: ClientProtocol, listener: Listener, **options: Any) -> None:
        super().__init__(protocol, **options)
        self._listener = listener
        self._parts: list[bytes] = []
        self._binary = False
        self._deaf = False
        self._opened = False
        self._abort_timer: asyncio.TimerHandle | None = None
        self._longest = min(protocol.max_message_size or MAX_LENGTH, MAX_LENGTH)
        self._rest = b""
        """The beginning of a frame whose end has not come yet."""
        self._owed = 0
        """How much of a frame that the library has begun to read is still to come."""

    # --- reading

    def data_received(self, data: bytes) -> None:
        self._listener.on_data()
        if not self._opened:
            data = self._shake_hands(data)
        if self._opened:
            self._read(data)
            self._listener.on_read()
            if self.protocol.state is not OPEN:
                self._limit_closing()

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
            size = size_of_other(data, at, longest)
            if not size:
                self._rest = data[at:]
                return
            at = self._pass_on(data, at, size)
        self._pass_on(data, at, len(data) - at)

    def _pass_on(self, data: bytes, at: int, size: int) -> int:
        """Give a frame, or what there is of it, to the library's parser; return where it ends."""
        stop = min(at + size, len(data))
        self._owed = at + size - stop
        if stop > at:
            super().data_received(data[at:stop])
        return stop

    def process_event(self, event: Event) -> None:
        if self.response is None:
            super().process_event(event)
            # The close may have come in the same read: the state says nothing about the upgrade.
            if self.protocol.handshake_exc is None:
                self._opened = True
                self._listener.on_open(cast("Connection", _Handle(self)))
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

    # --- the end

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self._opened:
            self._opened = False
            self._listener.on_close(*self._why())

    def _why(self) -> tuple[int, str]:
        received, sent = self.protocol.close_rcvd, self.protocol.close_sent
        if received is not None:
            return int(received.code), received.reason
        if sent is not None and sent.code != 1000:
            return int(sent.code), sent.reason  # we refused a frame: too big, bad protocol
        return 1006, ""

    def _limit_closing(self) -> None:
        """Do not leave it to the peer how long a closed connection stays."""
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(_CLOSE_GRACE, self.transport.abort)
            if self.protocol.close_rcvd is not None:
                self.transport.close()

    # --- sending

    def send_text(self, text: str) -> None:
        if self.protocol.state is OPEN:
            self.protocol.send_text(text.encode())
            self.send_data()

    def send_ping(self) -> None:
        if self.protocol.state is OPEN:
            self.protocol.send_ping(b"wsfeeds")
            self.send_data()

    async def finish(self, code: int, reason: str) -> None:
        """Close without reading what is still to come into events."""
        self._deaf = True
        if self.protocol.state is OPEN:
            self.protocol.send_close(code, reason)
            self.send_data()
            # The peer's close frame lies behind whatever was left unread.
            self.transport.resume_reading()
        if self.protocol.state is not CLOSED:
            self._limit_closing()
        await asyncio.shield(self.connection_lost_waiter)


class _Handle:
    """The seam's view of a connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def send(self, text: str) -> None:
        self._connection.send_text(text)

    def ping(self) -> None:
        self._connection.send_ping()

    def pause_reading(self) -> None:
        self._connection.transport.pause_reading()

    def resume_reading(self) -> None:
        self._connection.transport.resume_reading()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._connection.finish(code, reason)


class _Dialer(connect):
    """`connect` that follows no redirect: the token in the URL is for this host alone."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebsocketsTransport:
    """Opens connections with the `websockets` library."""

    name = "websockets"

    async def connect(self, dial: Dial, listener: Listener) -> Connection:
        """Open one connection; see `wsfeeds.transport.base.Transport.connect`."""

        def connection(protocol: ClientProtocol, **options: Any) -> _Connection:
            return _Connection(protocol, listener, **options)

        try:
            opened = await _Dialer(
                dial.url,
                create_connection=cast("type[ClientConnection]", connection),
                additional_headers=dial.headers,
                user_agent_header=None if _names_agent(dial.headers) else USER_AGENT,
                compression="deflate" if dial.compression else None,
                open_timeout=dial.timeout,
                ping_interval=None,
                max_size=dial.max_frame,
                max_queue=None,
                proxy=dial.proxy,
                logger=_quiet,
                **_tls(dial),
            )
        except InvalidStatus as error:
            raise _refused(error) from error
        except (InvalidURI, InvalidProxy) as error:
            raise UsageError(f"this URL cannot be used: {error}") from error
        except (OSError, InvalidHandshake, EOFError) as error:
            raise Transient(plain(error)) from error
        return cast("Connection", _Handle(cast("_Connection", opened)))


def tls_context(ca_file: str | None, ciphers: str | None) -> ssl.SSLContext:
    """Return a verifying TLS context, with one more authority or other ciphers if asked for.

    Raises:
        UsageError: The file or the cipher list cannot be used.
    """
    context = ssl.create_default_context()
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        if ciphers is not None:
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        what = f"ca_file {ca_file}" if ca_file is not None else f"ciphers {ciphers!r}"
        raise UsageError(f"{what} cannot be used: {plain(error)}") from error
    return context


def _tls(dial: Dial) -> dict[str, Any]:
    if not dial.url.lower().startswith("wss:"):
        return {}
    return {"ssl": tls_context(dial.ca_file, dial.ciphers)}


def _names_agent(headers: dict[str, str]) -> bool:
    return any(name.lower() == "user-agent" for name in headers)


def _refused(error: InvalidStatus) -> UpgradeRefused:
    response = error.response
    return UpgradeRefused(
        f"the server refused the upgrade with HTTP {response.status_code}",
        code=response.status_code,
        status=response.status_code,
        retry_after=retry_after.seconds(response.headers.get("Retry-After")),
    )
