"""The socketio variant against a server of which the test says every packet."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest


def document(url: str, *events: str, **more: Any) -> dict[str, Any]:
    options = {"socketio": {"events": list(events)}} if events else {}
    return {"url": url, "protocol": "socketio", **options, **more}


ODDS = '["odds",{"id":1,"price":"1.5"}]'
BIN = '["bin",{"_base64":"AQID"}]'


async def test_golden_session_of_the_page(run, listen) -> None:
    """Section 10, G13 and G14: what goes over the wire, word for word."""

    async def handler(connection: Any, server: Any) -> None:
        for said in (
            '0{"sid":"w7wS","upgrades":[],"pingInterval":25000,"pingTimeout":20000}',
            "",
            '40/live,{"sid":"bLGs"}',
            "",
            '43/live,0[{"ok":true}]',
            '42["odds",{"id":0}]',
            '42/live,["odds",{"id":1,"price":"1.5"}]',
            "2",
            "",
            '451-/live,["bin",{"_placeholder":true,"num":0}]',
            b"\x01\x02\x03",
            '42/live,7["ask"]',
            "",
            "41/live,",
        ):
            if said == "":
                server.received.append(await connection.recv())
            else:
                await connection.send(said)
        await connection.wait_closed()

    server = await listen(handler)
    raw = [{"command": "send", "params": {"sendMessage": '42/live,0["sub",{"x":1}]'}}]
    ran = await run(
        document(f"{server.url}/live", onConnect=raw, stopOn={"serverClose": True}), "-v"
    )
    assert ran.code == 0, ran.stderr
    assert server.connections[0].request.path == "/socket.io/?EIO=4&transport=websocket"
    assert server.received == ["40/live,", '42/live,0["sub",{"x":1}]', "3", "43/live,7[]"]
    assert ran.data == [ODDS, BIN, '["ask"]']


async def test_a_close_by_the_engine_is_a_server_close(run, listen) -> None:
    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[]}')
        await connection.recv()
        await connection.send('40{"sid":"b"}')
        await connection.send("1")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url, stopOn={"serverClose": True}))
    assert ran.code == 0


async def test_silence_of_the_server_is_stale(run, listen) -> None:
    """Dead after pingInterval + pingTimeout without a ping."""

    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":100}')
        assert await connection.recv() == "40"
        await connection.send('40{"sid":"b"}')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url), "--no-reconnect", "--session")
    assert ran.code == 4
    assert [line["reason"] for line in ran.lines if line.get("state") == "disconnected"] == [
        "stale"
    ]


async def test_a_ping_may_be_as_late_as_both_times_together(run, listen) -> None:
    async def handler(connection: Any, server: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":20000}')
        assert await connection.recv() == "40"
        await connection.send('40{"sid":"b"}')
        for _ in range(10):  # of the client's ticks, each longer than a pingInterval
            await connection.recv()
        await connection.send('42["late"]')
        await connection.wait_closed()

    server = await listen(handler)
    tick = [{"command": "send", "params": {"sendMessage": "tick"}}]
    params = document(server.url, onInterval={"intervalMs": 20, "commands": tick})
    assert (await run(params, "-n", "1", "--no-reconnect")).data == ['["late"]']


async def test_numbers_keep_their_digits_and_bad_packets_are_told(run, listen) -> None:
    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[],"pingInterval":9000,"pingTimeout":9000}')
        await connection.recv()
        await connection.send('40{"sid":"b"}')
        for bad in ("42{", "4", "451-", "47", "9", "42[1]", "x"):
            await connection.send(bad)
        await connection.send(b"\x00")
        await connection.send('42["p", 1.50, 1E5, 12345678901234567890]')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url), "-n", "1", "--session")
    assert ran.data == ['["p",1.50,1E5,12345678901234567890]']
    assert len([line for line in ran.lines if line["type"] == "malformed"]) == 8


async def test_why_the_engine_refuses_is_told(run, listen) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(400, '{"code":1,"message":"Session ID unknown"}')

    async def handler(connection: Any, _: Any) -> None:
        await connection.close()

    server = await listen(handler, process_request=refuse)
    ran = await run(document(server.url), "--no-reconnect")
    assert ran.code == 4
    assert "HTTP 400 (Session ID unknown)" in ran.stderr


async def test_the_other_engine_version_ends_with_4(run, listen) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(
            400, json.dumps({"code": 5, "message": "Unsupported protocol version"})
        )

    async def handler(connection: Any, _: Any) -> None:
        await connection.close()

    server = await listen(handler, process_request=refuse)
    ran = await run(document(server.url))
    assert ran.code == 4
    assert "version" in ran.stderr


OPEN = '0{"sid":"a","upgrades":[],"pingInterval":9000,"pingTimeout":9000}'
JOINED = '40{"sid":"b"}'


@pytest.fixture
def packets(listen: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Serve packets after the handshake to the first client, others to those after it."""

    async def begin(*first: str | bytes, later: tuple[str, ...] = (), close: bool = False) -> Any:
        async def handler(connection: Any, server: Any) -> None:
            await connection.send(OPEN)
            server.received.append(await connection.recv())
            await connection.send(JOINED)
            turn = len(server.connections)
            for packet in first if turn == 1 else later:
                await connection.send(packet)
            if close and turn == 1:
                await connection.close()
            async for message in connection:
                server.received.append(message)

        return await listen(handler)

    return begin


