"""Connection options: proxy, TLS, ciphers, settings; docs/protocols/websocket_v2.md, section 5."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import pytest

PATH = {"command": "json-path", "params": {"path": "$"}}


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


async def test_ciphers_of_the_document_win_over_the_setting(run, says, authority) -> None:
    context, ca_file = authority
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await says("x", tls=context)
    options = ("-n", "1", "--set", f"ca_file={ca_file}", "--set", "ciphers=AES128+AESGCM")
    for params in ({}, {"ciphers": "AES256+AESGCM"}):
        assert (await run({"url": server.url, **params}, *options)).data == ["x"]
    used = [each.transport.get_extra_info("cipher")[0] for each in server.connections]
    assert ["AES256" in name for name in used] == [False, True]


async def test_ciphers_leave_tls_1_3_alone(run, says, authority) -> None:
    context, ca_file = authority
    server = await says("x", tls=context)
    ran = await run(
        {"url": server.url, "ciphers": "ECDHE+AESGCM:!aNULL"},
        *("-n", "1", "--set", f"ca_file={ca_file}"),
    )
    assert ran.data == ["x"], ran.stderr
    assert server.connections[0].transport.get_extra_info("cipher")[1] == "TLSv1.3"


@pytest.mark.parametrize("ciphers", [{}, {"ciphers": "ECDHE+AESGCM"}])
async def test_an_unknown_authority_is_not_accepted(run, says, authority, ciphers) -> None:
    server = await says("x", tls=authority[0])
    ran = await run({"url": server.url, **ciphers}, "--no-reconnect")
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
        (b'{"command":"websocket-v2","params":{"url":"ws://h\xff"}}', (), "is no JSON"),
        ("[" * 100_000, (), "is no JSON"),
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
