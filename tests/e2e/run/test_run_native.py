"""`wsfeeds run` with the native variant: docs/protocols/websocket_v2.md, sections 2, 3 and 6.1."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

SEND = {"id": 3, "type": "WS_V2", "params": {"sendMessage": "hello"}}


def every(milliseconds: float, *commands: dict[str, Any]) -> dict[str, Any]:
    return {"intervalMs": milliseconds, "commands": list(commands)}


def path(expression: str, **more: Any) -> dict[str, Any]:
    return {"id": 1002, "type": "PARSE", "params": {"path": expression, **more}}


async def test_results_have_the_keys_of_the_contract_in_order(run, says) -> None:
    """One JSON object a line; numbers keep their digits."""
    server = await says('{"data":{"price":1.50,"big":12345678901234567890,"e":1E5,"z":-0}}')
    ran = await run({"url": server.url, "onMessage": [path("$.data")]}, "-n", "1")
    assert ran.code == 0, ran.stderr
    (line,) = ran.lines
    assert list(line) == ["type", "hook", "recv_ts", "seq", "heartbeat", "data"]
    assert line | {"recv_ts": 0} == {
        "type": "result",
        "hook": "onMessage",
        "recv_ts": 0,
        "seq": 1,
        "heartbeat": False,
        "data": {"price": "1.50", "big": 12345678901234567890, "e": "1E5", "z": 0},
    }


async def test_text_frames_are_data_and_binary_ones_are_base64(run, says) -> None:
    server = await says("plain", b"\x01\x02\x03")
    ran = await run({"url": server.url}, "-n", "2")
    assert ran.data == ["plain", base64.b64encode(b"\x01\x02\x03").decode()]


@pytest.mark.parametrize("text", ["hello", ' {"a": 1.50}\n', "", "\u00f6 \x1e"])
async def test_messages_are_sent_exactly_as_written(run, says, text) -> None:
    server = await says("x")
    send = {"command": "send", "params": {"sendMessage": text}}
    await run({"url": server.url, "onConnect": [send]}, "-n", "1")
    assert server.received == [text]


async def test_count_takes_exactly_that_many_of_a_burst(run, says) -> None:
    """-n counts fresh onMessage results only."""
    server = await says(*(f'{{"n":{n}}}' for n in range(50)))
    ran = await run(
        {"url": server.url, "onMessage": [path("$.n")], "onConnect": [path("$")]}, "-n", "7"
    )
    assert ran.data == list(range(7))
    assert [line["hook"] for line in ran.results][:1] == ["onConnect"]
    assert [line["seq"] for line in ran.results] == list(range(1, len(ran.results) + 1))


async def test_order_is_kept_and_nothing_is_dropped(run, says) -> None:
    server = await says(*(json.dumps({"n": n}) for n in range(3000)))
    ran = await run({"url": server.url, "onMessage": [path("$.n")]}, "-n", "3000")
    assert ran.data == list(range(3000))


async def test_interval_runs_while_connected_with_the_current_result(start, says) -> None:
    server = await says('"first"')
    wrap = {"command": "json-path", "params": {"path": "$", "input": ["@{PREVIOUS_OUTPUT}"]}}
    ran = await start(
        {
            "url": server.url,
            "onMessage": [{"command": "json-parse", "params": {}}],
            "onInterval": {"intervalMs": 50, "commands": [wrap]},
        }
    )
    assert (await ran.line())["data"] == "first"
    for _ in range(2):
        line = await ran.line()
        assert (line["hook"], line["data"]) == ("onInterval", ["first"])


async def test_the_first_tick_comes_after_one_interval(run, listen) -> None:
    """The client has five turns in which it could tick, each of which answers a message."""

    async def handler(connection: ServerConnection, server: Any) -> None:
        for _ in range(5):
            await connection.send("x")
            server.received.append(await connection.recv())
        await connection.send("x")
        await connection.wait_closed()

    server = await listen(handler)
    tick = {"command": "send", "params": {"sendMessage": "tick"}}
    params = {"url": server.url, "onMessage": [SEND], "onInterval": every(60_000, tick)}
    assert (await run(params, "-n", "6")).data == ["x"] * 6
    assert server.received == ["hello"] * 5


async def test_interval_that_only_sends_publishes_nothing(run, listen) -> None:
    async def handler(connection: ServerConnection, server: Any) -> None:
        for _ in range(3):
            server.received.append(await connection.recv())
        await connection.send("done")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run({"url": server.url, "onInterval": every(20, SEND)}, "-n", "1")
    assert [line["data"] for line in ran.lines] == ["done"]
    assert server.received == ["hello"] * 3


async def test_heartbeat_repeats_the_current_result_and_sends_nothing(start, says) -> None:
    server = await says('{"a":1.0}')
    ran = await start({"url": server.url, "heartbeatIntervalMs": 40, "onMessage": [path("$.a")]})
    first, *beats = [await ran.line() for _ in range(4)]
    assert (first["heartbeat"], first["data"]) == (False, "1.0")
    assert {(line["heartbeat"], line["data"], line["hook"]) for line in beats} == {
        (True, "1.0", "onMessage")
    }
    ran.process.terminate()
    await ran.end()
    assert server.received == []


async def test_heartbeats_keep_their_beat_whatever_fresh_results_come(run, listen) -> None:
    """The timer runs freely: results that come more often than it beats do not put it off."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send('{"a":0}')
        async for tick in connection:
            await connection.send(json.dumps({"a": tick}))

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "heartbeatIntervalMs": 100,
            "onInterval": every(10, SEND),
            "onMessage": [path("$.a")],
        },
        *("-n", "60"),
    )
    assert ran.code == 0, ran.stderr
    assert len([line for line in ran.results if line["heartbeat"]]) >= 2


