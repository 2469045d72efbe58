"""Connection options: proxy, TLS, ciphers, settings; docs/protocols/websocket_v2.md, section 5."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from websockets.asyncio.server import ServerConnection

PATH = {"command": "json-path", "params": {"path": "$"}}


class Proxy:
    """An HTTP proxy that knows CONNECT and leads every name to one port of this machine."""

    def __init__(self) -> None:
        self.target = 0
        self.port = 0
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, back))
            both.create_task(_copy(there, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    one = Proxy()
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield one


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server's TLS context for stream.test and the file of its authority."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("stream.test", "127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return context, str(path)


@pytest.mark.parametrize("shape", ["url", "parts"])
async def test_proxy_with_a_password(run, says, proxy, shape) -> None:
    """CONNECT for ws too; the password never shows."""
    server = await says("x")
    proxy.target = urlsplit(server.url).port or 0
    parts = {"host": "127.0.0.1", "port": proxy.port, "username": "u", "password": "%{PW}"}
    whole = f"http://u:%{{PW}}@127.0.0.1:{proxy.port}"
    ran = await run(
        {"url": "ws://stream.test/feed", "proxy": whole if shape == "url" else parts},
        *("-n", "1", "--session", "-v"),
        env={"PW": "proxy-secret-1"},
    )
    assert ran.data == ["x"], ran.stderr
    assert proxy.requests[0].startswith("CONNECT stream.test:80 ")
    credentials = base64.b64encode(b"u:proxy-secret-1").decode()
    assert credentials in proxy.requests[0]
    assert "proxy-secret-1" not in ran.stderr + json.dumps(ran.lines)


async def test_the_proxy_of_the_document_wins_over_the_setting(run, says, proxy) -> None:
    server = await says("x")
    proxy.target = urlsplit(server.url).port or 0
    ran = await run(
        {"url": "ws://stream.test", "proxy": f"http://127.0.0.1:{proxy.port}"},
        *("-n", "1", "--set", "proxy=http://127.0.0.1:1"),
    )
    assert ran.data == ["x"]


async def test_the_proxy_setting_is_used_without_one(run, says, proxy) -> None:
    server = await says("x")
    proxy.target = urlsplit(server.url).port or 0
    ran = await run(
        {"url": "ws://stream.test"},
        *("-n", "1", "--set", f"proxy=http://127.0.0.1:{proxy.port}"),
    )
    assert ran.data == ["x"]


async def test_loopback_is_never_proxied(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url, "proxy": "http://127.0.0.1:1"}, "-n", "1")
    assert ran.data == ["x"]


async def test_ca_file_adds_an_authority_and_ciphers_are_offered(run, says, authority) -> None:
    context, ca_file = authority
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await says("x", tls=context)
    ran = await run(
        {"url": server.url, "ciphers": "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384"},
        *("-n", "1", "--set", f"ca_file={ca_file}"),
    )
    assert ran.data == ["x"], ran.stderr
    assert "AES256" in server.connections[0].transport.get_extra_info("cipher")[0]


async def test_an_unknown_authority_is_not_accepted(run, says, authority) -> None:
    server = await says("x", tls=authority[0])
    ran = await run({"url": server.url}, "--no-reconnect")
    assert ran.code == 4
    assert "certificate" in ran.stderr


async def test_settings_come_from_file_and_environment(run, says, tmp_path: Path) -> None:
    server = await says("x")
    config = tmp_path / "wsfeeds.toml"
    config.write_text('[feeds.run]\nheaders = { X-Key = "${KEY}", X-Other = "1" }\n')
    ran = await run(
        {"url": server.url, "headers": {"x-other": "2"}},
        *("-n", "1", "--config", str(config)),
        env={"KEY": "setting-secret", "WSFEEDS_RUN_COMPRESSION": "false"},
    )
    assert ran.code == 0, ran.stderr
    headers = server.connections[0].request.headers
    assert (headers["X-Key"], headers.get_all("X-Other")) == ("setting-secret", ["2"])
    assert "Sec-WebSocket-Extensions" not in headers


async def test_too_large_a_frame_is_an_error_and_a_reconnect(run, says) -> None:
    server = await says("x" * 2000, "y")
    ran = await run(
        {"url": server.url},
        *("--set", "max_frame=1KB", "--max-retries", "1", "--session"),
        *("--set", "backoff_initial=10ms"),
    )
    assert ran.code == 4
    assert len(server.connections) == 2
    assert [line["code"] for line in ran.lines if line["type"] == "error"][:1] == [1009]


async def test_a_slow_reader_slows_the_server_and_loses_nothing(start, listen) -> None:
    """Memory stays bounded: the server cannot send far ahead of a reader that stands still."""
    sent = 0
    total = 6000

    async def handler(connection: ServerConnection, _: Any) -> None:
        nonlocal sent
        for number in range(total):
            await connection.send(json.dumps({"n": number, "pad": "x" * 4000}))
            sent = number + 1
        await connection.wait_closed()

    server = await listen(handler, compression=None)
    ran = await start({"url": server.url}, "-n", str(total))
    stuck = -1
    async with asyncio.timeout(10):
        while sent == 0 or sent != stuck:
            stuck = sent
            await asyncio.sleep(0.3)
    assert sent < total
    await ran.end()
    assert [json.loads(data)["n"] for data in ran.data] == list(range(total))


async def test_a_closed_pipe_ends_quietly(tmp_path: Path, says) -> None:
    server = await says(*("x" for _ in range(100)))
    path = tmp_path / "document.json"
    path.write_text(json.dumps({"command": "websocket-v2", "params": {"url": server.url}}))
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m wsfeeds run {path} | head -n 2",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert len(out.splitlines()) == 2
    assert b"Traceback" not in err
    assert b"error" not in err


async def test_the_document_may_come_from_stdin(says) -> None:
    server = await says("x")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wsfeeds", "run", "-", "-n", "1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    document = {"command": "websocket-v2", "params": {"url": server.url}}
    async with asyncio.timeout(20):
        out, _ = await process.communicate(json.dumps(document).encode())
    assert json.loads(out)["data"] == "x"


@pytest.mark.parametrize(
    ("document", "options", "said"),
    [
        ("{", (), "is no JSON"),
        ({"params": {}}, (), "command"),
        ({"command": "websocket-v2", "params": {}}, (), "params.url: is required"),
        (
            {"command": "websocket-v2", "params": {"url": "ws://h", "onMessage": [{"id": 7}]}},
            (),
            "params.onMessage[0]",
        ),
        ({"command": "websocket-v2", "params": {"url": "ws://h"}}, ("-n", "0"), "-n"),
        ({"command": "websocket-v2", "params": {"url": "ws://h"}}, ("-d", "soon"), "soon"),
        ({"command": "websocket-v2", "params": {"url": "ws://h"}}, ("--item", "/no/x"), "--item"),
        (
            {"command": "websocket-v2", "params": {"url": "ws://h"}},
            ("--set", "idle_timeot=1s"),
            "idle_timeout",
        ),
        ({"command": "websocket-v2", "params": {"url": "ws://h"}}, ("--set", "token=x"), "--set"),
    ],
)
async def test_what_cannot_work_is_refused_with_2(run, document, options, said) -> None:
    ran = await run(document, *options, whole=True)
    assert (ran.code, ran.lines) == (2, [])
    assert said in ran.stderr


async def test_a_missing_document_is_refused_with_2(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wsfeeds", "run", str(tmp_path / "gone.json")),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"gone.json" in err


async def test_the_kebab_names_run_like_the_pairs(run, says) -> None:
    server = await says('{"a":"H4sIAAAAAAACA6tWSi1LzStRslLKT0kpVtJRykxRsjKsBQA9UduHFwAAAA=="}')
    chain = [
        {"command": "json-path", "params": {"path": "$.a"}},
        {"command": "decode", "params": {"encoding": "base64+gzip"}},
        {"command": "websocket-v2-close"},
    ]
    ran = await run({"url": server.url, "onMessage": chain, "onClose": [PATH]})
    assert ran.data == [{"event": "odds", "id": 1}]
