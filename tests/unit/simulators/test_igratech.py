"""The simulated Igratech, seen by an independent client."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsfeeds.errors import UsageError
from wsfeeds.simulators import create
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.igratech_league import League

DEADLINE = 20.0
STYLES = ("event-data", "type-payload", "single-key", "message-name", "flat", "array")
KNOWN = {"connected", "incident", "bet", "bets-result", "balance", "stats"}
QUIET = 0.001


@asynccontextmanager
async def serving(
    *, rate: float = QUIET, faults: Faults | None = None, seed: int = 1, **options: Any
):
    simulator = create("igratech", seed=seed, rate=rate, faults=faults, options=options)
    async with simulator.serve() as listening:
        yield simulator, listening


def connect(url: str, path: str = "/") -> websockets.connect:
    return websockets.connect(url + path, proxy=None, max_queue=None)


async def text(socket: ClientConnection) -> str:
    async with asyncio.timeout(DEADLINE):
        frame = await socket.recv()
    assert isinstance(frame, str)
    return frame


async def received(socket: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = orjson.loads(await text(socket))
    return frame


async def closing(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    frames: list[dict[str, Any]] = []
    try:
        while True:
            frames.append(await received(socket))
    except ConnectionClosed:
        return frames, socket.close_code


@pytest.mark.parametrize("path", ["", "/", "/wspublic", "/?user=a"])
async def test_both_documented_paths_are_greeted_at_once(path):
    async with serving() as (_, listening), connect(listening.url, path) as socket:
        assert (await received(socket))["event"] == "connected"


async def test_other_paths_and_plain_requests_are_404():
    async with serving() as (_, listening):
        with pytest.raises(InvalidStatus) as refused:
            await connect(listening.url, "/public")
        assert refused.value.response.status_code == 404
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(listening.api_url + "/")).status_code == 404


@pytest.mark.parametrize(("only", "refused"), [("wspublic", "/"), ("root", "/wspublic")])
async def test_one_of_the_paths_can_be_closed(only, refused):
    async with serving(paths=only) as (_, listening):
        with pytest.raises(InvalidStatus):
            await connect(listening.url, refused)
        async with connect(listening.url, "/wspublic" if only == "wspublic" else "/") as socket:
            assert (await received(socket))["event"] == "connected"


def styled(style: str, operation: str) -> str:
    """What a client that copied the greeting's style sends."""
    name = {"ping-pong": "subscribe-ping", "settings": "subscribe-settings"}[operation]
    shapes: dict[str, Any] = {
        "event-data": {"event": operation, "data": {}},
        "type-payload": {"type": operation, "payload": {}},
        "single-key": {operation: {}},
        "message-name": {"event": name, "data": {}},
        "flat": {"action": operation},
        "array": [operation, {}],
    }
    return orjson.dumps(shapes[style]).decode()


@pytest.mark.parametrize(
    ("style", "connected", "pong"),
    [
        ("event-data", '{"event":"connected","data":', '{"event":"ping-pong","data":{}}'),
        ("type-payload", '{"type":"connected","payload":', '{"type":"ping-pong","payload":{}}'),
        ("single-key", '{"connected":', '{"ping-pong":{}}'),
        (
            "message-name",
            '{"event":"publish-connected","data":',
            '{"event":"publish-pong","data":{}}',
        ),
        ("flat", '{"action":"connected",', '{"action":"ping-pong"}'),
        ("array", '["connected",', '["ping-pong",{}]'),
    ],
)
async def test_every_envelope_style(style, connected, pong):
    options: dict[str, Any] = {"style": style, "strict_style": "true"}
    async with serving(**options) as (_, listening), connect(listening.url) as socket:
        assert (await text(socket)).startswith(connected)
        await socket.send(styled(style, "ping-pong"))
        assert await text(socket) == pong
        await socket.send(styled(style, "settings"))
        assert "settings" in await text(socket)


@pytest.mark.parametrize("style", STYLES)
async def test_any_style_is_understood_by_default(style):
    async with serving() as (simulator, listening), connect(listening.url) as socket:
        await received(socket)
        await socket.send(styled(style, "ping-pong"))
        assert await received(socket) == {"event": "ping-pong", "data": {}}
    assert vars(simulator)["ignored"] == 0


@pytest.mark.parametrize("style", STYLES)
async def test_a_strict_venue_ignores_and_counts_other_styles(style):
    async with serving(style=style, strict_style="true") as (simulator, listening):
        async with connect(listening.url) as socket:
            await text(socket)
            for other in STYLES:
                await socket.send(styled(other, "ping-pong"))
            pong = await text(socket)
            assert "pong" in pong
            await socket.send(styled(style, "settings"))
            assert "settings" in await text(socket), "exactly one ping was answered"
        assert vars(simulator)["ignored"] == len(STYLES) - 1


