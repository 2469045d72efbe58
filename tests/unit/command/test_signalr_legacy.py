"""The client of ASP.NET SignalR 2.x against its simulator, on every transport."""

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
from wsfeeds.command.signalr_legacy import Client
from wsfeeds.command.signalr_legacy_negotiation import Filter, base_of, connection_data
from wsfeeds.command.variants import Ended, SendFailed, Unusable
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
WIRE = st.dictionaries(st.sampled_from([*"CMGSTLEIDPHRA"]), JSON).map(orjson.dumps)


class Watched(SignalRLegacySimulator):
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

    def asked(self, action: str) -> list[Request]:
        return [each for each in self.requests if each.path.endswith(f"/{action}")]


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
        assert self.connected
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
        return [orjson.loads(text)["A"][0]["id"] for text in self.messages]


class Quick(Client):
    """The client with times for a test."""

    reconnect_every: ClassVar[float] = 0.05


def params_of(url: str, signalr: Mapping[str, Any], **more: Any) -> spec.Params:
    raw = {"url": url, "protocol": "signalr-legacy", "signalr": dict(signalr), **more}
    return spec.convert(raw, spec.Params, "params")  # type: ignore[no-any-return]


@contextlib.asynccontextmanager
async def client(
    url: str, transport: str | None = None, *, signalr: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[Client, Ear]]:
    """Give a client that is not open yet."""
    options = {"methods": [], "hubs": ["OddsHub"], "transport": transport} | dict(signalr or {})
    params = params_of(url, options, **more)
    ear = Ear()
    route = Route(
        url,
        headers=params.headers,
        settings=RunSettings(connect_timeout=5.0),
        proxy=None,
        ciphers=None,
        transport=WebsocketsTransport(),
        learn=lambda _: None,
        carries_secret=False,
    )
    made = Quick(params, route, ear)
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
    return ids == list(range(1, 1 + len(ids)))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_push_arrives_in_order_and_nothing_before_start(transport):
    async with serve(rate=1000) as (simulator, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 50)
        assert ear.connected == 1
        assert numbered(ear.ids())
        assert not ear.malformed
        asked = [request.path.rpartition("/")[2] for request in simulator.requests[:3]]
        assert asked == ["negotiate", "connect", "start"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_calls_are_numbered_and_a_failed_one_is_logged(transport, caplog):
    async with serve(subscribe_first=True) as (_, url), client(url, transport) as (hub, ear):

        def talk() -> None:
            for _ in range(3):
                hub.send('{"H":"oddshub","M":"Fail","A":[]}')
            hub.send('{"H":"oddshub","M":"Sub","A":["x",1]}')

        ear.on_connect = talk
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
    told = [record.message.partition(" failed")[0] for record in caplog.records]
    assert told == ["call 0", "call 1", "call 2"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ["drop", "clean", "reconnect", "silence"])
async def test_a_lost_transport_is_opened_again_and_nothing_is_lost(transport, end):
    if (transport, end) == ("longPolling", "silence"):
        end = "drop"  # a poll that says nothing is no loss before its time-out
    options = {"end": end, "end_after": "100ms", "keepalive": "50ms", "keepalive_timeout": "200ms"}
    async with serve(**options) as (simulator, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 150)
        assert numbered(ear.ids())
        assert ear.connected == 1
        assert not ear.ended.done()
        again = simulator.asked("poll" if transport == "longPolling" else "reconnect")
        assert again
        if transport != "longPolling":
            assert (again[0].param("messageId") or "").startswith("d-")
            assert again[0].param("groupsToken")
        # An event stream has no way to say that its end is meant.
        lost = end in {"drop", "silence"} or (transport, end) == ("serverSentEvents", "clean")
        assert [phase for _, phase in ear.errors] == ["connection"] * lost
        assert len(simulator.asked("start")) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_server_that_forgot_us_is_given_up(transport):
    options = {"end": "gone", "end_after": "50ms", "disconnect_timeout": "300ms"}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (False, False, 1006)
    assert isinstance(ended.error, Transient)
    assert "no way back within 0.3 s" in ended.reason


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ["error", "disconnect"])
async def test_a_last_word_is_a_close_by_the_server(transport, end):
    options = {"end": end, "end_after": "50ms"}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.clean, ended.code) == (True, True, 1000)
    assert (
        ended.reason
        == {
            "error": "The server had to stop.",
            "disconnect": "the server ended the connection",
        }[end]
    )


