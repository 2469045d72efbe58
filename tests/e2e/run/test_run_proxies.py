"""Proxies: every HTTP request and the socket; docs/protocols/websocket_v2.md, section 5."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from wsfeeds import simulators

USER, PASSWORD = "user@corp", "proxy/secret:1"
_OK = b"HTTP/1.1 200 OK\r\n\r\n"
_DENIED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Proxy:
    """What was asked of it: how, for which host and port."""

    target: int = 0
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    outgoing: set[int] = field(default_factory=set)
    """The ports from which it has connected to the target."""

    @property
    def ways(self) -> set[str]:
        """How it was asked: `CONNECT`, `forward`, `SOCKS name` or `SOCKS address`."""
        return {way for way, _ in self.asked}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(1)
            if first == b"\x05":
                await self._socks(reader, writer)
            else:
                await self._http(first, reader, writer)
        writer.close()

    async def _http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.rstrip().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        method, where, _ = request.split()
        told = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if headers.get("proxy-authorization") != f"Basic {told}":
            writer.write(_DENIED)
            return
        if method == "CONNECT":
            self.asked.append(("CONNECT", where))
            await self._join(reader, writer, _OK)
            return
        parts = urlsplit(where)
        self.asked.append(("forward", parts.netloc))
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        kept = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
        whole = "\r\n".join((f"{method} {target} HTTP/1.1", *kept, "Connection: close", "", ""))
        await self._join(reader, writer, b"", whole.encode())

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x05\x02")  # user and password, RFC 1929
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        if (user.decode(), password.decode()) != (USER, PASSWORD):
            writer.write(b"\x01\x01")
            return
        writer.write(b"\x01\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 3:  # RFC 1928, section 5: a domain name
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            way = "SOCKS name"
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
            way = "SOCKS address"
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append((way, f"{host}:{port}"))
        await self._join(reader, writer, b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: bytes,
        begin: bytes = b"",
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self.outgoing.add(back.get_extra_info("sockname")[1])
        writer.write(answer)
        back.write(begin)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def proxying(tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Serve a proxy on a free port, itself behind TLS where a context is given."""
    proxy = Proxy()
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()


PARTS = {"username": USER, "password": "%{PW}"}
ENV = {"PW": PASSWORD}
OPTIONS = ("-n", "1", "--session", "-v", "--set", "allow_insecure=true")