async def test_heartbeats_are_as_frequent_as_ticks_of_the_same_interval(run, listen) -> None:
    """Both are in milliseconds."""

    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send('{"a":0}')
        for _ in range(40):
            await connection.recv()
        await connection.send('{"a":1}')
        await connection.wait_closed()

    server = await listen(handler)
    params = {"url": server.url, "heartbeatIntervalMs": 20, "onInterval": every(20, SEND)}
    ran = await run(params | {"onMessage": [path("$.a")]}, "-n", "2")
    assert len([line for line in ran.results if line["heartbeat"]]) == pytest.approx(40, abs=15)


async def test_no_heartbeat_before_the_first_result(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send('{"b":1}')
        for _ in range(5):  # as many beats
            await connection.recv()
        await connection.send('{"a":1}')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {
            "url": server.url,
            "heartbeatIntervalMs": 20,
            "onInterval": every(20, SEND),
            "onMessage": [path("$.a")],
        },
        *("-n", "1"),
    )
    assert [(line["heartbeat"], line["data"]) for line in ran.lines] == [(False, 1)]


async def test_a_definite_path_without_match_publishes_nothing_and_a_query_an_empty_list(
    run, says
) -> None:
    server = await says('{"b":1}', '{"a":[]}', then=1000)
    params = {"url": server.url, "stopOn": {"serverClose": True}}
    assert (await run(params | {"onMessage": [path("$.a")]})).data == [[]]
    assert (await run(params | {"onMessage": [path("$.a[*]")]})).data == [[], []]


async def test_a_failing_command_abandons_its_chain_and_keeps_the_connection(run, says) -> None:
    """And it is no socket error: `onError` does not run."""
    server = await says("no json", '{"a":1}')
    params = {"url": server.url, "onMessage": [path("$.a"), SEND], "onError": [path("$")]}
    ran = await run(params, "-n", "1")
    assert [(line["hook"], line["data"]) for line in ran.results] == [("onMessage", 1)]
    assert len(server.connections) == 1
    assert "params.onMessage[0]" in ran.stderr
    assert server.received == ["hello"]


async def test_facts_go_to_stderr_without_session(run, says) -> None:
    server = await says("1")
    ran = await run({"url": server.url}, "-n", "1")
    assert [line["type"] for line in ran.lines] == ["result"]
    for state in ("connecting", "connected", "disconnected", "stopped"):
        assert f"run: {state}" in ran.stderr
    assert (await run({"url": server.url}, "-n", "1", "-q")).stderr == ""


