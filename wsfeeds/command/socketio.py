"""The `socketio` variant: Socket.IO 5 over Engine.IO 4.

What goes over the wire is described in docs/protocols/websocket_v2.md, section 6.4.

Packets are read and written by python-socketio's packet class; its client is not used: it starts a
task for each message and so keeps neither order nor back-pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from wsfeeds.command import socketio_packets as wire
from wsfeeds.command.exact import dumps
from wsfeeds.command.polling import Polling
from wsfeeds.command.variants import Ended, SendFailed, SocketSession
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError
from wsfeeds.transport.base import UpgradeRefused

_PROBE_WITHIN = 10.0
_NONSENSE = (ValueError, KeyError, IndexError, TypeError, RecursionError, msgspec.MsgspecError)
"""What the packet class and the decoder raise for what makes no sense."""


class Client(SocketSession):
    """One Socket.IO connection to one namespace."""

    def __init__(self, *args: Any) -> None:
        """See `VariantSession`."""
        super().__init__(*args)
        origin, self._namespace = wire.split_url(self.params.url)
        options = self.params.socketio
        self._codec = wire.Codec(self._namespace)
        self._events = frozenset(options.events) if options and options.events else None
        self._base = wire.engine_url(origin, options.path if options else "/socket.io/")
        self._polling: Polling | None = None
        self._handshake: wire.Handshake | None = None
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probed: asyncio.Future[None] | None = None
        self._held: list[str] | None = None
        self._partial: wire.Unfinished | None = None
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
        except Transient as error:  # something on the way swallows upgrades, or nobody is there
            try:
                await self._open_polling()
            except Transient:
                raise error from None
        try:
            async with asyncio.timeout(limit):
                await asyncio.shield(self._joined)
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
        polling.silence = self._handshake.patience + 1.0
        polling.start()

    def opened(self) -> None:
        """Wait for the server to speak first, unless this is a probe."""
        if self._probed is not None and self.connection is not None:
            self.connection.send(wire.PING + "probe")

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
                await asyncio.shield(self._probed)
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
        for packet in (wire.UPGRADE, *held):
            self._transmit(packet)
        if self.listener.paused:
            self.pause_reading()

    # --- what arrives

    def received(self, frame: bytes, binary: bool) -> None:
        """Take one packet from the WebSocket."""
        if self._probed is not None and not self._probed.done():
            if frame == b"3probe":
                self._probed.set_result(None)
            else:
                self.listener.on_malformed("this is no answer to a probe", frame)
            return
        self._packet(frame if binary else frame.decode())

    def _packet(self, packet: str | bytes) -> None:
        """Take one Engine.IO packet; binary ones are attachments."""
        if self._over:
            self.listener.on_skipped("after the end")
            return
        try:
            if isinstance(packet, bytes):
                self._attachment(packet)
            else:
                self._engine(packet)
        except _NONSENSE as error:
            self._malformed(error, packet)

    def _malformed(self, error: Exception, packet: str | bytes) -> None:
        deep = isinstance(error, RecursionError)
        told = "nested too deeply" if deep else str(error) or type(error).__name__
        self.listener.on_malformed(told, packet if isinstance(packet, bytes) else packet.encode())

    def _engine(self, packet: str) -> None:
        if not packet:
            raise ValueError("an empty packet")
        kind, content = packet[0], packet[1:]
        if kind == wire.MESSAGE:
            if self._handshake is None:
                raise ValueError("a message before the open packet")
            self._message(packet)
        elif kind == wire.PING:
            self.listener.on_skipped("heartbeats")
            self._transmit(wire.PONG + content)
            self._watch()
        elif kind == wire.OPEN:
            if self._handshake is not None:
                raise ValueError("the connection is open already")
            self._handshake = msgspec.json.decode(content, type=wire.Handshake)
            self._watch()
            self._transmit(self._codec.write(wire.CONNECT))
        elif kind == wire.CLOSE:
            self._end(Ended(code=1000, reason="closed by Engine.IO", clean=True, by_server=True))
        elif kind in {wire.PONG, wire.UPGRADE, wire.NOOP}:
            self.listener.on_skipped("pongs" if kind == wire.PONG else "empty packets")
        else:
            raise ValueError(f"no Engine.IO packet has type {kind!r}")

    def _message(self, whole: str) -> None:
        if self._partial is not None:
            # Whose attachments follow is unknown: the reference implementation closes as well.
            error = Transient("a packet amid the attachments of another one")
            self._malformed(error, whole)
            self._end(Ended(code=1006, reason=error.message, error=error))
            return
        packet = self._codec.read(whole[1:])
        if packet.attachment_count:
            self._partial = wire.Unfinished(packet, whole)
        else:
            self._socket_packet(packet)

    def _attachment(self, data: bytes) -> None:
        if self._partial is None:
            raise ValueError("an attachment that no packet announced")
        partial, limit = self._partial, self.route.settings.max_frame
        try:
            if partial.add(data):
                self._partial = None
                self._socket_packet(partial.packet)
        except _NONSENSE as error:
            self._partial = None
            for part in partial.parts:
                self._malformed(error, part)
        if self._partial is not None and partial.size > limit:
            large = Transient(f"an event was larger than max_frame ({limit} bytes)", code=1009)
            self._end(Ended(code=1009, reason=large.message, error=large))

    def unfinished(self) -> Sequence[tuple[str, bytes]]:
        """Return a binary event whose attachments had not all come."""
        return self._partial.told() if self._partial is not None else ()

    def _socket_packet(self, packet: Any) -> None:
        kind = packet.packet_type
        if (packet.namespace or "/") != self._namespace:
            self.listener.on_skipped("other namespaces")
        elif kind in {wire.EVENT, wire.BINARY_EVENT}:
            self._event(packet)
        elif kind == wire.CONNECT:
            if not self._joined.done():
                self._joined.set_result(None)
                self.listener.on_connected()
        elif kind == wire.CONNECT_ERROR:
            self._refused(packet.data)
        elif kind == wire.DISCONNECT:
            self._end(Ended(code=1000, reason="server disconnect", clean=True, by_server=True))
        else:
            self.listener.on_skipped("acks")

    def _event(self, packet: Any) -> None:
        data = packet.data
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event must be a list that begins with its name")
        if not self._joined.done():
            raise ValueError("an event before the namespace was joined")
        if packet.id is not None:
            self._transmit(self._codec.write(wire.ACK, [], packet.id))
        if self._events is None or data[0] in self._events:
            self.listener.on_message(dumps(data).decode())
        else:
            self.listener.on_skipped("not asked for")

    def _refused(self, data: Any) -> None:
        message = data.get("message") if isinstance(data, dict) else data
        error = CredentialsRefused(
            f"the server refused namespace {self._namespace}: {message or 'it does not say why'}"
        )
        if self._joined.done():
            self._end(Ended(code=1006, reason=error.message, error=error))
        else:
            self._over = True
            self._joined.set_exception(error)
            self._joined.exception()  # `open` gets it; nobody waiting is no leak

    # --- silence

    def _watch(self) -> None:
        """Expect the server's next ping."""
        self._unwatch()
        if self._handshake is not None and not self.listener.paused:
            wait = self._handshake.patience
            self._silence = asyncio.get_running_loop().call_later(wait, self._silent_for, wait)

    def _unwatch(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent_for(self, seconds: float) -> None:
        self._end(Ended(code=1006, reason=f"no ping within {seconds:g} s", stale=True))

    # --- what is sent

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send an event, or a raw packet where the text begins with a digit."""
        if not self._joined.done() or self._over:
            raise SendFailed("the connection is not open")
        raw = text[:1].isascii() and text[:1].isdigit()
        self._transmit(text if raw else self._codec.event(text))
        return None

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

    def gone(self, code: int, reason: str) -> Ended:
        """Take leave of the socket."""
        self._unwatch()
        return super().gone(code, reason)

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
        goodbye = [self._codec.write(wire.DISCONNECT)] if leaving else []
        if polling is not None and self._handshake is not None:
            await polling.say([*goodbye, wire.CLOSE])
        elif self.connection is not None:
            for packet in goodbye:
                self.connection.send(packet)
        await super().close()
