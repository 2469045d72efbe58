"""The simulated ASP.NET Core hub: how it frames and packs, how it ends, what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import gzip
from functools import partial

import httpx
import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import orjson
import pytest

RS = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + RS


@pytest.fixture
def serve(serve_hub):
    return partial(serve_hub, "signalr")


@pytest.mark.parametrize("shape", ["split", "merged", "mixed"])
async def test_records_and_messages_need_not_agree(serve, shape):
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
async def test_arguments_are_packed_as_asked(serve, kind):
    unpack = {
        "gzip": gzip.decompress,
        "lz4-frame": lz4.frame.decompress,
        "lz4-block": lz4.block.decompress,
        "lz4-raw": lambda data: lz4.block.decompress(data, uncompressed_size=4096),
    }[kind]
    async with serve(compress=kind, rate=200) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        pushes = await venue.take(socket, 5)
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
async def test_a_close_message_says_whether_to_come_back(serve, end, last):
    async with serve(end=end, end_after="50ms") as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        assert await venue.until(socket, 7) == last
        await socket.wait_closed()
        assert socket.close_code == 1000


@pytest.mark.parametrize(("end", "code"), [("clean", 1000), ("drop", 1006)])
async def test_a_socket_ends_as_asked(serve, end, code):
    async with serve(end=end, end_after="20ms", end_connections=1) as venue:
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            await socket.wait_closed()
            assert socket.close_code == code
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            assert len(await venue.take(socket, 3)) == 3


@pytest.mark.parametrize("end", ["gone", "drop", "clean"])
async def test_a_poll_ends_as_asked(serve, end):
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


async def test_silence_keeps_the_connection_open(serve):
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


async def test_a_lost_stream_is_a_fault_of_every_transport(serve):
    async with serve("disconnect=50ms") as venue:
        async with venue.socket() as socket:
            await socket.wait_closed()
            assert socket.close_code == 1006
        accept = {"Accept": "text/event-stream"}
        url = f"/hub?id={await venue.token()}"
        with pytest.raises(httpx.RemoteProtocolError):
            await venue.http.get(url, headers=accept)


async def test_dropped_records_leave_holes(serve):
    async with serve("drop=0.5", rate=500) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        ids = [each["arguments"][0]["id"] for each in await venue.take(socket, 20)]
    assert ids == sorted(ids)
    assert ids[-1] > 22


async def test_the_answer_to_the_servers_question_is_told(serve):
    async with serve(ask=True, subscribe_first=True) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        asked = (await venue.take(socket, 1))[0]
        assert asked["target"] == "GetState"
        answer = {"type": 3, "invocationId": asked["invocationId"], "error": "no"}
        await socket.send(orjson.dumps(answer).decode() + RS)
        assert (await venue.take(socket, 1))[0]["arguments"] == [{"answer": {"error": "no"}}]


async def test_the_same_seed_gives_the_same_odds(serve):
    runs = []
    for seed in (1, 1, 2):
        async with serve(rate=500, seed=seed) as venue, venue.socket() as socket:
            await socket.send(HANDSHAKE)
            pushes = await venue.take(socket, 50)
        runs.append([{**each["arguments"][0], "ts": 0} for each in pushes])
    assert runs[0] == runs[1] != runs[2]


async def test_a_slow_reader_holds_the_pushes_back(serve):
    async with (
        serve(rate=50_000) as venue,
        venue.socket(max_queue=1, compression=None) as socket,
    ):
        await socket.send(HANDSHAKE)
        connection = next(iter(venue.simulator.connections.values()))
        held = 0
        while held < 30:  # until so many requests in a row found nothing pushed between them
            before = connection.pushed
            await venue.negotiate()
            held = held + 1 if 0 < before == connection.pushed else 0
        assert not connection.outlet._room.is_set()
        ids = [each["arguments"][0]["id"] for each in await venue.take(socket, 1000)]
        assert ids == list(range(1, 1001))
