"""What a server of ASP.NET SignalR 2.x says before it has answered `/start`; protocol page, 6.3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from wsfeeds.errors import Transient
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator
from wsfeeds.simulators.signalr_legacy_connection import LegacyConnection

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
STREAMS = ("webSockets", "serverSentEvents")
STOP = {"stopOn": {"serverClose": True}}


def frame(*numbers: int, **more: Any) -> bytes:
    calls = [{"H": "OddsHub", "M": "push", "A": [{"id": number}]} for number in numbers]
    return orjson.dumps({"C": f"d-1,{max(numbers, default=0)}", "M": calls, **more})


class Early(SignalRLegacySimulator):
    """A server that speaks at once, and answers `/start` when the test lets it.

    The first of `says` is what `connect` brings; polls after it bring what is left.
    """

    says: tuple[bytes, ...] = ()
    then = "stay"
    status = 200

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.said = asyncio.Event()
        self.may_start = asyncio.Event()

    async def http(self, request: Request) -> Response:
        if request.path.endswith("/start"):
            await self.may_start.wait()
            if self.status != 200:
                return Response.text("no", self.status)
        return await super().http(request)

    async def _frames(
        self, connection: LegacyConnection, *arguments: Any, fresh: bool
    ) -> AsyncIterator[tuple[bytes, bool]]:
        if not fresh:
            yield frame(9), False
            await asyncio.Event().wait()
        for each in self.says:
            yield each, False
        self.said.set()
        if self.then == "stay":
            await asyncio.Event().wait()
        if self.then == "drop":
            raise ConnectionResetError

    async def _poll(self, connection: LegacyConnection, request: Request, action: str) -> Response:
        if action == "connect":
            self._attach(connection, request, action)
            self.said.set()
            calls = [each for said in self.says for each in orjson.loads(said)["M"]]
            merged = {k: v for said in self.says for k, v in orjson.loads(said).items()}
            return Response(200, orjson.dumps(merged | {"M": calls}))
        await asyncio.sleep(0)
        return Response(200, frame(9)) if self.then == "stay" else Response(204)


def speaking(*frames: bytes, **members: Any) -> type[Early]:
    return type("Speaking", (Early,), {"says": (frame(S=1), *frames), **members})


async def opened(simulator: Any, hub: Any, ear: Any, early: int) -> None:
    """Open a connection whose start is answered once everything said before has arrived."""
    opening = asyncio.ensure_future(hub.open())
    async with asyncio.timeout(30.0):
        while len(hub._early) < early and not opening.done():  # noqa: ASYNC110  # a loss is silent
            await asyncio.sleep(0.001)
    assert not opening.done(), await opening
    assert (ear.connected, ear.messages) == (0, [])
    simulator.may_start.set()
    await opening


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_before_start_is_answered_are_delivered_after_onconnect(legacy, transport):
    kind = speaking(frame(1, 2), frame(3))
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await opened(simulator, hub, ear, 3)
        assert ear.ids()[:3] == [1, 2, 3]
        assert not ear.errors
        if transport == "longPolling":
            await ear.until(lambda: 9 in ear.ids())


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("last", "reason"),
    [({"E": "we close"}, "we close"), ({"D": 1}, "the server ended the connection")],
)
async def test_a_last_word_before_start_is_answered_ends_it_afterwards(
    legacy, transport, last, reason
):
    # Such a server closes the transport too, which is not to be taken for a loss.
    kind = speaking(frame(1), frame(2, **last), then="close")
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await opened(simulator, hub, ear, 3)
        ended = await ear.end()
        assert ear.ids() == [1, 2]
        assert (ended.by_server, ended.clean, ended.reason) == (True, True, reason)
        assert not simulator.asked("reconnect")
        assert not simulator.asked("poll")


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("then", ["close", "drop"])
async def test_a_transport_lost_before_start_is_answered_is_opened_again_afterwards(
    legacy, transport, then
):
    kind = speaking(frame(1), frame(2), then=then)
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await opened(simulator, hub, ear, 3)
        await ear.until(lambda: len(ear.messages) >= 3)
        assert ear.ids() == [1, 2, 9]
        assert simulator.asked("reconnect")[0].param("messageId") == "d-1,2"
        assert ear.connected == 1


async def test_a_close_before_start_is_answered_can_end_the_run(legacy):
    kind = speaking(frame(1), then="close")
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, "webSockets", **STOP) as (hub, ear),
    ):
        await opened(simulator, hub, ear, 2)
        ended = await ear.end()
        assert (ear.ids(), ended.by_server, ended.code) == ([1], True, 1000)


async def test_a_poll_that_ends_it_after_start_comes_after_the_early_calls(legacy):
    kind = speaking(frame(1), then="close")
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await opened(simulator, hub, ear, 1)
        ended = await ear.end()
        assert (ear.ids(), ended.by_server, ended.clean) == ([1], True, True)


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_wish_to_reconnect_before_start_is_answered_waits_for_it(legacy, transport):
    async with (
        legacy.serve(kind=speaking(frame(1, T=1))) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await opened(simulator, hub, ear, 2)
        assert not simulator.asked("reconnect")
        await ear.until(lambda: len(ear.messages) >= 2)
        assert ear.ids() == [1, 9]
        assert not ear.errors


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_start_that_fails_counts_the_calls_that_nobody_sees(legacy, transport):
    kind = speaking(frame(1, 2), status=503, then="close")
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        with pytest.raises(Transient, match="503"):
            await opened(simulator, hub, ear, 2 + (transport != "longPolling"))  # calls, the loss
        await hub.close()
        assert ear.skipped == {"calls of a connection that could not be started": 2}
        assert not ear.connected


async def test_a_start_that_is_answered_with_something_else_is_no_connection(legacy):
    class Elsewhere(SignalRLegacySimulator):
        async def http(self, request: Request) -> Response:
            if request.path.endswith("/start"):
                return Response.json({"Response": "pong"})
            return await super().http(request)

    async with legacy.serve(kind=Elsewhere) as (_, url), legacy.client(url) as (hub, ear):
        with pytest.raises(Transient, match="something else than started"):
            await hub.open()
        assert not ear.connected


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_start_that_fails_for_a_last_word_says_that_word(legacy, transport):
    kind = speaking(frame(E="full"), status=400)
    async with (
        legacy.serve(kind=kind) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        with pytest.raises(Transient, match=r"^full$"):
            await opened(simulator, hub, ear, 1)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_last_word_instead_of_init_fails_the_attempt(legacy, transport):
    class Refusing(Early):
        says = (b'{"C":"d-1,0","M":[],"E":"full"}',)

    async with (
        legacy.serve(kind=Refusing) as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        with pytest.raises(Transient, match=r"^full$"):
            await hub.open()
        assert not simulator.asked("start")
        assert not ear.connected


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_server_that_says_nothing_is_given_up_after_its_transport_time(
    legacy, transport, no_waiting
):
    class Silent(Early):
        says = (b"{}",)
        patience = 5.0

        async def http(self, request: Request) -> Response:
            answer = await super().http(request)
            if request.path.endswith("/negotiate") and isinstance(answer.body, bytes):
                terms = orjson.loads(answer.body) | {"TransportConnectTimeout": self.patience}
                return Response.json(terms)
            return answer

    for patience in (5.0, 25.0):
        async with (
            legacy.serve(kind=Silent, rate=0.1) as (simulator, url),
            legacy.client(url, transport) as (hub, _),
        ):
            simulator.patience = patience
            began = no_waiting()
            with pytest.raises(Transient, match="no init message in time"):
                await hub.open()
            assert patience - 0.5 <= no_waiting() - began <= patience + 10.0