async def test_a_close_frame_ends_the_run_only_if_the_document_says_so():
    options = {"end": "clean", "end_after": "50ms"}
    stop = {"stopOn": {"serverClose": True}}
    async with serve(**options) as (_, url), client(url, "webSockets", **stop) as (hub, ear):
        await hub.open()
        ended = await ear.end()
    assert (ended.by_server, ended.code) == (True, 1000)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_keepalives_keep_a_quiet_connection(transport):
    options = {"keepalive": "50ms", "keepalive_timeout": "200ms", "subscribe_first": True}
    async with serve(**options) as (simulator, url), client(url, transport) as (hub, ear):
        await hub.open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await asyncio.shield(ear.ended)
        assert not simulator.asked("reconnect")
        assert not ear.errors


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_and_cookies_go_with_every_request(transport):
    headers = {"Authorization": "Bearer s3cret-token", "X-Mine": "1"}
    async with serve(token="s3cret-token", sticky=True) as (simulator, url):
        async with client(f"{url}?tenant=a%20b", transport, headers=headers) as (hub, ear):
            await hub.open()
            hub.send('{"H":"oddshub","M":"Sub","A":[]}')
            await ear.until(lambda: len(ear.messages) >= 3)
        assert len(simulator.asked("abort")) == 1
        assert all(request.headers["x-mine"] == "1" for request in simulator.requests)
        assert all(request.target.endswith("&tenant=a%20b") for request in simulator.requests)
        assert all("cookie" in request.headers for request in simulator.requests[1:])
        assert len(simulator.asked("send")) == (transport != "webSockets")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_redirect_is_followed_with_its_token_and_query(transport):
    async with serve(redirect="all") as (simulator, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    bearer = f"Bearer {simulator.access_token}"
    assert all(each.headers["authorization"] == bearer for each in simulator.requests[1:])
    assert all(each.param("hop") for each in simulator.requests[1:])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_streams_are_where_negotiate_says(transport):
    async with serve(url_path="/app/signalr") as (_, url), client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)


async def test_the_polls_wait_as_long_as_they_are_asked_to():
    options = {"long_poll_delay": "100ms", "rate": 1000}
    async with serve(**options) as (simulator, url), client(url, "longPolling") as (hub, ear):
        await hub.open()
        began = asyncio.get_running_loop().time()
        await ear.until(lambda: len(simulator.asked("poll")) >= 4)
        assert asyncio.get_running_loop().time() - began >= 0.3
        await ear.until(lambda: len(ear.messages) >= 100)
        assert numbered(ear.ids())


async def test_without_websockets_the_next_transport_is_taken():
    async with serve(web_sockets=False) as (simulator, url):
        async with client(url) as (hub, ear):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
        assert simulator.asked("connect")[0].param("transport") == "serverSentEvents"
        async with client(url, "webSockets") as (hub, ear):
            with pytest.raises(Unusable, match="webSockets"):
                await hub.open()


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
    tried = [each.param("transport") for each in simulator.asked("connect")]
    assert tried == ["webSockets", "serverSentEvents"]


async def test_what_negotiate_refuses_is_told():
    async with serve(negotiate_error="go away") as (_, url), client(url) as (hub, _):
        with pytest.raises(Unusable, match="go away"):
            await hub.open()
    async with serve(token="another") as (_, url), client(url) as (hub, _):
        with pytest.raises(CredentialsRefused, match="401"):
            await hub.open()


