from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import websockets

from wsfeeds.errors import UsageError
from wsfeeds.simulators.base import Listening, Simulator
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Response
from wsfeeds.simulators.options import Options, duration
from wsfeeds.simulators.websocket import Socket

DEADLINE = 20.0


@dataclass(frozen=True, kw_only=True)
class AcmeOptions(Options):
    heartbeat: float = duration("1h", "how often the venue says that it lives")


class Acme(Simulator):
    feed = "acme"
    path = "/stream"
    option_type = AcmeOptions
    options: AcmeOptions
    flood = 0
    sent = 0
    socket: Socket | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.stream_closed = asyncio.Event()
        self.beats_ended = asyncio.Event()

    async def http(self, request):
        if request.path == "/stream":
            return Response(200, self.events(), {"Content-Type": "text/event-stream"})
        if request.path == "/finite":
            return Response(200, self.finite())
        document = {"method": request.method, "body": request.body.decode(), "path": request.path}
        return Response.json(document | {"query": request.query})

    async def events(self) -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            self.stream_closed.set()

    async def finite(self) -> AsyncIterator[bytes]:
        for part in (b"a", b"", b"bc"):
            yield part

    async def upgrade(self, request):
        if status := request.param("refuse"):
            return Response(int(status), b"", {"Retry-After": "7"})
        return self.session

    def is_held_back(self) -> bool:
        """Whether the client leaves so much unread that nothing more can be sent."""
        return self.socket is not None and not self.socket._wire._writable.is_set()

    async def session(self, socket):
        self.socket = socket
        socket.start(self.beat(socket))
        for _ in range(self.flood):
            await socket.publish("x" * 10_000)
            self.sent += 1
        async for message in socket:
            if message == "bye":
                return
            await socket.send(message, binary=isinstance(message, bytes))

    async def beat(self, socket: Socket) -> None:
        try:
            while True:
                await asyncio.sleep(self.options.heartbeat)
                await socket.send_json({"beat": True})
        finally:
            self.beats_ended.set()


@contextlib.asynccontextmanager
async def acme(*faults: str, **options: object) -> AsyncIterator[tuple[Acme, Listening]]:
    simulator = Acme(faults=Faults.parse(faults), options=options)
    async with simulator.serve() as listening, asyncio.timeout(DEADLINE):
        yield simulator, listening


def connect(listening: Listening, query: str = "", **options: Any) -> websockets.connect:
    return websockets.connect(f"{listening.url}{query}", proxy=None, close_timeout=1, **options)


async def until_stuck(simulator: Acme, socket: websockets.ClientConnection) -> None:
    """Wait until the client does not read and the venue cannot write, which nothing will end."""
    while socket.transport.is_reading() or not simulator.is_held_back():  # noqa: ASYNC110
        await asyncio.sleep(0)  # within the deadline of `acme`


async def test_any_method_and_body_is_answered_on_one_connection():
    async with acme() as (_, listening):
        client = httpx.AsyncClient(
            base_url=listening.api_url,
            trust_env=False,
            verify=False,
            limits=httpx.Limits(max_connections=1),
        )
        async with client:
            posted = await client.post("/a%20b?x=1&x=2", content="hello")
            assert posted.json() == {
                "method": "POST",
                "body": "hello",
                "path": "/a b",
                "query": {"x": ["1", "2"]},
            }
            assert (await client.head("/a")).content == b""
            assert (await client.put("/a", content=b"z" * 300_000)).json()["body"] == "z" * 300_000


async def test_a_chunked_body_arrives_whole():
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two"):
            yield part

    async with (
        acme() as (_, listening),
        httpx.AsyncClient(base_url=listening.api_url, trust_env=False, verify=False) as client,
    ):
        assert (await client.post("/a", content=chunks())).json()["body"] == "one two"
        assert (await client.get("/finite")).content == b"abc"


async def test_a_stream_ends_when_its_reader_leaves():
    async with (
        acme() as (simulator, listening),
        httpx.AsyncClient(base_url=listening.api_url, trust_env=False, verify=False) as client,
    ):
        async with client.stream("GET", "/stream") as answer:
            async for line in answer.aiter_lines():
                assert line == "data: 1"
                break
        await simulator.stream_closed.wait()


async def test_what_is_not_http_gets_400():
    async with acme() as (_, listening):
        host, port = listening.api_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01\x02\x00 not http\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("status", [204, 401, 403, 404, 429, 503])
async def test_an_upgrade_can_be_refused_with_any_status(status):
    async with acme() as (_, listening):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(listening, f"?refuse={status}")
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["Retry-After"] == "7"


async def test_text_binary_and_fragments_go_both_ways():
    async with acme() as (_, listening), connect(listening) as socket:
        await socket.send("żółw")
        assert await socket.recv() == "żółw"
        await socket.send(b"\x00\xff")
        assert await socket.recv() == b"\x00\xff"
        await socket.send(["frag", "ment", "ed"])
        assert await socket.recv() == "fragmented"
        await (await socket.ping())


@pytest.mark.parametrize(("offer", "accepted"), [("deflate", 1), (None, 0)])
async def test_compression_is_used_where_it_is_offered(offer, accepted):
    async with acme() as (_, listening), connect(listening, compression=offer) as socket:
        assert len(socket.protocol.extensions) == accepted
        await socket.send("again " * 100)
        assert await socket.recv() == "again " * 100


async def test_a_session_that_returns_closes_with_1000_and_ends_its_tasks():
    async with acme() as (simulator, listening), connect(listening) as socket:
        await socket.send("bye")
        await socket.wait_closed()
        assert socket.close_code == 1000
        await simulator.beats_ended.wait()


