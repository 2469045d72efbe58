"""A token ends while the market goes on: a second connection takes over, or there is a gap."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import pytest
from websockets.asyncio.server import ServerConnection

SYMBOL = "1-e@1_1"


def token(seconds: float) -> str:
    claims = json.dumps({"exp": time.time() + seconds}).encode()
    return f"aaaa.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.bbbb"


def quote(price: str) -> str:
    item = {"event_id": "1-e", "market_id": "1_1", "product_id": "1", "status": "1"}
    return json.dumps({"type": "order-slip", "data": [item | {"price": price}]})


class Venue:
    """Accepts connections and lets the test speak on them."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.subscribed: list[asyncio.Event] = [asyncio.Event() for _ in range(9)]

    async def serve(self, socket) -> None:
        number = len(self.sockets)
        self.sockets.append(socket)
        async for frame in socket:
            if SYMBOL in frame:
                self.subscribed[number].set()


@pytest.fixture
async def handed(sockets, connect_to, tmp_path):
    """A client whose token is about to end, on its first connection, and its venue."""
    venue = Venue()
    url = await sockets(venue.serve)
    file = tmp_path / "token"
    file.write_text(token(61))
    file.chmod(0o600)
    client = connect_to("interact_quote", SYMBOL, url=url, token=f"file:{file}")
    await asyncio.wait_for(venue.subscribed[0].wait(), 10)
    await venue.sockets[0].send(quote("1.1"))
    await client.until("quote")
    file.write_text(token(7200))
    return client, venue


async def test_a_hand_over_loses_nothing_and_reports_nothing(handed):
    client, venue = handed
    await asyncio.wait_for(venue.subscribed[1].wait(), 10)
    await venue.sockets[0].send(quote("1.2"))
    await venue.sockets[1].send(quote("1.2"))
    await client.until("session", state="disconnected", reason="handed over")
    await venue.sockets[1].send(quote("1.3"))
    await client.until("quote", count=3)
    assert [event["back_price"] for event in client.of("quote")] == ["1.1", "1.2", "1.3"]
    assert client.of("gap") == []


async def test_a_first_connection_that_dies_before_the_second_delivers_is_a_gap(handed):
    client, venue = handed
    await asyncio.wait_for(venue.subscribed[1].wait(), 10)
    venue.sockets[0].transport.abort()
    gap = await client.until("gap")
    assert gap["reason"] == "disconnect"
    assert gap["conn"] == 2
    assert gap["from_ts"] == client.of("quote")[0]["recv_ts"]
    await venue.sockets[1].send(quote("1.3"))
    await client.until("quote", count=2)
    assert len(client.of("gap")) == 1
    assert len(venue.sockets) == 2


async def test_a_second_connection_that_has_delivered_leaves_no_gap_whatever_ends_the_first(handed):
    client, venue = handed
    await asyncio.wait_for(venue.subscribed[1].wait(), 10)
    await venue.sockets[1].send(quote("1.2"))
    await client.until("quote", count=2)
    venue.sockets[0].transport.abort()
    await client.until("session", state="disconnected")
    await venue.sockets[1].send(quote("1.3"))
    await client.until("quote", count=3)
    assert client.of("gap") == []


async def test_a_pause_during_a_hand_over_silences_both_connections(handed):
    client, venue = handed
    await asyncio.wait_for(venue.subscribed[1].wait(), 10)
    client.run.pause()
    await client.until("session", state="paused")
    await venue.sockets[1].send(quote("1.2"))
    await client.skips("paused")
    client.run.resume()
    await client.until("gap", reason="paused")
    await venue.sockets[1].send(quote("1.3"))
    await client.until("quote", count=2)
    types = [(event["type"], event.get("state")) for event in client.events]
    paused, resumed = types.index(("session", "paused")), types.index(("session", "resumed"))
    assert not [kind for kind, _ in types[paused:resumed] if kind == "quote"]
    assert client.of("quote")[-1]["back_price"] == "1.3"
