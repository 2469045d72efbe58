"""Packets of Socket.IO 5 and Engine.IO 4, read and written; nothing here waits or is connected.

What they look like is described in docs/protocols/websocket_v2.md, section 6.4.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from wsfeeds.command.exact import dumps, loads

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
(
    CONNECT,
    DISCONNECT,
    EVENT,
    ACK,
    CONNECT_ERROR,
    BINARY_EVENT,
    BINARY_ACK,
) = range(7)


class Handshake(msgspec.Struct, rename="camel"):
    """The first Engine.IO packet; times are in milliseconds."""

    sid: str
    upgrades: list[str] = []
    ping_interval: float = 25_000
    ping_timeout: float = 20_000
    max_payload: int = 1_000_000

    @property
    def patience(self) -> float:
        """Seconds without a ping after which the server is gone."""
        return (self.ping_interval + self.ping_timeout) / 1000


class _Json:
    """The packet class's JSON, with exact numbers."""

    @staticmethod
    def loads(text: str) -> Any:
        return loads(text)

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return dumps(value).decode()


class Codec:
    """Reads and writes the packets of one namespace with python-socketio's packet class."""

    def __init__(self, namespace: str) -> None:
        """Write for `namespace`; packets of any are read."""
        # python-socketio has no types, and takes 50 ms to import.
        packets: Any = importlib.import_module("socketio.packet")
        self._packet: Any = type("_Packet", (packets.Packet,), {"json": _Json})
        self._namespace = namespace

    def read(self, content: str) -> Any:
        """Return what follows the `4` of an Engine.IO message.

        Raises:
            ValueError, msgspec.DecodeError: It is no Socket.IO packet.
        """
        if content[:1] not in {"0", "1", "2", "3", "4", "5", "6"}:
            raise ValueError("a Socket.IO packet begins with its type")
        return self._packet(encoded_packet=content)

    def write(self, kind: int, data: Any = None, number: int | None = None) -> str:
        """Return an Engine.IO message with one packet that has no attachments."""
        packet = self._packet(kind, data=data, namespace=self._namespace, id=number, binary=False)
        return MESSAGE + str(packet.encode())

    def event(self, text: str) -> str:
        """Return a message to be sent as an event: its array, or `message` with the text."""
        try:
            value = loads(text) if text.lstrip().startswith("[") else None
        except msgspec.DecodeError:
            value = None
        if not (isinstance(value, list) and value and isinstance(value[0], str)):
            value = ["message", text]
        return self.write(EVENT, value)


class Unfinished:
    """A packet of which attachments are missing, and what has come of it."""

    def __init__(self, packet: Any, head: str) -> None:
        """Wait for the attachments of a packet; `head` is its whole first Engine.IO packet.

        Raises:
            ValueError: They are not those that the packet refers to.
        """
        self.packet = packet
        self.parts = [head.encode()]
        """Every Engine.IO packet that has come of it."""
        if sorted(_placeholders(packet.data)) != list(range(packet.attachment_count)):
            raise ValueError("its attachments are not those that it refers to")

    @property
    def size(self) -> int:
        """The number of bytes that have come."""
        return sum(map(len, self.parts))

    def add(self, data: bytes) -> bool:
        """Take the next attachment; return whether the packet is whole."""
        self.parts.append(data)
        whole: bool = self.packet.add_attachment({"_base64": base64.b64encode(data).decode()})
        return whole

    def told(self) -> list[tuple[str, bytes]]:
        """Return every part, with what is wrong about it."""
        got, of = len(self.parts) - 1, self.packet.attachment_count
        head = f"a packet of which {got} of {of} attachments came"
        rest = [(f"attachment {n} of an unfinished packet", p)
                for n, p in enumerate(self.parts[1:], 1)]  # fmt: skip
        return [(head, self.parts[0]), *rest]


def _placeholders(value: Any) -> Iterator[int]:
    """Yield the numbers of the attachments that a value refers to."""
    if isinstance(value, list):
        for each in value:
            yield from _placeholders(each)
    elif isinstance(value, dict):
        if value.get("_placeholder") and "num" in value:
            if not isinstance(value["num"], int):
                raise ValueError("the number of an attachment is none")
            yield value["num"]
        else:
            for each in value.values():
                yield from _placeholders(each)


def split_url(url: str) -> tuple[str, str]:
    """Return the server's URL with its query, and the namespace that the path names."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="", fragment="")), parts.path or "/"


def engine_url(origin: str, path: str) -> str:
    """Return where Engine.IO is served; a slash ends the path."""
    parts = urlsplit(origin)
    whole = f"/{path.strip('/')}/" if path.strip("/") else "/"
    query = f"{parts.query}&EIO=4" if parts.query else "EIO=4"
    return urlunsplit(parts._replace(path=whole, query=query))
