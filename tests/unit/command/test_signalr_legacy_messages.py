"""What ASP.NET SignalR 2.x says and is told, on every transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsfeeds.command.listener import SendFailed
from wsfeeds.command.signalr_legacy_messages import numbers, outgoing
from wsfeeds.command.signalr_legacy_negotiation import Filter
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 12) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)
WIRE = st.dictionaries(st.sampled_from([*"CMGSTLEIDPHRAX"]), JSON).map(orjson.dumps)
INIT = b'{"C":"d-1,0","S":1,"M":[]}'
LAST = b'{"C":"d-1,9","M":[{"H":"OddsHub","M":"last","A":[{"id":9}]}]}'


class Scripted(SignalRLegacySimulator):
    """A server that says what it is told to."""

    says: tuple[bytes, ...] = ()

    async def _frames(self, *arguments: Any, **options: Any) -> AsyncIterator[tuple[bytes, bool]]:
        for frame in self.says:
            yield frame, False
        await asyncio.Event().wait()


def saying(*frames: bytes) -> type[Scripted]:
    return type("Saying", (Scripted,), {"says": (INIT, *frames, LAST)})


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_push_arrives_in_order_and_nothing_before_start(legacy, transport):
    async with (
        legacy.serve(rate=1000) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 50)
        assert ear.connected == 1
        assert ear.whole()
        assert not ear.malformed
        asked = [request.path.rpartition("/")[2] for request in simulator.requests[:3]]
        assert asked == ["negotiate", "connect", "start"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_are_numbered_and_a_failed_one_is_logged(legacy, transport, caplog):
    async with (
        legacy.serve(subscribe_first=True) as (_, url),
        legacy.client(url, transport) as (hub, ear),
    ):

        def talk() -> None:
            for _ in range(3):
                hub.send('{"H":"oddshub","M":"Fail","A":[]}')
            hub.send('{"H":"oddshub","M":"Sub","A":["x",1]}')

        ear.on_connect = talk
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
    told = [record.message.partition(" failed")[0] for record in caplog.records]
    assert told == ["call 0", "call 1", "call 2"]


def test_a_call_gets_a_number_if_it_has_none():
    """Golden frame G11: it goes out as a number; anything else goes as it is."""
    count = numbers()
    call = '{"H":"oddshub","M":"Sub","A":["x",1]}'
    assert outgoing(call, count) == '{"H":"oddshub","M":"Sub","A":["x",1],"I":0}'
    assert outgoing(call, count) == '{"H":"oddshub","M":"Sub","A":["x",1],"I":1}'
    numbered = '{"H":"oddshub","M":"Sub","A":[1.50],"I":7}'
    for text in (numbered, '{"other":1}', "[1]", "plain", ""):
        assert outgoing(text, count) == text
    assert outgoing('{"H":"h","M":"m","A":[1.50]}', count).endswith('"A":[1.50],"I":2}')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it keeps nothing
@given(st.lists(st.binary() | WIRE, max_size=5))
def test_whatever_arrives_is_a_message_malformed_unknown_or_counted(legacy, frames):
    async def take() -> None:
        async with legacy.client("http://127.0.0.1:9/") as (hub, _):
            for frame in frames:
                hub.taken(frame)

    asyncio.run(take())


async def test_sending_fails_while_the_socket_is_gone(legacy):
    async with legacy.serve() as (_, url), legacy.client(url) as (hub, _):
        with pytest.raises(SendFailed):
            hub.send("{}")
        await hub.open()
        await hub.close()
        with pytest.raises(SendFailed):
            hub.send("{}")


@pytest.mark.parametrize(
    ("methods", "passing"),
    [
        ([], [("OddsHub", "receiveOdds"), ("other", "x")]),
        (["ReceiveOdds"], [("oddshub", "receiveodds"), ("other", "RECEIVEODDS")]),
        (["OddsHub.ReceiveOdds"], [("oddshub", "receiveodds")]),
    ],
)
def test_methods_are_filtered_without_case(methods, passing):
    calls = Filter(methods)
    assert all(calls.passes(*call) for call in passing)
    assert calls.passes("other", "x") is not bool(methods)
    assert not methods or not calls.passes("oddshub", "receive")
    assert calls.passes("other", "receiveodds") is ("OddsHub.ReceiveOdds" not in methods)


@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents"])
async def test_what_reaches_no_hook_is_counted(legacy, transport, caplog):
    frames = (
        b"{}",
        b'{"C":"d-1,1","M":[]}',
        b'{"I":"0","R":"ok"}',
        b'{"I":"1","E":"it broke","H":true,"D":{"x":1}}',
        b'{"I":"P|2","P":{"I":"2","D":50}}',
        b'{"C":"d-1,2","M":[{"H":"OddsHub","M":"other","A":[]},{"H":"x","M":"LAST","A":[1]}]}',
    )
    async with (
        legacy.serve(kind=saying(*frames)) as (_, url),
        legacy.client(url, transport, signalr={"methods": ["last"]}) as (hub, ear),
    ):
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: len(ear.messages) == 2)
        assert ear.skipped == {
            "heartbeats": 1,
            "empty updates": 1,
            "completions": 2,
            "progress reports": 1,
            "not asked for": 1,
        }
        assert not ear.ended.done()  # an E that answers a call is not the server's last word
    assert (ear.malformed, ear.unknown) == ([], [])
    assert [record.message for record in caplog.records] == ["call 1 failed: it broke"]


@pytest.mark.parametrize("frame", [b'{"X":1}', b"[1]", b'"text"', b"null"])
async def test_what_nobody_documented_is_kept_whole_as_unknown(legacy, frame):
    async with legacy.serve(kind=saying(frame)) as (_, url), legacy.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
    assert (ear.unknown, ear.malformed) == ([frame], [])


@pytest.mark.parametrize("frame", [b"no json", b'{"M":1}', b'{"C":[],"M":[]}', b'{"L":"1"}'])
async def test_a_known_message_with_wrong_types_is_malformed(legacy, frame):
    async with legacy.serve(kind=saying(frame)) as (_, url), legacy.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
    assert (ear.malformed, ear.unknown) == ([frame], [])


async def test_what_stands_among_the_calls_is_told_apart(legacy):
    frame = b'{"C":"d-1,1","M":[{"H":1,"M":"last"},"text",{"other":1}]}'
    async with (
        legacy.serve(kind=saying(frame)) as (_, url),
        legacy.client(url, signalr={"methods": ["last"]}) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
    assert ear.malformed == [b'{"H":1,"M":"last"}']
    assert ear.unknown == [b'"text"', b'{"other":1}']


async def test_half_an_event_at_the_end_is_not_dropped(legacy):
    class Torn(Scripted):
        async def _events(self, *arguments: Any, **options: Any) -> AsyncIterator[bytes]:
            for text in (b"data: initialized", b"data: " + INIT, b"data: " + LAST):
                yield text + b"\n\n"
            yield b"data: half of it"
            await self.torn.wait()

        torn = asyncio.Event()

    async with (
        legacy.serve(kind=Torn) as (_, url),
        legacy.client(url, "serverSentEvents") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: bool(ear.messages))
        Torn.torn.set()
        await ear.until(lambda: bool(ear.malformed))
    assert ear.malformed[0] == b"data: half of it"
