"""Commands that come before a socket is up, and after the run has been told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

import wsfeeds
from wsfeeds import app, connectors
from wsfeeds.errors import UsageError
from wsfeeds.events import Event
from wsfeeds.pipeline import Stream
from wsfeeds.simulators import create
from wsfeeds.simulators.faults import Faults

DEADLINE = 10.0


async def test_a_stream_that_is_left_at_once_ends():
    async with asyncio.timeout(DEADLINE):
        async with wsfeeds.stream("cryptomus", ["BTC_USDT"], sim=True):
            await asyncio.sleep(0)


async def test_a_command_after_the_stop_is_refused(venue, connect):
    client = connect("BTC_USDT")
    await client.until("session", state="subscribed")
    client.run.stop("test")
    with pytest.raises(UsageError, match="ending"):
        client.run.subscribe(["ETH_USDT"])


async def test_a_resume_during_a_slow_upgrade_is_not_lost():
    arrived = asyncio.Event()

    class Output:
        def emit(self, event: Event) -> None:
            if event.type == "trade":
                arrived.set()

        def emit_all(self, events: Sequence[Event]) -> None:
            for event in events:
                self.emit(event)

        def flush(self) -> None:
            """Nothing is kept."""

    connector = connectors.load("cryptomus")
    simulator = create("cryptomus", faults=Faults.parse(["slow-upgrade=300ms"]))
    async with simulator.serve() as place, asyncio.timeout(DEADLINE):
        settings = {"url": place.url, "api_url": place.api_url, **place.settings}
        asked = app.Subscription(
            feed=connector.name, symbols=["BTC_USDT"], channels=["trade"], settings=settings
        )
        connecting = asyncio.Event()
        stream = Stream([Output()], on_fact=lambda _: connecting.set())
        run = app.open_feed(asked, stream)
        run.pause()
        task = asyncio.create_task(run.run())
        await connecting.wait()
        run.resume()
        await arrived.wait()
        run.stop("test")
        assert await task == 0
