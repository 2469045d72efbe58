"""How a connection to ASP.NET Core SignalR is kept, and every way in which it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wsfeeds.command.signalr import Client
from wsfeeds.errors import Transient
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_connection import HubConnection

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
STREAMS = ("webSockets", "serverSentEvents")
QUIET: dict[str, Any] = {"rate": 0.1, "subscribe_first": True}  # a push every ten seconds


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("end", "wait"), [("close", 30.0), ("close-reconnect", None)])
async def test_type_7_is_a_close_by_the_server(core, transport, end, wait):
    options = {"end": end, "end_after": "50ms"}
    async with core.serve(**options) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (True, True, 1000)
    assert ended.reason == "Connection closed with an error."
    assert ended.retry_after == wait


@pytest.mark.parametrize(
    ("transport", "end", "by_server"),
    [
        ("webSockets", "drop", False),
        ("serverSentEvents", "drop", False),
        ("longPolling", "drop", False),
        ("webSockets", "clean", True),
        ("serverSentEvents", "clean", False),
        ("longPolling", "clean", True),
    ],
)
async def test_a_loss_is_told_from_a_close(core, transport, end, by_server):
    options = {"end": end, "end_after": "50ms"}
    async with core.serve(**options) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (by_server, by_server)
    assert ended.code == (1000 if by_server else 1006)


async def test_a_poll_that_gets_404_is_a_close_by_the_server(core):
    quiet = {"subscribe_first": True, "keepalive": "50ms"}
    async with (
        core.serve(**quiet) as (simulator, url),
        core.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        simulator.connections.clear()
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (True, False)


async def test_a_poll_may_be_told_when_to_come_back(core):
    class Busy(SignalRSimulator):
        polls = 0

        async def http(self, request: Request) -> Response:
            self.polls += request.method == "GET"
            if self.polls > 3:
                return Response.text("busy", 503, {"Retry-After": "7"})
            return await super().http(request)

    async with core.serve(kind=Busy) as (_, url), core.client(url, "longPolling") as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.retry_after, ended.by_server) == (7.0, False)


async def test_empty_polls_go_on(core):
    quiet = {"poll_timeout": "20ms", "subscribe_first": True}
    async with (
        core.serve(**quiet) as (simulator, url),
        core.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: sum(each.method == "GET" for each in simulator.requests) >= 5)
        hub.send('{"target":"Sub","arguments":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)


def test_the_times_are_those_of_the_official_client():
    assert (Client.ping_every, Client.silence, Client.handshake_within) == (15.0, 30.0, 15.0)


# A poll that stays silent for long is no sign: what is posted meanwhile is answered.
@pytest.mark.parametrize("transport", STREAMS)
async def test_silence_is_the_end_after_30_seconds(core, transport, no_waiting):
    options = QUIET | {"end": "silence", "end_after": "1s"}
    async with core.serve(**options) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        opened = no_waiting()
        ended = await ear.end()
        assert 29.5 <= no_waiting() - opened <= 40.0
    assert (ended.stale, ended.by_server, ended.code) == (True, False, 1006)
    assert ended.reason == "nothing received for 30 s"


class Counting(SignalRSimulator):
    """A hub that counts the client's pings."""

    pings = 0

    def _start(self, connection: HubConnection, transport: str) -> None:
        super()._start(connection, transport)
        feed = connection.feed

        def fed(text: str) -> None:
            self.pings += text.count('{"type":6}')
            feed(text)

        connection.feed = fed  # type: ignore[method-assign]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_pings_go_both_ways_and_keep_a_quiet_connection(core, transport, no_waiting):
    quiet = QUIET | {"kind": Counting}
    async with core.serve(**quiet) as (simulator, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        opened = no_waiting()
        await asyncio.sleep(100.0)  # longer than either side bears silence; it takes no time
        assert not ear.ended.done()
        # One at once but for polls, then one every 15 seconds.
        assert simulator.pings == 6 + (transport != "longPolling")
        assert no_waiting() - opened < 103.0
        hub.send('{"target":"Sub","arguments":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)


@pytest.mark.parametrize("transport", STREAMS)
async def test_whoever_sends_anyway_does_not_ping(core, transport, no_waiting):
    quiet = QUIET | {"kind": Counting}
    async with core.serve(**quiet) as (simulator, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        for _ in range(10):
            await asyncio.sleep(10.0)
            hub.send('{"target":"Echo","arguments":[1]}')
        assert not ear.ended.done()
        assert simulator.pings == 1  # the one after the handshake


async def test_the_server_s_pings_alone_keep_a_client_that_sends_enough(core, no_waiting):
    quiet = QUIET | {"keepalive": "29s"}
    async with core.serve(**quiet) as (_, url), core.client(url, "webSockets") as (hub, ear):
        await hub.open()
        await asyncio.sleep(100.0)
        assert not ear.ended.done()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_paused_connection_reads_nothing_and_loses_nothing(core, transport, no_waiting):
    async with core.serve(rate=1) as (_, url), core.client(url, transport) as (hub, ear):
        ear.on_each = lambda: hub.pause_reading() if len(ear.messages) == 5 else None
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 5)
        await asyncio.sleep(50.0)  # longer than silence may last, if it counted
        assert not ear.ended.done()
        assert ear.ids() == [1, 2, 3, 4, 5]
        hub.resume_reading()
        await ear.until(lambda: len(ear.messages) >= 60)
        assert ear.ids() == list(range(1, len(ear.messages) + 1))


@pytest.mark.parametrize("transport", STREAMS)
async def test_silence_counts_from_the_end_of_a_pause(core, transport, no_waiting):
    options = QUIET | {"end": "silence", "end_after": "1s"}
    async with core.serve(**options) as (_, url), core.client(url, transport) as (hub, ear):
        await hub.open()
        hub.pause_reading()
        await asyncio.sleep(100.0)
        assert not ear.ended.done()
        resumed = no_waiting()
        hub.resume_reading()
        assert (await ear.end()).stale
        assert no_waiting() - resumed >= 29.5


class Forgetting(SignalRSimulator):
    """A hub that says when it has forgotten everybody."""

    def _forget(self, connection: HubConnection) -> None:
        super()._forget(connection)
        self.news.set()  # type: ignore[attr-defined]  # of what watches it


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_says_goodbye(core, transport):
    async with (
        core.serve(kind=Forgetting) as (simulator, url),
        core.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
        await hub.close()
        assert not ear.ended.done()
        await simulator.until(lambda: not simulator.connections)
    deletes = [request for request in simulator.requests if request.method == "DELETE"]
    assert len(deletes) == (transport == "longPolling")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_handshake_without_answer_is_given_up(core, transport, no_waiting):
    late = {"handshake_timeout": "100s"}
    async with (
        core.serve("stall=0s", rate=0.1, **late) as (_, url),
        core.client(url, transport) as (hub, ear),
    ):
        began = no_waiting()
        with pytest.raises(Transient, match="did not answer the handshake in time"):
            await hub.open()
        assert 14.5 <= no_waiting() - began <= 25.0
        hub.taken(b"{}\x1e")  # an answer that comes now comes too late
        assert (ear.connected, ear.unknown) == (0, [])


async def test_no_goodbye_is_said_before_the_handshake(core, no_waiting):
    class Deaf(SignalRSimulator):
        words = ""

        def _start(self, connection: HubConnection, transport: str) -> None:
            connection.transport = transport
            connection.feed = self.hear  # type: ignore[method-assign]

        def hear(self, text: str) -> None:
            self.words += text

    async with core.serve(kind=Deaf, rate=0.1) as (simulator, url):
        async with core.client(url, "longPolling") as (hub, _):
            with pytest.raises(Transient, match="handshake"):
                await hub.open()
        assert simulator.words == '{"protocol":"json","version":1}\x1e'


async def test_a_poll_that_is_never_answered_is_a_loss(core, no_waiting):
    options = QUIET | {"end": "silence", "end_after": "1s", "poll_timeout": "1000s"}
    async with core.serve(**options) as (_, url), core.client(url, "longPolling") as (hub, ear):
        await hub.open()
        opened = no_waiting()
        ended = await ear.end()
        assert 109.5 <= no_waiting() - opened <= 120.0
    assert (ended.code, ended.by_server) == (1006, False)
    assert isinstance(ended.error, Transient)


async def test_a_post_that_gets_404_is_a_close_by_the_server(core):
    async with (
        core.serve(subscribe_first=True) as (simulator, url),
        core.client(url, "serverSentEvents") as (hub, ear),
    ):
        await hub.open()
        simulator.connections.clear()
        hub.send('{"target":"Sub"}')
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (True, False)


class Overloaded(SignalRSimulator):
    """A hub that takes the handshake and refuses what comes after it."""

    posts = 0

    async def http(self, request: Request) -> Response:
        if request.method == "POST" and not request.path.endswith("/negotiate"):
            self.posts += 1
            if self.posts > 1:
                return Response.text("too much", 503)
        return await super().http(request)


async def test_a_post_that_fails_is_a_socket_error_and_no_end(core):
    async with (
        core.serve(kind=Overloaded) as (_, url),
        core.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        hub.send('{"target":"Sub"}')
        await ear.until(lambda: bool(ear.errors))
        seen = len(ear.messages)
        await ear.until(lambda: len(ear.messages) > seen + 5)
        assert ear.errors == [("a message was answered with HTTP 503", "send")]
        assert not ear.ended.done()
