"""The simulated FastPath streams, seen by an independent client."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wsfeeds.errors import UsageError
from wsfeeds.simulators import create, load
from wsfeeds.simulators.base import Listening
from wsfeeds.simulators.faults import Faults

SOCCER = "/soccer/fixtures/433eac65-2c3c-4164-bcae-b6f27db27d0c/actions"
TENNIS = "/tennis/events/2022-2789-MS027/stream"
ACCEPTED = {"message": "Authorisation accepted", "level": "INFO"}
Frame = dict[str, Any]
DEADLINE = 20.0
FAST: dict[str, Any] = {"speedup": 200_000}


@functools.cache
def fixture_ids(sport: str) -> dict[str, str]:
    catalogue = vars(create("img_fastpath"))["catalogue"]
    return {each.phase: each.id for each in reversed(catalogue.of(sport)) if each.licensed}


def finished(sport: str = "soccer", stream: str = "actions") -> str:
    return f"/{sport}/fixtures/{fixture_ids(sport)['finished']}/{stream}"


@asynccontextmanager
async def serving(rate: float | None = None, faults: Faults | None = None, **options: Any):
    simulator = create("img_fastpath", rate=rate, faults=faults, options=options)
    async with simulator.serve() as listening:
        yield listening


@asynccontextmanager
async def connected(listening: Listening, path: str = SOCCER) -> AsyncIterator[ClientConnection]:
    async with (
        asyncio.timeout(DEADLINE),
        websockets.connect(listening.url + path, proxy=None, max_queue=None) as socket,
    ):
        yield socket


async def authorised(listening: Listening, socket: ClientConnection) -> Frame:
    await socket.send(orjson.dumps({"authToken": listening.settings["token"]}).decode())
    return await received(socket)


async def received(socket: ClientConnection) -> Frame:
    async with asyncio.timeout(DEADLINE):
        frame: Frame = orjson.loads(await socket.recv())
        return frame


async def data(socket: ClientConnection, count: int) -> list[Frame]:
    """Take data frames and skip heartbeats."""
    frames: list[Frame] = []
    while len(frames) < count:
        frame = await received(socket)
        if not str(frame.get("message", "")).startswith("Heartbeat"):
            frames.append(frame)
    return frames


async def everything(socket: ClientConnection) -> list[Frame]:
    frames: list[Frame] = []
    while not frames or not frames[-1].get("finished"):
        frames += await data(socket, 1)
    return frames


async def opened(listening: Listening, path: str, count: int) -> list[Frame]:
    async with connected(listening, path) as socket:
        assert await authorised(listening, socket) == ACCEPTED
        return await data(socket, count)


def numbers(frames: list[Frame]) -> list[int]:
    return [frame["fixtureAction"]["fixtureSeqNum"] for frame in frames]


async def closing(socket: ClientConnection) -> int:
    try:
        while True:
            await received(socket)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


async def test_a_good_token_is_accepted_and_the_match_streams():
    async with serving(rate=200) as listening:
        assert re.fullmatch(r"ws://127\.0\.0\.1:\d+", listening.url)
        assert re.fullmatch(r"[A-Za-z0-9]{20}", listening.settings["token"])
        frames = await opened(listening, SOCCER, 10)
    assert numbers(frames) == list(range(1, 11))
    assert frames[0]["fixtureAction"]["fixtureActionType"] == "Team Colours"


async def test_nothing_is_sent_before_the_auth_frame():
    async with serving(rate=500, auth_timeout="100ms") as listening, connected(listening) as socket:
        assert await closing(socket) == 1008


@pytest.mark.parametrize("frame", ["hello", "[]", '{"token":"x"}', '{"authToken":1}'])
async def test_a_malformed_auth_frame_is_named_and_closed(frame):
    async with serving() as listening, connected(listening) as socket:
        await socket.send(frame)
        assert await received(socket) == {
            "message": "Authentication message had incorrect format",
            "level": "ERROR",
        }
        assert await closing(socket) == 1008


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ("message", '{"errorMessage":"Supplied token could not be authenticated"}'),
        ("text", "{The supplied authentication is invalid}"),
        ("level", '{"message":"Supplied token could not be authenticated","level":"ERROR"}'),
        ("error", '{"error":"Invalid token","status":401}'),
    ],
)
async def test_a_bad_token_is_refused_in_every_published_shape(shape, answer):
    async with serving(bad_token=shape) as listening, connected(listening) as socket:
        await socket.send('{"authToken":"wrong"}')
        assert await socket.recv() == answer
        assert await closing(socket) == 1008


async def test_a_bad_token_may_be_answered_by_a_close_alone():
    async with serving(bad_token="close") as listening, connected(listening) as socket:
        await socket.send('{"authToken":"wrong"}')
        assert await closing(socket) == 1008


async def test_data_may_be_the_only_answer_to_a_good_token():
    async with serving(rate=200, auth_answer="none") as listening, connected(listening) as socket:
        assert "fixtureAction" in await authorised(listening, socket)


async def test_heartbeats_have_the_tracking_shape():
    async with (
        serving(heartbeat="20ms", start="watched") as listening,
        connected(listening) as socket,
    ):
        await authorised(listening, socket)
        frame: Frame = {}
        while "fixtureAction" in frame or not frame:
            frame = await received(socket)
    assert frame["level"] == "INFO"
    assert re.fullmatch(r"Heartbeat sent at [-0-9T:.]+Z", frame["message"])


async def test_heartbeats_may_have_the_golf_shape():
    options: dict[str, Any] = {"heartbeat": "20ms", "heartbeat_shape": "golf"}
    async with serving(**options) as listening, connected(listening) as socket:
        await authorised(listening, socket)
        frame: Frame = {}
        while "fixtureAction" in frame or not frame:
            frame = await received(socket)
    assert set(frame) == {"timestamp", "eventelementType", "message"}
    assert frame["eventelementType"] == "heartbeat"


async def test_what_a_client_says_after_the_auth_frame_is_ignored():
    async with serving(rate=200) as listening, connected(listening) as socket:
        await authorised(listening, socket)
        await socket.send("nonsense")
        await socket.send('{"authToken":"wrong"}')
        assert len(await data(socket, 20)) == 20


@pytest.mark.parametrize(
    "path",
    [
        "/soccer/fixtures/unknown/actions",
        "/soccer/fixtures/433eac65-2c3c-4164-bcae-b6f27db27d0c/odds",
        "/v2/soccer/fixtures/433eac65-2c3c-4164-bcae-b6f27db27d0c/actions",
        "/tennis/fixtures/2022-2789-MS027/actions",
        "/",
    ],
)
async def test_what_is_not_there_is_404(path):
    async with serving() as listening:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(listening.url + path, proxy=None)
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/soccer/fixtures/{fixture_ids('soccer')['scheduled']}/actions", 204),
        ("/tennis/events/2022-2789-MS028/stream", 204),
        (SOCCER + "?startPosition=x", 400),
    ],
)
async def test_streams_that_cannot_be_had_now_are_refused(path, status):
    async with serving() as listening:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(listening.url + path, proxy=None)
    assert refused.value.response.status_code == status


async def test_a_fixture_without_a_licence_is_403():
    catalogue = vars(create("img_fastpath"))["catalogue"]
    fixture = next(each for each in catalogue.of("soccer") if not each.licensed)
    async with serving() as listening:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(
                f"{listening.url}/soccer/fixtures/{fixture.id}/actions", proxy=None
            )
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("status", ["204", "401", "403", "404", "429", "503"])
async def test_handshakes_can_be_refused_a_number_of_times(status):
    async with serving(rate=100, handshake=status, handshakes="2") as listening:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(listening.url + SOCCER, proxy=None)
            assert refused.value.response.status_code == int(status)
        assert numbers(await opened(listening, SOCCER, 1)) == [1]


async def test_a_handshake_without_accept_can_be_refused():
    async with serving(require_accept="true") as listening:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(listening.url + SOCCER, proxy=None)
        assert refused.value.response.status_code == 400
        kind = "application/vnd.imggaming.dde.api+json;version=1"
        async with websockets.connect(
            listening.url + SOCCER, proxy=None, additional_headers={"Accept": kind}
        ) as socket:
            assert await authorised(listening, socket) == ACCEPTED


async def test_the_media_path_carries_the_same_match():
    async with serving(rate=300) as listening:
        plain = await opened(listening, SOCCER, 5)
        media = await opened(listening, f"/media{SOCCER}", 5)
    assert plain == media


async def test_history_is_replayed_at_once_and_identically_to_whoever_comes_later():
    async with serving(rate=30) as listening:
        first = await opened(listening, SOCCER, 45)
        clock = asyncio.get_running_loop().time
        start = clock()
        again = await opened(listening, SOCCER, 45)
        assert clock() - start < 1.2, "at the match's pace it takes a second and a half"
    assert first == again


@pytest.mark.parametrize(("reading", "first"), [("skip", 6), ("nth", 5)])
async def test_a_start_position_skips_packets_or_starts_at_the_nth(reading, first):
    async with serving(rate=500, start_position=reading) as listening:
        frames = await opened(listening, SOCCER + "?startPosition=5", 3)
    assert numbers(frames) == [first, first + 1, first + 2]


async def test_a_start_position_beyond_the_end_waits_for_new_events():
    async with serving(rate=100) as listening:
        assert numbers(await opened(listening, SOCCER + "?startPosition=20", 2)) == [21, 22]


async def test_numbers_may_restart_on_every_connection():
    async with serving(rate=500, numbering="connection") as listening:
        whole = await opened(listening, SOCCER, 8)
        frames = await opened(listening, SOCCER + "?startPosition=5", 3)
    assert numbers(frames) == [1, 2, 3]
    ids = [frame["fixtureAction"]["actionId"] for frame in whole]
    assert [frame["fixtureAction"]["actionId"] for frame in frames] == ids[5:8]


async def test_a_finished_match_is_replayed_without_pauses_on_request():
    async with serving() as listening, connected(listening, finished() + "?speed=fast") as socket:
        await authorised(listening, socket)
        frames = await everything(socket)
    assert numbers(frames) == list(range(1, len(frames) + 1))
    assert len(frames) > 1000


async def test_a_finished_match_is_replayed_in_its_own_timing_by_default():
    async with serving(rate=80) as listening:
        clock = asyncio.get_running_loop().time
        start = clock()
        await opened(listening, finished(), 9)
        assert clock() - start > 0.07


async def test_a_replay_from_a_position_keeps_its_timing():
    async with serving(rate=80) as listening:
        clock = asyncio.get_running_loop().time
        start = clock()
        frames = await opened(listening, finished() + "?startPosition=1000", 9)
        assert clock() - start > 0.07
    assert numbers(frames)[0] == 1001


async def test_the_whole_live_match_ends_finished_and_the_socket_stays_open_a_while():
    options: dict[str, Any] = {**FAST, "linger": "150ms"}
    async with serving(**options) as listening, connected(listening) as socket:
        await authorised(listening, socket)
        await everything(socket)
        clock = asyncio.get_running_loop().time
        start = clock()
        assert await closing(socket) == 1000
        assert clock() - start > 0.1


async def test_the_statistics_stream_ends_finished_too():
    path = SOCCER.replace("actions", "statistics")
    async with serving(**FAST) as listening, connected(listening, path) as socket:
        await authorised(listening, socket)
        frames = await everything(socket)
    assert [frame["seqNum"] for frame in frames] == list(range(1, len(frames) + 1))


@pytest.mark.parametrize("sport", ["basketball", "v2/volleyball", "v2/tabletennis"])
async def test_other_sports_stream_on_their_own_paths(sport):
    path = f"/{sport}/fixtures/{fixture_ids(sport)['live']}/actions"
    async with serving(rate=300) as listening:
        assert numbers(await opened(listening, path, 3)) == [1, 2, 3]


async def test_tennis_starts_with_the_dummy_and_resumes_at_a_number():
    async with serving(rate=300) as listening:
        frames = await opened(listening, TENNIS, 6)
        assert [frame["seqNum"] for frame in frames] == list(range(6))
        resumed = await opened(listening, TENNIS + "?startPosition=4", 2)
    assert resumed == frames[4:]


async def test_a_tennis_match_that_has_not_begun_may_give_the_dummy():
    async with serving(not_started="dummy") as listening:
        frames = await opened(listening, "/tennis/events/2022-2789-MS028/stream", 1)
    assert frames[0]["seqNum"] == 0
    assert frames[0]["timestamp"] == "1970-01-01T00:00:00.000Z"


async def test_tennis_statistics_begin_with_the_names_and_are_not_replayed():
    path = "/tennis/events/2022-0784-QS010/statistics"
    async with serving() as listening:
        frames = await opened(listening, path, 2)
    assert set(frames[0]["teamA"]) == {"player1"}
    assert {"match", "set1", "set5"} <= set(frames[1])
    assert frames[1]["match"]["teamA"]["totalServes"] > 10


@pytest.mark.parametrize("form", ["/mma/fights/{}/{}", "/media/mma/fight-{1}/feed/{0}"])
@pytest.mark.parametrize("stream", ["details", "actions"])
async def test_fights_stream_on_both_paths(form, stream):
    path = form.format(fixture_ids("mma")["live"], stream)
    async with serving(rate=300) as listening:
        frames = await opened(listening, path, 4)
        resumed = await opened(listening, f"{path}?startPosition=3", 2)
    assert [frame["seqNum"] for frame in frames] == [1, 2, 3, 4]
    assert resumed == frames[2:]


OUTAGE: dict[str, Any] = {
    "outage": "300ms",
    "outage_at": "60ms",
    "check": "30ms",
    "silence": "100ms",
}


async def test_an_outage_is_announced_once_and_mended_before_the_next_packet():
    async with serving(rate=100, **OUTAGE) as listening, connected(listening) as socket:
        await authorised(listening, socket)
        frames: list[Frame] = []
        while "Connected" not in [frame.get("state") for frame in frames]:
            frames += await data(socket, 1)
        frames += await data(socket, 30)
    states = [frame for frame in frames if "state" in frame]
    assert [frame["state"] for frame in states] == ["Disconnected", "Connected"]
    assert set(states[0]) == {"timestamp", "eventElementType", "state"}
    assert states[0]["eventElementType"] == "ConnectionStateChanged"
    assert numbers([f for f in frames if "fixtureAction" in f]) == list(range(1, len(frames) - 1))
    assert frames.index(states[1]) == frames.index(states[0]) + 1


async def test_status_frames_are_neither_replayed_nor_counted():
    async with serving(rate=100, **OUTAGE) as listening:
        async with connected(listening) as socket:
            await authorised(listening, socket)
            while (await data(socket, 1))[0].get("state") != "Connected":
                pass
        frames = await opened(listening, SOCCER + "?startPosition=2", 30)
    assert numbers(frames) == list(range(3, 33))


async def test_a_late_joiner_is_not_told_of_an_outage():
    options = OUTAGE | {"outage": "10s"}
    async with serving(rate=100, heartbeat="30ms", **options) as listening:
        async with connected(listening) as socket:
            await authorised(listening, socket)
            while (await data(socket, 1))[0].get("state") != "Disconnected":
                pass
        async with connected(listening) as socket:
            await authorised(listening, socket)
            kinds = [await received(socket) for _ in range(12)]
    assert not [frame for frame in kinds if "state" in frame]
    assert any("message" in frame for frame in kinds), "heartbeats go on in an outage"


async def test_the_rate_is_frames_a_second_of_a_stream():
    async with serving(rate=100) as listening:
        clock = asyncio.get_running_loop().time
        start = clock()
        await opened(listening, SOCCER, 25)
        assert clock() - start > 0.2


async def test_a_match_can_begin_with_the_server():
    basketball = f"/basketball/fixtures/{fixture_ids('basketball')['live']}/actions"
    async with serving(rate=200, start="serving") as listening:
        await opened(listening, SOCCER, 20)
        now = dt.datetime.now(dt.UTC)
        frame = (await opened(listening, basketball, 1))[0]
    assert dt.datetime.fromisoformat(frame["fixtureAction"]["timestamp"]) < now


async def test_times_in_live_frames_follow_the_clock_on_the_wall():
    async with serving(rate=200) as listening:
        frame = (await opened(listening, SOCCER, 20))[-1]
    now = dt.datetime.now(dt.UTC)
    sent = dt.datetime.fromisoformat(frame["fixtureAction"]["timestamp"])
    assert abs((now - sent).total_seconds()) < 60


async def test_dropped_frames_leave_holes_that_a_replay_can_fill():
    faults = Faults(drop=0.3)
    async with serving(faults=faults) as listening:
        seen = set()
        for _ in range(6):
            async with connected(listening, finished("v2/tabletennis") + "?speed=fast") as socket:
                await authorised(listening, socket)
                frames = await data(socket, 80)
            assert any(b - a > 1 for a, b in itertools.pairwise(numbers(frames)))
            seen |= set(numbers(frames))
    assert set(range(1, 60)) <= seen


def test_the_demo_symbol_is_the_live_soccer_match():
    assert load("img_fastpath").demo_symbols == ("soccer/433eac65-2c3c-4164-bcae-b6f27db27d0c",)


@pytest.mark.parametrize(
    "faults", [Faults(logout=1.0), Faults(token_error=0.5), Faults(crossed_book=0.1)]
)
def test_faults_that_the_venue_cannot_have_are_refused(faults):
    with pytest.raises(UsageError):
        create("img_fastpath", faults=faults)


@pytest.mark.parametrize("options", [{"speedup": "0"}, {"handshakes": "-1"}, {"listing": "heap"}])
def test_options_are_checked(options):
    with pytest.raises(UsageError):
        create("img_fastpath", options=options)
