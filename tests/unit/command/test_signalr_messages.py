"""What the hub of ASP.NET Core SignalR says and is told, on every transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsfeeds.command.variants import VariantSession
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import Transient, WsfeedsError
from wsfeeds.simulators.httpd import Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_connection import HubConnection

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 12) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)
NAMES = st.sampled_from(["type", "target", "invocationId", "error", "allowReconnect", "arguments"])
WIRE = st.dictionaries(NAMES, JSON).map(orjson.dumps)
RS = "\x1e"
SHAKEN = "{}" + RS
PING = '{"type":6}' + RS
LAST = '{"type":1,"target":"Last","arguments":[{"id":99}]}' + RS


class Scripted(SignalRSimulator):
    """A hub that says what it is told to, once the client has spoken, and keeps what it hears."""

    says: tuple[str, ...] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heard: list[str] = []

    def _start(self, connection: HubConnection, transport: str) -> None:
        connection.transport = transport

        def feed(text: str) -> None:
            self.heard.append(text)
            if len(self.heard) == 1:
                for each in self.says:
                    connection.outlet.reply(each)
            self.news.set()  # type: ignore[attr-defined]  # of what watches it

        connection.feed = feed  # type: ignore[method-assign]


def saying(*texts: str) -> type[Scripted]:
    return type("Saying", (Scripted,), {"says": texts})


def push(number: int) -> str:
    return f'{{"type":1,"target":"Push","arguments":[{{"id":{number}}}]}}{RS}'


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("shape", ["whole", "split", "merged", "mixed"])
async def test_every_push_arrives_in_order_however_records_were_cut(core, transport, shape):
    async with core.serve(records=shape) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 30)
        assert ear.connected == 1
        assert ear.ids()[:30] == list(range(1, 31))
        assert not ear.malformed
        assert not any("\x1e" in text for text in ear.messages)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_are_sent_in_order_and_a_failed_one_is_logged(core, transport, caplog):
    async with (
        core.serve(subscribe_first=True) as (_, url),
        core.client(url, transport) as (hub, ear),
    ):

        def talk() -> None:
            for number in range(5):
                call = {"target": "Fail", "arguments": [], "invocationId": str(number)}
                hub.send(orjson.dumps(call).decode())
            hub.send('{"target":"Sub","arguments":[]}')

        ear.on_connect = talk
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
        told = [record.message for record in caplog.records]
        assert [text.partition(" failed")[0] for text in told] == [f"call {n}" for n in range(5)]


async def test_methods_are_filtered_with_their_case(core):
    methods = {"methods": ["ReceiveEvent", "receiveodds"]}
    async with core.serve(rate=2000) as (_, url), core.client(url, signalr=methods) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert {orjson.loads(text)["target"] for text in ear.messages} == {"ReceiveEvent"}
        assert ear.skipped.keys() == {"not asked for"}
        assert ear.skipped.total() + len(ear.messages) >= ear.ids()[-1]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_wants_a_result_gets_an_error(core, transport):
    options = {"ask": True, "subscribe_first": True}
    async with core.serve(**options) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 2)
    asked, told = map(orjson.loads, ear.messages)
    assert asked["target"] == "GetState"
    assert told["arguments"] == [{"answer": {"error": "Client didn't provide a result."}}]


async def test_a_server_gets_its_answer_whether_the_method_is_asked_for_or_not(core):
    asks = LAST.replace("Last", "Other").replace("{", '{"invocationId":"7",', 1)
    async with (
        core.serve(kind=saying(SHAKEN, asks, LAST)) as (simulator, url),
        core.client(url, signalr={"methods": ["Last"]}) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
        await simulator.until(lambda: "Client didn't" in simulator.heard[-1])
        assert len(ear.messages) == 1


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ('{"target":"Sub","arguments":["x",1.50]}',
         '{"type":1,"target":"Sub","arguments":["x",1.50]}'),
        ('{"type":4,"target":"Count","arguments":[2]}',
         '{"type":4,"target":"Count","arguments":[2]}'),
        ('{ "type": 6 }', '{ "type": 6 }'),
        ('{"other":1}', '{"other":1}'),
        ('["x"]', '["x"]'),
        ("plain", "plain"),
        ("", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", RS])
async def test_what_is_sent_is_a_call_or_goes_as_it_is_and_ends_in_one_separator(
    core, text, wire, end
):
    async with (
        core.serve(kind=saying(SHAKEN)) as (simulator, url),
        core.client(url) as (hub, _),
    ):
        await hub.open()
        hub.send(text + end)
        await simulator.until(lambda: len(simulator.heard) >= 3)
    assert simulator.heard[2] == wire + RS


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_goodbye_is_a_close_message(core, transport):
    async with (
        core.serve(kind=saying(SHAKEN)) as (simulator, url),
        core.client(url, transport) as (hub, _),
    ):
        await hub.open()
        await hub.close()
        await simulator.until(lambda: simulator.heard[-1] == '{"type":7}' + RS)


async def test_stream_items_are_delivered(core):
    async with core.serve(subscribe_first=True) as (_, url), core.client(url) as (hub, ear):
        call = '{"type":4,"target":"Count","arguments":[2],"invocationId":"8"}'
        ear.on_connect = lambda: hub.send(call)
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 2)
    assert [orjson.loads(text)["item"] for text in ear.messages] == [0, 1]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_garbage_is_reported_and_passed_over(core, transport):
    async with core.serve("garbage=0.5") as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: bool(ear.malformed) and len(ear.messages) >= 10)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_message_beyond_max_frame_ends_the_connection(core, transport):
    small = RunSettings(max_frame=100)
    async with (
        core.serve() as (_, url),
        core.client(url, transport, settings=small) as (hub, ear),
    ):
        with pytest.raises(Transient):
            await opened_and_ended(hub, ear)


async def opened_and_ended(hub: VariantSession, ear: Any) -> None:
    """Raise the error of a connection, whenever it comes."""
    await hub.open()
    error = (await ear.end()).error
    assert error is not None
    raise error


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it keeps nothing
@given(st.lists(st.binary() | WIRE, max_size=5))
def test_whatever_arrives_ends_up_somewhere(core, records):
    async def take() -> None:
        async with core.client("http://127.0.0.1:9/") as (hub, ear):
            hub.taken(b"{}\x1e")
            whole = [record for each in records for record in each.split(b"\x1e")]
            for record in whole:
                hub.taken(record + b"\x1e")
            assert ear.connected == 1
            found = len(ear.messages) + len(ear.malformed) + len(ear.unknown) + ear.skipped.total()
            assert found == len(whole) - ear.ended.done()  # a close is the end instead

    asyncio.run(take())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_comes_with_the_answer_to_the_handshake_is_not_lost(core, transport):
    texts = (SHAKEN + push(1) + push(2) + push(3)[:20], push(3)[20:] + push(4), push(5))
    async with (
        core.serve(kind=saying(*texts)) as (_, url),
        core.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 5)
        assert ear.ids() == [1, 2, 3, 4, 5]
        assert ear.messages[0] == push(1).removesuffix(RS)


@pytest.mark.parametrize(
    "record",
    [
        '{"type":10,"sequenceId":1}',
        '{"type":0}',
        '{"type":"1","target":"a"}',
        '{"type":true}',
        '{"kind":1}',
        "[1,2]",
        '"text"',
        "null",
        '{"type":4,"target":"a","arguments":[],"invocationId":"1"}',  # a client's message
    ],
)
async def test_what_nobody_documented_is_kept_whole_as_unknown(core, record):
    async with core.serve(kind=saying(SHAKEN, record + RS, LAST)) as (_, url):
        async with core.client(url) as (hub, ear):
            await hub.open()
            await ear.until(lambda: bool(ear.messages))
        assert (ear.unknown, ear.malformed) == ([record.encode()], [])


@pytest.mark.parametrize(
    "record",
    [
        "no json",
        '{"type":1,"target":5}',
        '{"type":1}',
        '{"type":3,"invocationId":[]}',
        '{"type":7,"allowReconnect":"yes"}',
    ],
)
async def test_a_known_message_with_wrong_types_is_malformed(core, record):
    async with core.serve(kind=saying(SHAKEN, record + RS, LAST)) as (_, url):
        async with core.client(url, signalr={"methods": ["Last"]}) as (hub, ear):
            await hub.open()
            await ear.until(lambda: bool(ear.messages))
        assert (ear.malformed, ear.unknown) == ([record.encode()], [])


async def test_what_reaches_no_hook_is_counted(core, caplog):
    texts = (
        SHAKEN,
        PING,
        '{"type":3,"invocationId":"0","result":[1]}' + RS,
        '{"type":3,"invocationId":"1","error":"it broke"}' + RS,
        '{"type":5,"invocationId":"1"}' + RS,
        '{"type":8,"sequenceId":1}' + RS,
        '{"type":9,"sequenceId":2}' + RS,
        RS,
        LAST.replace("Last", "Other"),
        LAST,
    )
    async with (
        core.serve(kind=saying(*texts)) as (_, url),
        core.client(url, signalr={"methods": ["Last"]}) as (hub, ear),
    ):
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: bool(ear.messages))
    assert ear.skipped == {
        "completions": 2,
        "cancellations": 1,
        "acks": 2,
        "heartbeats": 1,
        "empty updates": 1,
        "not asked for": 1,
    }
    assert not ear.malformed
    assert not ear.unknown
    assert [record.message for record in caplog.records] == ["call 1 failed: it broke"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_ping_is_never_answered(core, transport):
    asks = LAST.replace("{", '{"invocationId":"7",', 1)
    async with (
        core.serve(kind=saying(SHAKEN, PING, PING, asks)) as (simulator, url),
        core.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
        await simulator.until(lambda: "Client didn't" in simulator.heard[-1])
        heard = list(simulator.heard)
    # The client's own ping after the handshake is what the official one does, but for polls.
    own = [PING] * (transport != "longPolling")
    assert heard[1:-1] == own
    answer = {"type": 3, "invocationId": "7", "error": "Client didn't provide a result."}
    assert orjson.loads(heard[-1].removesuffix(RS)) == answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"error":"no such protocol"}', "refused the handshake: no such protocol"),
        ('{"type":6}', "instead of the handshake's answer"),
        ("nonsense", "something else"),
        ('{"error":1}', "something else"),
    ],
)
async def test_a_handshake_that_fails_is_told(core, answer, told):
    async with core.serve(kind=saying(answer + RS)) as (_, url), core.client(url) as (hub, ear):
        with pytest.raises(WsfeedsError, match=told):
            await hub.open()
        assert not ear.connected


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_message_that_is_too_long_for_the_server_ends_the_connection(core, transport):
    async with (
        core.serve(subscribe_first=True) as (_, url),
        core.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        hub.send(orjson.dumps({"target": "Sub", "arguments": ["é" * 17_000]}).decode())
        ended = await ear.end()
    assert (ended.by_server, ended.retry_after) == (True, 30.0)


async def test_an_event_with_a_name_is_no_message(core):
    class Naming(Scripted):
        says = (SHAKEN, LAST)

        async def _events(self, *arguments: Any, **options: Any) -> AsyncIterator[bytes]:
            yield f"event: news\ndata: {push(1)}\n\nevent: news\ndata: {{]\n\n".encode()
            async for event in super()._events(*arguments, **options):
                yield event

    async with (
        core.serve(kind=Naming) as (_, url),
        core.client(url, "serverSentEvents") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
    assert ear.ids() == [99]
    assert ear.unknown == [push(1).removesuffix(RS).encode()]
    assert ear.malformed == [b"{]"]


async def test_whole_records_of_a_poll_that_breaks_off_are_delivered(core):
    class Torn(Scripted):
        says = (SHAKEN,)

        async def _poll(self, connection: HubConnection) -> Response:
            answer = await super()._poll(connection)
            return answer if answer.body else Response(200, self._half())

        async def _half(self) -> AsyncIterator[bytes]:
            yield f"{push(1)}{push(2)}{LAST[:20]}".encode()
            raise ConnectionResetError

    async with (
        core.serve(kind=Torn, poll_timeout="20ms") as (_, url),
        core.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        ended = await ear.end()
        await hub.close()
        assert [part for _, part in hub.unfinished()] == [LAST[:20].encode()]
    assert ear.ids() == [1, 2]
    assert (ended.by_server, ended.clean) == (False, False)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_half_a_record_at_the_end_is_not_dropped(core, transport):
    class Torn(Scripted):
        says = (SHAKEN, LAST, LAST[:20])

        def _start(self, connection: HubConnection, transport: str) -> None:
            super()._start(connection, transport)
            feed = connection.feed

            def fed(text: str) -> None:
                feed(text)
                connection.over()

            connection.feed = fed  # type: ignore[method-assign]

    async with core.serve(kind=Torn) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        await ear.end()
        await hub.close()
        assert [part for _, part in hub.unfinished()] == [LAST[:20].encode()]
        assert len(ear.messages) == 1
