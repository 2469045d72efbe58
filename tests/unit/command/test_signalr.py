"""The client of ASP.NET Core SignalR against its simulator, on every transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.command import spec
from wsfeeds.command.route import Route
from wsfeeds.command.signalr import Client
from wsfeeds.command.variants import Ended, Unusable
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator
from wsfeeds.simulators.websocket import Session
from wsfeeds.transport.websocket import WebsocketsTransport

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
DEADLINE = 10.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 12) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)
NAMES = st.sampled_from(["type", "target", "invocationId", "error", "allowReconnect", "arguments"])
WIRE = st.dictionaries(NAMES, JSON).map(orjson.dumps)


class Watched(SignalRSimulator):
    """The simulator, and what it was asked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[Request] = []

    async def http(self, request: Request) -> Response:
        self.requests.append(request)
        return await super().http(request)

    async def upgrade(self, request: Request) -> Response | Session:
        self.requests.append(request)
        return await super().upgrade(request)


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.malformed: list[bytes] = []
        self.connected = 0
        self.paused = False
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.on_connect: Callable[[], None] = lambda: None
        self.on_each: Callable[[], None] = lambda: None
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def on_data(self) -> None:
        self._news.set()

    def on_connected(self) -> None:
        assert not self.messages
        self.connected += 1
        self.on_connect()

    def on_message(self, text: str) -> None:
        self.messages.append(text)
        self._news.set()
        self.on_each()

    def on_read(self) -> None:
        self._news.set()

    def on_error(self, message: str, phase: str) -> None:
        self.errors.append((message, phase))
        self._news.set()

    def on_malformed(self, error: str, frame: bytes) -> None:
        self.malformed.append(frame)
        self._news.set()

    def on_ended(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)

    def on_fault(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - as the executor does
            self.on_fault(error)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def end(self) -> Ended:
        async with asyncio.timeout(DEADLINE):
            return await self.ended

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.ended.done():
            self.ended.exception()

    def ids(self) -> list[int]:
        return [orjson.loads(text)["arguments"][0]["id"] for text in self.messages]


class Quick(Client):
    """The client with times for a test."""

    ping_every: ClassVar[float] = 0.05
    silence: ClassVar[float] = 0.3
    handshake_within: ClassVar[float] = 0.2


@contextlib.asynccontextmanager
async def client(
    url: str,
    transport: str | None = None,
    *,
    kind: type[Client] = Client,
    signalr: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    settings: RunSettings | None = None,
) -> AsyncIterator[tuple[Client, Ear]]:
    """Give a client that is not open yet; the tokens it learned are in `client.route`."""
    options = {"methods": [], "transport": transport} | dict(signalr or {})
    raw = {"url": url, "protocol": "signalr", "signalr": options, "headers": dict(headers or {})}
    params = spec.convert(raw, spec.Params, "params")
    kind.check(params)
    ear = Ear()
    route = Route(
        url,
        headers=params.headers,
        settings=settings or RunSettings(connect_timeout=5.0),
        proxy=None,
        ciphers=None,
        transport=WebsocketsTransport(),
        learn=lambda _: None,
        carries_secret=False,
    )
    made = kind(params, route, ear)
    try:
        yield made, ear
    finally:
        await made.close()
        await ear.stop()
        await route.aclose()


@contextlib.asynccontextmanager
async def serve(
    *faults: str, rate: Any = 300, **options: Any
) -> AsyncIterator[tuple[Watched, str]]:
    simulator = Watched(rate=rate, faults=Faults.parse(faults), options=options)
    async with simulator.serve() as listening:
        yield simulator, listening.url


def numbered(ids: list[int]) -> bool:
    return ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("shape", ["whole", "split", "merged", "mixed"])
async def test_every_push_arrives_in_order_however_records_were_cut(transport, shape):
    async with serve(records=shape) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 30)
        assert ear.connected == 1
        assert ear.ids()[:30] == list(range(1, 31))
        assert not ear.malformed
        assert not any("\x1e" in text for text in ear.messages)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_are_sent_in_order_and_a_failed_one_is_logged(transport, caplog):
    async with serve(subscribe_first=True) as (_, url), client(url, transport) as (hub, ear):

        def talk() -> None:
            for number in range(5):
                call = {"target": "Fail", "arguments": [], "invocationId": str(number)}
                hub.send(orjson.dumps(call).decode())
            hub.send('{"target":"Sub","arguments":[]}')

        ear.on_connect = talk
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
        told = [record.message for record in caplog.records]
        assert [text.partition(" failed")[0] for text in told] == [f"call {n}" for n in range(5)]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_token_and_cookies_go_with_every_request(transport):
    async with (
        serve(token="s3cret-token", sticky=True) as (simulator, url),
        client(url, transport, headers={"Authorization": "Bearer s3cret-token", "X-Mine": "1"})
        as (hub, ear),
    ):  # fmt: skip
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
        assert len(simulator.requests) >= 2
        assert all(request.headers["x-mine"] == "1" for request in simulator.requests)
        assert all("cookie" in request.headers for request in simulator.requests[1:])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_redirects_are_followed_with_the_token_they_gave(transport):
    async with (
        serve(redirects=3, sticky=True) as (simulator, url),
        client(f"{url}?tenant=7", transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    first, *others = simulator.requests
    assert first.target == "/hub/negotiate?tenant=7&negotiateVersion=1"
    assert "authorization" not in first.headers
    bearer = f"Bearer {simulator.access_token}"
    assert all(request.headers["authorization"] == bearer for request in others)
    in_query = [request for request in others if request.param("access_token")]
    assert len(in_query) == (transport == "serverSentEvents")


async def test_endless_redirects_are_an_error():
    async with serve(redirects=101) as (_, url), client(url) as (hub, _):
        with pytest.raises(Unusable, match="100"):
            await hub.open()
    async with serve(redirects=100) as (_, url), client(url) as (hub, _):
        await hub.open()


async def test_the_negotiation_can_be_skipped():
    skip = {"skipNegotiation": True}
    async with serve() as (simulator, url), client(url, signalr=skip) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert [request.target for request in simulator.requests] == ["/hub"]
    with pytest.raises(UsageError, match=r"params\.signalr\.skipNegotiation"):
        async with client(url, "longPolling", signalr=skip):
            pass


async def test_version_0_uses_the_connection_id():
    async with serve(version=0) as (simulator, url), client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert simulator.requests[1].param("id") in simulator.connections


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({}, "WebSockets"),
        ({"web_sockets": False}, "ServerSentEvents"),
        ({"web_sockets": False, "server_sent_events": False}, "LongPolling"),
    ],
)
async def test_the_first_transport_that_is_offered_is_taken(options, used):
    async with serve(**options) as (simulator, url), client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert [each.transport for each in simulator.connections.values()] == [used]


