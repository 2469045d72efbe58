"""The native variant by hand, where a timer is to be seen; docs/protocols/websocket_v2.md, 6.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode

from wsfeeds.command import spec
from wsfeeds.command.native import Client
from wsfeeds.command.route import Route
from wsfeeds.config.run import RunSettings
from wsfeeds.transport.websocket import WebsocketsTransport


class Counting(ServerConnection):
    """A server's connection that counts the client's pings."""

    pings = 0

    def process_event(self, event: Any) -> None:
        Counting.pings += getattr(event, "opcode", None) is Opcode.PING
        super().process_event(event)


@pytest.fixture
async def quiet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Serve a peer that says nothing by itself; give its URL."""
    monkeypatch.setattr(Counting, "pings", 0)

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    options: Any = {"create_connection": Counting, "ping_interval": None}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


async def test_a_ping_goes_out_every_20_seconds(quiet, new_ear, no_waiting) -> None:
    settings = RunSettings()
    route = Route(quiet, headers={}, settings=settings, proxy=None, ciphers=None,
                  transport=WebsocketsTransport(), learn=lambda _: None,
                  carries_secret=False)  # fmt: skip
    ear = new_ear()
    client = Client(spec.Params(url=quiet), route, ear)
    await client.open()
    try:
        await asyncio.sleep(10.0)
        for seen in range(4):
            assert Counting.pings == seen
            await asyncio.sleep(20.0)
        assert not ear.ended.done()
    finally:
        await client.close()
        await ear.stop()
