"""Far ends that never come to an end: every wait has a bound, and a stop is never held up."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def drip(reader, writer):
    """Answer with a header at once and a byte now and then, for ever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_headers(reader, writer):
    """Accept the upgrade, one letter now and then, for ever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nX-Padding: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the upgrade and never say anything more."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    names = {name.lower(): value for name, value in lines.items()}
    key = base64.b64encode(hashlib.sha1(names[b"sec-websocket-key"] + GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + key + b"\r\n\r\n"
    )


async def hold(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


async def test_a_token_server_that_drips_is_given_up_in_time(venue, connect, bare_server):
    async with bare_server(drip) as port:
        client = connect(api_url=f"http://127.0.0.1:{port}", connect_timeout="300ms", max_retries=1)
        assert await client.end() == 4
        (error,) = client.of("error", fatal=True)
        assert "127.0.0.1" in error["message"]
        assert "in time (connect_timeout is 0.3 s)" in error["message"]
        assert len(client.of("session", state="connecting")) == 2


async def test_an_upgrade_that_drips_is_given_up_in_time(venue, connect, bare_server):
    async with bare_server(drip_headers) as port:
        client = connect(url=f"ws://127.0.0.1:{port}/ws", connect_timeout="300ms", max_retries=0)
        assert await client.end() == 4
        assert "in time" in client.of("error", fatal=True)[0]["message"]


@pytest.mark.parametrize("where", ["api_url", "url"])
@pytest.mark.parametrize("talk", [hold, drip], ids=["silent", "dripping"])
async def test_a_stop_interrupts_every_wait_for_an_answer(venue, connect, bare_server, where, talk):
    asked = asyncio.Event()

    async def telling(reader, writer):
        asked.set()
        await talk(reader, writer)

    async with bare_server(telling) as port:
        scheme, path = ("ws", "/ws") if where == "url" else ("http", "")
        place = {where: f"{scheme}://127.0.0.1:{port}{path}", "connect_timeout": "1h"}
        client = connect(**place)
        await asyncio.wait_for(asked.wait(), 10)
        assert await client.stop() == 0
        assert client.states() == ["connecting", "stopped"]


async def test_a_peer_that_takes_no_part_in_closing_is_left_after_some_seconds(
    venue, connect, bare_server
):
    pinged = asyncio.Event()

    async def deaf(reader, writer):
        await upgrade(reader, writer)
        await reader.read(1_000)  # what is subscribed
        await reader.read(1_000)  # a ping: the connection is up and runs
        pinged.set()
        await asyncio.Event().wait()

    async with bare_server(deaf) as port:
        client = connect(url=f"ws://127.0.0.1:{port}/ws", ping_interval="50ms")
        await asyncio.wait_for(pinged.wait(), 10)
        assert await client.stop() == 0
        assert client.states() == ["connecting", "connected", "stopped"]


async def test_a_stop_during_a_look_up_of_the_market_list_ends(venue, connect, bare_server):
    """The look-up runs beside the link and goes with it."""
    asked = asyncio.Event()

    async def lists(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"web-socket/token" in head:
            venue.unused.add("t-1")
            body = b'{"token":"t-1"}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        asked.set()
        await asyncio.Event().wait()

    async with bare_server(lists) as port:
        client = connect(
            "BTC_USDT", "NO_SUCH", api_url=f"http://127.0.0.1:{port}", connect_timeout="1h"
        )
        await asyncio.wait_for(asked.wait(), 10)
        assert await client.stop() == 0
        assert client.states()[-1] == "stopped"


async def test_a_look_up_that_drips_is_a_failure_like_any_other(venue, connect, bare_server):
    async def lists(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"web-socket/token" not in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        venue.unused.add("t-1")
        body = b'{"token":"t-1"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with bare_server(lists) as port:
        client = connect(
            "BTC_USDT",
            "BTC_USDT",
            "NO_SUCH",
            api_url=f"http://127.0.0.1:{port}",
            connect_timeout="500ms",
            max_retries=0,
        )
        assert await client.end() == 4
        assert "in time" in client.of("error", fatal=True)[0]["message"]
