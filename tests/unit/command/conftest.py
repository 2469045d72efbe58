"""The clients of both SignalR generations, opened by hand, and the simulators they are tried on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

import orjson
import pytest

from wsfeeds.command import spec
from wsfeeds.command.listener import Ended
from wsfeeds.command.route import Route
from wsfeeds.command.variants import VariantSession, find_variant
from wsfeeds.config.run import RunSettings
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator
from wsfeeds.simulators.signalr_server import HubServer
from wsfeeds.simulators.websocket import Session
from wsfeeds.transport.websocket import WebsocketsTransport

DEADLINE = 30.0
_IDLE = 0.02


@pytest.fixture
async def no_waiting() -> AsyncIterator[Callable[[], float]]:
    """Let the clock jump to the next timer when nothing is to be done; give the clock.

    What is under way on loopback is there at once, so timers keep their order towards it however
    slow the machine is.
    """
    loop: Any = asyncio.get_running_loop()
    select, clock = loop._selector.select, loop.time
    ahead = 0.0

    def jump(timeout: float | None) -> Any:
        nonlocal ahead
        if timeout is None or timeout <= _IDLE:
            return select(timeout)
        found = select(_IDLE)
        if not found:
            ahead += timeout - _IDLE
        return found

    loop.time = lambda: clock() + ahead
    loop.patience = 100 * DEADLINE
    loop._selector.select = jump
    yield loop.time
    loop._selector.select = select


def within_reason() -> asyncio.Timeout:
    """Give up what takes far too long."""
    return asyncio.timeout(getattr(asyncio.get_running_loop(), "patience", DEADLINE))


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.malformed: list[bytes] = []
        self.unknown: list[bytes] = []
        self.skipped: Counter[str] = Counter()
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
        self._news.set()
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

    def on_unknown(self, frame: bytes) -> None:
        self.unknown.append(frame)
        self._news.set()

    def on_skipped(self, reason: str) -> None:
        self.skipped[reason] += 1
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
        """Wait for something that follows from what arrives."""
        async with within_reason():
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def end(self) -> Ended:
        async with within_reason():
            return await self.ended

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.ended.done():
            self.ended.exception()

    def arguments(self) -> list[Any]:
        """Return the first argument of each call."""
        calls = map(orjson.loads, self.messages)
        return [(call["arguments"] if "arguments" in call else call["A"])[0] for call in calls]

    def ids(self) -> list[int]:
        return [argument["id"] for argument in self.arguments()]

    def whole(self) -> bool:
        """Tell whether the simulator's pushes came one after the other from the first one."""
        return self.ids() == list(range(1, 1 + len(self.messages)))


@pytest.fixture
def new_ear() -> type[Ear]:
    """Make listeners that remember."""
    return Ear


class Watching:
    """What a server was asked; goes before its class."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: list[Request] = []
        self.news = asyncio.Event()

    async def http(self, request: Request) -> Response:
        self._note(request)
        return await super().http(request)  # type: ignore[misc,no-any-return]

    async def upgrade(self, request: Request) -> Response | Session:
        self._note(request)
        return await super().upgrade(request)  # type: ignore[misc,no-any-return]

    def asked(self, action: str) -> list[Request]:
        """Return the requests for something below the base."""
        return [each for each in self.requests if each.path.endswith(f"/{action}")]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that follows from what is asked."""
        async with within_reason():
            while not condition():
                self.news.clear()
                await self.news.wait()

    def _note(self, request: Request) -> None:
        self.requests.append(request)
        self.news.set()


class Crippled:
    """A server behind something that lets some transports through only; goes before its class."""

    works: frozenset[str]

    async def upgrade(self, request: Request) -> Response | Session:
        if "webSockets" not in self.works:
            return Response.text("no upgrades here", 502)
        return await super().upgrade(request)  # type: ignore[misc,no-any-return]

    async def http(self, request: Request) -> Response:
        streams = request.headers.get("accept") == "text/event-stream"
        if streams and "serverSentEvents" not in self.works:
            return Response.text("no streams here", 502)
        return await super().http(request)  # type: ignore[misc,no-any-return]


