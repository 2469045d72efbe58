"""Where the other venues differ: takeovers, streams that are not there, pongs that count."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from websockets.asyncio.server import ServerConnection

from wsfeeds import app
from wsfeeds.errors import LoggedOut, UsageError
from wsfeeds.pipeline import Stream

GREETING = '{"event":"connected","data":{}}'
ACCEPTED = '{"message":"Authorisation accepted","level":"INFO"}'
QUOTES = {"token": "a.b.c"}
MATCH = {"token": "sample-token"}


class Counted:
    """A script for every connection, and how many there were."""

    def __init__(self, script) -> None:
        self.script = script
        self.sockets: list[ServerConnection] = []

    async def __call__(self, socket) -> None:
        self.sockets.append(socket)
        await self.script(socket, len(self.sockets))


def bet(game: str) -> str:
    return json.dumps({"event": "bet", "data": {"gameId": game}})


# --- igratech


@pytest.fixture
def igratech(sockets, connect_to):
    """Connect to a venue that runs the script, and return it too."""

    async def start(script, **settings):
        venue = Counted(script)
        url = await sockets(venue)
        return connect_to("igratech", **{"url": f"{url}/", **settings}), venue

    return start


async def test_a_logout_is_final(igratech, in_one_read):
    """What lies behind it in the same read is delivered, whoever closes."""

    async def script(socket, _number):
        frames = [GREETING, bet("g1"), '{"event":"logout","data":{}}', bet("g2")]
        in_one_read(socket, *frames, close=1000)

    client, venue = await igratech(script)
    assert await client.end() == 3
    assert isinstance(client.run.error, LoggedOut)
    assert len(client.of("bet")) == 2
    assert client.of("session", state="disconnected")[0]["reason"].startswith("logout")
    assert len(venue.sockets) == 1


async def test_a_logout_without_a_close_is_final_after_some_seconds(igratech, monkeypatch):
    monkeypatch.setattr("wsfeeds.session.link._EVICTION_LINGER", 0.2)

    async def script(socket, _number):
        await socket.send(GREETING)
        await socket.send('{"event":"logout","data":{}}')

    client, venue = await igratech(script)
    assert await client.end() == 3
    assert len(venue.sockets) == 1


async def test_three_closes_right_after_the_greeting_look_like_a_takeover(igratech):
    async def script(socket, _number):
        await socket.send(GREETING)
        await socket.close(1001)

    client, venue = await igratech(script)
    assert await client.end() == 3
    assert isinstance(client.run.error, LoggedOut)
    assert len(venue.sockets) == 3


async def test_a_connection_that_went_stale_breaks_the_row_of_quick_closes(igratech):
    async def script(socket, number):
        await socket.send(GREETING)
        if number in {1, 2, 4}:
            await socket.close(1001)

    client, venue = await igratech(script, ping_interval="50ms", pong_timeout="100ms")
    await client.until("session", count=5, state="subscribed")
    assert client.of("session", state="disconnected")[2]["reason"] == "stale"
    assert len(venue.sockets) == 5


async def test_closes_without_a_greeting_are_ordinary_failures(igratech):
    async def script(socket, number):
        if number > 4:
            await socket.send(GREETING)
        else:
            await socket.close(1001)

    client, venue = await igratech(script)
    await client.until("session", state="subscribed")
    assert len(venue.sockets) == 5
    assert client.of("gap") == []


async def test_a_lost_connection_is_a_gap_and_subscribed_again(igratech):
    async def script(socket, number):
        await socket.send(GREETING)
        await socket.send(bet(f"g{number}"))
        if number == 1:
            await socket.close(1001)

    client, _ = await igratech(script)
    gap = await client.until("gap")
    assert gap["reason"] == "disconnect"
    assert gap["from_ts"] == client.of("bet")[0]["recv_ts"]
    assert gap["to_ts"] == client.of("session", state="subscribed")[1]["recv_ts"]
    assert len(client.of("gap")) == 1


async def test_the_second_ping_without_an_answer_is_stale(igratech):
    pings: Counter[int] = Counter()

    async def script(socket, number):
        await socket.send(GREETING)
        async for _ in socket:
            pings[number] += 1

    client, _ = await igratech(script, ping_interval="50ms", pong_timeout="100ms")
    await client.until("session", state="reconnecting")
    lost = client.of("session", state="disconnected")[0]
    assert lost["reason"] == "stale"
    assert pings[1] >= 2
    assert (await client.until("gap"))["reason"] == "stale"


async def test_a_pause_that_only_leaves_the_socket_unread_loses_nothing(igratech):
    """Pings go on, and an answer that lies unread is not missing."""
    pings = 0
    long_enough = asyncio.Event()

    async def script(socket, _number):
        nonlocal pings
        await socket.send(GREETING)
        async for frame in socket:
            pings += 1
            await socket.send(frame)
            if pings == 20:
                long_enough.set()

    client, venue = await igratech(script, ping_interval="50ms", pong_timeout="300ms")
    await client.until("session", state="subscribed")
    client.run.pause()
    await client.until("session", state="paused")
    await venue.sockets[0].send(bet("g1"))
    await asyncio.wait_for(long_enough.wait(), 10)
    assert client.events[-1]["state"] == "paused"
    client.run.resume()
    await client.until("bet")
    assert client.states() == ["connecting", "connected", "subscribed", "paused", "resumed"]
    assert client.of("gap") == []


@pytest.mark.parametrize("moment", ["connecting", "reconnecting"])
async def test_a_pause_without_a_connection_leaves_the_next_one_unread(igratech, moment):
    """What the venue says at once waits for `resume`, and an outage stays a gap."""

    async def script(socket, number):
        await socket.send(GREETING)
        await socket.send(bet(f"g{number}"))
        if number == 1 and moment == "reconnecting":
            await socket.close(1001)

    client, _ = await igratech(script, backoff_initial="200ms", backoff_max="200ms")
    await client.until("session", state=moment)
    before = len(client.of("bet"))
    client.run.pause()
    await client.until("session", state="paused")
    await client.until("session", count=before + 1, state="connected")
    client.run.resume()
    await client.until("bet", count=before + 1)
    types = [event.get("state", event["type"]) for event in client.events]
    between = types[types.index("paused") + 1 : types.index("resumed")]
    assert between in (["connected"], ["connecting", "connected"])
    assert types[types.index("resumed") + 1] == "subscribed"
    assert [gap["reason"] for gap in client.of("gap")] == ["disconnect"] * before


async def test_the_other_path_is_tried_where_the_first_is_none(sockets, connect_to):
    async def script(socket):
        await socket.send(GREETING)

    url = await sockets(script, {"/": 404}.get)
    client = connect_to("igratech", url=url)
    await client.until("session", state="subscribed")
    assert client.of("session", state="connected")[0]["url"].endswith("/wspublic")


# --- interact_quote


async def test_websocket_pongs_prove_a_venue_that_has_no_ping_of_its_own(sockets, connect_to):
    """The repeated subscribes tell the time: so many of them take longer than the timeout."""
    renewals = asyncio.Event()
    said: list[str] = []

    async def count(socket, _number):
        async for frame in socket:
            said.append(frame)
            if len(said) > 15:
                renewals.set()

    venue = Counted(count)
    url = await sockets(venue)
    settings = {**QUOTES, "idle_timeout": "600ms", "renew_interval": "100ms"}
    client = connect_to("interact_quote", "1-e@1_1", url=url, **settings)
    await asyncio.wait_for(renewals.wait(), 10)
    assert client.states() == ["connecting", "connected", "subscribed"]
    assert len(venue.sockets) == 1


async def test_a_quote_socket_without_pongs_is_stale(sockets, connect_to):
    async def script(socket):
        socket.transport.pause_reading()

    url = await sockets(script)
    settings = {**QUOTES, "idle_timeout": "200ms", "max_retries": 0}
    client = connect_to("interact_quote", "1-e@1_1", url=url, **settings)
    assert await client.end() == 4
    assert client.of("session", state="disconnected")[0]["reason"] == "stale"


# --- img_fastpath


@pytest.mark.parametrize("status", [204, 404])
async def test_a_stream_that_is_not_there_is_tried_again_in_30_s(sockets, connect_to, status):
    async def script(socket):
        await socket.send(ACCEPTED)

    url = await sockets(script, lambda _path: status)
    client = connect_to("img_fastpath", "soccer/f1", url=url, **MATCH)
    again = await client.until("session", state="reconnecting")
    assert again["code"] == str(status)
    assert again["delay_ms"] >= 30_000


async def test_the_first_frame_is_a_verdict_where_the_answer_to_the_token_is_missing(
    sockets, connect_to
):
    async def script(socket):
        await socket.recv()
        part = {"actionId": "a", "fixtureSeqNum": 1, "sendTypeId": 5}
        await socket.send(json.dumps({"fixtureAction": part}))

    url = await sockets(script)
    client = connect_to("img_fastpath", "soccer/f1", url=url, **MATCH)
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == ["soccer/f1"]


@pytest.mark.parametrize(
    ("feed", "symbols", "settings"),
    [("img_fastpath", ["soccer/f1"], MATCH), ("igratech", ["g1"], {})],
)
async def test_a_quiet_venue_is_waited_for_where_subscriptions_are_not_answered(
    sockets, connect_to, hurry, feed, symbols, settings
):
    """That nothing came within the deadline means nothing there."""
    begun = asyncio.Event()

    async def script(socket):
        await begun.wait()
        await socket.send('{"event":"never heard of","data":{}}')

    client = connect_to(feed, *symbols, url=f"{await sockets(script)}/x", **settings)
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == []
    begun.set()
    await client.until("unknown", conn=1)
    assert "disconnected" not in client.states()


async def test_a_silent_match_is_stale_after_idle_timeout(sockets, connect_to):
    async def script(socket):
        await socket.recv()
        await socket.send(ACCEPTED)

    url = await sockets(script)
    settings = {**MATCH, "idle_timeout": "200ms", "max_retries": 0}
    client = connect_to("img_fastpath", "soccer/f1", url=url, **settings)
    assert await client.end() == 4
    assert client.of("session", state="disconnected")[0]["reason"] == "stale"


async def test_the_gravest_code_of_several_sockets_wins_when_none_is_left(sockets, connect_to):
    async def script(socket):
        await socket.recv()
        if "refused" in socket.request.path:
            await socket.close(1008, "token")
            return
        await socket.send(ACCEPTED)
        part = {"actionId": "a", "fixtureSeqNum": 1, "sendTypeId": 5}
        await socket.send(json.dumps({"fixtureAction": part, "finished": True}))

    url = await sockets(script)
    client = connect_to("img_fastpath", "soccer/refused", "soccer/fine", url=url, **MATCH)
    assert await client.end() == 3
    assert [error["symbol"] for error in client.of("error", fatal=True)] == ["soccer/refused"]
    reasons = {tuple(e["symbols"]): e["reason"] for e in client.of("session", state="stopped")}
    assert reasons["soccer/fine",] == "finished"


# --- all of them


CASES = {
    "cryptomus": ("BTC_USDT", {"user_id": "someone", "api_key": "some-api-key-0001"}),
    "img_fastpath": ("soccer/f1", MATCH),
    "interact_quote": ("1-e@1_1", QUOTES),
}


@pytest.mark.parametrize("feed", ["img_fastpath", "interact_quote"])
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_end_the_run_at_once(sockets, connect_to, feed, status):
    symbol, settings = CASES[feed]
    asked = []

    def refuse(path):
        asked.append(path)
        return status

    client = connect_to(feed, symbol, url=await sockets(asyncio.sleep, refuse), **settings)
    assert await client.end() == 3
    assert len(asked) == 1


@pytest.mark.parametrize("feed", CASES)
def test_credentials_do_not_travel_in_plain_text(feed):
    symbol, settings = CASES[feed]
    asked = app.Subscription(
        feed=feed, symbols=[symbol], settings={**settings, "url": "ws://venue.example/ws"}
    )
    with pytest.raises(UsageError, match="unencrypted"):
        app.open_feed(asked, Stream([]))