async def test_one_ping_has_exactly_one_answer_and_settings_too():
    async with serving() as (_, listening), connect(listening.url) as socket:
        await received(socket)
        for name in ("ping-pong", "settings", "ping-pong"):
            await socket.send(f'{{"event":"{name}"}}')
        answers = [await received(socket) for _ in range(3)]
    assert [answer["event"] for answer in answers] == ["ping-pong", "settings", "ping-pong"]
    assert set(answers[1]) == {"event", "status", "data"}


@pytest.mark.parametrize(
    "message", ["junk", "1", "[]", "{}", '{"event":"bet"}', '{"event":7}', '["x",1]', b"\xff"]
)
async def test_invalid_input_is_ignored_and_counted(message):
    async with serving() as (simulator, listening), connect(listening.url) as socket:
        await received(socket)
        await socket.send(message)
        await socket.send('{"event":"Ping_Pong"}')
        assert (await received(socket))["event"] == "ping-pong"
        assert vars(simulator)["ignored"] == 1


async def test_mute_pong_answers_settings_only():
    async with serving(mute_pong="true") as (_, listening), connect(listening.url) as socket:
        await received(socket)
        await socket.send('{"event":"ping-pong"}')
        await socket.send('{"event":"settings"}')
        assert (await received(socket))["event"] == "settings"


async def test_a_rogue_ping_comes_unasked():
    options: dict[str, Any] = {"rogue_ping": "true", "rogue_interval": "10ms"}
    async with serving(**options) as (_, listening), connect(listening.url) as socket:
        await received(socket)
        assert await received(socket) == {"event": "ping-pong", "data": {}}


async def test_the_greeting_can_be_left_out():
    async with serving(greeting="false") as (_, listening), connect(listening.url) as socket:
        await socket.send('{"event":"ping-pong"}')
        assert (await received(socket))["event"] == "ping-pong"


async def test_an_idle_client_is_closed_and_a_talking_one_is_not():
    async with (
        serving(idle="150ms") as (_, listening),
        connect(listening.url) as silent,
        connect(listening.url, "/?user=b") as talking,
    ):

        async def talk() -> None:
            while True:
                await talking.send('{"event":"ping-pong"}')
                await asyncio.wait_for(talking.recv(), DEADLINE)

        talker = asyncio.ensure_future(talk())
        frames, code = await closing(silent)
        talker.cancel()
        assert talking.close_code is None
    assert (len(frames), code) == (1, 1000)


async def test_a_second_login_logs_the_older_connection_out():
    async with (
        serving() as (_, listening),
        connect(listening.url) as older,
        connect(listening.url, "/wspublic") as newer,
    ):
        frames, code = await closing(older)
        assert [frame["event"] for frame in frames] == ["connected", "logout"]
        assert code == 1000
        await received(newer)
        await newer.send('{"event":"ping-pong"}')
        assert (await received(newer))["event"] == "ping-pong"


async def test_a_logout_is_followed_by_the_close():
    async with serving() as (_, listening), connect(listening.url) as older:
        await received(older)
        async with connect(listening.url):
            assert (await received(older))["event"] == "logout"
            await closing(older)


async def test_users_do_not_log_each_other_out():
    async with (
        serving() as (_, listening),
        connect(listening.url, "/?user=a") as one,
        connect(listening.url, "/?user=b"),
    ):
        assert (await received(one))["data"] == {"user": "a"}
        await one.send('{"event":"ping-pong"}')
        assert (await received(one))["event"] == "ping-pong"


