"""The `socketio` variant: Socket.IO 5 over Engine.IO 4.

What goes over the wire is described in docs/protocols/websocket_v2.md, section 6.4.

Packets are read and written by python-socketio's packet class; its client is not used: it starts a
task for each message and so keeps neither order nor back-pressure.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from wsfeeds.command.exact import dumps, loads
from wsfeeds.command.polling import Polling
from wsfeeds.command.variants import Ended, SendFailed, SocketSession
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError
from wsfeeds.transport.base import UpgradeRefused

_OPEN, _CLOSE, _PING, _PONG, _MESSAGE, _UPGRADE = "012345"
_PROBE_WITHIN = 10.0
_NAMES = "CONNECT DISCONNECT EVENT ACK CONNECT_ERROR BINARY_EVENT BINARY_ACK"
(
    _CONNECT,
    _DISCONNECT,
    _EVENT,
    _ACK,
    _CONNECT_ERROR,
    _BINARY_EVENT,
    _BINARY_ACK,
) = range(len(_NAMES.split()))


class Handshake(msgspec.Struct, rename="camel"):
    """The first Engine.IO packet; times are in milliseconds."""

    sid: str
    upgrades: list[str] = []
    ping_interval: float = 25_000
    ping_timeout: float = 20_000
    max_payload: int = 1_000_000


class _Json:
    """The packet class's JSON, with exact numbers."""

    @staticmethod
    def loads(text: str) -> Any:
        return loads(text)

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return dumps(value).decode()


