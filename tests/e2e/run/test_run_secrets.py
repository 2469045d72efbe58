"""Secrets are sent where the document puts them and shown nowhere; contract, section 4."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection


def path(expression: str) -> dict[str, Any]:
    return {"id": 1002, "type": "PARSE", "params": {"path": expression}}


def send(text: str) -> dict[str, Any]:
    return {"command": "send", "params": {"sendMessage": text}}


def shown(ran: Any) -> str:
    """Return everything that a run has said."""
    return f"{ran.stderr}{json.dumps(ran.lines)}"


async def test_secrets_are_sent_but_never_shown(run, says) -> None:
    """%{NAME} takes the environment; what the server echoes is masked too."""
    server = await says('{"echo":"tok-12345678"}')
    ran = await run(
        {
            "url": f"{server.url}/%{{PATH_PART}}",
            "headers": {"X-Api-Key": "%{TOKEN}"},
            "onConnect": [
                {"command": "send", "params": {"sendMessage": '{"auth":"%{TOKEN}"}'}},
            ],
            "onMessage": [path("$.echo")],
        },
        *("-n", "1", "--session", "-v"),
        env={"TOKEN": "tok-12345678", "PATH_PART": "live"},
    )
    assert ran.data == ["***"]
    assert server.received == ['{"auth":"tok-12345678"}']
    request = server.connections[0].request
    assert request.path == "/live"
    assert request.headers["X-Api-Key"] == "tok-12345678"
    assert "tok-12345678" not in ran.stderr + json.dumps(ran.lines)


@pytest.mark.parametrize(
    "echo",
    ['{"a":31415926}', '{"a":[31415926.0]}', '{"31415926":0}', '"is 31415926."', "31415926"],
)
async def test_a_number_that_is_a_secret_is_taken_out(run, says, echo) -> None:
    server = await says(echo)
    document = {
        "url": server.url,
        "onConnect": [send("%{PIN}")],
    }
    for chain in ([], [path("$")]):
        ran = await run({**document, "onMessage": chain}, "-n", "1", env={"PIN": "31415926"})
        assert ran.code == 0, ran.stderr
        assert "31415926" not in shown(ran)
        assert "***" in json.dumps(ran.data)


@pytest.mark.parametrize(
    ("secret", "written"),
    [("ab/cd/ef", r"ab\/cd\/ef"), ('q"u\\ote', r"q\"u\\ote"), ("süßes", r"s\u00fc\u00dfes")],
)
async def test_an_escaped_secret_is_known_in_text_and_in_json(run, says, secret, written) -> None:
    """As PHP and others write it; without a command the result is the text as it came."""
    server = await says(f'{{"echo":"{written}"}}')
    document = {"url": server.url, "onConnect": [send("%{K}")]}
    assert (await run(document, "-n", "1", env={"K": secret})).data == ['{"echo":"***"}']
    parsed = document | {"onMessage": [path("$")]}
    assert (await run(parsed, "-n", "1", env={"K": secret})).data == [{"echo": "***"}]


async def test_a_short_secret_is_hidden_wherever_the_document_puts_it(run, listen) -> None:
    """Not in results: a value of three characters is in every second one by chance."""

    async def handler(connection: ServerConnection, server: Any) -> None:
        await connection.send('{"code":"k7x","price":1}')
        server.received.append(await connection.recv())
        await connection.close()

    server = await listen(handler)
    ran = await run(
        {
            "url": f"{server.url}/k7x-not/%{{A}}?at=%{{A}}",
            "headers": {"X-At": "%{A}"},
            "onMessage": [send("%{A}"), path("$.%{A}.${hook}[")],
            "stopOn": {"serverClose": True},
        },
        *("--session", "-vv"),
        env={"A": "k7x"},
    )
    assert server.received == ["k7x"]
    request = server.connections[0].request
    assert (request.path, request.headers["X-At"]) == ("/k7x-not/k7x?at=k7x", "k7x")
    urls = {line["url"] for line in ran.lines if line.get("url")}
    assert urls == {f"{server.url}/k7x-not/***?at=***"}
    errors = [line["message"] for line in ran.lines if line["type"] == "error"]
    assert any("cannot be used" in message for message in errors)
    assert not any("k7x" in message for message in errors)
    assert "k7x" not in ran.stderr.replace("k7x-not", "")
    assert "%{A} is too short" in ran.stderr


@pytest.mark.parametrize("secret", ["k7", "a-long-secret"])
async def test_what_is_refused_is_told_without_its_secrets(run, secret) -> None:
    for params in (
        {"url": "ws://h", "protocol": "%{S}"},
        {"url": "%{S}"},
        {"url": "ws://127.0.0.1:1", "proxy": "%{S}://h"},
        {
            "url": "ws://127.0.0.1:1",
            "protocol": "signalr",
            "signalr": {"methods": [], "transport": "%{S}"},
        },
        {"url": "ws://127.0.0.1:1", "ciphers": "%{S}"},
    ):
        ran = await run(params, env={"S": secret})
        assert ran.code == 2
        assert secret not in shown(ran)


async def test_a_server_that_cannot_be_found_is_told_without_its_secret_name(run) -> None:
    ran = await run(
        {"url": "ws://%{S}.invalid/"},
        *("--no-reconnect", "--session", "-v", "--set", "allow_insecure=true"),
        env={"S": "k7x"},
    )
    assert ran.code == 4
    assert "k7x" not in shown(ran)


async def test_a_variable_that_is_not_text_is_refused(tmp_path) -> None:
    """The environment of a process is bytes."""
    document = tmp_path / "document.json"
    params = {"url": "ws://127.0.0.1:1", "headers": {"X": "%{BAD}"}}
    document.write_text(json.dumps({"command": "websocket-v2", "params": params}))
    code, _, err = await _spawn(str(document), {**os.environb, b"BAD": b"\xff"})
    assert code == 2
    assert "params.headers.X: %{BAD} is not set to UTF-8 text" in err


async def _spawn(document: str, environment: dict[bytes, bytes]) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wsfeeds", "run", document),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
