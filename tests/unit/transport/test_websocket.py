"""How a connection is dialled: what of its URL reaches the server."""

from __future__ import annotations

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.uri import parse_uri

from wsfeeds.transport.base import Dial
from wsfeeds.transport.websocket import WebsocketsTransport, in_ascii


class Deaf:
    """A listener of a socket that nobody listens to."""

    def on_open(self, connection: object) -> None: ...
    def on_data(self) -> None: ...
    def on_frame(self, frame: bytes, binary: bool) -> None: ...
    def on_read(self) -> None: ...
    def on_pong(self) -> None: ...
    def on_close(self, code: int, reason: str) -> None: ...


async def test_only_what_is_no_ascii_is_encoded_on_the_upgrade():
    asked: list[str] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)

    async with serve(note, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        dial = Dial(url=f"ws://127.0.0.1:{port}/hüb%20a?k=é&id=a%2Bb%3D+/~[]'c d")
        connection = await WebsocketsTransport().connect(dial, Deaf())
        await connection.close()
    assert asked == ["/h%C3%BCb%20a?k=%C3%A9&id=a%2Bb%3D+/~[]'c%20d"]


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("wss://a.example:8443/x?y=%C3%A9", "wss://a.example:8443/x?y=%C3%A9"),
        ("ws://Öl.example:80/ä", "ws://xn--l-0ga.example:80/%C3%A4"),
        ("ws://üser:p%40ß@[::1]:80/", "ws://%C3%BCser:p%40%C3%9F@[::1]:80/"),
        ("ws://a.example?ä", "ws://a.example?%C3%A4"),
    ],
)
def test_hosts_become_names_and_all_else_is_percent_encoded(url, encoded):
    assert in_ascii(url) == encoded
    assert parse_uri(in_ascii(url)).host == parse_uri(url).host