async def test_close_first_puts_the_close_right_behind_the_logout():
    async with serving(close_first="true") as (_, listening):
        host, _, port = listening.url.removeprefix("ws://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(DEADLINE), connect(listening.url):
            received_bytes = await reader.readuntil(b"\x88\x02\x03\xe8")
        writer.close()
    assert b"logout" in received_bytes


async def test_the_logout_fault_logs_out_after_its_time():
    faults = Faults(logout=0.1)
    async with serving(faults=faults) as (_, listening), connect(listening.url) as socket:
        frames, code = await closing(socket)
    assert ([frame["event"] for frame in frames], code) == (["connected", "logout"], 1000)


async def test_nothing_follows_a_logout():
    faults = Faults(logout=0.1)
    async with (
        serving(rate=2000, faults=faults) as (_, listening),
        connect(listening.url) as socket,
    ):
        frames, _ = await closing(socket)
    assert frames[-1]["event"] == "logout"
    assert len(frames) > 10


async def league(count: int, seed: int = 1) -> list[dict[str, Any]]:
    async with (
        serving(rate=5000, seed=seed) as (_, listening),
        connect(listening.url) as socket,
    ):
        frames: list[str] = [await text(socket) for _ in range(count)]
    return [orjson.loads(frame) for frame in frames]


async def test_the_virtual_league_uses_every_operation():
    assert {frame["event"] for frame in await league(400)} == KNOWN


async def test_bets_results_and_balance_fit_each_other():
    balance, stakes, payouts = Decimal(0), Decimal(0), Decimal(0)
    open_bets: dict[str, dict[str, Any]] = {}
    seen: list[str] = []
    for frame in await league(900):
        data = frame["data"]
        if frame["event"] == "bet":
            open_bets |= {bet["betId"]: bet for bet in data}
            stakes += sum(Decimal(str(bet["stake"])) for bet in data)
        elif frame["event"] == "bets-result":
            for bet in data["bets"]:
                placed = open_bets.pop(bet["betId"])
                assert all(bet[name] == placed[name] for name in ("stake", "odds", "selection"))
                won = bet["selection"] == data["result"]
                assert bet["status"] == ("won" if won else "lost")
                expected = Decimal(str(bet["stake"])) * Decimal(str(bet["odds"])) if won else 0
                payout = Decimal(str(bet["payout"]))
                assert 0 <= expected - payout < Decimal("0.01")
                payouts += payout
        elif frame["event"] == "balance":
            seen.append(data["reason"])
            change, now = Decimal(str(data["change"])), Decimal(str(data["balance"]))
            if data["reason"] == "opening":
                balance = now
            assert balance + change == now
            balance = now
            stakes += change if data["reason"] == "stake" else 0
            payouts -= change if data["reason"] == "payout" else 0
            assert stakes >= 0
    assert {"opening", "stake", "payout"} <= set(seen)


async def test_results_follow_from_the_goals_that_were_told():
    scores: dict[str, tuple[int, int]] = {}
    for frame in await league(800):
        data = frame["data"]
        if frame["event"] == "incident" and "score" in data:
            score = (data["score"]["home"], data["score"]["away"])
            before = scores.get(data["gameId"], (0, 0))
            assert sum(score) - sum(before) == (data["type"] == "goal")
            scores[data["gameId"]] = score
        elif frame["event"] == "bets-result":
            home, away = scores[data["gameId"]]
            assert data["result"] == ("home" if home > away else "away" if away > home else "draw")


def test_a_user_who_lost_it_all_pays_in_again():
    league = League("u", Random(1))
    league.balance = 1
    reasons = [
        orjson.loads(payload)["reason"]
        for name, payload in itertools.islice(league.messages(), 60)
        if name == "balance"
    ]
    assert "deposit" in reasons


async def test_money_keeps_both_decimals_on_the_wire():
    async with serving(rate=1000) as (_, listening), connect(listening.url) as socket:
        await text(socket)
        assert '"balance":1000.00,' in await text(socket)


async def test_the_same_seed_gives_the_same_league():
    def timeless(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for frame in frames:
            if isinstance(frame["data"], dict):
                frame["data"].pop("at", None)
        return frames

    assert timeless(await league(60)) == timeless(await league(60))
    assert timeless(await league(60)) != timeless(await league(60, seed=2))


async def test_the_league_goes_on_where_a_user_left_it():
    async with serving(rate=1000) as (_, listening):
        async with connect(listening.url) as socket:
            await received(socket)
            assert (await received(socket))["data"]["reason"] == "opening"
        async with connect(listening.url) as socket:
            await received(socket)
            assert (await received(socket))["data"].get("reason") != "opening"


SCRIPT = (
    '[{"after_ms": 30, "operation": "stats", "payload": {"opaque": true, "n": 1.10}},'
    ' {"after_ms": 0, "operation": "bet", "payload": [{"x": 1e-8}, 12345678901234567.12345678]},'
    ' {"after_ms": 40, "operation": "jackpot", "payload": 5}]'
)


@pytest.fixture(name="script")
def _script(tmp_path: Path) -> str:
    path = tmp_path / "pushes.json"
    path.write_text(SCRIPT)
    return str(path)


async def test_a_script_is_pushed_in_time_and_untouched(script):
    async with serving(script=script) as (_, listening), connect(listening.url) as socket:
        await text(socket)
        assert [await text(socket) for _ in range(3)] == [
            '{"event":"bet","data":[{"x": 1e-8}, 12345678901234567.12345678]}',
            '{"event":"stats","data":{"opaque": true, "n": 1.10}}',
            '{"event":"jackpot","data":5}',
        ]


async def test_a_script_fits_the_flat_style(script):
    options: dict[str, Any] = {"script": script, "style": "flat"}
    async with serving(**options) as (_, listening), connect(listening.url) as socket:
        await text(socket)
        assert [await text(socket) for _ in range(3)] == [
            '{"action":"bet","items":[{"x": 1e-8}, 12345678901234567.12345678]}',
            '{"action":"stats","opaque": true, "n": 1.10}',
            '{"action":"jackpot","items":5}',
        ]


@pytest.mark.parametrize("content", [None, "{}", '[{"operation":"bet"}]', "[1]"])
def test_a_script_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "pushes.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"pushes\.json"):
        create("igratech", options={"script": str(path)})
