"""Peers that keep to no protocol, and what a document can do about an end that it did not want."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

DECODE = {"id": 6, "type": "WS_V2", "params": {}}
CLOSE = {"id": 9, "type": "WS_V2", "params": {}}
OPEN = json.dumps({"sid": "s", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000})


def path(expression: str) -> dict[str, Any]:
    return {"id": 1002, "type": "PARSE", "params": {"path": expression}}


@pytest.mark.parametrize(
    "frame",
    [b"\x83\x02xx", b"\x81\x82\0\0\0\0ok", b"\xc1\x02ok", b"\x80\x02ok", b"\x88\x02\x00\x05"],
    ids=["reserved opcode", "masked", "compressed unasked", "continuation of nothing", "code 5"],
)
async def test_a_server_that_breaks_the_protocol_has_closed_nothing(run, listen, frame) -> None:
    """It was the client that gave up: an error, no clean end, another attempt."""

    async def broken(connection: ServerConnection, server: Any) -> None:
        connection.transport.write(frame)
        await connection.wait_closed()

    server = await listen(broken)
    ran = await run(
        {
            "url": server.url,
            "onError": [path("$.phase")],
            "onClose": [path("$.wasClean")],
            "stopOn": {"serverClose": True},
        },
        *("--max-retries", "1", "--set", "backoff_initial=10ms"),
    )
    assert ran.code == 4
    assert len(server.connections) == 2
    assert [(line["hook"], line["data"]) for line in ran.results] == [
        ("onError", "connection"),
        ("onClose", False),
    ] * 2


@pytest.mark.parametrize("hook", ["onError", "onClose"])
async def test_close_after_the_end_means_no_further_attempt(run, listen, hook) -> None:
    async def dropping(connection: ServerConnection, server: Any) -> None:
        connection.transport.abort()

    server = await listen(dropping)
    ran = await run({"url": server.url, hook: [CLOSE]})
    assert ran.code == 0
    assert len(server.connections) == 1
    assert "closed by the document" in ran.stderr


async def test_close_in_on_error_ends_attempts_that_fail(run) -> None:
    ran = await run({"url": "ws://127.0.0.1:1", "onError": [CLOSE]})
    assert ran.code == 0


async def test_inactivity_is_counted_over_connections_that_were_given_up_for_it(
    run, listen
) -> None:
    """`idle_timeout` may be shorter than what the document allows."""

    async def silent(connection: ServerConnection, server: Any) -> None:
        await connection.wait_closed()

    server = await listen(silent, ping_interval=None)
    ran = await run(
        {"url": server.url, "stopOn": {"inactive": True, "inactiveAfterMs": 1000}},
        *("--set", "idle_timeout=400ms", "--set", "backoff_initial=10ms"),
    )
    assert ran.code == 0
    assert "inactive" in ran.stderr
    assert 2 <= len(server.connections) <= 4


async def test_frames_that_become_no_result_are_told_whole(run, says) -> None:
    """Without `--session` stderr is the only place for them."""
    server = await says('{}\x1e{"type":99,"price":1.50}\x1enonsense\x1e{"type":7}\x1e')
    params = {
        "url": server.url,
        "protocol": "signalr",
        "signalr": {"methods": [], "skipNegotiation": True},
        "stopOn": {"serverClose": True},
    }
    ran = await run(params)
    assert ran.code == 0
    assert 'unknown frame: {"type":99,"price":1.50}' in ran.stderr
    assert "): nonsense" in ran.stderr
    assert "1 malformed, 1 unknown" in ran.stderr
    ran = await run(params, "--session")
    assert {"type": "unknown", "data": {"type": 99, "price": "1.50"}}.items() <= next(
        line for line in ran.lines if line["type"] == "unknown"
    ).items()
    assert "1.50" not in ran.stderr


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ((f"0{OPEN}", '44{"message":"no"}', '42["odds"]'), 3),
        (('40{"sid":"s"}', '42["odds"]'), 4),
        (("0[]", '40{"sid":"s"}', '42["odds"]'), 4),
    ],
    ids=["refused", "never opened", "opened with nonsense"],
)
async def test_events_of_a_namespace_that_was_not_joined_are_no_messages(
    run, says, messages, code
) -> None:
    server = await says(*messages, then=1000)
    ran = await run({"url": server.url, "protocol": "socketio"}, "--max-retries", "0")
    assert ran.code == code
    assert ran.data == []
    assert "40" not in server.received or code == 3


async def test_polling_carries_what_is_behind_something_that_swallows_upgrades(run, peer) -> None:
    server = await peer()
    server.swallow_upgrades = True
    ran = await run(
        {"url": server.url, "protocol": "socketio", "socketio": {"events": ["odds"]}},
        *("-n", "1", "--set", "connect_timeout=1s"),
    )
    assert ran.code == 0
    assert ran.data == ['["odds",{"id":1,"price":"1.5"}]']


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["no", "yes"])
async def test_a_proxy_that_hangs_up_is_one_line_on_stderr(run, scheme, answer) -> None:
    """TLS within its tunnel fails as well; neither is a fault of ours."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ran = await run(
            {"url": f"{scheme}://stream.test/", "proxy": f"http://127.0.0.1:{port}"},
            *("--max-retries", "0", "-q"),
        )
    assert ran.code == 4
    assert len(ran.stderr.splitlines()) == 1
    assert "proxy" in ran.stderr
