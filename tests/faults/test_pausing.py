"""A pause is silent, whatever makes the events, and what it kept back is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from wsfeeds.connectors.cryptomus import Connector, CryptomusSettings
from wsfeeds.events import LastPrice
from wsfeeds.protocol import Incoming, Request, Wanted
from wsfeeds.secrets import Secret
from wsfeeds.session.feed import FeedRun
from wsfeeds.transport.websocket import WebsocketsTransport

EVERY = 0.02


class Ticking(Connector):
    """A feed that makes a data event of its own now and then, beside what frames say."""

    def wake(self, now: float) -> Sequence[Incoming | Request]:
        self.wake_at = now + EVERY
        return (LastPrice(feed=self.name, channel="lastprice", symbol="BTC_USDT", price="1"),)


@pytest.fixture
def ticking(venue, start):
    """Start a client whose connector ticks."""

    def connect(**changes):
        settings = CryptomusSettings(
            url=venue.url,
            api_url=venue.api_url,
            user_id="fault-user-0001",
            api_key=Secret("FAULT-API-KEY-0123456789"),
            **changes,
        )
        wanted = Wanted(("BTC_USDT",), ("lastprice",))
        return start(
            lambda stream: FeedRun(Ticking, settings, wanted, stream, WebsocketsTransport())
        )

    return connect


async def test_no_event_of_a_timer_comes_between_pause_and_resume(ticking):
    client = ticking()
    await client.until("last_price", count=3)
    client.run.pause()
    await client.until("session", state="paused")
    async with asyncio.timeout(10):
        while client.stream.skipped["paused"] < 3:  # noqa: ASYNC110  # nothing tells of a skip
            await asyncio.sleep(EVERY)
    client.run.resume()
    await client.until("session", state="resumed")
    await client.until("last_price", count=len(client.of("last_price")) + 2)
    types = [event["type"] for event in client.events]
    states = [event.get("state") for event in client.events]
    between = types[states.index("paused") + 1 : states.index("resumed")]
    assert between == []


async def test_events_of_a_timer_are_data_for_data_timeout(venue, ticking):
    """Twenty of them take longer than the timeout that they keep from running out."""
    client = ticking(data_timeout=0.25)
    await client.until("last_price", count=20)
    assert "disconnected" not in client.states()
    assert len(venue.peers) == 1


async def test_a_resume_between_two_connections_reports_what_was_missed(venue, connect):
    client = connect(backoff_initial="300ms", backoff_max="300ms")
    await client.until("session", state="subscribed")
    await venue.peers[0].trade("1")
    trade = await client.until("trade")
    client.run.pause()
    await client.until("session", state="paused")
    await venue.peers[0].socket.close()
    await client.until("session", state="reconnecting")
    client.run.resume()
    gap = await client.until("gap")
    assert (gap["reason"], gap["from_ts"], gap["conn"]) == ("paused", trade["recv_ts"], 2)
    await venue.peers[1].trade("2")
    await client.until("trade", count=2)
    assert client.states()[3:] == [
        *("paused", "disconnected", "reconnecting"),
        *("connecting", "connected", "resumed", "subscribed"),
    ]
    assert len(client.of("gap")) == 1
