"""`wsfeeds run` with the native variant: docs/protocols/websocket_v2.md, sections 2, 3 and 6.1."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

SEND = {"id": 3, "type": "WS_V2", "params": {"sendMessage": "hello"}}


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


async def test_messages_are_sent_exactly_as_written(run, says) -> None:
    server = await says("x")
    await run({"url": server.url, "onConnect": [SEND]}, "-n", "1")
    assert server.received == ["hello"]


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


async def test_interval_that_only_sends_publishes_nothing(start, says) -> None:
    server = await says()
    ran = await start({"url": server.url, "onInterval": {"intervalMs": 20, "commands": [SEND]}},
                      "-d", "500ms")  # fmt: skip
    await ran.end()
    assert ran.lines == []
    assert len(server.received) >= 3


async def test_heartbeat_repeats_the_current_result_and_sends_nothing(start, says) -> None:
    server = await says('{"a":1.0}')
    ran = await start(
        {"url": server.url, "heartbeatIntervalMs": 40, "onMessage": [path("$.a")]}, "-d", "400ms"
    )
    await ran.end()
    first, *beats = ran.results
    assert (first["heartbeat"], first["data"]) == (False, "1.0")
    assert len(beats) >= 2
    assert {(line["heartbeat"], line["data"], line["hook"]) for line in beats} == {
        (True, "1.0", "onMessage")
    }
    assert server.received == []


async def test_no_heartbeat_before_the_first_result(start, says) -> None:
    server = await says('{"b":1}')
    ran = await start(
        {"url": server.url, "heartbeatIntervalMs": 20, "onMessage": [path("$.a")]}, "-d", "200ms"
    )
    assert (await ran.end()).lines == []


async def test_a_definite_path_without_match_publishes_nothing_and_a_query_an_empty_list(
    run, says
) -> None:
    server = await says('{"b":1}', '{"a":[]}', then=1000)
    params = {"url": server.url, "stopOn": {"serverClose": True}}
    assert (await run(params | {"onMessage": [path("$.a")]})).data == [[]]
    assert (await run(params | {"onMessage": [path("$.a[*]")]})).data == [[], []]


async def test_a_failing_command_abandons_its_chain_and_keeps_the_connection(run, says) -> None:
    server = await says("no json", '{"a":1}')
    ran = await run({"url": server.url, "onMessage": [path("$.a"), SEND]}, "-n", "1")
    assert ran.data == [1]
    assert len(server.connections) == 1
    assert "params.onMessage[0]" in ran.stderr
    assert server.received == ["hello"]


async def test_close_command_publishes_first_and_does_not_reconnect(run, says) -> None:
    server = await says('{"a":1}', '{"a":2}')
    chain = [path("$.a"), {"id": 9, "type": "WS_V2", "params": {}}]
    ran = await run({"url": server.url, "onMessage": chain, "onClose": [path("$")]})
    assert ran.code == 0
    assert ran.data == [1]
    assert ran.results[-1]["data"] == {"code": 1000, "reason": "", "wasClean": True}
    assert len(server.connections) == 1
    assert server.connections[0].close_code == 1000


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


async def test_pings_of_the_server_are_activity(start, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        for _ in range(8):
            await connection.ping()
            await asyncio.sleep(0.05)
        await connection.send("late")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await start({"url": server.url, "stopOn": {"inactive": True, "inactiveAfterMs": 200}})
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


async def test_output_file_has_the_same_lines(run, says, tmp_path: Path) -> None:
    server = await says("1", "2")
    out = tmp_path / "out.jsonl"
    ran = await run({"url": server.url}, "-n", "2", "-o", str(out))
    assert [json.loads(line)["data"] for line in out.read_text().splitlines()] == ran.data


async def test_facts_go_to_stderr_without_session(run, says) -> None:
    server = await says("1")
    ran = await run({"url": server.url}, "-n", "1")
    assert [line["type"] for line in ran.lines] == ["result"]
    for state in ("connecting", "connected", "disconnected", "stopped"):
        assert f"run: {state}" in ran.stderr
    assert (await run({"url": server.url}, "-n", "1", "-q")).stderr == ""


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


async def test_bad_utf8_is_a_malformed_fact_and_no_end(run, listen) -> None:
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.send(b"\xff\xfe", text=True)
        await connection.send("good")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run({"url": server.url}, "-n", "1", "--session")
    assert ran.data == ["good"]
    assert [line["frame"] for line in ran.lines if line["type"] == "malformed"] == ["//4="]


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
    async def handler(connection: ServerConnection, _: Any) -> None:
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(
        {"url": server.url, "onClose": [path("$.code")]},
        *("--set", "pong_timeout=100ms", "-d", "600ms"),
    )
    assert ran.code == 0
    assert [line["data"] for line in ran.results] == [1000]


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
    async with asyncio.timeout(5):
        while "use abc" not in server.received:  # noqa: ASYNC110  # of another task
            await asyncio.sleep(0.01)


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