class NoSockets(Watched):
    """A server behind something that lets no upgrade through."""

    async def upgrade(self, request: Request) -> Response | Session:
        self.requests.append(request)
        return Response.text("no upgrades here", 502)


async def test_a_transport_that_does_not_work_is_followed_by_the_next():
    simulator = NoSockets(rate=300)
    async with simulator.serve() as listening, client(listening.url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    asked = [request.path for request in simulator.requests]
    assert asked.count("/hub/negotiate") == 2  # an id is good for one attempt


async def test_a_transport_that_is_not_offered_is_an_error():
    async with serve(long_polling=False) as (_, url), client(url, "longPolling") as (hub, _):
        with pytest.raises(Unusable, match="longPolling: it has webSockets, serverSentEvents"):
            await hub.open()


async def test_what_negotiate_refuses_is_told():
    async with serve(negotiate_error="go away") as (_, url), client(url) as (hub, _):
        with pytest.raises(Unusable, match="go away"):
            await hub.open()
    async with serve(token="another") as (_, url), client(url) as (hub, _):
        with pytest.raises(CredentialsRefused, match="401"):
            await hub.open()
    async with serve() as (_, url), client(f"{url}/nowhere") as (hub, _):
        with pytest.raises(Transient, match="404"):
            await hub.open()


async def test_a_server_of_the_older_generation_is_told_apart():
    legacy = SignalRLegacySimulator()
    async with legacy.serve() as listening, client(listening.url) as (hub, _):
        with pytest.raises(Unusable, match="use the protocol signalr-legacy"):
            await hub.open()


async def test_methods_are_filtered_with_their_case():
    methods = {"methods": ["ReceiveEvent", "receiveodds"]}
    async with serve(rate=2000) as (_, url), client(url, signalr=methods) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert {orjson.loads(text)["target"] for text in ear.messages} == {"ReceiveEvent"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_wants_a_result_gets_an_error(transport):
    options = {"ask": True, "subscribe_first": True}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 2)
    asked, told = map(orjson.loads, ear.messages)
    assert asked["target"] == "GetState"
    assert told["arguments"] == [{"answer": {"error": "Client didn't provide a result."}}]


async def test_stream_items_are_delivered():
    async with serve(subscribe_first=True) as (_, url), client(url) as (hub, ear):
        call = '{"type":4,"target":"Count","arguments":[2],"invocationId":"8"}'
        ear.on_connect = lambda: hub.send(call)
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 2)
    assert [orjson.loads(text)["item"] for text in ear.messages] == [0, 1]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("end", "wait"), [("close", 30.0), ("close-reconnect", None)])
