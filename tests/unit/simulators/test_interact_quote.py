"""The simulated quote stream, seen by an independent client."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import re
import socket as sockets
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsfeeds.simulators import create, load
from wsfeeds.simulators.base import Listening
from wsfeeds.simulators.interact_quote import QuoteSimulator

DEADLINE = 20.0
QUIET = 0.001
TOTAL, ODDS, FANCY = (
    "40789105-e@219_33753655",
    "41115853-e@1_31260330",
    "44914246-e@878_55854706_f",
)
START, STOP = {"commend": "start"}, {"commend": "stop"}


def subscribe(symbol: str, family: str | None = None) -> dict[str, str]:
    family = family or ("fancy-market" if symbol.endswith("_f") else "chloe-market")
    return {"commend": f"order-slip-quote@{family}#{symbol}"}


def unsubscribe(symbol: str) -> dict[str, str]:
    return {"commend": f"unsubscribe-order-slip-quote#{symbol}"}


@asynccontextmanager
async def serving(*, rate: float = QUIET, seed: int = 1, **options: Any):
    simulator = create("interact_quote", seed=seed, rate=rate, options=options)
    assert isinstance(simulator, QuoteSimulator)
    async with simulator.serve() as listening:
        yield simulator, listening


def connect(listening: Listening, token: str | None = None) -> websockets.connect:
    token = token or listening.settings["token"]
    url = f"{listening.url}?authorization=bearer%20{token}"
    return websockets.connect(url, proxy=None, max_queue=None)


@asynccontextmanager
async def client(*commands: dict[str, str], rate: float = QUIET, **options: Any):
    async with serving(rate=rate, **options) as (_, listening), connect(listening) as socket:
        await say(socket, *commands)
        yield socket


async def say(socket: ClientConnection, *commands: dict[str, str]) -> None:
    for command in commands:
        await socket.send(orjson.dumps(command).decode())


async def received(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE):
        frame: dict[str, Any] = orjson.loads(await socket.recv())
    return frame


async def refused(url: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await websockets.connect(url, proxy=None)
    return caught.value.response.status_code


def decoded(part: str) -> dict[str, Any]:
    claims: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


async def test_the_url_ends_as_documented_and_the_token_is_a_jwt_for_years():
    async with serving() as (_, listening):
        assert listening.url.endswith("/dev-f/quote/do-not-look-back")
        header, claims, signature = listening.settings["token"].split(".")
    assert decoded(header) == {"alg": "HS256", "typ": "JWT"}
    assert list(decoded(claims)) == [
        "user_id",
        "player_id",
        "merchant_code",
        "issued_at",
        "language",
        "expires_at",
    ]
    expires = decoded(claims)["expires_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", expires)
    now = dt.datetime.now(dt.UTC)
    assert dt.datetime.fromisoformat(expires) - now > dt.timedelta(days=700)
    assert len(base64.urlsafe_b64decode(signature + "=")) == 32


async def test_any_prefix_will_do_but_the_path_must_end_right():
    async with serving() as (_, listening):
        base = listening.url.removesuffix("/dev-f/quote/do-not-look-back")
        query = f"?authorization=bearer%20{listening.settings['token']}"
        for path in ("/quote/do-not-look-back", "/a/b/quote/do-not-look-back"):
            async with websockets.connect(base + path + query, proxy=None):
                pass
        assert await refused(f"{base}/quote{query}") == 404
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(listening.api_url)).status_code == 404


def forged(secret: bytes, header: bytes, claims: bytes) -> str:
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_bad_tokens_are_401():
    async with serving() as (simulator, listening):
        good = listening.settings["token"]
        secret = vars(simulator)["_secret"]
        bad = [
            "",
            "?authorization=",
            f"?authorization={good}",
            f"?authorization=Bearer%20{good}",
            "?authorization=bearer%20x",
            "?authorization=bearer%20a.b.c",
            f"?authorization=bearer%20{good[:-2]}AA",
            f"?authorization=bearer%20{forged(b'other', b'{}', b'{}')}",
            "?authorization=bearer%20" + forged(secret, b'{"alg":"none"}', b"{}"),
            f"?authorization=bearer%20{forged(secret, b'[]', b'{}')}",
            "?authorization=bearer%20" + forged(secret, b'{"alg":"HS256"}', b"junk"),
            f"?authorization=bearer%20{simulator.token(-10)}",
        ]
        assert [await refused(listening.url + query) for query in bad] == [401] * len(bad)


@pytest.mark.parametrize("claim", ["expires_at", "exp"])
async def test_an_expired_token_is_401_whichever_claim_says_so(claim):
    async with serving(claim=claim) as (simulator, listening):
        url = f"{listening.url}?authorization=bearer%20"
        assert await refused(url + simulator.token(-60)) == 401
        async with connect(listening):
            pass


async def test_a_token_may_never_expire():
    async with serving(claim="none", token_life="1ms") as (_, listening), connect(listening):
        assert not {"exp", "expires_at"} & set(decoded(listening.settings["token"].split(".")[1]))


async def test_auth_can_be_switched_off():
    async with (
        serving(auth="off") as (_, listening),
        websockets.connect(listening.url, proxy=None) as socket,
    ):
        await say(socket, subscribe(ODDS))
        assert (await received(socket))["type"] == "order-slip"


async def test_a_socket_may_be_closed_when_its_token_expires():
    async with (
        serving(close_expired="true") as (simulator, listening),
        connect(listening, simulator.token(0.2)) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await received(socket)
        assert socket.close_code == 1008


async def test_a_subscribe_is_answered_by_a_sportsbook_snapshot():
    async with client(START, subscribe(ODDS)) as socket:
        frame = await received(socket)
    assert set(frame) == {"type", "data"}
    assert frame["type"] == "order-slip"
    assert [item["product_id"] for item in frame["data"]] == ["1", "2", "3"]
    for item in frame["data"]:
        assert list(item) == ["event_id", "market_id", "product_id", "price", "status"]
        assert f"{item['event_id']}@{item['market_id']}" == ODDS
        assert item["status"] == "1"
        assert re.fullmatch(r"\d+\.\d\d", item["price"])


async def test_a_fancy_item_has_an_update_time_and_no_event_as_in_the_sample():
    async with client(subscribe(FANCY)) as socket:
        frame = await received(socket)
    assert frame["type"] == "order-slip-fancy"
    (item,) = frame["data"]
    assert list(item) == ["mid", "pid", "bl", "bo", "ll", "lo", "status", "ut"]
    assert all(isinstance(value, str) for value in item.values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["ut"])


async def test_fancy_items_can_look_as_in_the_schema():
    options: dict[str, Any] = {"with_eid": "true", "without_ut": "true", "typo_type": "true"}
    async with client(subscribe(FANCY), **options) as socket:
        frame = await received(socket)
    assert frame["type"] == "order-slipt-fancy"
    assert frame["data"][0]["eid"] == "44914246-e"
    assert "ut" not in frame["data"][0]


async def test_the_family_of_the_command_decides_unless_the_venue_is_strict():
    wrong = [subscribe(FANCY, "chloe-market"), subscribe(ODDS, "fancy-market")]
    async with client(*wrong) as socket:
        assert [(await received(socket))["type"] for _ in range(2)] == [
            "order-slip",
            "order-slip-fancy",
        ]
    async with client(*wrong, strict="true") as socket:
        assert [(await received(socket))["type"] for _ in range(2)] == ["error", "error"]


async def test_a_stopped_connection_sends_nothing_until_start():
    async with client(subscribe(ODDS), subscribe(FANCY), initial="stopped") as socket:
        await say(socket, {"commend": "marker"})
        assert (await received(socket))["type"] == "error", "no snapshot came before"
        await say(socket, START)
        kinds = [(await received(socket))["type"] for _ in range(2)]
    assert kinds == ["order-slip", "order-slip-fancy"]


async def test_stop_silences_all_but_alive_and_start_gives_snapshots():
    async with client(subscribe(ODDS), rate=500, alive="20ms") as socket:
        await received(socket)
        await say(socket, STOP, {"commend": "marker"})
        while (await received(socket))["type"] != "error":
            pass
        assert [(await received(socket))["type"] for _ in range(4)] == ["alive"] * 4
        await say(socket, START)
        frame = await received(socket)
        while frame["type"] == "alive":
            frame = await received(socket)
    assert [item["product_id"] for item in frame["data"]] == ["1", "2", "3"]


async def test_a_repeated_subscribe_gives_a_snapshot_but_no_second_stream():
    async with client(subscribe(ODDS), subscribe(ODDS), subscribe(FANCY)) as socket:
        frames = [await received(socket) for _ in range(3)]
        assert frames[0] == frames[1]
        await say(socket, START)
        again = [(await received(socket))["type"] for _ in range(2)]
    assert again == ["order-slip", "order-slip-fancy"]


async def test_unsubscribe_is_silent_and_final():
    async with client(subscribe(ODDS), unsubscribe(ODDS), unsubscribe("1-e@2_3")) as socket:
        await received(socket)
        await say(socket, START, {"commend": "marker"})
        assert (await received(socket))["type"] == "error", "start had nothing to show"


async def shown(socket: ClientConnection) -> list[str]:
    """Ask for snapshots of all that is subscribed; an error marks their end."""
    await say(socket, START, {"commend": "marker"})
    markets: list[str] = []
    while (frame := await received(socket))["type"] != "error":
        markets.append(frame["data"][0]["market_id"])
    return markets


async def test_a_subscription_expires_silently_and_renewal_keeps_it():
    async with client(subscribe(ODDS), subscribe(TOTAL), life="200ms") as socket:
        assert {"1_31260330", "219_33753655"} <= set(await shown(socket))
        async with asyncio.timeout(DEADLINE):
            while "1_31260330" in await shown(socket):
                await say(socket, subscribe(TOTAL))
        assert set(await shown(socket)) == {"219_33753655"}


@pytest.mark.parametrize(
    "message",
    [
        "junk",
        '\u2018{"commend":\u201cstop\u201d}\u2019',
        "{\u201ccommend\u201d:\u201cstart\u201d}",
        "[]",
        "{}",
        '{"command":"start"}',
        '{"commend":5}',
        '{"commend":"START"}',
        '{"commend":"order-slip-quote@chloe-market#1-e"}',
        '{"commend":"order-slip-quote@chloe-market#1-e@2_3"}',
        '{"commend":"order-slip-quote@other-market#40789105-e@219_33753655"}',
    ],
)
async def test_what_is_no_command_is_an_error_and_the_connection_stays(message):
    async with client() as socket:
        await socket.send(message)
        frame = await received(socket)
        assert set(frame) == {"type", "error"}
        assert frame["type"] == "error"
        assert isinstance(frame["error"], str)
        await say(socket, subscribe(ODDS))
        assert (await received(socket))["type"] == "order-slip"


async def test_alive_comes_regularly_and_may_be_bare():
    async with client(alive="20ms") as socket:
        assert [await received(socket) for _ in range(3)] == [{"type": "alive"}] * 3
    async with client(alive="20ms", bare_heartbeat="true") as socket:
        assert await received(socket) == {}


async def quotes(symbol: str, count: int, seed: int = 1) -> list[dict[str, Any]]:
    async with client(subscribe(symbol), rate=5000, seed=seed) as socket:
        return [await received(socket) for _ in range(count)]


async def test_odds_move_and_lock_around_goals():
    items = [item for frame in await quotes(ODDS, 400) for item in frame["data"]]
    assert {"1", "0"} <= {item["status"] for item in items} <= {"1", "0", "-1"}
    assert len({item["price"] for item in items if item["product_id"] == "1"}) > 50
    locked = next(item for item in items if item["status"] == "0")
    assert Decimal(locked["price"]) >= 1, "a locked price is still shown"
    assert all(isinstance(value, str) for item in items for value in item.values())


async def test_open_prices_imply_a_margin():
    frame = (await quotes(ODDS, 1))[0]
    book = sum(1 / Decimal(item["price"]) for item in frame["data"])
    assert Decimal("1.02") < book < Decimal("1.08")


async def test_fancy_lines_lock_without_odds_and_follow_the_innings():
    items = [item for frame in await quotes(FANCY, 400) for item in frame["data"]]
    by_status = {item["status"]: item for item in items}
    assert {"1", "-3"} <= set(by_status)
    assert (by_status["-3"]["bo"], by_status["-3"]["lo"]) == ("0", "0")
    assert int(by_status["1"]["bl"]) > int(by_status["1"]["ll"])
    assert len({item["bl"] for item in items}) > 10


async def test_the_same_seed_gives_the_same_quotes_whoever_else_listens():
    def timeless(frames: list[dict[str, Any]]) -> list[Any]:
        return [[item | {"ut": ""} for item in frame["data"]] for frame in frames]

    alone = timeless(await quotes(FANCY, 100))
    assert timeless(await quotes(FANCY, 100)) == alone
    assert timeless(await quotes(FANCY, 100, seed=2)) != alone
    async with client(subscribe(FANCY), subscribe(ODDS), rate=5000) as socket:
        both: list[dict[str, Any]] = []
        while len(both) < 100:
            frame = await received(socket)
            both += [frame] if frame["type"] == "order-slip-fancy" else []
    assert timeless(both) == alone


async def test_everybody_sees_the_same_market():
    async with (
        serving(rate=300) as (_, listening),
        connect(listening) as one,
        connect(listening) as two,
    ):
        await say(one, subscribe(ODDS))
        await say(two, subscribe(ODDS))
        seen = [await received(one) for _ in range(60)]
        other = [await received(two) for _ in range(30)]
    assert other[5] in seen


async def test_a_client_that_does_not_read_hurts_nobody_and_catches_up():
    async with serving(rate=2_000) as (simulator, listening):
        query = f"?authorization=bearer%20{listening.settings['token']}"
        narrow = sockets.socket()
        narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", int(listening.api_url.rpartition(":")[2])))
        async with (
            websockets.connect(
                listening.url + query,
                sock=narrow,
                max_queue=1,
                compression=None,
                close_timeout=0.1,
                ping_interval=None,
                proxy=None,
            ) as slow,
            connect(listening) as quick,
        ):
            await say(slow, *map(subscribe, (ODDS, TOTAL, FANCY)))
            await say(quick, subscribe(FANCY))
            await received(slow)
            clients = {each.socket.number: each for each in simulator._clients}
            wire = clients[1].socket._wire.transport.get_extra_info("socket")
            wire.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 4096)
            while not clients[1]._behind:
                await received(quick)
            while clients[1]._behind:
                await received(slow)


async def test_every_demo_symbol_is_quoted():
    symbols = load("interact_quote").demo_symbols
    async with client(*map(subscribe, symbols)) as socket:
        kinds = [(await received(socket))["type"] for _ in symbols]
    assert kinds == ["order-slip", "order-slip", "order-slip-fancy"]