async def test_tasks_end_when_the_client_leaves():
    async with acme() as (simulator, listening):
        async with connect(listening) as socket:
            await socket.send("x")
            await socket.recv()
        await simulator.beats_ended.wait()


async def test_heartbeats_follow_their_option():
    async with acme(heartbeat="10ms") as (_, listening), connect(listening) as socket:
        assert await socket.recv() == '{"beat":true}'


async def test_a_slow_client_holds_the_venue_back():
    async with acme() as (simulator, listening):
        simulator.flood = 5_000
        async with connect(listening, compression=None, max_queue=4) as socket:
            await until_stuck(simulator, socket)
            assert simulator.sent < simulator.flood
            for _ in range(simulator.flood):
                assert len(await socket.recv()) == 10_000
        assert simulator.sent == simulator.flood


async def test_stopping_says_1001_and_leaves_nothing_running():
    async with acme() as (_, listening):
        socket = await connect(listening)
        await socket.send("x")
        await socket.recv()
        client = httpx.AsyncClient(base_url=listening.api_url, trust_env=False, verify=False)
        await client.get("/a")  # a kept-alive connection does not hold the stop up
    await socket.wait_closed()
    assert socket.close_code == 1001
    await client.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_port_in_use_is_a_usage_error():
    async with acme() as (_, listening):
        port = int(listening.url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with Acme().serve(port=port):
                pass


async def test_disconnect_drops_every_connection_without_a_close():
    async with acme("disconnect=50ms") as (_, listening):
        for _ in range(2):
            socket = await connect(listening)
            await socket.wait_closed()
            assert socket.close_code == 1006
            assert socket.protocol.close_rcvd is None


async def test_a_stalled_connection_is_silent_but_open():
    async with acme("stall=1ms") as (_, listening):
        socket = await connect(listening)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while True:  # until a ping stays unanswered
                    async with asyncio.timeout(0.1):
                        await (await socket.ping())
        await socket.send("hello?")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await socket.recv()
        assert socket.close_code is None
        socket.transport.abort()


async def test_a_slow_upgrade_waits():
    async with acme("slow-upgrade=150ms") as (_, listening):
        started = asyncio.get_running_loop().time()
        async with connect(listening):
            assert asyncio.get_running_loop().time() - started >= 0.15


async def test_frame_faults_spare_replies():
    async with acme("drop=1") as (_, listening), connect(listening) as socket:
        await socket.send("still here")
        assert await socket.recv() == "still here"


def test_the_line_is_that_of_the_contract():
    async def listen() -> tuple[str, str]:
        async with Acme().serve() as listening:
            port = listening.api_url.rpartition(":")[2]
            return listening.line().decode(), port

    line, port = asyncio.run(listen())
    assert line == (
        f'{{"feed":"acme","url":"ws://127.0.0.1:{port}/stream",'
        f'"api_url":"http://127.0.0.1:{port}","settings":{{}}}}'
    )


async def test_ticks_keep_the_rate_and_make_up_for_at_most_a_second():
    simulator, time = Acme(rate=2_000), asyncio.get_running_loop().time
    started = time()
    async with contextlib.aclosing(simulator.ticks()) as ticks:
        total = await anext(ticks)
        begun = asking = time()
        while time() - begun < 0.2:
            asking = time()
            total += await anext(ticks)
    # The last tick was counted at some moment between asking for it and now.
    assert 2_000 * (asking - begun) - 1 <= total <= 2_000 * (time() - started) + 1


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_must_be_positive(rate):
    with pytest.raises(UsageError, match="--rate"):
        Acme(rate=rate)


async def test_stopping_does_not_wait_for_a_client_that_reads_nothing():
    async with acme() as (simulator, listening):
        simulator.flood = 5_000
        socket = await connect(listening, compression=None, max_queue=1)
        await until_stuck(simulator, socket)
    socket.transport.abort()
    await socket.wait_closed()


async def raw(listening: Listening, *requests: bytes) -> bytes:
    """Send bytes over a plain connection and read all that comes back."""
    host, port = listening.api_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for request in requests:
        writer.write(request)
        await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_pipelined_requests_are_answered_in_order():
    async with acme() as (_, listening):
        one, two = (f"GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in (1, 2))
        answer = await raw(listening, one + two)
        assert answer.count(b"HTTP/1.1 200") == 2
        assert answer.index(b'"/1"') < answer.index(b'"/2"')


async def test_a_client_that_asks_first_is_told_to_go_on():
    async with acme() as (_, listening):
        host, port = listening.api_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"ok")
        writer.write_eof()
        assert b'"body":"ok"' in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_body_beyond_reason_gets_413():
    async with acme() as (_, listening):
        client = httpx.AsyncClient(base_url=listening.api_url, trust_env=False, verify=False)
        async with client:
            with contextlib.suppress(httpx.WriteError):  # the answer may overtake the body
                assert (await client.post("/a", content=b"x" * 17_000_000)).status_code == 413


async def test_an_upgrade_of_another_version_is_refused():
    async with acme() as (_, listening):
        answer = await raw(
            listening,
            b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 400")


async def test_text_that_is_not_utf8_ends_the_connection():
    async with acme() as (_, listening), connect(listening) as socket:
        await socket.send(b"\xff\xfe", text=True)
        await socket.wait_closed()
        assert socket.close_code == 1007


async def test_a_bug_in_a_session_is_reported_and_the_venue_goes_on():
    class Buggy(Acme):
        async def session(self, socket):
            await socket.receive()
            raise ZeroDivisionError

    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with Buggy().serve() as listening, asyncio.timeout(DEADLINE):
        async with connect(listening) as socket:
            await socket.send("boom")
            await socket.wait_closed()
        assert isinstance(reported[0]["exception"], ExceptionGroup)
        async with connect(listening) as socket:
            await (await socket.ping())
