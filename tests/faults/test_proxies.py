"""A proxy that fails is named as the proxy, for the token and for the socket."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial

import pytest

from tests.faults.scripted import KEY, USER

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


async def test_the_certificate_of_a_proxy_is_verified_with_ca_file_too(
    through_proxy, bare_server, authority, tmp_path
):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with bare_server(refuse, context) as port:
        known = await message(through_proxy(proxy=f"https://localhost:{port}", ca_file=str(file)))
        unknown = await message(through_proxy(proxy=f"https://localhost:{port}"))
    assert "407" in known
    assert "certificate was not accepted" in unknown


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


@pytest.fixture
async def socks_proxy(bare_server):
    """Serve SOCKS 5 without login: what it was asked for, and its port; all names are loopback."""
    asked = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async def talk(reader, writer):
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        host = await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        asked.append(host)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, far_writer))
                both.create_task(pump(far_reader, writer))
        finally:
            far_writer.close()

    async with bare_server(talk) as port:
        yield asked, port


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_a_socks_proxy_resolves_the_venue_for_token_and_socket(
    venue, connect_to, socks_proxy, scheme
):
    asked, port = socks_proxy
    client = connect_to(
        "cryptomus",
        "BTC_USDT",
        channels="trade",
        url=f"ws://venue.example:{venue.port}/ws",
        api_url=f"http://venue.example:{venue.port}",
        user_id=USER,
        api_key=KEY,
        allow_insecure="true",
        proxy=f"{scheme}://127.0.0.1:{port}",
        max_retries=0,
    )
    await client.until("session", state="subscribed")
    assert asked == [b"venue.example"] * 2
    assert await client.stop() == 0
