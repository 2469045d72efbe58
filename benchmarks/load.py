"""The load: one process that sends pre-built frames over raw sockets, as fast as they are taken.

It speaks just enough of HTTP and WebSocket to be a Cryptomus: the token endpoint, the upgrade,
and an answer to every request. Nothing is parsed or built while frames are sent.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import select
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.frames import Block, header

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"sec-websocket-key:\s*(\S+)", re.IGNORECASE).search
_TOKEN = b'{"token":"0123456789abcdef0123456789abcdef"}'
_TURN = 20
DEFLATE = b"permessage-deflate; client_no_context_takeover"
NO_TAKEOVER = b"; server_no_context_takeover"


@dataclass
class Order:
    """What to send to the next client once it has subscribed."""

    block: Block
    count: int
    """Frames on each connection."""
    requests: int
    """Requests that are answered on a connection before its first frame is sent."""
    sockets: int = 1
    """Connections that are awaited before the first frame is sent."""
    rate: float | None = None
    """Frames per second; None sends as fast as the client takes them."""
    burst: int = 1
    deflated: bool = False
    takeover: bool = False
    greeting: bytes = b""
    answer: bytes | None = None
    on_turn: Callable[[], None] = lambda: None
    """Called between paced frames (the latency cases read the client's output there)."""
    sent_at: list[float] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)
    ready: list[socket.socket] = field(default_factory=list)


class Load:
    """A server on a free loopback port; one client at a time, which may have many connections."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/ws"
        self.api_url = f"http://127.0.0.1:{port}"
        self.order: Order | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        """Answer one connection, and send once all that are awaited are there."""
        if not self._greet(connection):
            connection.close()
            return
        order = self.order
        assert order is not None
        _converse(connection, order)
        order.ready.append(connection)
        if len(order.ready) < order.sockets:
            return
        try:
            _send_all(order)
        finally:
            for each in order.ready:
                each.close()
            self.order = None
            order.finished.set()

    def _greet(self, connection: socket.socket) -> bool:
        """Answer a token request or an upgrade, and tell which it was: True for the latter."""
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65_536)
            if not received:
                return False
            head += received
        key = _KEY(head)
        if key is None:
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(_TOKEN), _TOKEN)
            )
            return False
        assert self.order is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
        agreed = DEFLATE + (b"" if self.order.takeover else NO_TAKEOVER)
        extra = b"Sec-WebSocket-Extensions: %b\r\n" % agreed if self.order.deflated else b""
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, extra) + self.order.greeting
        )
        return True


def _converse(connection: socket.socket, order: Order) -> None:
    """Answer the client's requests."""
    buffer = bytearray()
    answered = 0
    while answered < order.requests:
        for payload in _messages(connection, buffer, deflated=order.deflated):
            connection.sendall(_answer(payload) if order.answer is None else order.answer)
            answered += 1


def _send_all(order: Order) -> None:
    if order.rate is None:
        _send(order.ready, order)
    else:
        _send_paced(order.ready[0], order)
    for connection in order.ready:
        with contextlib.suppress(OSError):
            while connection.recv(65_536):  # its close frame, or its end
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)


def _answer(request: bytes) -> bytes:
    try:
        key = json.loads(request)["id"]
    except (ValueError, KeyError, TypeError):
        return b""
    text = json.dumps({"id": key, "data": {"status": "success"}, "error": None}).encode()
    return header(len(text), 0x81) + text


def _messages(connection: socket.socket, buffer: bytearray, *, deflated: bool) -> list[bytes]:
    """Return the whole requests that have arrived; a compressed one cannot be read."""
    received = connection.recv(65_536)
    if not received:
        raise ConnectionResetError
    buffer += received
    result = []
    while len(buffer) >= 6:
        length, start = buffer[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        end = start + 4 + length
        if len(buffer) < end:
            break
        mask, body = buffer[start : start + 4], buffer[start + 4 : end]
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
        if buffer[0] & 0x40 and deflated:
            text = _inflate(text)
        result.append(text)
        del buffer[:end]
    return result


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(data + b"\x00\x00\xff\xff")


def _send(connections: list[socket.socket], order: Order) -> None:
    block, sent = order.block, 0
    # With many connections, some frames on each in turn.
    turn = len(block) if len(connections) == 1 else _TURN
    while sent < order.count:
        first = sent % len(block)
        count = min(turn, order.count - sent, len(block) - first)
        for connection in connections:
            connection.sendall(block.part(first, count))
        sent += count


def _send_paced(connection: socket.socket, order: Order) -> None:
    """Send each burst when it is due and note when; between them let `on_turn` read."""
    block, pause = order.block, order.burst / order.rate if order.rate else 0.0
    connection.setblocking(True)
    start = time.perf_counter()
    number = 0
    while number < order.count:
        due = start + (number // order.burst) * pause
        while (now := time.perf_counter()) < due:
            order.on_turn()
        first = number % len(block)
        count = min(order.burst, order.count - number, len(block) - first)
        order.sent_at += [now] * count
        connection.sendall(block.part(first, count))
        number += count
        order.on_turn()
    deadline = time.perf_counter() + 5.0
    while time.perf_counter() < deadline and not select.select([connection], [], [], 0)[0]:
        order.on_turn()
