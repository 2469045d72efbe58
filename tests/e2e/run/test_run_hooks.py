"""When hooks run and what they are given: docs/protocols/websocket_v2.md, section 3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

ROOT = {"command": "json-path", "params": {"path": "$"}}
"""Its output is its input, and it is published."""
SEND = {"command": "send", "params": {"sendMessage": "hello"}}
QUICK = ("--set", "backoff_initial=10ms", "--set", "backoff_max=20ms")


def of(ran: Any, hook: str) -> list[Any]:
    return [line["data"] for line in ran.results if line["hook"] == hook]


async def test_every_hook_begins_with_its_own_data(run, listen) -> None:
    """Null, the text, the current result (null before there is one), the error, the close."""

    async def handler(connection: ServerConnection, server: Any) -> None:
        if len(server.connections) == 1:
            await connection.recv()
            await connection.send('{"a":1}')
            await connection.recv()
            connection.transport.abort()
        else:
            await connection.close(4000, "enough")

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "onConnect": [ROOT],
            "onMessage": [ROOT],
            "onInterval": {"intervalMs": 20, "commands": [SEND, ROOT]},
            "onError": [ROOT],
            "onClose": [ROOT],
            "stopOn": {"serverClose": True},
        },
        *QUICK,
    )
    assert ran.code == 0, ran.stderr
    assert of(ran, "onConnect") == [None, None]
    assert of(ran, "onMessage") == [{"a": 1}]
    ticks = of(ran, "onInterval")
    assert (ticks[0], ticks[-1]) == (None, {"a": 1})
    (error,) = of(ran, "onError")
    assert (list(error), error["phase"]) == (["message", "phase"], "connection")
    closes = of(ran, "onClose")
    assert [list(each) for each in closes] == [["code", "reason", "wasClean"]] * 2
    assert closes[0]["code"] == 1006
    assert closes[0]["wasClean"] is False
    assert closes[1] == {"code": 4000, "reason": "enough", "wasClean": True}
    order = [line["hook"] for line in ran.results if line["hook"] != "onInterval"]
    assert order == ["onConnect", "onMessage", "onError", "onClose", "onConnect", "onClose"]


async def test_a_message_without_a_value_leaves_the_current_result(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send('{"a":1}')
        await connection.send('{"b":2}')
        await connection.recv()
        await connection.send('{"a":3}')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "onMessage": [{"command": "json-path", "params": {"path": "$.a"}}],
            "onInterval": {"intervalMs": 200, "commands": [ROOT, SEND]},
        },
        *("-n", "2"),
    )
    assert ran.data == [1, 3]
    assert of(ran, "onInterval")[0] == 1


async def test_timers_rest_while_there_is_no_connection(run, listen) -> None:
    """Neither interval nor heartbeat between the end of a connection and the next one."""

    async def handler(connection: ServerConnection, server: Any) -> None:
        await connection.send("1")
        await connection.recv()
        if len(server.connections) == 1:
            await connection.close()
        else:
            await connection.send("2")
            await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "heartbeatIntervalMs": 10,
            "onInterval": {"intervalMs": 10, "commands": [SEND, ROOT]},
        },
        *("-n", "3", "--session", "--set", "backoff_initial=500ms"),
    )
    kinds = [line.get("state") or line["type"] for line in ran.lines]
    away = kinds[kinds.index("disconnected") : kinds.index("connected", 5)]
    assert away == ["disconnected", "reconnecting", "connecting"]
    assert {line["hook"] for line in ran.results} == {"onMessage", "onInterval"}


async def test_on_connect_runs_again_after_each_reconnect(run, says) -> None:
    server = await says("x", then=1000)
    ran = await run({"url": server.url, "onConnect": [ROOT]}, *QUICK, "--max-retries", "2")
    assert of(ran, "onConnect") == [None] * 3


@pytest.mark.parametrize("hook", ["onConnect", "onMessage", "onInterval"])
async def test_close_works_in_every_hook_of_a_connection(run, says, hook) -> None:
    server = await says("x")
    commands: Any = [SEND, {"command": "close"}]
    if hook == "onInterval":
        commands = {"intervalMs": 20, "commands": commands}
    ran = await run({"url": server.url, hook: commands, "onClose": [ROOT]})
    assert ran.code == 0
    assert of(ran, "onClose") == [{"code": 1000, "reason": "", "wasClean": True}]
    assert server.received == ["hello"]
    assert (len(server.connections), server.connections[0].close_code) == (1, 1000)


@pytest.mark.parametrize("stop", [{"serverClose": True}, {"inactive": True}])
async def test_a_stop_condition_closes_cleanly_and_runs_on_close(run, says, stop) -> None:
    server = await says("x", then=1000 if "serverClose" in stop else None)
    stopping = {**stop, "inactiveAfterMs": 300}
    ran = await run({"url": server.url, "stopOn": stopping, "onClose": [ROOT]}, "--session")
    assert ran.code == 0
    assert len(server.connections) == 1
    assert server.connections[0].close_code == 1000
    (closed,) = of(ran, "onClose")
    assert (closed["code"], closed["wasClean"]) == (1000, True)
    assert "reconnecting" not in {line.get("state") for line in ran.lines}


async def test_retry_after_is_waited_for(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send("x")
        await connection.wait_closed()

    asked: list[Any] = []

    def busy(connection: ServerConnection, request: Any) -> Any:
        asked.append(request)
        if len(asked) > 1:
            return None
        answer = connection.respond(503, "busy")
        answer.headers["Retry-After"] = "1"
        return answer

    server = await listen(handler, process_request=busy)
    ran = await run({"url": server.url}, "-n", "1", "--session", *QUICK)
    assert ran.data == ["x"]
    waits = [line["delay_ms"] for line in ran.lines if line.get("state") == "reconnecting"]
    assert len(waits) == 1
    assert waits[0] >= 1000


async def test_the_handshake_offers_compression_and_no_subprotocol(run, says) -> None:
    server = await says("x")
    await run({"url": server.url}, "-n", "1")
    headers = server.connections[0].request.headers
    assert "permessage-deflate" in headers["Sec-WebSocket-Extensions"]
    assert "Sec-WebSocket-Protocol" not in headers


async def test_pings_of_the_server_are_answered(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await (await connection.ping())
        await connection.send("answered")
        await connection.wait_closed()

    server = await listen(handler)
    assert (await run({"url": server.url}, "-n", "1")).data == ["answered"]


async def test_a_command_that_fails_in_one_hook_leaves_the_others_alone(run, says) -> None:
    """Decode with an encoding, JSON Parse and a missing variable fail as commands do."""
    server = await says("no json", "AAAA", "fine")
    chain = [
        {"command": "if-else", "params": {
            "condition": {"left": {"type": "property", "value": "$"}, "operation": "==",
                          "right": {"type": "value", "value": "fine"}},
            "trueCommands": [SEND], "timeout": 1000,
            "falseCommands": [{"command": "decode", "params": {"encoding": "base64+gzip"}}],
        }},
    ]  # fmt: skip
    missing = [{"command": "send", "params": {"sendMessage": "${nothing.here}"}}]
    ran = await run({"url": server.url, "onMessage": chain, "onConnect": missing}, "-n", "1")
    assert ran.data == ["fine"]
    assert "onConnect: params.onConnect[0].params: ${nothing.here} has no value here" in ran.stderr
    assert "params.onMessage[0].params.falseCommands[0].params: cannot decode" in ran.stderr


async def test_unknown_members_are_warned_about_and_the_document_runs(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url, "hearbeatIntervalMs": 5, "signalr": {"methods": []},
                     "socketio": {"events": []}}, "-n", "1")  # fmt: skip
    assert ran.data == ["x"]
    assert "params.hearbeatIntervalMs" in ran.stderr
    assert "heartbeatIntervalMs" in ran.stderr
    assert "params.s" not in ran.stderr


async def test_an_unset_variable_is_refused_before_anything_is_opened(run, says) -> None:
    server = await says("x")
    document = {"url": server.url, "onClose": [
        {"command": "send", "params": {"sendMessage": "%{NO_SUCH_THING}"}}]}  # fmt: skip
    ran = await run(document)
    assert (ran.code, server.connections) == (2, [])
    assert "params.onClose[0].params.sendMessage: %{NO_SUCH_THING}" in ran.stderr


async def test_a_document_may_begin_with_a_byte_order_mark(run, says) -> None:
    server = await says("x")
    text = json.dumps({"command": "websocket-v2", "params": {"url": server.url}})
    assert (await run(f"\ufeff{text}", "-n", "1", whole=True)).data == ["x"]


async def test_numbers_of_the_document_keep_their_digits_too(run, says) -> None:
    server = await says("x")
    text = (
        '{"command":"websocket-v2","params":{"url":"URL","onMessage":[{"command":"json-path",'
        '"params":{"path":"$","input":[1.50,1E5,0.10000000000000000000000001]}}],'
        '"heartbeatIntervalMs":1000.0}}'
    )
    ran = await run(text.replace("URL", server.url), "-n", "1", whole=True)
    assert ran.data == [["1.50", "1E5", "0.10000000000000000000000001"]], ran.stderr


async def test_a_number_in_the_wrong_place_is_told_in_json_s_words(run) -> None:
    ran = await run('{"command":"websocket-v2","params":{"url":1.50}}', whole=True)
    assert ran.code == 2
    assert "params.url: expected `str`, got `float`" in ran.stderr
