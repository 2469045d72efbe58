"""The simulated ASP.NET Core hub, seen by plain httpx and websockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import orjson
import pytest
import websockets

from wsfeeds.simulators import create, feeds, load
from wsfeeds.simulators.base import Listening
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.signalr import SignalRSimulator

RS = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + RS
DEADLINE = 5.0


class Venue:
    def __init__(self, simulator: SignalRSimulator, listening: Listening, http: httpx.AsyncClient):
        self.simulator = simulator
        self.url = listening.url
        self.http = http

    async def negotiate(self, path: str = "/hub", version: int = 1) -> dict[str, Any]:
        answer = await self.http.post(f"{path}/negotiate?negotiateVersion={version}")
        assert answer.status_code == 200
        return orjson.loads(answer.content)  # type: ignore[no-any-return]

    async def token(self) -> str:
        return str((await self.negotiate())["connectionToken"])

    def socket(self, token: str | None = None, **options: Any) -> websockets.connect:
        query = "" if token is None else f"?id={token}"
        options = {"max_queue": None, "close_timeout": 1} | options
        return websockets.connect(self.url + query, proxy=None, **options)


@contextlib.asynccontextmanager
async def serve(
    *faults: str, rate: float | None = None, seed: int = 1, **options: object
) -> AsyncIterator[Venue]:
    simulator = create(
        "signalr", seed=seed, rate=rate, faults=Faults.parse(faults), options=options
    )
    assert isinstance(simulator, SignalRSimulator)
    async with (
        simulator.serve() as listening,
        httpx.AsyncClient(
            base_url=listening.api_url, trust_env=False, verify=False, timeout=DEADLINE
        ) as http,
        asyncio.timeout(4 * DEADLINE),
    ):
        yield Venue(simulator, listening, http)


async def records(socket: websockets.ClientConnection) -> AsyncIterator[dict[str, Any]]:
    text = ""
    async for message in socket:
        assert isinstance(message, str)
        *whole, text = (text + message).split(RS)
        for record in whole:
            yield orjson.loads(record)


async def take(socket: websockets.ClientConnection, count: int) -> list[dict[str, Any]]:
    """Take so many pushes; replies and pings are passed over."""
    found: list[dict[str, Any]] = []
    async for record in records(socket):
        if record.get("type") == 1:
            found.append(record)
        if len(found) == count:
            break
    return found


async def until(socket: websockets.ClientConnection, kind: int | None) -> dict[str, Any]:
    async for record in records(socket):
        if record.get("type") == kind:
            return record
    raise AssertionError("the socket closed")


def test_both_generations_are_found_by_name():
    assert {"signalr", "signalr_legacy"} <= set(feeds())
    assert not [name for name in feeds() if name.startswith("signalr_") and "legacy" not in name]
    assert load("signalr-legacy").feed == "signalr_legacy"


async def test_negotiate_offers_three_transports_and_unguessable_ids():
    async with serve() as venue:
        first, second = await venue.negotiate(), await venue.negotiate()
    names = [each["transport"] for each in first["availableTransports"]]
    assert names == ["WebSockets", "ServerSentEvents", "LongPolling"]
    assert first["negotiateVersion"] == 1
    ids = {each[key] for each in (first, second) for key in ("connectionId", "connectionToken")}
    assert len(ids) == 4
    assert all(len(each) >= 20 for each in ids)


async def test_version_0_has_no_token_and_another_method_is_405():
    async with serve() as venue:
        answer = await venue.negotiate(version=0)
        assert answer["negotiateVersion"] == 0
        assert "connectionToken" not in answer
        async with venue.socket(answer["connectionId"]) as socket:
            await socket.send(HANDSHAKE)
            assert await until(socket, None) == {}
        assert (await venue.http.get("/hub/negotiate")).status_code == 405
        assert (await venue.http.get("/elsewhere")).status_code == 404


async def test_a_websocket_shakes_hands_answers_calls_and_pushes():
    async with serve(rate=200) as venue, venue.socket(await venue.token()) as socket:
        await socket.send(HANDSHAKE + '{"type":1,"target":"Sub","arguments":["x",1],')
        await socket.send('"invocationId":"0"}' + RS + '{"type":6}' + RS)
        assert await until(socket, None) == {}
        answer = await until(socket, 3)
        assert answer == {"type": 3, "invocationId": "0", "result": "ok"}
        pushes = await take(socket, 20)
        ids = [each["arguments"][0]["id"] for each in pushes]
        assert ids == list(range(ids[0], ids[0] + 20))
        odds = [each for each in pushes if each["target"] == "ReceiveOdds"]
        assert all(float(each["arguments"][0]["price"]) >= 1.01 for each in odds)


async def test_a_failing_call_and_a_stream_are_answered():
    async with serve(subscribe_first=True) as venue, venue.socket() as socket:
        call = '{"type":1,"target":"Nope","arguments":[],"invocationId":"7"}' + RS
        stream = '{"type":4,"target":"Count","arguments":[2],"invocationId":"8"}' + RS
        await socket.send(HANDSHAKE + call + stream)
        found = []
        async for record in records(socket):
            found.append(record)
            if len(found) == 5:
                break
    assert found[1] == {"type": 3, "invocationId": "7", "error": "Method does not exist: Nope"}
    assert [each.get("item") for each in found[2:]] == [0, 1, None]


async def test_nothing_is_pushed_before_sub_if_it_says_so():
    async with (
        serve(subscribe_first=True, keepalive="50ms", rate=500) as venue,
        venue.socket() as socket,
    ):
        await socket.send(HANDSHAKE)
        assert await until(socket, None) == {}
        assert await until(socket, 6) == {"type": 6}
        await socket.send('{"type":1,"target":"Sub","arguments":[]}' + RS)
        assert (await take(socket, 1))[0]["arguments"][0]["id"] == 1


async def test_a_second_socket_is_409_and_an_unknown_id_404():
    async with serve() as venue:
        token = await venue.token()
        async with venue.socket(token):
            for other, status in ((token, 409), ("guess", 404)):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await venue.socket(other)
                assert refused.value.response.status_code == status
            assert (await venue.http.post(f"/hub?id={token}")).status_code == 405


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_missing_id_is_400_and_an_unknown_one_404(method):
    async with serve() as venue:
        for query, status in (("", 400), ("?id=guess", 404)):
            answer = await venue.http.request(method, f"/hub{query}")
            assert answer.status_code == status
        token = await venue.token()
        assert (await venue.http.delete(f"/hub?id={token}")).status_code == 400


async def test_what_comes_before_the_handshake_is_refused():
    async with serve() as venue, venue.socket() as socket:
        await socket.send('{"type":1,"target":"Sub","arguments":[]}' + RS)
        assert "error" in await until(socket, None)
        await socket.wait_closed()


@pytest.mark.parametrize(
    "shake", ['{"protocol":"messagepack","version":1}', '{"protocol":"json","version":9}', "hello"]
)
async def test_another_protocol_is_refused(shake):
    async with serve() as venue, venue.socket() as socket:
        await socket.send(shake + RS)
        assert "error" in await until(socket, None)


async def test_a_handshake_that_does_not_come_ends_the_connection():
    async with serve(handshake_timeout="50ms") as venue, venue.socket() as socket:
        assert await until(socket, None) == {"error": "Handshake was canceled."}
        await socket.wait_closed()


async def test_a_silent_client_and_a_long_message_end_the_connection():
    async with serve(client_timeout="100ms", subscribe_first=True) as venue:
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            assert (await until(socket, 7))["error"]
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            await socket.send("x" * 40_000)
            assert (await until(socket, 7))["error"]


async def test_events_stream_and_posts_are_answered_there():
    async with serve(rate=200) as venue:
        token = await venue.token()
        accept = {"Accept": "text/event-stream"}
        async with venue.http.stream("GET", f"/hub?id={token}", headers=accept) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            sent = await venue.http.post(f"/hub?id={token}", content=HANDSHAKE)
            assert sent.status_code == 200
            text = ""
            async for chunk in answer.aiter_text():
                text += chunk
                if text.count("ReceiveOdds") >= 3:
                    break
            again = await venue.http.get(f"/hub?id={token}", headers=accept)
            assert again.status_code == 409
        assert "data: {}\x1e\r\n\r\n" in text
        assert text.startswith(":\r\n")


async def test_polls_begin_empty_carry_messages_and_end_with_204():
    async with serve(rate=100, poll_timeout="100ms", subscribe_first=True) as venue:
        token = await venue.token()
        url = f"/hub?id={token}"
        first = await venue.http.get(url)
        assert (first.status_code, first.content) == (200, b"")
        assert (await venue.http.get(url)).content == b""  # after the time-out
        waiting = asyncio.ensure_future(venue.http.get(url))
        await venue.http.post(url, content=HANDSHAKE)
        assert (await waiting).text == "{}" + RS
        waiting = asyncio.ensure_future(venue.http.get(url))
        assert (await venue.http.delete(url)).status_code == 202
        assert (await waiting).status_code in {204, 404}
        assert (await venue.http.get(url)).status_code == 404


async def test_a_later_poll_takes_the_place_of_an_earlier_one():
    async with serve(subscribe_first=True) as venue:
        url = f"/hub?id={await venue.token()}"
        await venue.http.get(url)
        polls = [asyncio.ensure_future(venue.http.get(url))]
        connection = next(iter(venue.simulator.connections.values()))
        while connection.poll is None:  # noqa: ASYNC110 - until the poll has come
            await asyncio.sleep(0.001)
        polls.append(asyncio.ensure_future(venue.http.get(url)))
        assert (await polls[0]).status_code == 204
        await venue.http.post(url, content=HANDSHAKE)
        assert (await polls[1]).text == "{}" + RS


async def test_redirects_ask_for_the_token_they_gave():
    async with serve(redirects=2) as venue:
        first = await venue.negotiate()
        assert first["url"].endswith("/hub/1")
        refused = await venue.http.post("/hub/1/negotiate?negotiateVersion=1")
        assert refused.status_code == 401
        headers = {"Authorization": f"Bearer {first['accessToken']}"}
        second = await venue.http.post("/hub/1/negotiate?negotiateVersion=1", headers=headers)
        assert second.json()["url"].endswith("/hub/2")
        last = await venue.http.post("/hub/2/negotiate?negotiateVersion=1", headers=headers)
        assert last.json()["connectionToken"]
        assert (await venue.http.post("/hub/3/negotiate")).status_code == 404


async def test_token_cookie_and_error_are_as_asked():
    async with serve(token="s3cret", sticky=True) as venue:
        assert (await venue.http.post("/hub/negotiate")).status_code == 401
        with pytest.raises(websockets.InvalidStatus):
            await venue.socket()
        venue.http.headers["Authorization"] = "Bearer s3cret"
        token = await venue.token()
        assert (await venue.http.get(f"/hub?id={token}")).status_code == 200
        venue.http.cookies.clear()
        assert (await venue.http.get(f"/hub?id={token}")).status_code == 404
    async with serve(negotiate_error="go away") as venue:
        assert await venue.negotiate() == {"error": "go away"}


@pytest.mark.parametrize("shape", ["split", "merged", "mixed"])
async def test_records_and_messages_need_not_agree(shape):
    async with serve(records=shape, rate=500) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        messages: list[str] = []
        while "".join(messages).count(RS) < 30:
            messages.append(str(await socket.recv()))
    whole = [text for text in messages if text.endswith(RS) and text.count(RS) == 1]
    assert len(whole) < len(messages) / 2
    *parts, _ = "".join(messages).split(RS)
    assert orjson.loads(parts[0]) == {}
    ids = [orjson.loads(part)["arguments"][0]["id"] for part in parts[1:]]
    assert ids == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("kind", ["gzip", "lz4-frame", "lz4-block", "lz4-raw"])
async def test_arguments_are_packed_as_asked(kind):
    unpack = {
        "gzip": gzip.decompress,
        "lz4-frame": lz4.frame.decompress,
        "lz4-block": lz4.block.decompress,
        "lz4-raw": lambda data: lz4.block.decompress(data, uncompressed_size=4096),
    }[kind]
    async with serve(compress=kind, rate=200) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        pushes = await take(socket, 5)
    values = [orjson.loads(unpack(base64.b64decode(each["arguments"][0]))) for each in pushes]
    assert [value["id"] for value in values] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("close", {"type": 7, "error": "Connection closed with an error."}),
        (
            "close-reconnect",
            {"type": 7, "error": "Connection closed with an error.", "allowReconnect": True},
        ),
    ],
)
async def test_a_close_message_says_whether_to_come_back(end, last):
    async with serve(end=end, end_after="50ms") as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        assert await until(socket, 7) == last
        await socket.wait_closed()
        assert socket.close_code == 1000


@pytest.mark.parametrize(("end", "code"), [("clean", 1000), ("drop", 1006)])
async def test_a_socket_ends_as_asked(end, code):
    async with serve(end=end, end_after="20ms", end_connections=1) as venue:
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            await socket.wait_closed()
            assert socket.close_code == code
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            assert len(await take(socket, 3)) == 3


@pytest.mark.parametrize("end", ["gone", "drop", "clean"])
async def test_a_poll_ends_as_asked(end):
    async with serve(end=end, end_after="20ms", subscribe_first=True) as venue:
        url = f"/hub?id={await venue.token()}"
        await venue.http.get(url)
        await venue.http.post(url, content=HANDSHAKE)
        assert (await venue.http.get(url)).text == "{}" + RS
        if end == "clean":
            assert (await venue.http.get(url)).status_code == 204
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await venue.http.get(url)


async def test_silence_keeps_the_connection_open():
    async with (
        serve(end="silence", end_after="30ms", keepalive="10ms", subscribe_first=True) as venue,
        venue.socket() as socket,
    ):
        await socket.send(HANDSHAKE)
        quiet = False
        while not quiet:
            try:
                async with asyncio.timeout(0.3):
                    await socket.recv()
            except TimeoutError:
                quiet = True
        await (await socket.ping())  # the socket lives


async def test_a_lost_stream_is_a_fault_of_every_transport():
    async with serve("disconnect=50ms") as venue:
        async with venue.socket() as socket:
            await socket.wait_closed()
            assert socket.close_code == 1006
        accept = {"Accept": "text/event-stream"}
        url = f"/hub?id={await venue.token()}"
        with pytest.raises(httpx.RemoteProtocolError):
            await venue.http.get(url, headers=accept)


async def test_dropped_records_leave_holes():
    async with serve("drop=0.5", rate=500) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        ids = [each["arguments"][0]["id"] for each in await take(socket, 20)]
    assert ids == sorted(ids)
    assert ids[-1] > 22


async def test_the_answer_to_the_servers_question_is_told():
    async with serve(ask=True, subscribe_first=True) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        asked = (await take(socket, 1))[0]
        assert asked["target"] == "GetState"
        answer = {"type": 3, "invocationId": asked["invocationId"], "error": "no"}
        await socket.send(orjson.dumps(answer).decode() + RS)
        assert (await take(socket, 1))[0]["arguments"] == [{"answer": {"error": "no"}}]


async def test_the_same_seed_gives_the_same_odds():
    runs = []
    for seed in (1, 1, 2):
        async with serve(rate=500, seed=seed) as venue, venue.socket() as socket:
            await socket.send(HANDSHAKE)
            pushes = await take(socket, 50)
        runs.append([{**each["arguments"][0], "ts": 0} for each in pushes])
    assert runs[0] == runs[1] != runs[2]


async def test_a_slow_reader_holds_the_pushes_back():
    async with (
        serve(rate=50_000) as venue,
        venue.socket(max_queue=1, compression=None) as socket,
    ):
        await socket.send(HANDSHAKE)
        connection = next(iter(venue.simulator.connections.values()))
        before = -1
        while (now := connection.pushed) != before or not now:
            before = now
            await asyncio.sleep(0.1)
        ids = [each["arguments"][0]["id"] for each in await take(socket, 1000)]
        assert ids == list(range(1, 1001))
