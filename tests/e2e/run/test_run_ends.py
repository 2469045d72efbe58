"""What ends a connection or the run: docs/protocols/websocket_v2.md, sections 3 and 6.1."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

SEND = {"id": 3, "type": "WS_V2", "params": {"sendMessage": "hello"}}


def every(milliseconds: float, *commands: dict[str, Any]) -> dict[str, Any]:
    return {"intervalMs": milliseconds, "commands": list(commands)}


def path(expression: str, **more: Any) -> dict[str, Any]:
    return {"id": 1002, "type": "PARSE", "params": {"path": expression, **more}}


async def test_close_command_publishes_first_and_does_not_reconnect(run, says) -> None:
    server = await says('{"a":1}', '{"a":2}')
    chain = [path("$.a"), {"id": 9, "type": "WS_V2", "params": {}}]
    ran = await run({"url": server.url, "onMessage": chain, "onClose": [path("$")]})
    assert ran.code == 0
    assert ran.data == [1]
    assert ran.results[-1]["data"] == {"code": 1000, "reason": "", "wasClean": True}
    assert len(server.connections) == 1
    assert server.connections[0].close_code == 1000


async def test_commands_after_a_close_are_run_before_it(run, says) -> None:
    server = await says('{"a":1}')
    chain = [{"command": "close"}, SEND, path("$.a")]
    ran = await run({"url": server.url, "onMessage": chain})
    assert (ran.code, ran.data) == (0, [1])
    assert server.received == ["hello"]


async def test_server_close_ends_the_run_where_the_document_says_so(run, says) -> None:
    server = await says('{"a":1}', then=4001)
    ran = await run({"url": server.url, "stopOn": {"serverClose": True}, "onClose": [path("$")]})
    assert ran.code == 0
    assert ran.results[-1]["data"] == {"code": 4001, "reason": "bye", "wasClean": True}
    assert len(server.connections) == 1


async def test_server_close_is_a_failure_that_is_retried_otherwise(run, says) -> None:
    server = await says('{"a":1}', then=1000)
    ran = await run(
        {"url": server.url, "onConnect": [SEND]},
        *("--set", "backoff_initial=10ms", "--set", "backoff_max=20ms", "--max-retries", "2"),
        "--session",
    )
    assert ran.code == 4
    assert len(server.connections) == 3
    states = [line["state"] for line in ran.lines if line["type"] == "session"]
    assert states.count("reconnecting") == 2
    assert [line["reason"] for line in ran.lines if line["type"] == "gap"] == ["disconnect"] * 2
    assert len([line for line in ran.lines if line["type"] == "error" and line["fatal"]]) == 1


async def test_a_dropped_connection_is_retried_even_with_server_close(run, listen) -> None:
    async def handler(connection: ServerConnection, server: Any) -> None:
        if len(server.connections) == 1:
            connection.transport.abort()
        else:
            await connection.send("again")
            await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "stopOn": {"serverClose": True},
            "onError": [path("$.phase")],
            "onClose": [path("$.code")],
        },
        *("-n", "1", "--set", "backoff_initial=10ms"),
    )
    assert ran.data == ["again"]
    others = [(line["hook"], line["data"]) for line in ran.results if line["hook"] != "onMessage"]
    assert others == [("onError", "connection"), ("onClose", 1006), ("onClose", 1000)]


async def test_a_failed_connect_runs_on_error_but_not_on_close(run, unused_tcp_port) -> None:
    ran = await run(
        {
            "url": f"ws://127.0.0.1:{unused_tcp_port}",
            "onError": [path("$.phase")],
            "onClose": [path("$")],
        },
        "--no-reconnect",
    )
    assert ran.code == 4
    assert [(line["hook"], line["data"]) for line in ran.results] == [("onError", "connect")]


async def test_inactive_stops_after_silence_with_exit_0(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url, "stopOn": {"inactive": True, "inactiveAfterMs": 200}})
    assert ran.code == 0
    assert ran.data == ["x"]


async def test_silence_is_no_end_unless_the_document_says_so(run, listen) -> None:
    """The client's ticks are the clock."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        for _ in range(20):
            await connection.recv()
        await connection.send("late")
        await connection.wait_closed()

    server = await listen(handler)
    stop = {"inactive": False, "inactiveAfterMs": 50}
    params = {"url": server.url, "stopOn": stop, "onInterval": every(20, SEND)}
    assert (await run(params, "-n", "1")).data == ["late"]


async def test_inactivity_is_in_milliseconds(run, says) -> None:
    """As are the client's ticks, of which the server hears some twenty."""
    server = await says("x")
    stop = {"inactive": True, "inactiveAfterMs": 500}
    ran = await run({"url": server.url, "stopOn": stop, "onInterval": every(25, SEND)})
    assert ran.code == 0
    assert 5 <= len(server.received) <= 40


