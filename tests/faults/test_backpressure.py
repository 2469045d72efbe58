"""A reader that is slow: what lies unread in the socket is not missing, and nothing is given up."""

from __future__ import annotations

import asyncio
import json


def stop_reading_when_subscribed(client) -> None:
    """Close the gate within the read that settled the subscription."""

    def close(event) -> None:
        if getattr(event, "state", None) == "subscribed":
            client.stream.gate.close("test")

    client.stream.on_fact = close


async def wait_longer_than_the_deadlines(venue) -> None:
    """Pings go out every 100 ms while nothing is read; the hurried deadlines are 300 ms."""
    seen = venue.pings
    await venue.until(lambda: venue.pings >= seen + 10)


async def test_an_ack_that_lies_unread_is_not_missing(venue, connect, hurry):
    client = connect(ping_interval="100ms")
    client.stream.gate.close("test")
    await wait_longer_than_the_deadlines(venue)
    assert client.states() == ["connecting", "connected"]
    client.stream.gate.open("test")
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == ["BTC_USDT"]
    assert client.of("error") == []


async def test_an_ack_that_is_missing_is_missed_after_the_pause_too(venue, connect, hurry):
    async def never_acks(peer):
        await peer.until("trade_subscribe")
        await peer.serve()

    venue.script = never_acks
    client = connect(ping_interval="100ms")
    client.stream.gate.close("test")
    await wait_longer_than_the_deadlines(venue)
    client.stream.gate.open("test")
    assert (await client.until("session", state="subscribed"))["symbols"] == []
    assert client.of("error")[0]["symbol"] == "BTC_USDT"


async def test_a_full_reload_that_lies_unread_is_not_missing(venue, connect, hurry):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        serving = asyncio.create_task(peer.serve())
        await venue.until(lambda: venue.pings >= 1)
        await peer.book("1", "2")
        await serving

    venue.script = script
    client = connect(channels="depth", ping_interval="100ms")
    stop_reading_when_subscribed(client)
    await client.until("session", state="subscribed")
    await wait_longer_than_the_deadlines(venue)
    client.stream.gate.open("test")
    await client.until("book", synced=True)
    await wait_longer_than_the_deadlines(venue)
    assert client.of("gap") == []
    assert len(venue.peers[0].asked("depth_subscribe")) == 1


async def test_silence_behind_a_closed_gate_is_not_the_peers(venue, connect):
    client = connect(ping_interval="100ms", pong_timeout="700ms", idle_timeout="700ms")
    stop_reading_when_subscribed(client)
    await client.until("session", state="subscribed")
    await wait_longer_than_the_deadlines(venue)
    client.stream.gate.open("test")
    await venue.peers[0].trade()
    await client.until("trade")
    assert len(venue.peers) == 1


async def test_quotes_are_renewed_while_nothing_is_read(sockets, connect_to):
    """Their hour goes on, whether somebody reads or not (docs/protocols/interact_quote.md)."""
    said: list[str] = []
    renewed = asyncio.Event()

    async def script(socket):
        async for frame in socket:
            said.append(json.loads(frame)["commend"])
            if len(said) >= 5:
                renewed.set()

    url = await sockets(script)
    client = connect_to("interact_quote", "1-e@1_1", url=url, token="a.b.c", renew_interval="100ms")
    client.stream.gate.close("test")
    async with asyncio.timeout(10):
        await renewed.wait()
    assert said[0] == "start"
    assert set(said[1:]) == {"order-slip-quote@chloe-market#1-e@1_1"}


async def test_stopping_behind_a_closed_gate_ends(venue, connect):
    client = connect()
    stop_reading_when_subscribed(client)
    await client.until("session", state="subscribed")
    assert await client.stop() == 0
    assert client.states()[-1] == "stopped"