class Answering:
    """A server that answers every request alike, by JSON or bytes; goes before its class."""

    answer: object

    async def http(self, request: Request) -> Response:
        if isinstance(self.answer, bytes):
            return Response(200, self.answer)
        return Response.json(self.answer)


class Moved:
    """A server that sends on what is below `/old`, to `there`; goes before its class."""

    status = 307
    there = ""

    async def http(self, request: Request) -> Response:
        if request.path.startswith("/old/"):
            place = self.there + request.target.removeprefix("/old")
            return Response.text("moved", self.status, {"Location": place})
        return await super().http(request)  # type: ignore[misc,no-any-return]


class Bench:
    """One generation of SignalR: serves its simulator, makes its client.

    Args:
        protocol: What the document calls it.
        simulator: Its simulator.
        options: Members of `signalr` that each document has.
        times: Attributes of the client's class.
    """

    def __init__(
        self,
        protocol: str,
        simulator: type[HubServer],
        *,
        options: Mapping[str, Any],
        times: Mapping[str, float],
    ) -> None:
        self._protocol = protocol
        self._simulator = simulator
        self._options = options
        self._times = times

    def params(self, url: str, signalr: Mapping[str, Any], **more: Any) -> spec.Params:
        raw = {"url": url, "protocol": self._protocol, "signalr": dict(signalr), **more}
        return spec.convert(raw, spec.Params, "params")  # type: ignore[no-any-return]

    def crippled(self, *works: str) -> type[HubServer]:
        """Return a server on which only some transports work."""
        return type("Some", (Crippled, self._simulator), {"works": frozenset(works)})

    def answering(self, answer: object) -> type[HubServer]:
        """Return a server that answers everything with the same JSON, or bytes."""
        return type("Same", (Answering, self._simulator), {"answer": answer})

    def moved(self, there: str, status: int = 307) -> type[HubServer]:
        """Return a server whose `/old` is elsewhere now."""
        members = {"there": there, "status": status}
        return type("Moved", (Moved, self._simulator), members)

    @contextlib.asynccontextmanager
    async def serve(
        self,
        *faults: str,
        rate: Any = 300,
        kind: type[HubServer] | None = None,
        **options: Any,
    ) -> AsyncIterator[tuple[Any, str]]:
        """Serve a simulator that remembers what it was asked; give it and its URL."""
        watched = type("Watched", (Watching, kind or self._simulator), {})
        simulator = watched(rate=rate, faults=Faults.parse(faults), options=options)
        async with simulator.serve() as listening:
            yield simulator, listening.url

    @contextlib.asynccontextmanager
    async def client(
        self,
        url: str,
        transport: str | None = None,
        *,
        signalr: Mapping[str, Any] | None = None,
        settings: RunSettings | None = None,
        times: Mapping[str, float] | None = None,
        **more: Any,
    ) -> AsyncIterator[tuple[VariantSession, Ear]]:
        """Give a client that is not open yet; `times` are attributes of its class."""
        variant = find_variant(self._protocol)
        kind = type("Timed", (variant,), {**self._times, **(times or {})})
        options = {"methods": [], "transport": transport} | dict(self._options)
        params = self.params(url, options | dict(signalr or {}), **more)
        variant.check(params)
        ear = Ear()
        route = Route(
            url,
            headers=params.headers,
            settings=settings or RunSettings(connect_timeout=DEADLINE),
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


@pytest.fixture
def core() -> Bench:
    """ASP.NET Core SignalR."""
    return Bench("signalr", SignalRSimulator, options={}, times={})


@pytest.fixture
def legacy() -> Bench:
    """ASP.NET SignalR 2.x; its client comes back faster than after two seconds."""
    times = {"reconnect_every": 0.05}
    return Bench(
        "signalr-legacy", SignalRLegacySimulator, options={"hubs": ["OddsHub"]}, times=times
    )