async def test_pings_of_the_server_are_activity(start, listen) -> None:
    """The client's ticks are the clock: 25 of them are longer than the silence it stands."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        for _ in range(25):
            await connection.recv()
            await connection.ping()
        await connection.send("late")
        async for _ in connection:  # what is not read would hold up the close
            pass

    server = await listen(handler)
    ran = await start(
        {
            "url": server.url,
            "stopOn": {"inactive": True, "inactiveAfterMs": 500},
            "onInterval": every(25, SEND),
        }
    )
    assert (await ran.line())["data"] == "late"
    assert (await ran.end()).code == 0


async def test_item_deleted_ends_when_the_file_is_gone(start, says, tmp_path: Path) -> None:
    server = await says("x")
    item = tmp_path / "item"
    item.touch()
    ran = await start({"url": server.url, "stopOn": {"itemDeleted": True}}, "--item", str(item))
    await ran.line()
    item.unlink()
    assert (await ran.end()).code == 0


async def test_the_document_itself_is_the_item_by_default(start, says, tmp_path: Path) -> None:
    server = await says("x")
    ran = await start({"url": server.url, "stopOn": {"itemDeleted": True}})
    await ran.line()
    (tmp_path / "document.json").unlink()
    assert (await ran.end()).code == 0


async def test_duration_ends_the_run(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url, "onClose": [path("$.code")]}, "-d", "300ms", "--session")
    assert ran.code == 0
    assert ran.lines[-1]["reason"] == "duration"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_signals_close_cleanly(start, says, number, code) -> None:
    server = await says("x")
    ran = await start({"url": server.url, "onClose": [path("$.wasClean")]})
    await ran.line()
    ran.process.send_signal(number)
    await ran.end()
    assert ran.code == code
    assert ran.results[-1]["data"] is True
    assert server.connections[0].close_code == 1000


async def test_a_silent_peer_is_stale(run, listen) -> None:
    """idle_timeout is off by default, and counts every frame where it is set."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send("x")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {"url": server.url}, "--set", "idle_timeout=200ms", "--no-reconnect", "--session"
    )
    assert ran.code == 4
    reasons = [line["reason"] for line in ran.lines if line.get("state") == "disconnected"]
    assert reasons == ["stale"]


async def test_a_peer_that_answers_no_ping_is_stale(run, listen) -> None:
    """The only proof of life of a protocol without a keepalive of its own."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {"url": server.url, "onError": [path("$.message")]},
        *("--set", "idle_timeout=2s", "--set", "pong_timeout=200ms", "--no-reconnect"),
    )
    assert ran.code == 4
    assert [line["data"] for line in ran.results] == ["no pong within 0.2 s"]


async def test_a_quiet_peer_that_answers_pings_stays(run, listen) -> None:
    """It goes on for many times `pong_timeout` after a ping; the client's ticks are the clock."""

    async def handler(connection: ServerConnection, server: Any) -> None:
        async for _ in connection:
            if server.pings:
                break
        for _ in range(50):
            await connection.recv()
        await connection.send("still here")
        async for _ in connection:  # what is not read would hold up the close
            pass

    server = await listen(handler)
    ran = await run(
        {"url": server.url, "onInterval": every(20, SEND)},
        *("--set", "pong_timeout=500ms", "--set", "idle_timeout=3s", "-n", "1"),
    )
    assert ran.data == ["still here"], ran.stderr
    assert len(server.connections) == 1


@pytest.mark.parametrize("protocol", ["signalr", "socketio"])
async def test_a_close_that_the_server_does_not_answer_is_not_clean(run, listen, protocol) -> None:
    first = {
        "signalr": ['{}\x1e{"type":1,"target":"x","arguments":[]}\x1e'],
        "socketio": ['0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}',
                     '40{"sid":"t"}', '42["x"]'],
    }  # fmt: skip

    async def deaf(connection: ServerConnection, server: Any) -> None:
        for text in first[protocol]:
            await connection.send(text)
        connection.transport.pause_reading()
        await connection.wait_closed()

    server = await listen(deaf)
    params = {
        "url": server.url,
        "protocol": protocol,
        "signalr": {"methods": [], "skipNegotiation": True},
        "onError": [path("$.phase")],
        "onClose": [path("$")],
    }
    ran = await run(params, "-n", "1")
    assert ran.code == 0
    assert [(each["hook"], each["data"]) for each in ran.results[1:]] == [
        (
            "onClose",
            {"code": 1006, "reason": "the server did not answer our close", "wasClean": False},
        )
    ]
