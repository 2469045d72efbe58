"""What only a real connection shows of a connector: times on the wire, and commands while it runs.

The venues are a few lines each, written from docs/protocols/ and sharing no code with the project.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from wsfeeds import Gap, SessionEvent, stream
from wsfeeds.connectors.img_fastpath import Connector, FastPathSettings
from wsfeeds.errors import UsageError
from wsfeeds.secrets import Secret
from wsfeeds.session.rest import converse
from wsfeeds.simulators import create

DEADLINE = 20.0
CHANNELS = ["actions"]
Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def venue(script: Script) -> AsyncIterator[str]:
    async def handle(socket: ServerConnection) -> None:
        await script(socket)
        await socket.wait_closed()

    async with asyncio.timeout(DEADLINE), serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def action(number: int, *, finished: bool = False) -> str:
    part = {
        "actionId": f"a{number}",
        "fixtureSeqNum": number,
        "sendTypeId": 5,
        "timestamp": f"2026-01-01T00:00:0{number}Z",
    }
    return json.dumps({"fixtureAction": part, "finished": finished})


@pytest.mark.parametrize("holes", [False, True])
async def test_fastpath_closes_2_s_after_the_finished_frame_even_behind_a_hole(holes: bool):
    lingered: list[float] = []

    async def script(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"message":"Authorisation accepted","level":"INFO"}')
        await socket.send(action(1))
        await socket.send(action(3 if holes else 2, finished=True))
        began = time.monotonic()
        await socket.wait_closed()
        lingered.append(time.monotonic() - began)

    async with venue(script) as url:
        settings = {"url": url, "token": "sample-token"}
        async with stream("fastpath", ["soccer/f1"], channels=CHANNELS, settings=settings) as feed:
            seen = [event async for event in feed]
    assert [each.from_seq for each in seen if isinstance(each, Gap)] == ([2] if holes else [])
    # The first connection behind a hole ends early: it is resumed.
    assert len(lingered) == (2 if holes else 1)
    assert 1.9 < lingered[-1] < 2.6


async def test_interact_never_gets_more_than_20_commands_in_a_second():
    symbols = [f"{number}-e@1_{number}" for number in range(25)]
    got: list[float] = []
    everything = asyncio.Event()

    async def script(socket: ServerConnection) -> None:
        async for _ in socket:
            got.append(time.monotonic())
            if len(got) == len(symbols) + 1:
                everything.set()

    async with venue(script) as url:
        settings = {"url": url, "token": "a.b.c"}
        async with stream("interact", symbols, settings=settings) as feed:
            reading = asyncio.create_task(anext(feed))
            await everything.wait()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
    # A busy machine may notice one of them some milliseconds late.
    assert min(later - at for at, later in zip(got, got[20:], strict=False)) > 0.95


async def test_igratech_stays_with_all_games_when_one_of_them_is_asked_for():
    clients: list[ServerConnection] = []

    async def script(socket: ServerConnection) -> None:
        clients.append(socket)
        await socket.send('{"event":"connected","data":{}}')

    async def bet(game: str) -> None:
        await clients[0].send(json.dumps({"event": "bet", "data": {"gameId": game}}))

    async with (
        venue(script) as url,
        stream("igratech", settings={"url": url}) as feed,
    ):
        await until(feed, "subscribed")
        feed.subscribe("g0")
        verdict = await until(feed, "subscribed")
        assert isinstance(verdict, SessionEvent)
        assert verdict.symbols == ["g0"]
        for game in ("g1", "g0"):
            await bet(game)
            assert (await until(feed, "bet")).symbol == game
        with pytest.raises(UsageError, match="'g0' is not subscribed"):
            feed.unsubscribe("g0")
        with pytest.raises(UsageError, match="malformed symbol"):
            feed.subscribe(" ")
        await bet("g2")
        assert (await until(feed, "bet")).symbol == "g2"


async def test_igratech_narrows_no_more_than_it_was_asked_to():
    clients: list[ServerConnection] = []

    async def script(socket: ServerConnection) -> None:
        clients.append(socket)
        await socket.send('{"event":"connected","data":{}}')

    async with (
        venue(script) as url,
        stream("igratech", ["g1"], settings={"url": url}) as feed,
    ):
        await until(feed, "subscribed")
        feed.subscribe("g0")
        await until(feed, "subscribed")
        for game in ("g2", "g0", "g1"):
            await clients[0].send(json.dumps({"event": "bet", "data": {"gameId": game}}))
        assert [(await until(feed, "bet")).symbol for _ in range(2)] == ["g0", "g1"]


async def test_the_first_live_match_of_the_simulated_list_streams():
    async with asyncio.timeout(DEADLINE), create("img_fastpath").serve() as listening:
        settings = FastPathSettings(
            url=listening.url,
            api_url=listening.api_url,
            token=Secret(listening.settings["token"]),
        )
        rows = await converse(Connector.markets(settings, sport="soccer"), settings)
        live = [row["symbol"] for row in rows if row["status"] == "Live"]
        assert len(rows) == 45
        given = {"url": listening.url, "token": listening.settings["token"]}
        async with stream("fastpath", live[:1], settings=given) as feed:
            assert (await until(feed, "action")).symbol == live[0]


async def until(feed: Any, what: str) -> Any:
    """Return the next event of a type, or session fact of a state."""
    async for event in feed:
        if what in (type(event).__name__.lower(), getattr(event, "state", None)):
            return event
    raise AssertionError(f"the stream ended before {what}")
