"""The transport of a connection to ASP.NET SignalR 2.x: lost, found again, or given up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wsfeeds.command.signalr_legacy import Client
from wsfeeds.errors import CredentialsRefused, Transient
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator
from wsfeeds.simulators.signalr_legacy_connection import LegacyConnection
from wsfeeds.simulators.websocket import Session

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
STREAMS = ("webSockets", "serverSentEvents")
SLOWLY: dict[str, float] = {"reconnect_every": Client.reconnect_every}
QUIET: dict[str, Any] = {"rate": 0.1, "subscribe_first": True}  # a push every ten seconds


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_forgot_us_is_given_up(legacy, transport):
    options = {"end": "gone", "end_after": "50ms", "disconnect_timeout": "300ms"}
    async with legacy.serve(**options) as (_, url), legacy.client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (False, False, 1006)
    assert isinstance(ended.error, Transient)
    assert "no way back within 0.3 s" in ended.reason


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ["error", "disconnect"])
async def test_a_last_word_is_a_close_by_the_server(legacy, transport, end):
    options = {"end": end, "end_after": "50ms"}
    async with legacy.serve(**options) as (_, url), legacy.client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (True, True, 1000)
    assert (
        ended.reason
        == {
            "error": "The server had to stop.",
            "disconnect": "the server ended the connection",
        }[end]
    )


async def test_a_close_frame_ends_the_run_only_if_the_document_says_so(legacy):
    options = {"end": "clean", "end_after": "50ms"}
    stop = {"stopOn": {"serverClose": True}}
    async with (
        legacy.serve(**options) as (_, url),
        legacy.client(url, "webSockets", **stop) as (hub, ear),
    ):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.code) == (True, 1000)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ["drop", "clean", "reconnect"])
async def test_a_lost_transport_is_opened_again_and_nothing_is_lost(legacy, transport, end):
    options = {"end": end, "end_after": "100ms", "url_path": "/app/signalr"}
    async with (
        legacy.serve(**options) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 150)
        assert ear.whole()
        assert ear.connected == 1
        assert not ear.ended.done()
        again = simulator.asked("poll" if transport == "longPolling" else "reconnect")
        assert {each.path.rpartition("/")[0] for each in again} == {"/app/signalr"}
        if transport != "longPolling":
            assert (again[0].param("messageId") or "").startswith("d-")
            assert again[0].param("groupsToken")
            assert again[0].param("tid") in set(map(str, range(11)))
        # An event stream has no way to say that its end is meant.
        lost = end == "drop" or (transport, end) == ("serverSentEvents", "clean")
        assert [phase for _, phase in ear.errors] == ["connection"] * lost
        assert len(simulator.asked("start")) == 1


@pytest.mark.parametrize("seconds", [20, 50])
@pytest.mark.parametrize("transport", STREAMS)
async def test_silence_for_the_keepalive_timeout_is_a_loss(legacy, transport, seconds, no_waiting):
    options = {"end": "silence", "end_after": "1s", "rate": 1, "keepalive_timeout": f"{seconds}s"}
    async with (
        legacy.serve(**options) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        began = no_waiting()
        await hub.open()
        await ear.until(lambda: bool(ear.errors))
        assert seconds - 0.5 <= no_waiting() - began <= seconds + 9.0
        assert ear.errors == [(f"nothing received for {seconds} s", "connection")]
        await ear.until(lambda: len(ear.messages) >= 30)
        assert ear.whole()
        assert len(simulator.asked("reconnect")) == 1
        assert not ear.ended.done()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_keepalives_keep_a_quiet_connection(legacy, transport, no_waiting):
    async with (
        legacy.serve(**QUIET) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        await asyncio.sleep(50.0)  # longer than the keepalive timeout, twice
        assert not simulator.asked("reconnect")
        assert not ear.errors
        assert not ear.ended.done()


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_server_without_keepalives_may_be_silent(legacy, transport, no_waiting):
    async with (
        legacy.serve(keepalive_timeout="0s", **QUIET) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        await asyncio.sleep(50.0)
        assert not simulator.asked("reconnect")
        assert not ear.errors


class Away(SignalRLegacySimulator):
    """A server to which no transport comes back; it notes when one tried."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tried: list[float] = []

    async def upgrade(self, request: Request) -> Response | Session:
        if request.path.endswith("/reconnect"):
            return self._refuse()
        return await super().upgrade(request)

    async def http(self, request: Request) -> Response:
        if request.path.endswith(("/reconnect", "/poll")):
            return self._refuse()
        return await super().http(request)

    def _refuse(self) -> Response:
        self.tried.append(asyncio.get_running_loop().time())
        return Response.text("not now", 503)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_way_back_is_tried_every_2_seconds_for_the_disconnect_timeout(
    legacy, transport, no_waiting
):
    options = {"kind": Away, "end": "drop", "end_after": "1s", "rate": 1}
    async with (
        legacy.serve(**options) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        ended = await ear.end()
        tried = simulator.tried
    assert "no way back within 30 s" in ended.reason
    assert isinstance(ended.error, Transient)
    assert 14 <= len(tried) <= 17
    waits = [late - soon for soon, late in itertools.pairwise(tried)]
    assert all(1.9 <= wait <= 2.6 for wait in waits), waits
    assert 26.0 <= tried[-1] - tried[0] <= 31.0
    assert len(ear.errors) == 1  # one loss, however many attempts


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("wait", "most"), [(8, 5), (40, 1)])
async def test_the_way_back_is_tried_when_the_server_says_so(
    legacy, transport, wait, most, no_waiting
):
    class Busy(Away):
        def _refuse(self) -> Response:
            super()._refuse()
            return Response.text("not now", 503, {"Retry-After": str(wait)})

    options = {"kind": Busy, "end": "drop", "end_after": "1s", "rate": 1}
    async with (
        legacy.serve(**options) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        ended = await ear.end()
        tried = simulator.tried
    assert 1 <= len(tried) <= most
    assert all(late - soon >= wait - 0.1 for soon, late in itertools.pairwise(tried))
    assert ended.retry_after == wait


class Closed(Away):
    """A server that lets nobody back in."""

    def _refuse(self) -> Response:
        return Response.text("go away", 401)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_credentials_refused_on_the_way_back_are_the_end(legacy, transport):
    options = {"kind": Closed, "end": "drop", "end_after": "10ms"}
    async with legacy.serve(**options) as (_, url), legacy.client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert isinstance(ended.error, CredentialsRefused)


@pytest.mark.parametrize(("status", "clean"), [(204, True), (404, False)])
async def test_a_poll_that_the_server_ends_is_a_close_by_it(legacy, status, clean):
    class Ended(Away):
        def _refuse(self) -> Response:
            return Response(status)

    async with (
        legacy.serve(kind=Ended) as (_, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (True, clean)


async def test_a_poll_goes_on_from_the_cursor_with_the_groups_token(legacy):
    async with (
        legacy.serve() as (simulator, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(simulator.asked("poll")) >= 2)
    first, second, *_ = simulator.asked("poll")
    assert first.method == second.method == "POST"
    assert first.body.startswith(b"messageId=d-")
    assert first.body.endswith(b"%2C0")
    assert b"&groupsToken=" in second.body
    assert not second.body.split(b"&")[0].endswith(b"%2C0")


async def test_the_polls_wait_as_long_as_they_are_asked_to(legacy, no_waiting):
    class Timing(SignalRLegacySimulator):
        times: list[float] = []  # noqa: RUF012  # of this test alone

        async def _poll(self, *arguments: Any) -> Response:
            self.times.append(asyncio.get_running_loop().time())
            return await super()._poll(*arguments)

    options = {"kind": Timing, "long_poll_delay": "5s", "rate": 1}
    async with (
        legacy.serve(**options) as (_, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 20)
        assert ear.whole()
    waits = [late - soon for soon, late in zip(Timing.times[1:], Timing.times[2:], strict=False)]
    assert len(waits) >= 2
    assert all(wait >= 4.9 for wait in waits)


async def test_a_poll_follows_at_once_where_nobody_asks_to_wait(legacy, no_waiting):
    class Timing(SignalRLegacySimulator):
        waits: list[float] = []  # noqa: RUF012  # of this test alone
        answered: float | None = None

        async def _poll(self, *arguments: Any) -> Response:
            clock = asyncio.get_running_loop().time
            if self.answered is not None:
                self.waits.append(clock() - self.answered)
            answer = await super()._poll(*arguments)
            self.answered = clock()
            return answer

    async with (
        legacy.serve(kind=Timing, rate=1) as (_, url),
        legacy.client(url, "longPolling", times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 10)
        assert len(Timing.waits) >= 8
        assert sorted(Timing.waits)[len(Timing.waits) // 2] < 0.9  # whatever else is going on


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_paused_connection_reads_nothing_and_loses_nothing(legacy, transport, no_waiting):
    async with (
        legacy.serve(rate=1) as (simulator, url),
        legacy.client(url, transport, times=SLOWLY) as (hub, ear),
    ):
        ear.on_each = lambda: hub.pause_reading() if len(ear.messages) == 5 else None
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 5)
        await asyncio.sleep(25.0)  # longer than silence may last, if it counted
        assert ear.ids() == [1, 2, 3, 4, 5]
        hub.resume_reading()
        await ear.until(lambda: len(ear.messages) >= 40)
        assert ear.whole()
        assert not ear.errors
        assert not simulator.asked("reconnect")


async def test_a_body_that_begins_with_a_blank_is_read(legacy, no_waiting):
    # The server sends the blank after ten seconds, the calls when there are some.
    async with (
        legacy.serve(rate=0.05) as (simulator, url),
        legacy.client(url, "longPolling", times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert ear.whole()
        assert not ear.malformed
        assert len(simulator.asked("poll")) <= 4


async def test_a_poll_that_breaks_off_is_told_and_asked_again(legacy):
    class Torn(SignalRLegacySimulator):
        torn = b""

        async def _poll(
            self, connection: LegacyConnection, request: Request, action: str
        ) -> Response:
            answer = await super()._poll(connection, request, action)
            if action == "connect" or self.torn or not isinstance(answer.body, bytes):
                return answer
            self.torn = answer.body[:-1]
            return Response(200, self._half(), answer.headers)

        async def _half(self) -> AsyncIterator[bytes]:
            yield self.torn
            raise ConnectionResetError

    async with (
        legacy.serve(kind=Torn) as (simulator, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 10)
        assert ear.whole()
        assert ear.malformed == [simulator.torn]
    assert [phase for _, phase in ear.errors] == ["connection"]


@pytest.mark.parametrize("seconds", [110, 300])
async def test_a_poll_that_is_never_answered_is_a_loss(legacy, seconds, no_waiting):
    options = {"end": "silence", "end_after": "1s", "rate": 0.1, "keepalive": "1000s",
               "connection_timeout": f"{seconds}s"}  # fmt: skip
    async with (
        legacy.serve(**options) as (_, url),
        legacy.client(url, "longPolling", times=SLOWLY) as (hub, ear),
    ):
        await hub.open()
        opened = no_waiting()
        await ear.until(lambda: bool(ear.errors))
        # ConnectionTimeout is for the server; an answer on its way gets ten seconds more.
        assert seconds + 8.5 <= no_waiting() - opened <= seconds + 25.0
        await ear.until(lambda: len(ear.messages) >= 15)
        assert ear.whole()


async def test_a_call_that_cannot_be_posted_is_a_socket_error_and_no_end(legacy):
    class Overloaded(SignalRLegacySimulator):
        async def http(self, request: Request) -> Response:
            if request.path.endswith("/send"):
                return Response.text("too much", 503)
            return await super().http(request)

    async with (
        legacy.serve(kind=Overloaded) as (_, url),
        legacy.client(url, "serverSentEvents") as (hub, ear),
    ):
        await hub.open()
        hub.send('{"H":"oddshub","M":"Sub","A":[]}')
        await ear.until(lambda: bool(ear.errors))
        seen = len(ear.messages)
        await ear.until(lambda: len(ear.messages) > seen + 5)
        assert ear.errors == [("a call was answered with HTTP 503", "send")]
        assert not ear.ended.done()