class CoreAnswer(Watched):
    """A server of the newer generation that answers GET as well."""

    async def http(self, request: Request) -> Response:
        return Response.json({"connectionId": "x", "availableTransports": []})


async def test_a_server_of_the_newer_generation_is_told_apart():
    async with CoreAnswer().serve() as listening, client(listening.url) as (hub, _):
        with pytest.raises(Unusable, match="use the protocol signalr"):
            await hub.open()
    async with SignalRSimulator().serve() as listening, client(listening.url) as (hub, _):
        with pytest.raises(Unusable, match="use the protocol signalr"):  # it answers no GET
            await hub.open()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_paused_connection_reads_nothing_and_loses_nothing(transport):
    options = {"rate": 2000, "keepalive": "50ms", "keepalive_timeout": "200ms"}
    async with serve(**options) as (_, url), client(url, transport) as (hub, ear):
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
        assert not ear.errors


@given(st.lists(st.binary() | WIRE, max_size=5))
def test_whatever_arrives_is_a_message_malformed_or_the_end(frames):
    async def take() -> None:
        async with client("http://127.0.0.1:9/") as (hub, _):
            for frame in frames:
                hub.taken(frame)

    asyncio.run(take())


async def test_sending_fails_while_the_socket_is_gone():
    async with serve() as (_, url), client(url) as (hub, _):
        with pytest.raises(SendFailed):
            hub.send("{}")
        await hub.open()
        await hub.close()
        with pytest.raises(SendFailed):
            hub.send("{}")


@pytest.mark.parametrize(
    ("methods", "passing"),
    [
        ([], [("OddsHub", "receiveOdds"), ("other", "x")]),
        (["ReceiveOdds"], [("oddshub", "receiveodds"), ("other", "RECEIVEODDS")]),
        (["OddsHub.ReceiveOdds"], [("oddshub", "receiveodds")]),
    ],
)
def test_methods_are_filtered_without_case(methods, passing):
    calls = Filter(methods)
    assert all(calls.passes(*call) for call in passing)
    assert calls.passes("other", "x") is not bool(methods)
    assert not methods or not calls.passes("oddshub", "receive")


@pytest.mark.parametrize(
    ("query", "signalr", "data"),
    [
        ("?connectionData=%5B%7B%22name%22%3A%22A%22%7D%5D", {}, '[{"name":"A"}]'),
        ("", {"methods": ["OddsHub.a", "oddshub.b", "c", "More.d"]},
         '[{"name":"oddshub"},{"name":"more"}]'),
        ("", {"methods": ["a"], "hubs": ["First", "Second"]},
         '[{"name":"first"},{"name":"second"}]'),
        ("", {"methods": ["Hub.a"], "hubs": ["Other"]}, '[{"name":"hub"}]'),
    ],
)  # fmt: skip
def test_hubs_are_named_in_the_query_the_methods_or_by_themselves(query, signalr, data):
    options = {"methods": []} | signalr
    assert connection_data(params_of(f"http://127.0.0.1/{query}", options)) == data


def test_a_document_without_hubs_is_refused_and_a_skip_warned_about():
    with pytest.raises(UsageError, match=r"^params\.signalr\.hubs: "):
        Client.check(params_of("http://127.0.0.1/", {"methods": ["a"]}))
    skipping = {"methods": ["Hub.a"], "skipNegotiation": True}
    (warning,) = Client.check(params_of("http://127.0.0.1/", skipping))
    assert warning.startswith("params.signalr.skipNegotiation: ")


@pytest.mark.parametrize(
    ("url", "base", "query"),
    [
        ("http://a.example", "http://a.example/signalr", ""),
        ("http://a.example/?b=1", "http://a.example/signalr", "b=1"),
        ("http://a.example/app?b=%20&connectionData=%5B%5D&c", "http://a.example/app", "b=%20&c"),
    ],
)
def test_signalr_is_appended_where_there_is_no_path(url, base, query):
    assert base_of(url) == (base, query)