async def test_type_7_is_a_close_by_the_server(transport, end, wait):
    options = {"end": end, "end_after": "50ms"}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (True, True, 1000)
    assert ended.reason == "Connection closed with an error."
    assert ended.retry_after == wait


@pytest.mark.parametrize(
    ("transport", "end", "by_server"),
    [
        ("webSockets", "drop", False),
        ("serverSentEvents", "drop", False),
        ("longPolling", "drop", False),
        ("webSockets", "clean", True),
        ("serverSentEvents", "clean", False),
        ("longPolling", "clean", True),
    ],
)
async def test_a_loss_is_told_from_a_close(transport, end, by_server):
    options = {"end": end, "end_after": "50ms"}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (by_server, by_server)
    assert ended.code == (1000 if by_server else 1006)


async def test_a_poll_that_gets_404_is_a_close_by_the_server():
    quiet = {"subscribe_first": True, "keepalive": "50ms"}
    async with serve(**quiet) as (simulator, url), client(url, "longPolling") as (hub, ear):
        await hub.open()
        simulator.connections.clear()
        ended = await ear.end()
    assert (ended.by_server, ended.clean) == (True, False)


# A poll that stays silent for long is no sign: what is posted meanwhile is answered.
@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents"])
async def test_silence_is_the_end(transport):
    options = {"end": "silence", "end_after": "20ms"}
    async with serve(**options) as (_, url), client(url, transport, kind=Quick) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.stale, ended.by_server, ended.code) == (True, False, 1006)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_pings_go_both_ways_and_keep_a_quiet_connection(transport):
    quiet = {"keepalive": "60ms", "client_timeout": "200ms", "subscribe_first": True}
    async with serve(**quiet) as (_, url), client(url, transport, kind=Quick) as (hub, ear):
        await hub.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await asyncio.shield(ear.ended)
        hub.send('{"target":"Sub","arguments":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)


async def test_empty_polls_go_on():
    quiet = {"poll_timeout": "20ms", "subscribe_first": True}
    async with serve(**quiet) as (simulator, url), client(url, "longPolling") as (hub, ear):
        await hub.open()
        await ear.until(lambda: sum(each.method == "GET" for each in simulator.requests) >= 5)
        hub.send('{"target":"Sub","arguments":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)


@given(st.lists(st.binary() | WIRE, max_size=5))
def test_whatever_arrives_is_a_message_malformed_or_the_end(chunks):
    async def take() -> None:
        async with client("http://127.0.0.1:9/") as (hub, ear):
            hub.taken(b"{}\x1e")
            for chunk in chunks:
                hub.taken(chunk + b"\x1e")
            assert ear.connected == 1

    asyncio.run(take())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_paused_connection_reads_nothing_and_loses_nothing(transport):
    async with serve(rate=2000) as (_, url), client(url, transport, kind=Quick) as (hub, ear):
        ear.on_each = lambda: hub.pause_reading() if len(ear.messages) == 10 else None
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):  # longer than silence may last
                await asyncio.shield(ear.ended)
        before = len(ear.messages)
        assert before < 500  # what one read had brought
        hub.resume_reading()
        await ear.until(lambda: len(ear.messages) >= before + 50)
        assert numbered(ear.ids())


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_says_goodbye(transport):
    async with serve() as (simulator, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
        await hub.close()
        assert not ear.ended.done()
        while simulator.connections:  # noqa: ASYNC110 - until the server knows
            await asyncio.sleep(0.01)
    deletes = [request for request in simulator.requests if request.method == "DELETE"]
    assert len(deletes) == (transport == "longPolling")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_handshake_without_answer_is_given_up(transport):
    async with serve("stall=0s") as (_, url), client(url, transport, kind=Quick) as (hub, _):
        with pytest.raises(Transient, match="handshake"):
            await hub.open()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_garbage_is_reported_and_passed_over(transport):
    async with serve("garbage=0.5") as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: bool(ear.malformed) and len(ear.messages) >= 10)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_message_beyond_max_frame_ends_the_connection(transport):
    settings = RunSettings(max_frame=100)
    async with (
        serve() as (_, url),
        client(url, transport, kind=Quick, settings=settings) as (hub, ear),
    ):
        with pytest.raises(Transient):
            await opened_and_ended(hub, ear)


async def opened_and_ended(hub: Client, ear: Ear) -> None:
    """Raise the error of a connection, whenever it comes."""
    await hub.open()
    error = (await ear.end()).error
    assert error is not None
    raise error