def malformed(ran: Any) -> list[tuple[str, str]]:
    return [(line["frame"], line["encoding"]) for line in ran.lines if line["type"] == "malformed"]


TWO = '452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
FAST = ("--set", "backoff_initial=10ms", "--session")


async def test_a_packet_amid_attachments_ends_the_connection_and_nothing_is_lost(
    run, packets
) -> None:
    """No later packet overtakes an unfinished event; all its parts are told, then a new start."""
    server = await packets(TWO, b"\x01", '42["late",1]', b"\x02", later=('42["fresh"]',))
    ran = await run(document(server.url), "-n", "1", *FAST)
    assert ran.data == ['["fresh"]']
    assert malformed(ran) == [('42["late",1]', "utf8"), (TWO, "utf8"), ("\x01", "utf8")]
    assert [line["reason"] for line in ran.lines if line["type"] == "gap"] == ["disconnect"]
    assert len(server.connections) == 2


async def test_an_event_that_is_unfinished_at_a_disconnect_is_told(run, packets) -> None:
    server = await packets(TWO, b"\xff", close=True)
    ran = await run(document(server.url, stopOn={"serverClose": True}), "--session")
    assert ran.code == 0
    assert malformed(ran) == [(TWO, "utf8"), ("/w==", "base64")]
    told = [line.get("state") or line["type"] for line in ran.lines]
    assert told.index("malformed") < told.index("disconnected")


async def test_an_event_that_is_unfinished_when_the_server_falls_silent_is_told(
    run, packets
) -> None:
    server = await packets(TWO)
    ran = await run(
        document(server.url), "--set", "idle_timeout=500ms", "--no-reconnect", "--session"
    )
    assert malformed(ran) == [(TWO, "utf8")]


@pytest.mark.parametrize("said", [[], [OPEN]])
async def test_a_server_that_does_not_let_us_in_is_no_connection(run, listen, said) -> None:
    """It took the upgrade and then says nothing, or nothing after the first packet."""

    async def handler(connection: Any, _: Any) -> None:
        for packet in said:
            await connection.send(packet)
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url), "--no-reconnect", "--set", "connect_timeout=500ms")
    assert ran.code == 4, ran.stderr
    assert "did not let us in within 0.5 s" in ran.stderr


async def test_pings_between_attachments_are_no_matter(run, packets) -> None:
    server = await packets(TWO, b"\x01", "2", b"\x02")
    ran = await run(document(server.url), "-n", "1")
    assert ran.data == ['["b",{"_base64":"AQ=="},{"_base64":"Ag=="}]']


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        ('451-["b"]', [b"\x01"]),
        ('451-["b",{"_placeholder":true,"num":1}]', [b"\x01"]),
        ('451-["b",{"_placeholder":true,"num":-1}]', [b"\x01"]),
        ('451-["b",{"_placeholder":true,"num":"0"}]', [b"\x01"]),
        ('451-[{"_placeholder":true,"num":0},1]', [b"\x01"]),
        ('451-[1,{"_placeholder":true,"num":0}]', [b"\x01"]),
    ],
)
async def test_a_binary_event_that_makes_no_sense_is_told_whole(run, packets, head, parts) -> None:
    server = await packets(head, *parts, '42["next"]')
    ran = await run(document(server.url), "-n", "1", "--session")
    assert ran.data == ['["next"]']
    assert malformed(ran) == [(head, "utf8"), *[(part.decode(), "utf8") for part in parts]]