@pytest.fixture
async def proxy(authority) -> AsyncIterator[Callable[[str, str], Awaitable[Proxy]]]:
    """Serve a proxy for a scheme; the one for https has a certificate of the test's authority."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(scheme: str, url: str) -> Proxy:
            tls = authority[0] if scheme == "https" else None
            one = await stack.enter_async_context(proxying(tls))
            one.target = urlsplit(url).port or 0
            return one

        yield begin


def settings(shape: str, scheme: str, port: int) -> Any:
    whole = f"{scheme}://{quote(USER, '')}:{quote(PASSWORD, '')}@127.0.0.1:{port}"
    return {
        "string": whole,
        "url": {"url": whole},
        "parts": {"protocol": scheme, "host": "127.0.0.1", "port": port, **PARTS},
    }[shape]


@pytest.mark.parametrize("shape", ["string", "url", "parts"])
@pytest.mark.parametrize(
    ("scheme", "host", "way"),
    [
        ("http", "stream.test", ("CONNECT", "stream.test:80")),
        ("https", "stream.test", ("CONNECT", "stream.test:80")),
        ("socks5h", "stream.test", ("SOCKS name", "stream.test:80")),
        ("socks5", "192.0.2.7", ("SOCKS address", "192.0.2.7:80")),
    ],
)
async def test_the_socket_goes_through_the_proxy(
    run, says, proxy, authority, shape, scheme, host, way
) -> None:
    """CONNECT for ws too; the password reaches the proxy and is never shown."""
    server = await says("x")
    one = await proxy(scheme, server.url)
    ran = await run(
        {"url": f"ws://{host}/feed", "proxy": settings(shape, scheme, one.port)},
        *(*OPTIONS, "--set", f"ca_file={authority[1]}"),
        env=ENV,
    )
    assert ran.data == ["x"], ran.stderr
    assert one.asked == [way]
    shown = ran.stderr + json.dumps(ran.lines)
    assert PASSWORD not in shown
    assert quote(PASSWORD, "") not in shown


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
async def test_every_http_request_goes_through_the_proxy(
    run, peer, proxy, authority, scheme
) -> None:
    """Polls, posts and the refused upgrade of Socket.IO; nothing reaches the server past it."""
    served = await peer(transports=["polling"])
    one = await proxy(scheme, served.url)
    ran = await run(
        {
            "url": "http://192.0.2.7" if scheme == "socks5" else "http://stream.test",
            "protocol": "socketio",
            "proxy": settings("parts", scheme, one.port),
            "onConnect": [{"command": "send", "params": {"sendMessage": "hi"}}],
        },
        *("-n", "4", "--set", f"ca_file={authority[1]}"),
        env=ENV,
    )
    assert len(ran.data) == 4, ran.stderr
    assert {request.method for request in served.requests} == {"GET", "POST"}
    assert served.ports <= one.outgoing
    assert all(way.startswith("SOCKS") == scheme.startswith("socks") for way in one.ways)


@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents", "longPolling"])
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("generation", ["signalr", "signalr-legacy"])
async def test_signalr_goes_through_the_proxy(run, proxy, generation, scheme, transport) -> None:
    """Negotiation, streams, polls, posts and sockets of both generations.

    The name exists behind the proxy only, so whatever went past it would find no server.
    """
    async with simulators.create(generation).serve() as listening:
        one = await proxy(scheme, listening.url)
        url = urlsplit(listening.url)
        ran = await run(
            {
                "url": url._replace(netloc="stream.test").geturl(),
                "protocol": generation,
                "signalr": {"methods": [], "transport": transport, "hubs": ["OddsHub"]},
                "proxy": settings("parts", scheme, one.port),
            },
            *("-n", "2", "--set", "allow_insecure=true"),
            env=ENV,
        )
    assert len(ran.data) == 2, ran.stderr
    assert len(one.asked) >= 2


async def test_tls_goes_through_the_proxy_and_is_verified_inside(
    run, says, proxy, authority
) -> None:
    server = await says("x", tls=authority[0])
    one = await proxy("http", server.url)
    document = {"url": "wss://stream.test", "proxy": settings("string", "http", one.port)}
    ran = await run(document, "-n", "1", "--set", f"ca_file={authority[1]}")
    assert ran.data == ["x"], ran.stderr
    assert one.asked == [("CONNECT", "stream.test:443")]
    refused = await run(document, "--no-reconnect")
    assert (refused.code, "certificate" in refused.stderr) == (4, True)


@pytest.mark.parametrize("protocol", ["native", "signalr"])
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_proxy_that_refuses_the_password_is_no_connection(
    run, says, proxy, protocol, scheme
) -> None:
    server = await says("x")
    one = await proxy("http", server.url)
    ran = await run(
        {
            "url": f"{scheme}://stream.test",
            "protocol": protocol,
            "proxy": f"http://u:wrong-one@127.0.0.1:{one.port}",
        },
        *("--no-reconnect", "-v"),
    )
    assert (ran.code, ran.lines, server.connections) == (4, [], [])
    assert "407" in ran.stderr
    assert f"the proxy 127.0.0.1:{one.port} failed" in ran.stderr
    assert "wrong-one" not in ran.stderr


async def test_the_proxy_of_the_document_wins_over_the_setting(run, says, proxy) -> None:
    server = await says("x")
    one = await proxy("http", server.url)
    ran = await run(
        {"url": "ws://stream.test", "proxy": settings("parts", "http", one.port)},
        *("-n", "1", "--set", "proxy=http://127.0.0.1:1"),
        env=ENV,
    )
    assert ran.data == ["x"]


async def test_the_proxy_setting_is_used_without_one(run, says, proxy) -> None:
    server = await says("x")
    one = await proxy("http", server.url)
    ran = await run(
        {"url": "ws://stream.test"},
        *("-n", "1"),
        env={"WSFEEDS_RUN_PROXY": settings("string", "http", one.port)},
    )
    assert ran.data == ["x"], ran.stderr


async def test_loopback_is_never_proxied(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url, "proxy": "http://127.0.0.1:1"}, "-n", "1")
    assert ran.data == ["x"]
