"""A peer that is there but says nothing: found out in time, and not too eagerly."""

from __future__ import annotations

import asyncio

import pytest


async def mute_after_the_ack(peer):
    await peer.ack(await peer.until("trade_subscribe"))
    await peer.trade()
    await asyncio.Event().wait()


async def test_a_missing_pong_is_stale(venue, connect):
    venue.script = mute_after_the_ack
    client = connect(ping_interval="50ms", pong_timeout="100ms")
    lost = await client.until("session", state="disconnected")
    assert lost["reason"] == "stale"
    gap = await client.until("gap")
    assert gap["reason"] == "stale"
    assert gap["from_ts"] == client.of("trade")[0]["recv_ts"]


async def test_a_silent_peer_is_stale_after_idle_timeout(venue, connect):
    venue.script = mute_after_the_ack
    client = connect(ping_interval="30s", pong_timeout="30s", idle_timeout="200ms")
    trade = await client.until("trade")
    lost = await client.until("session", state="disconnected")
    assert lost["reason"] == "stale"
    assert lost["recv_ts"] - trade["recv_ts"] >= 200_000


async def test_a_client_pings_often_enough_for_its_idle_timeout(venue, connect):
    client = connect(ping_interval="30s", idle_timeout="300ms")
    await venue.until(lambda: venue.pings >= 4)
    assert client.states() == ["connecting", "connected", "subscribed"]
    assert {tuple(r["params"]) for r in venue.peers[0].requests if r["method"] == "ping"} == {()}


async def test_pongs_keep_a_quiet_market_alive(venue, connect):
    client = connect(ping_interval="40ms", idle_timeout="200ms", pong_timeout="150ms")
    await venue.until(lambda: venue.pings >= 12)
    assert "disconnected" not in client.states()


async def test_websocket_pongs_do_not_count_as_life(venue, connect):
    """The server's library answers WebSocket pings; only the JSON pong proves the exchange."""
    venue.script = mute_after_the_ack
    client = connect(ping_interval="30s", pong_timeout="30s", idle_timeout="200ms")
    await client.until("gap", reason="stale")


async def test_pongs_are_no_data_for_data_timeout(venue, connect):
    async def one_trade(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.trade()
        await peer.serve()

    venue.script = one_trade
    client = connect(ping_interval="50ms", data_timeout="250ms")
    gap = await client.until("gap")
    assert gap["reason"] == "stale"
    assert venue.pings >= 2


async def test_no_data_is_due_while_nothing_is_subscribed(venue, connect):
    """And what is subscribed then has the whole of `data_timeout`."""
    client = connect(ping_interval="50ms", data_timeout="250ms")
    await client.until("session", state="subscribed")
    client.run.unsubscribe(["BTC_USDT"])
    await client.until("session", state="unsubscribed")
    pings = venue.pings
    await venue.until(lambda: venue.pings >= pings + 8)
    assert "disconnected" not in client.states()
    client.run.subscribe(["ETH_USDT"])
    subscribed = await client.until("session", state="subscribed", symbols=["ETH_USDT"])
    lost = await client.until("session", state="disconnected")
    assert lost["reason"] == "stale"
    assert lost["recv_ts"] - subscribed["recv_ts"] > 150_000


@pytest.mark.parametrize("what", ["requests", "bytes"])
async def test_a_half_open_connection_is_given_up(venue, connect, what):
    async def stops(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.trade()
        if what == "bytes":
            peer.socket.transport.pause_reading()
        await asyncio.Event().wait()

    venue.script = stops
    client = connect(ping_interval="50ms", pong_timeout="100ms")
    await client.until("session", count=2, state="subscribed")
    assert client.of("session", state="disconnected")[0]["reason"] == "stale"


async def test_a_stale_connection_is_one_failure_like_any_other(venue, connect):
    venue.script = mute_after_the_ack
    client = connect(ping_interval="30ms", pong_timeout="50ms", max_retries=2)
    assert await client.end() == 4
    assert len(venue.peers) == 3
