"""Recorded connections, played to clients that nobody recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import httpx
import pytest
import websockets

from wsfeeds.simulators.playback import Playback, Played, Recorded

DEADLINE = 20.0


def recorded(url: str, *lines: tuple[str, object]) -> Recorded:
    """A connection of `("in" or "out", frame)` lines, a second apart."""
    frames = [
        Played(1_000_000 * number, kind == "in", text(frame), isinstance(frame, bytes))
        for number, (kind, frame) in enumerate(lines)
    ]
    return Recorded(url, lambda: frames)


def text(frame: object) -> bytes:
    return frame if isinstance(frame, bytes) else json.dumps(frame).encode()


def playback(feed: str, *connections: Recorded) -> Playback:
    return Playback(feed, connections, lambda: lambda _: 0.0)


async def converse(url: str, say: Sequence[object], hear: int) -> list[str | bytes]:
    async with asyncio.timeout(DEADLINE), websockets.connect(url, proxy=None) as socket:
        for message in say:
            await socket.send(json.dumps(message))
        return [await socket.recv() for _ in range(hear)]


URL = "ws://venue/ws?token=***"
ACK = {"id": 1, "method": "trade_subscribe", "data": {"status": "success"}, "error": None}
TRADE = {"id": 0, "method": "trade_update", "data": {"symbol": "BTC_USDT"}}


async def test_answers_carry_the_ids_of_the_client_that_asks() -> None:
    asked = {"id": 1, "method": "trade_subscribe", "params": ["BTC_USDT"]}
    venue = playback("cryptomus", recorded(URL, ("out", asked), ("in", ACK), ("in", TRADE)))
    async with venue.serve("127.0.0.1", 0) as listening:
        for own in (1, 77, "a"):
            heard = await converse(listening.url, [{**asked, "id": own}], 2)
            assert json.loads(heard[0]) == {**ACK, "id": own}
            assert json.loads(heard[1]) == TRADE


async def test_requests_are_told_apart_by_their_method() -> None:
    asked = [{"id": n, "method": f"{c}_subscribe"} for n, c in ((1, "trade"), (2, "depth"))]
    acks = [{"id": n, "data": {"status": "success", "for": c}} for n, c in ((1, "t"), (2, "d"))]
    lines = [("out", asked[0]), ("out", asked[1]), ("in", acks[0]), ("in", acks[1])]
    venue = playback("cryptomus", recorded(URL, *lines))
    said = [{**asked[1], "id": 20}, {**asked[0], "id": 10}]
    async with venue.serve("127.0.0.1", 0) as listening:
        heard = [json.loads(frame) for frame in await converse(listening.url, said, 2)]
    assert {(frame["id"], frame["data"]["for"]) for frame in heard} == {(10, "t"), (20, "d")}


async def test_pings_are_answered_at_any_time_and_tokens_given_to_anybody() -> None:
    venue = playback("cryptomus", recorded(URL, ("in", TRADE)))
    async with venue.serve("127.0.0.1", 0) as listening:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            path = "/v2/user-api/exchange/account/web-socket/token"
            answer = await client.get(listening.api_url + path)
            assert len(answer.json()["token"]) == 64
            assert (await client.get(f"{listening.api_url}/else")).status_code == 404
        ping = {"id": 9, "method": "ping", "params": []}
        heard = await converse(listening.url, [ping], 2)
        pongs = [json.loads(frame) for frame in heard if b"pong" in text_of(frame)]
        assert [pong["id"] for pong in pongs] == [9]


def text_of(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


async def test_connections_of_a_path_come_one_after_the_other() -> None:
    venue = playback(
        "img_fastpath",
        recorded("ws://venue/soccer/1", ("in", {"n": 1})),
        recorded("ws://venue/tennis/2", ("in", b"\x00\xff")),
        recorded("ws://venue/soccer/1", ("in", {"n": 2})),
    )
    async with venue.serve("127.0.0.1", 0) as listening:
        base = listening.url.removesuffix("/soccer/1")
        heard = [(await converse(f"{base}/soccer/1", [], 1))[0] for _ in range(3)]
        assert [json.loads(frame)["n"] for frame in heard] == [1, 2, 1]
        assert await converse(f"{base}/tennis/2", [], 1) == [b"\x00\xff"]
        with pytest.raises(websockets.InvalidStatus):
            await converse(f"{base}/cricket/3", [], 1)


async def test_a_client_that_says_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsfeeds.simulators.playback._WAIT_FOR_CLIENT", 0.01)
    venue = playback("interact_quote", recorded(URL, ("out", {"start": 1}), ("in", TRADE)))
    async with venue.serve("127.0.0.1", 0) as listening:
        assert json.loads((await converse(listening.url, [], 1))[0]) == TRADE


async def test_an_igratech_ping_comes_back_as_it_was_sent() -> None:
    ping = {"event": "ping-pong", "data": {}}
    venue = playback("igratech", recorded("ws://venue/"))
    async with venue.serve("127.0.0.1", 0) as listening:
        assert json.loads((await converse(listening.url, [ping], 1))[0]) == ping
