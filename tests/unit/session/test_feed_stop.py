"""A stop is heard at every moment of a connection being opened."""

from __future__ import annotations

import asyncio

from wsfeeds import connectors
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Wanted
from wsfeeds.session.feed import FeedRun
from wsfeeds.transport.base import Connection, Dial, Listener


class Cancelling:
    """A transport over a library that cancels its own task for a moment, as anyio's scopes do."""

    name = "cancelling"

    def __init__(self) -> None:
        self.run: FeedRun

    async def connect(self, dial: Dial, listener: Listener) -> Connection:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("mine")
        self.run.stop("test")
        stopped = False
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            stopped = task.uncancel() > 0
        if stopped:
            raise asyncio.CancelledError
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_stop_is_not_taken_for_a_cancellation_of_the_library():
    connector = connectors.load("igratech")
    transport = Cancelling()
    wanted = Wanted((), ("incident",))
    run = FeedRun(connector, connector.settings_type(), wanted, Stream([]), transport)
    transport.run = run
    async with asyncio.timeout(20):
        assert await run.run() == 0
