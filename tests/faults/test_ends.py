"""The end of a connection: what still counts, what does not, and how it is told."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import wsfeeds
from wsfeeds.cli.console import logger
from wsfeeds.cli.facts import FactLog
from wsfeeds.connectors.cryptomus import Connector


class Heard:
    """A tap that keeps inbound frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def opened(self, *_: object) -> None: ...

    def inbound(self, _recv_ts: int, _conn: int, frame: bytes, _binary: bool) -> None:
        self.frames.append(frame)

    def outbound(self, *_: object) -> None: ...

    def closed(self, *_: object) -> None: ...


def trade(price: str) -> dict[str, Any]:
    one = {"price": price, "quantity": "1", "timestamp": 1, "direction": "buy"}
    data = {"symbol": "BTC_USDT", "timestamp": 1, "trades": [one]}
    return {"id": 0, "method": "trade_update", "data": data, "error": None}


def quote(price: str) -> dict[str, Any]:
    item = {"event_id": "1-e", "market_id": "1_1", "product_id": "1", "status": "1"}
    return {"type": "order-slip", "data": [item | {"price": price}]}


# --- what came before and after (contract, section 3)


async def test_what_the_venue_said_before_it_closed_is_delivered(venue, connect, in_one_read):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        if peer.number == 1:
            in_one_read(peer.socket, trade("1"), trade("2"), trade("3"), close=1001)
        await peer.serve()

    venue.script = script
    client = connect()
    lost = await client.until("session", state="disconnected")
    assert [event["price"] for event in client.of("trade")] == ["1", "2", "3"]
    assert (lost["code"], lost["reason"]) == ("1001", "the venue closed the connection")


async def test_a_stop_within_a_read_leaves_the_rest_of_it(venue, connect, in_one_read):
    """As `-n` does: the rest is counted, and no recording of frames has it either."""

    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        in_one_read(peer.socket, trade("1"), "junk", trade("2"), trade("3"))
        await peer.serve()

    venue.script = script
    heard = Heard()
    client = connect(tap=heard)

    def stop(event) -> None:
        if event.type == "malformed":
            client.run.stop("count")

    client.stream.on_fact = stop
    assert await client.end() == 0
    assert [event["price"] for event in client.of("trade")] == ["1"]
    assert client.stream.skipped["frames after the end"] == 2
    assert heard.frames[-1] == b"junk"
    assert client.states()[-1] == "stopped"


async def test_what_follows_our_own_decision_to_reconnect_gives_no_events(
    sockets, connect_to, in_one_read
):
    """The gap begins at the last frame that was handled."""
    count = 0

    async def script(socket):
        nonlocal count
        count += 1
        if count == 1:
            await socket.recv()
            in_one_read(socket, quote("1.5"), *[{"type": "error", "error": "x"}] * 3, quote("2.5"))
        await socket.wait_closed()

    url = await sockets(script)
    client = connect_to("interact_quote", "1-e@1_1", url=url, token="a.b.c")
    gap = await client.until("gap", reason="disconnect")
    (only,) = client.of("quote")
    assert only["back_price"] == "1.5"
    assert gap["from_ts"] == only["recv_ts"]
    assert client.stream.skipped["frames after the end"] == 1


# --- who closed, and why


async def test_a_frame_that_we_refuse_is_not_the_venues_close(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.send('{"pad":"' + "x" * 20_000 + '"}')
        await peer.serve()

    venue.script = script
    client = connect(max_frame="10KB")
    lost = await client.until("session", state="disconnected")
    assert lost["reason"] == "a frame was larger than max_frame (10000 bytes)"


async def test_broken_websocket_frames_are_not_the_venues_close(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        peer.socket.transport.write(b"\xff\x00")  # reserved bits and opcode
        await peer.serve()

    venue.script = script
    client = connect()
    lost = await client.until("session", state="disconnected")
    assert lost["code"] == "1002"
    assert lost["reason"].startswith("wsfeeds closed the connection, for the venue broke")


async def test_a_venue_that_calls_our_frame_too_big_is_not_about_max_frame(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.close(1009, "message too big")

    venue.script = script
    client = connect()
    lost = await client.until("session", state="disconnected")
    assert lost["reason"] == "the venue closed the connection: message too big"
    assert client.of("error") == []


# --- a fault of ours


async def test_a_bug_says_so_and_ends_the_run(venue, monkeypatch, connect):
    def bug(self, code, reason):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Connector, "closed", bug)
    client = connect()
    await client.until("session", state="subscribed")
    await venue.peers[0].socket.close()
    with pytest.raises(ZeroDivisionError):
        await client.end()
    client.task = asyncio.ensure_future(asyncio.sleep(0, 1))  # what it raised has been looked at
    (error,) = client.of("error")
    assert error["fatal"]
    assert error["message"] == "a fault in wsfeeds itself: ZeroDivisionError: by zero"
    stopped = client.events[-1]
    assert (stopped["state"], stopped["reason"]) == ("stopped", error["message"])
    assert len(venue.peers) == 1


async def test_a_bug_ends_the_command_with_1(venue, command, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from wsfeeds.connectors.cryptomus import Connector\n"
        "def bug(self, code, reason): raise ZeroDivisionError('by zero')\n"
        "Connector.closed = bug\n"
    )

    async def close(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.close()

    venue.script = close
    home = str(Path(wsfeeds.__file__).parents[1])
    client = await command(env={"PYTHONPATH": os.pathsep.join([str(tmp_path), home])})
    code, lines, stderr = await client.end()
    assert code == 1
    assert "ZeroDivisionError" in stderr
    assert [line["type"] for line in lines[-2:]] == ["error", "session"]
    assert "a fault in wsfeeds itself" in lines[-1]["reason"]


# --- one socket of several


async def test_a_socket_that_ends_for_good_is_logged_while_others_go_on(
    sockets, connect_to, caplog, monkeypatch
):
    monkeypatch.setattr(logger, "propagate", True)

    async def script(socket):
        path = socket.request.path
        await socket.recv()
        level = "ERROR" if "refused" in path else "INFO"
        await socket.send(f'{{"message":"Authorisation said so","level":"{level}"}}')
        if level == "ERROR":
            await socket.close(1008)

    url = await sockets(script)
    with caplog.at_level(logging.WARNING):
        client = connect_to(
            "img_fastpath", "soccer/refused", "soccer/fine", url=url, token="sample-token"
        )
        client.stream.on_fact = FactLog()
        await client.until("session", state="stopped")
        (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert "soccer/refused" in record.getMessage()
        assert not client.task.done()
        await client.stop()
