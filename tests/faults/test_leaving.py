"""Leaving `wsfeeds.stream` early, in every way, stops everything that it started."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import wsfeeds
from wsfeeds.connectors.cryptomus import Connector
from wsfeeds.errors import RetriesExhausted

DEADLINE = 10.0


class Body(Exception):
    """What the user's own code may raise."""


@pytest.fixture
def stream(venue, credentials):
    """Open a stream of trades of the venue."""

    def open_(**changes):
        settings = {
            "url": venue.url,
            "api_url": venue.api_url,
            "user_id": "fault-user-0001",
            "api_key": credentials["api_key"],
            **changes,
        }
        return wsfeeds.stream("cryptomus", ["BTC_USDT"], channels=["trade"], settings=settings)

    return open_


async def busy(peer):
    await peer.ack(await peer.until("trade_subscribe"))
    serving = asyncio.create_task(peer.serve())
    with contextlib.suppress(Exception):
        while True:
            await peer.trade()
            await asyncio.sleep(0.001)
    await serving


@pytest.fixture
def nothing_is_left(venue):
    """Check that the client's tasks have ended and that its connections are closed."""

    async def check(before: set[asyncio.Task[Any]]) -> None:
        ours = {task for task in asyncio.all_tasks() - before if "wsfeeds" in repr(task.get_coro())}
        assert not ours, ours
        async with asyncio.timeout(DEADLINE):
            for peer in venue.peers:
                await peer.socket.wait_closed()

    return check


@pytest.mark.parametrize("script", ["faithful", "busy"])
@pytest.mark.parametrize("way", ["break", "exception", "at once"])
async def test_leaving_the_block_stops_everything(venue, stream, nothing_is_left, way, script):
    if script == "busy":
        venue.script = busy
    before = asyncio.all_tasks()
    expected = pytest.raises(Body) if way == "exception" else contextlib.nullcontext()
    async with asyncio.timeout(DEADLINE):
        with expected:
            async with stream() as events:
                if way == "at once":
                    await asyncio.sleep(0)
                    return
                async for event in events:
                    if getattr(event, "state", None) == "subscribed":
                        if way == "exception":
                            raise Body
                        break
    await nothing_is_left(before)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_consumer_leaves_nothing_behind(venue, stream, nothing_is_left, times):
    """The second cancellation comes while the first one is still being carried out."""

    async def never_says_goodbye(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        peer.socket.transport.pause_reading()
        await asyncio.Event().wait()

    venue.script = never_says_goodbye
    before = asyncio.all_tasks()
    subscribed = asyncio.Event()

    async def consume() -> None:
        async with stream() as events:
            async for event in events:
                if getattr(event, "state", None) == "subscribed":
                    subscribed.set()

    consumer = asyncio.create_task(consume())
    async with asyncio.timeout(DEADLINE):
        await subscribed.wait()
        for _ in range(times):
            consumer.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await consumer
    ours = {t for t in asyncio.all_tasks() - before if "wsfeeds" in repr(t.get_coro())}
    assert not ours
    venue.end()
    await nothing_is_left(before)


async def test_leaving_a_stream_that_nobody_reads_ends(venue, stream, nothing_is_left):
    """Its queue is full and its socket unread."""
    sent = asyncio.Event()

    async def flood(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        for number in range(6_000):
            await peer.trade(str(number))
            if number == 4_500:
                sent.set()
        await peer.serve()

    venue.script = flood
    before = asyncio.all_tasks()
    async with asyncio.timeout(2 * DEADLINE):
        async with stream():
            await sent.wait()
    await nothing_is_left(before)


async def test_a_stream_that_is_refused_tells_so_once_it_is_read(venue, stream):
    venue.upgrade_answers.extend([(503, {})] * 2)
    async with stream(max_retries=0) as events:
        with pytest.raises(RetriesExhausted):
            async for _ in events:
                pass


async def test_a_fault_of_ours_is_not_lost_where_nobody_reads(venue, stream, monkeypatch):
    failed = asyncio.Event()

    def bug(self, code, reason):
        failed.set()
        raise ZeroDivisionError("by zero")

    async def close(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.close()

    monkeypatch.setattr(Connector, "closed", bug)
    venue.script = close

    async def reads_nothing() -> None:
        async with asyncio.timeout(DEADLINE), stream():
            await failed.wait()

    with pytest.raises(ZeroDivisionError):
        await reads_nothing()
