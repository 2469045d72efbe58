"""A proxy that fails is named as the proxy, for the token and for the socket."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

SECRET = "proxy-password-1"


@pytest.fixture
def to_quotes(connect_to):
    """Connect at once to a host that only a proxy could know."""
    settings = {"url": "ws://venue.example", "allow_insecure": "true", "max_retries": 0}
    return partial(connect_to, "interact_quote", "1-e@1_1", token="a.b.c", **settings)


@pytest.fixture(params=["token", "socket"])
def through_proxy(request, connect_to, to_quotes):
    """Ask a host that only the proxy could know for a token, or for the socket at once."""
    if request.param == "socket":
        return to_quotes
    return partial(
        connect_to,
        "cryptomus",
        "BTC_USDT",
        url="ws://venue.example/ws",
        api_url="http://venue.example",
        user_id="someone",
        api_key="some-api-key-0001",
        allow_insecure="true",
        max_retries=0,
    )


async def message(client) -> str:
    assert await client.end() == 4
    (error,) = client.of("error", fatal=True)
    said: str = error["message"]
    assert SECRET not in said
    return said


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_proxy_that_is_not_there_is_named(through_proxy, unused_tcp_port, scheme):
    place = f"127.0.0.1:{unused_tcp_port}"
    said = await message(through_proxy(proxy=f"{scheme}://user:{SECRET}@{place}"))
    assert f"the proxy {place}" in said


async def test_a_proxy_that_wants_other_credentials_is_named(through_proxy, bare_server):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with bare_server(refuse) as port:
        said = await message(through_proxy(proxy=f"http://user:{SECRET}@127.0.0.1:{port}"))
    assert f"the proxy 127.0.0.1:{port} failed" in said
    assert "407" in said


async def test_a_socks_proxy_that_refuses_the_host_is_named(to_quotes, bare_server):
    async def refuse(reader, writer):
        await reader.readexactly(3)
        writer.write(b"\x05\x00")
        await reader.read(100)
        writer.write(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
        await writer.drain()

    async with bare_server(refuse) as port:
        said = await message(to_quotes(proxy=f"socks5h://127.0.0.1:{port}"))
    assert f"the proxy 127.0.0.1:{port} failed" in said
    assert "see the setting proxy" in said


async def test_a_proxy_that_never_answers_is_given_up_in_time(to_quotes, bare_server):
    async def hold(reader, writer):
        await asyncio.Event().wait()

    async with bare_server(hold) as port:
        said = await message(to_quotes(proxy=f"http://127.0.0.1:{port}", connect_timeout="200ms"))
    assert said.endswith(f"venue.example through the proxy 127.0.0.1:{port}: no answer in time")