class Client(SocketSession):
    """One Socket.IO connection to one namespace."""

    def __init__(self, *args: Any) -> None:
        """See `VariantSession`."""
        super().__init__(*args)
        # python-socketio has no types, and takes 50 ms to import.
        packets: Any = importlib.import_module("socketio.packet")
        self._packet_class: Any = type("_Packet", (packets.Packet,), {"json": _Json})
        self._origin, self._namespace = _split(self.params.url)
        options = self.params.socketio
        self._events = frozenset(options.events) if options and options.events else None
        self._base = _engine_url(self._origin, options.path if options else "/socket.io/")
        self._polling: Polling | None = None
        self._handshake: Handshake | None = None
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probed: asyncio.Future[None] | None = None
        self._held: list[str] | None = None
        self._partial: Any = None
        self._silence: asyncio.TimerHandle | None = None
        self._over = False

    # --- opening

    async def open(self) -> None:
        """Open a WebSocket, or poll where the server takes none, and join the namespace."""
        limit = self.route.settings.connect_timeout
        try:
            await self.upgrade(f"{self._base}&transport=websocket")
        except UpgradeRefused:
            await self._open_polling()
        try:
            async with asyncio.timeout(limit):
                await self._joined
        except TimeoutError:
            raise Transient(f"the server did not let us in within {limit:g} s") from None
        if self._polling is not None and self._upgradable():
            self.listener.spawn(self._try_upgrade(self._polling))

    async def _open_polling(self) -> None:
        polling = Polling(
            self.route, f"{self._base}&transport=polling", self.listener, self._packet
        )
        self._polling = polling
        await polling.open()
        if self._handshake is None:
            raise Transient("the first poll was not answered by an Engine.IO open packet")
        polling.url += f"&sid={self._handshake.sid}"
        polling.payload_limit = self._handshake.max_payload
        polling.silence = self._patience(self._handshake) + 1.0
        polling.start()

    def opened(self) -> None:
        """Wait for the server to speak first, unless this is a probe."""
        if self._probed is not None and self.connection is not None:
            self.connection.send(_PING + "probe")

    # --- from polling to a WebSocket

    def _upgradable(self) -> bool:
        return self._handshake is not None and "websocket" in self._handshake.upgrades

    async def _try_upgrade(self, polling: Polling) -> None:
        """Move to a WebSocket; where that fails, polling goes on."""
        assert self._handshake is not None
        self._probed = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_PROBE_WITHIN):
                await self.upgrade(f"{self._base}&transport=websocket&sid={self._handshake.sid}")
                await self._probed
        except (TimeoutError, WsfeedsError):
            connection, self.connection = self.connection, None
            if connection is not None:
                await connection.close()
            self._probed = None
            return
        self._held = []
        await polling.finish()
        self._polling = None
        held, self._held = self._held, None
        for packet in (_UPGRADE, *held):
            self._transmit(packet)
        if self.listener.paused:
            self.pause_reading()

    # --- what arrives

    def received(self, frame: bytes, binary: bool) -> None:
        """Take one packet from the WebSocket."""
        if self._probed is not None and not self._probed.done():
            if frame == b"3probe":
                self._probed.set_result(None)
            return
        self._packet(frame if binary else frame.decode())

    def _packet(self, packet: str | bytes) -> None:
        """Take one Engine.IO packet; binary ones are attachments."""
        if self._over or packet == "":
            return
        try:
            if isinstance(packet, bytes):
                self._attachment(packet)
            else:
                self._engine(packet)
        except (ValueError, KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
            # What the packet class and the decoder raise for what makes no sense.
            raw = packet if isinstance(packet, bytes) else packet.encode()
            self.listener.on_malformed(str(error) or type(error).__name__, raw)

    def _engine(self, packet: str) -> None:
        kind, content = packet[0], packet[1:]
        if kind == _MESSAGE:
            self._message(content)
        elif kind == _PING:
            self._transmit(_PONG + content)
            self._watch()
        elif kind == _OPEN:
            self._handshake = msgspec.json.decode(content, type=Handshake)
            self._watch()
            self._transmit(_MESSAGE + self._encode(_CONNECT))
        elif kind == _CLOSE:
            self._end(Ended(code=1000, reason="closed by Engine.IO", clean=True, by_server=True))
        elif kind not in {_PONG, _UPGRADE, "6"}:
            raise ValueError(f"no Engine.IO packet has type {kind!r}")

    def _message(self, content: str) -> None:
        if not content[:1].isdigit():
            raise ValueError("a Socket.IO packet begins with its type")
        packet = self._packet_class(encoded_packet=content)
        if packet.attachment_count:
            self._partial = packet
        else:
            self._socket_packet(packet)

    def _attachment(self, data: bytes) -> None:
        if self._partial is None:
            raise ValueError("an attachment that no packet announced")
        if self._partial.add_attachment({"_base64": base64.b64encode(data).decode()}):
            packet, self._partial = self._partial, None
            self._socket_packet(packet)

    def _socket_packet(self, packet: Any) -> None:
        if (packet.namespace or "/") != self._namespace:
            return
        kind = packet.packet_type
        if kind in {_EVENT, _BINARY_EVENT}:
            self._event(packet)
        elif kind == _CONNECT:
            if not self._joined.done():
                self._joined.set_result(None)
                self.listener.on_connected()
        elif kind == _CONNECT_ERROR:
            self._refused(packet.data)
        elif kind == _DISCONNECT:
            self._end(Ended(code=1000, reason="server disconnect", clean=True, by_server=True))
        elif kind not in {_ACK, _BINARY_ACK}:
            raise ValueError(f"no Socket.IO packet has type {kind}")

    def _event(self, packet: Any) -> None:
        data = packet.data
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event must be a list that begins with its name")
        if packet.id is not None:
            self._transmit(_MESSAGE + self._encode(_ACK, [], packet.id))
        if self._events is None or data[0] in self._events:
            self.listener.on_message(dumps(data).decode())

    def _refused(self, data: Any) -> None:
        message = data.get("message") if isinstance(data, dict) else data
        error = CredentialsRefused(
            f"the server refused namespace {self._namespace}: {message or 'it does not say why'}"
        )
        if self._joined.done():
            self._end(Ended(code=1006, reason=error.message, error=error))
        else:
            self._joined.set_exception(error)
            self._joined.exception()  # `open` gets it; nobody waiting is no leak

    # --- silence

    @staticmethod
    def _patience(handshake: Handshake) -> float:
        return (handshake.ping_interval + handshake.ping_timeout) / 1000

    def _watch(self) -> None:
        """Expect the server's next ping."""
        self._unwatch()
        if self._handshake is not None and not self.listener.paused:
            wait = self._patience(self._handshake)
            self._silence = asyncio.get_running_loop().call_later(wait, self._silent_for, wait)

    def _unwatch(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent_for(self, seconds: float) -> None:
        self._end(Ended(code=1006, reason=f"no ping within {seconds:g} s", stale=True))

    # --- what is sent

    def send(self, text: str) -> None:
        """Send an event, or a raw packet where the text begins with a digit."""
        if not self._joined.done() or self._over:
            raise SendFailed("the connection is not open")
        self._transmit(text if text[:1].isdecimal() else _MESSAGE + self._as_event(text))

    def _as_event(self, text: str) -> str:
        try:
            value = loads(text) if text.lstrip().startswith("[") else None
        except msgspec.DecodeError:
            value = None
        if not (isinstance(value, list) and value and isinstance(value[0], str)):
            value = ["message", text]
        return self._encode(_EVENT, value)

    def _encode(self, kind: int, data: Any = None, number: int | None = None) -> str:
        packet = self._packet_class(
            kind, data=data, namespace=self._namespace, id=number, binary=False
        )
        text: str = packet.encode()
        return text

    def _transmit(self, packet: str) -> None:
        if self._held is not None:
            self._held.append(packet)
        elif self._polling is not None:
            self._polling.post(packet)
        elif self.connection is not None:
            self.connection.send(packet)

    # --- reading, and the end

    def pause_reading(self) -> None:
        """Read neither the socket nor the next poll."""
        self._unwatch()
        if self._polling is not None:
            self._polling.pause()
        super().pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._polling is not None:
            self._polling.resume()
        super().resume_reading()
        self._watch()

    def closed(self, code: int, reason: str) -> Ended:
        """Return how the socket ended; one that was only a probe ends nothing."""
        self._unwatch()
        return super().closed(code, reason)

    def on_close(self, code: int, reason: str) -> None:
        """Tell how the socket ended, unless polling still carries the connection."""
        if self._polling is None:
            super().on_close(code, reason)
            return
        self.connection = None
        if self._probed is not None and not self._probed.done():
            self._probed.set_exception(Transient("the probe was closed"))
            self._probed.exception()
        elif self._held is not None:  # after the probe, before the switch: nothing carries us
            self._end(Ended(code=code, reason=reason))

    def _end(self, ended: Ended) -> None:
        self._unwatch()
        self._over = True
        self.listener.on_ended(ended)

    async def close(self) -> None:
        """Leave the namespace and close."""
        self._unwatch()
        leaving = not self._over and self._joined.done() and self._joined.exception() is None
        self._over = True
        polling, self._polling = self._polling, None
        goodbye = [_MESSAGE + self._encode(_DISCONNECT)] if leaving else []
        if polling is not None and self._handshake is not None:
            with contextlib.suppress(WsfeedsError):
                await polling.say([*goodbye, _CLOSE])
        elif self.connection is not None:
            for packet in goodbye:
                self.connection.send(packet)
        await super().close()


def _split(url: str) -> tuple[str, str]:
    """Return the server's URL with its query, and the namespace that the path names."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="", fragment="")), parts.path or "/"


def _engine_url(origin: str, path: str) -> str:
    parts = urlsplit(origin)
    whole = f"/{path.strip('/')}/" if path.strip("/") else "/"
    query = f"{parts.query}&EIO=4" if parts.query else "EIO=4"
    return urlunsplit(parts._replace(path=whole, query=query))