async def test_variables_are_expanded_when_the_command_runs(run, says) -> None:
    server = await says('{"id":7,"odds":{"p":1.10}}')
    message = "${data.id} ${odds.p} #{UUID} @{RUN_ID} @{START_TIMESTAMP}"
    ran = await run(
        {
            "url": server.url,
            "onMessage": [
                path("$"),
                path("$.odds", key="odds"),
                {"command": "send", "params": {"sendMessage": message}},
                {"command": "send", "params": {"sendMessage": "@{PREVIOUS_OUTPUT}"}},
            ],
        },
        *("-n", "1"),
    )
    assert ran.code == 0, ran.stderr
    number, price, unique, run_id, started = server.received[0].split()
    assert (number, price) == ("7", "1.10")
    assert len(unique) == len(run_id) == 36
    assert started.isdecimal()
    assert server.received[1] == '{"id":7,"odds":{"p":1.10}}'


async def test_each_run_of_a_command_has_its_own_values(run, says) -> None:
    server = await says('{"n":1}', '{"n":2}', '{"n":3}')
    send = {"command": "send", "params": {"sendMessage": "${n} #{UUID}"}}
    await run({"url": server.url, "onMessage": [send, path("$.n")]}, "-n", "3")
    numbers, unique = zip(*(text.split() for text in server.received), strict=True)
    assert numbers == ("1", "2", "3")
    assert len(set(unique)) == 3


async def test_headers_of_the_handshake_are_left_alone(run, says) -> None:
    server = await says("x")
    ran = await run(
        {"url": server.url, "headers": {"Host": "evil", "Origin": "https://site", "Cookie": "a=1"}},
        *("-n", "1"),
    )
    headers = server.connections[0].request.headers
    assert headers["Host"] != "evil"
    assert (headers["Origin"], headers["Cookie"]) == ("https://site", "a=1")
    assert "params.headers.Host" in ran.stderr


async def test_http_urls_work_as_well(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url.replace("ws:", "http:")}, "-n", "1")
    assert ran.data == ["x"]


async def test_refused_credentials_end_the_run(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.close()

    server = await listen(handler, process_request=lambda c, _: c.respond(401, "who?"))
    ran = await run({"url": server.url})
    assert ran.code == 3
    assert "401" in ran.stderr


async def test_bad_utf8_is_a_malformed_fact_and_no_end(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send(b"\xff\xfe", text=True)
        await connection.send("good")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run({"url": server.url}, "-n", "1", "--session")
    assert ran.data == ["good"]
    assert [line["frame"] for line in ran.lines if line["type"] == "malformed"] == ["//4="]


async def test_variables_live_as_long_as_the_run(start, says) -> None:
    """What one hook stored, another one may use."""
    server = await says('{"token":"abc"}')
    ran = await start(
        {
            "url": server.url,
            "onMessage": [path("$.token", key="kept")],
            "onInterval": {
                "intervalMs": 20,
                "commands": [{"command": "send", "params": {"sendMessage": "use ${kept}"}}],
            },
        }
    )
    await ran.line()
    await server.until(lambda: "use abc" in server.received)


async def test_if_else_chooses_what_is_published(run, says) -> None:
    server = await says('{"status":"active","odds":1.50}', '{"status":"closed"}')
    chain = {
        "type": "EXECUTION_FLOW",
        "id": 1100,
        "params": {
            "condition": {
                "left": {"type": "property", "value": "status"},
                "operation": "==",
                "right": {"type": "value", "value": "active"},
            },
            "trueCommands": [path("$.odds")],
            "falseCommands": [path("$.status"), {"command": "close"}],
            "timeout": 1000,
        },
    }
    ran = await run({"url": server.url, "onMessage": [chain]})
    assert (ran.code, ran.data) == (0, ["1.50", "closed"])


async def test_a_failed_command_in_another_hook_is_told_too(run, says) -> None:
    """Send on a closed connection fails as a command; nothing else happens."""
    server = await says("x", then=1000)
    ran = await run(
        {"url": server.url, "stopOn": {"serverClose": True}, "onClose": [SEND]}, "--session"
    )
    assert ran.code == 0
    errors = [line["message"] for line in ran.lines if line["type"] == "error"]
    assert errors == ["onClose: params.onClose[0].params: the connection is not open"]
