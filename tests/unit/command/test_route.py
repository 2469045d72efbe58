"""Headers, cookies and credentials on every request; section 5 of the protocol page."""

from __future__ import annotations

import contextlib
import http
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from aiohttp import web

from wsfeeds.command.route import Route, http_url, refusal, ws_url
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.transport.websocket import WebsocketsTransport


class Far:
    """A server that keeps what it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.text())
        match request.path:
            case "/status":
                status = int(request.query["s"])
                return web.Response(status=status, headers={"Retry-After": "7"})
            case "/city":
                return web.Response(headers={"Set-Cookie": "city=Malmö; Path=/"})
            case "/large":
                return web.Response(text="x" * 5000)
            case "/socket":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                await socket.close()
                return socket
        answer = web.Response(text="hello")
        answer.set_cookie("sticky", "node-1")
        return answer


@contextlib.asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Far]:
    one = Far()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", one.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    one.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    async with serving() as one:
        yield one


def route(url: str, headers: dict[str, str] | None = None, **more: Any) -> Route:
    options: dict[str, Any] = {"proxy": None, "ciphers": None, "carries_secret": False, **more}
    settings = options.pop("settings", RunSettings())
    return Route(url, headers=headers or {}, settings=settings, transport=WebsocketsTransport(),
                 learn=lambda _: None, **options)  # fmt: skip


class Deaf:
    """A listener of a socket that nobody listens to."""

    def on_open(self, connection: Any) -> None: ...
    def on_data(self) -> None: ...
    def on_frame(self, frame: bytes, binary: bool) -> None: ...
    def on_read(self) -> None: ...
    def on_pong(self) -> None: ...
    def on_close(self, code: int, reason: str) -> None: ...


async def test_headers_go_with_everything_and_a_request_s_own_win(far) -> None:
    one = route(far.url, {"X-A": "1", "Authorization": "document", "User-Agent": "mine"})
    await one.fetch("GET", far.url)
    await one.fetch("POST", far.url, headers={"authorization": "bearer"}, content="body")
    await (await one.upgrade(f"{far.url}/socket", Deaf())).close()
    await one.aclose()
    assert [request.headers["X-A"] for request in far.requests] == ["1"] * 3
    seen = [request.headers.getall("Authorization") for request in far.requests]
    assert seen == [["document"], ["bearer"], ["document"]]
    assert {request.headers["User-Agent"] for request in far.requests} == {"mine"}
    assert far.bodies[1] == "body"


async def test_cookies_of_an_answer_return_on_requests_and_upgrades(far) -> None:
    """Beside the document's own cookies, which they do not replace."""
    one = route(far.url, {"Cookie": "mine=1"})
    await one.fetch("GET", far.url)
    await one.fetch("GET", far.url)
    await (await one.upgrade(f"{far.url}/socket", Deaf())).close()
    await one.aclose()
    cookies = [request.headers["Cookie"] for request in far.requests]
    assert cookies == ["mine=1", "mine=1; sticky=node-1", "mine=1; sticky=node-1"]


async def test_a_cookie_beyond_ascii_returns_byte_by_byte(far) -> None:
    one = route(far.url)
    for _ in range(2):
        assert (await one.fetch("GET", f"{far.url}/city")).status == 200
    await (await one.upgrade(f"{far.url}/socket", Deaf())).close()
    await one.aclose()
    sent = [dict(request.raw_headers).get(b"Cookie") for request in far.requests]
    assert sent == [None, "city=Malmö".encode(), "city=Malmö".encode()]


@pytest.mark.parametrize(
    ("status", "error"), [(401, CredentialsRefused), (403, CredentialsRefused), (503, Transient)]
)
async def test_a_status_becomes_the_right_error(far, status, error) -> None:
    one = route(far.url)
    reply = await one.fetch("GET", f"{far.url}/status?s={status}")
    await one.aclose()
    found = refusal(reply.status, "negotiate", reply.headers)
    assert type(found) is error
    assert found.code == http.HTTPStatus(status)
    if isinstance(found, Transient):
        assert found.retry_after == 7.0


async def test_a_status_may_say_when_to_come_back_by_a_date() -> None:
    found = refusal(503, "negotiate", {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"})
    assert isinstance(found, Transient)
    assert found.retry_after == 3600.0


async def test_a_refused_upgrade_with_401_is_about_credentials(far) -> None:
    with pytest.raises(CredentialsRefused):
        await route(far.url).upgrade(f"{far.url}/status?s=401", Deaf())


async def test_ciphers_and_authority_hold_for_http_and_sockets(tmp_path: Path) -> None:
    """The server knows one cipher of TLS 1.2; whoever does not offer it gets no connection."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384")
    settings = RunSettings(ca_file=str(tmp_path / "ca.pem"))
    async with serving(context) as far:
        one = route(far.url, settings=settings, ciphers="AES256+AESGCM")
        assert (await one.fetch("GET", far.url)).status == 200
        await (await one.upgrade(f"{far.url}/socket", Deaf())).close()
        await one.aclose()
        other = route(far.url, settings=settings, ciphers="CHACHA20")
        with pytest.raises(Transient):
            await other.fetch("GET", far.url)
        with pytest.raises(Transient):
            await other.upgrade(f"{far.url}/socket", Deaf())
        await other.aclose()


async def test_an_answer_is_bounded(far) -> None:
    one = route(far.url, settings=RunSettings(max_frame=1000))
    with pytest.raises(Transient, match="max_frame"):
        await one.fetch("GET", f"{far.url}/large")
    await one.aclose()


async def test_an_answer_can_be_read_in_parts_and_network_errors_are_translated(
    far, unused_tcp_port
) -> None:
    one = route(far.url)
    async with one.stream("GET", f"{far.url}/large") as response:
        assert response.status_code == 200
        assert sum([len(part) async for part in response.aiter_bytes()]) == 5000
    with pytest.raises(Transient):
        async with one.stream("GET", far.url):
            raise httpx.ReadError("cut")
    with pytest.raises(Transient):
        await one.fetch("GET", f"http://127.0.0.1:{unused_tcp_port}")
    await one.aclose()


async def test_credentials_do_not_travel_in_plain_text() -> None:
    """A redirect elsewhere is checked as well as the document's own URL."""
    one = route("wss://h", carries_secret=True)
    for url in ("http://stream.example.com", "ws://stream.example.com"):
        with pytest.raises(UsageError, match="unencrypted"):
            await one.fetch("GET", url)
        with pytest.raises(UsageError, match="unencrypted"):
            await one.upgrade(url, Deaf())


@pytest.mark.parametrize(
    ("url", "plain", "socket"),
    [
        ("wss://h/a?b=c", "https://h/a?b=c", "wss://h/a?b=c"),
        ("https://h/a?b=c", "https://h/a?b=c", "wss://h/a?b=c"),
        ("WS://h", "http://h", "ws://h"),
        ("http://h", "http://h", "ws://h"),
    ],
)
def test_schemes_are_interchangeable(url, plain, socket) -> None:
    assert (http_url(url), ws_url(url)) == (plain, socket)


async def test_a_host_that_is_no_name_is_told_as_such() -> None:
    """A redirect may name one; the document's own was checked before."""
    one = route("ws://h")
    url = f"http://{'a' * 64}.example"
    with pytest.raises(UsageError, match="host"):
        await one.upgrade(url, Deaf())
    with pytest.raises(Transient):
        await one.fetch("GET", url)
    await one.aclose()