async def test_attachments_are_bounded_together(run, packets) -> None:
    """Each is small enough, but the event would grow for ever."""
    head = "4599-" + json.dumps(["b", *({"_placeholder": True, "num": n} for n in range(99))])
    server = await packets(head, *(b"x" * 900 for _ in range(20)), later=('42["fresh"]',))
    ran = await run(document(server.url), "-n", "1", *FAST, "--set", "max_frame=10KB")
    assert ran.data == ['["fresh"]']
    assert [line["code"] for line in ran.lines if line["type"] == "error"] == [1009]


async def test_what_nobody_asked_for_is_counted_and_shown_at_the_end(run, packets) -> None:
    server = await packets(
        *('42["x"]', '42["x",1]', '42/other,["odds"]', "430[]", "2", "6", '42["odds"]')
    )
    ran = await run(document(server.url, "odds"), "-n", "1")
    assert ran.data == ['["odds"]']
    assert ran.stderr.splitlines()[-1] == (
        "1 results; not shown: 2 not asked for, 1 other namespaces, 1 acks, 1 heartbeats, "
        "1 empty packets"
    )


async def test_an_acknowledgement_may_have_attachments(run, packets) -> None:
    answer = '461-7[{"_placeholder":true,"num":0}]'
    server = await packets(answer, b"\x01", '42["next"]')
    sends = [{"command": "send", "params": {"sendMessage": '427["sub"]'}}]
    ran = await run(document(server.url, onConnect=sends), "-n", "1", "--session")
    assert ran.data == ['["next"]']
    assert malformed(ran) == []
    assert ran.stderr.splitlines()[-1].endswith("not shown: 1 acks")


async def test_an_event_with_an_id_is_acknowledged_whether_asked_for_or_not(run, packets) -> None:
    server = await packets('427["other"]', '42["odds"]')
    ran = await run(document(server.url, "odds"), "-n", "1")
    assert ran.data == ['["odds"]']
    assert "437[]" in server.received


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (' ["sub",1.50]', '42["sub",1.50]'),
        ("[1,2]", '42["message","[1,2]"]'),
        ("[]", '42["message","[]"]'),
        ('["torn"', '42["message","[\\"torn\\""]'),
        ('{"a":1}', '42["message","{\\"a\\":1}"]'),
        ("2", "2"),
        ('42["raw",1]', '42["raw",1]'),
    ],
)
async def test_what_is_sent_goes_out_word_for_word(run, packets, text, wire) -> None:
    server = await packets('42["go"]')
    sends = [{"command": "send", "params": {"sendMessage": text}}]
    await run(document(server.url, onConnect=sends), "-n", "1")
    assert server.received[:2] == ["40", wire]


async def test_events_before_the_namespace_and_after_the_end_are_not_taken(run, listen) -> None:
    async def handler(connection: Any, server: Any) -> None:
        await connection.send(OPEN)
        await connection.send('42["early"]')
        await connection.recv()
        connection.transport.pause_reading()
        for packet in (OPEN, "", JOINED, '42["x"]', "41", '42["after"]'):
            await connection.send(packet)
        connection.transport.resume_reading()
        await connection.wait_closed()

    server = await listen(handler, compression=None)
    ran = await run(document(server.url, stopOn={"serverClose": True}), "--session")
    assert ran.data == ['["x"]']
    assert malformed(ran) == [('42["early"]', "utf8"), (OPEN, "utf8"), ("", "utf8")]


async def test_deeply_nested_events_are_told_and_no_fault(run, packets) -> None:
    deep = [f'42["d",{"[" * n}{"]" * n}]' for n in (400, 900, 5000)]
    binary = f'451-["d",{"[" * 700}{{"_placeholder":true,"num":0}}{"]" * 700}]'
    server = await packets(*deep, binary, b"x", '42["next"]', close=True)
    ran = await run(document(server.url, stopOn={"serverClose": True}), "--session")
    assert ran.code == 0, ran.stderr
    assert ran.data[-1] == '["next"]'
    whole = len(ran.data) - 1
    assert len({frame for frame, _ in malformed(ran)} & {*deep, binary}) == 4 - whole


async def test_text_that_begins_with_another_script_s_digit_is_a_message(run, packets) -> None:
    server = await packets('42["go"]')
    sends = [{"command": "send", "params": {"sendMessage": "\u0663 goals"}}]
    ran = await run(document(server.url, onConnect=sends), "-n", "1")
    assert ran.data == ['["go"]']
    assert '42["message","\u0663 goals"]' in server.received
