"""A scripted Cryptomus for the fault tests, written from docs/protocols/cryptomus.md alone.

It shares no code with the project: one `websockets` server on port 0 that answers the token and
list requests too, and does what the test's script says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http
import itertools
import json
import os
import ssl
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from wsfeeds import app
from wsfeeds.events import Event, encode
from wsfeeds.pipeline import Stream
from wsfeeds.session.feed import FeedRun

DEADLINE = 10.0
USER, KEY = "fault-user-0001", "FAULT-API-KEY-0123456789"
SIGN = hashlib.md5(KEY.encode()).hexdigest()
TOKEN = "/v2/user-api/exchange/account/web-socket/token"
MARKETS = "/v2/user-api/exchange/markets"
SCALES = "/api/v2/symbol-scales"
KNOWN = ("BTC_USDT", "ETH_USDT", "TRX_USDT")
QUICK = {"backoff_initial": "10ms", "backoff_max": "40ms", "connect_timeout": "5s"}


class Peer:
    """One accepted connection, and what the client said on it."""

    def __init__(self, venue: Venue, socket: ServerConnection, number: int) -> None:
        self.venue = venue
        self.socket = socket
        self.number = number
        self.requests: list[dict[str, Any]] = []
        self.live: dict[str, list[str]] = {}
        self.clock = itertools.count(1_750_953_177)

    async def send(self, frame: Any) -> None:
        await self.socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))

    async def update(self, channel: str, **data: Any) -> None:
        await self.send({"id": 0, "method": f"{channel}_update", "data": data, "error": None})

    async def trade(self, price: str = "1", symbol: str = "BTC_USDT") -> None:
        now = next(self.clock)
        one = {"price": price, "quantity": "1", "timestamp": now, "direction": "buy"}
        await self.update("trade", symbol=symbol, timestamp=now, trades=[one])

    async def book(
        self, bid: str, ask: str, *, full: bool = True, symbol: str = "BTC_USDT", scale: int = 0
    ) -> None:
        await self.update(
            "depth",
            symbol=symbol,
            timestamp=next(self.clock),
            full_reload=full,
            scale_index=scale,
            asks=[[ask, "1"]],
            bids=[[bid, "1"]],
        )

    async def serve(self) -> None:
        """Answer as documented until the client goes."""
        while True:
            await self.answer(await self.receive())

    async def receive(self) -> dict[str, Any]:
        request: dict[str, Any] = json.loads(await self.socket.recv())
        self.requests.append(request)
        self.venue.changed()
        return request

    async def until(self, method: str) -> dict[str, Any]:
        """Answer as documented up to a request of this method, and return it unanswered."""
        while (request := await self.receive())["method"] != method:
            await self.answer(request)
        return request

    async def answer(self, request: dict[str, Any]) -> None:
        channel, _, action = request["method"].partition("_")
        if request["method"] == "ping":
            self.venue.pings += 1
            await self.send({"id": request["id"], "method": "pong", "data": None, "error": None})
        elif action == "subscribe":
            await self.subscribe(request, channel)
        else:
            gone = request["params"]
            kept = [] if "all" in gone else [n for n in self.live.get(channel, ()) if n not in gone]
            self.live[channel] = kept
            await self.ack(request, named=False)

    async def subscribe(self, request: dict[str, Any], channel: str) -> None:
        names: list[str] = request["params"]
        if any(name.partition(":")[0] not in {*self.venue.known, "all"} for name in names):
            await self.refuse(request, "unknown market")
            return
        before = self.live.get(channel, [])
        if before and self.venue.reading == "reject":
            await self.refuse(request, "already subscribed")
            return
        self.live[channel] = [*before, *names] if self.venue.reading == "merge" else list(names)
        await self.ack(request)

    async def ack(self, request: dict[str, Any], *, named: bool = True) -> None:
        frame = {"id": request["id"], "data": {"status": "success"}, "error": None}
        await self.send(frame | ({"method": request["method"]} if named else {}))

    async def refuse(self, request: dict[str, Any], message: str) -> None:
        error = {"code": 2, "message": message}
        await self.send({"id": request["id"], "data": None, "error": error})

    def asked(self, method: str) -> list[list[str]]:
        return [one["params"] for one in self.requests if one["method"] == method]


Script = Callable[[Peer], Awaitable[None]]


async def faithful(peer: Peer) -> None:
    await peer.serve()


class Venue:
    """The server; a test sets what goes wrong before it starts a client."""

    def __init__(self) -> None:
        self.script: Script = faithful
        self.reading = "replace"
        self.known = KNOWN
        self.scales = [0, 1]
        self.token_answers: deque[tuple[int, dict[str, str], str]] = deque()
        self.upgrade_answers: deque[tuple[int, dict[str, str]]] = deque()
        self.markets_status = 200
        self.token_requests = 0
        self.upgrades: list[float] = []
        self.issued: list[str] = []
        self.unused: set[str] = set()
        self.peers: list[Peer] = []
        self.pings = 0
        self.port = 0
        self.secure = ""
        self._changed = asyncio.Event()
        self._scripts: list[asyncio.Future[None]] = []

    @property
    def url(self) -> str:
        return f"ws{self.secure}://127.0.0.1:{self.port}/ws"

    @property
    def api_url(self) -> str:
        return f"http{self.secure}://127.0.0.1:{self.port}"

    def changed(self) -> None:
        self._changed.set()

    def end(self) -> None:
        """End all scripts, those above all that wait for ever, and what they left open."""
        for script in self._scripts:
            script.cancel()
        for peer in self.peers:
            peer.socket.transport.abort()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition on the venue holds."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def handle(self, socket: ServerConnection) -> None:
        peer = Peer(self, socket, len(self.peers) + 1)
        self.peers.append(peer)
        self.changed()
        self._scripts.append(asyncio.ensure_future(self.script(peer)))
        with contextlib.suppress(ConnectionClosed, asyncio.CancelledError):
            await self._scripts[-1]

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        target = urlsplit(request.path)
        if target.path == TOKEN:
            return self._token(connection, request)
        if target.path == MARKETS:
            rows = [{"symbol": market, "baseCurrency": market[:3]} for market in self.known]
            return self._json(connection, self.markets_status, {"result": rows})
        if target.path == SCALES:
            scales = [{"scale": "0.01", "index": index} for index in self.scales]
            return self._json(connection, 200, {"status": "success", "data": scales})
        self.upgrades.append(time.monotonic())
        self.changed()
        if self.upgrade_answers:
            status, headers = self.upgrade_answers.popleft()
            if status != 101:
                return self._respond(connection, status, headers, "no")
        token = parse_qs(target.query).get("token", [""])[0]
        if token not in self.unused:
            return self._respond(connection, 401, {}, "bad token")
        self.unused.discard(token)
        return None

    def _token(self, connection: ServerConnection, request: Request) -> Response:
        self.token_requests += 1
        self.changed()
        if self.token_answers:
            status, headers, body = self.token_answers.popleft()
            if status != 200 or body:
                return self._respond(connection, status, headers, body)
        if (request.headers.get("userId"), request.headers.get("sign")) != (USER, SIGN):
            return self._json(connection, 401, {"state": 1, "message": "Unauthorized"})
        token = hashlib.sha256(f"token {len(self.issued)}".encode()).hexdigest()
        self.issued.append(token)
        self.unused.add(token)
        return self._json(connection, 200, {"token": token})

    def _json(self, connection: ServerConnection, status: int, value: Any) -> Response:
        return self._respond(connection, status, {}, json.dumps(value))

    def _respond(
        self, connection: ServerConnection, status: int, headers: dict[str, str], body: str
    ) -> Response:
        response = connection.respond(http.HTTPStatus(status), body)
        for name, value in headers.items():
            response.headers[name] = value
        return response


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    """A venue that listens; it is faithful until the test says otherwise."""
    one = Venue()
    async with serve(
        one.handle, "127.0.0.1", 0, process_request=one.request, ping_interval=None, max_size=None
    ) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one
        one.end()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def bare_server() -> Callable[[Talk], contextlib.AbstractAsyncContextManager[int]]:
    """Serve plain TCP for a block, on the port that the block is given."""

    @contextlib.asynccontextmanager
    async def serving(talk: Talk) -> AsyncIterator[int]:
        ended = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                talking = asyncio.ensure_future(talk(reader, writer))
                ending = asyncio.create_task(ended.wait())
                await asyncio.wait({talking, ending}, return_when=asyncio.FIRST_COMPLETED)
                talking.cancel()
                ending.cancel()
                await asyncio.gather(talking, ending, return_exceptions=True)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(handle(reader, writer)))

        async with await asyncio.start_server(start, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            ended.set()
            await asyncio.gather(*tasks)

    return serving


@pytest.fixture
def authority() -> trustme.CA:
    """An authority that nobody knows but through `ca_file`."""
    return trustme.CA()


@pytest.fixture
async def tls_venue(authority: trustme.CA) -> AsyncIterator[Venue]:
    """A venue behind TLS, certified for 127.0.0.1."""
    one = Venue()
    one.secure = "s"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serve(
        one.handle, "127.0.0.1", 0, process_request=one.request, ssl=context
    ) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one
        one.end()


class Collected:
    """The output of a client in this process: every event as a line would say it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()

    def emit(self, event: Event) -> None:
        self.events.append(json.loads(encode(event)))

    def flush(self) -> None:
        self.arrived.set()


class Client:
    """A subscription that runs in this process."""

    def __init__(self, venue: Venue, *symbols: str, channels: str, **settings: Any) -> None:
        self.output = Collected()
        self.stream = Stream([self.output])
        place = {"url": venue.url, "api_url": venue.api_url, "user_id": USER, "api_key": KEY}
        wanted = app.Subscription(
            feed="cryptomus",
            symbols=symbols or ("BTC_USDT",),
            channels=channels.split(","),
            settings={**place, **QUICK, **settings},
        )
        self.run: FeedRun = app.open_feed(wanted, self.stream)
        self.task = asyncio.create_task(self.run.run())
        self.task.add_done_callback(lambda _: self.output.arrived.set())

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.output.events

    def of(self, kind: str, **members: Any) -> list[dict[str, Any]]:
        return [
            event
            for event in self.events
            if event["type"] == kind and all(event[key] == members[key] for key in members)
        ]

    def states(self) -> list[str]:
        return [event["state"] for event in self.of("session")]

    async def until(self, kind: str, count: int = 1, **members: Any) -> dict[str, Any]:
        """Wait for the event of that kind and return it, the last of `count`."""
        async with asyncio.timeout(DEADLINE):
            while len(found := self.of(kind, **members)) < count:
                if self.task.done():
                    pytest.fail(f"ended with {self.task} before {kind} {members}: {self.events}")
                self.output.arrived.clear()
                await self.output.arrived.wait()
        return found[count - 1]

    async def skips(self, reason: str, count: int = 1) -> None:
        """Wait until so many frames were skipped for a reason."""
        async with asyncio.timeout(DEADLINE):
            while self.stream.skipped[reason] < count:
                self.output.arrived.clear()
                await self.output.arrived.wait()

    async def end(self) -> int:
        """Wait for the run to end by itself and return its exit code."""
        async with asyncio.timeout(DEADLINE):
            return await self.task

    async def stop(self) -> int:
        self.run.stop("test")
        return await self.end()


@contextlib.asynccontextmanager
async def clients_of(venue: Venue) -> AsyncIterator[Callable[..., Client]]:
    clients: list[Client] = []

    def start(*symbols: str, channels: str = "trade", **settings: Any) -> Client:
        client = Client(venue, *symbols, channels=channels, **settings)
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.run.stop("test is over")
    ended = await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
    faults = [one for one in ended if isinstance(one, Exception)]
    assert not faults


@pytest.fixture
async def connect(venue: Venue) -> AsyncIterator[Callable[..., Client]]:
    """Start clients of the venue; settings are keywords, their waits short by default."""
    async with clients_of(venue) as start:
        yield start


@pytest.fixture
async def connect_tls(tls_venue: Venue) -> AsyncIterator[Callable[..., Client]]:
    """Start clients of the venue behind TLS."""
    async with clients_of(tls_venue) as start:
        yield start


class Command:
    """`wsfeeds` as a subprocess."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Wait for the end and return exit code, the lines of stdout, and stderr."""
        async with asyncio.timeout(2 * DEADLINE):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        lines = [json.loads(line) for line in (out or b"").splitlines()]
        return self.process.returncode, lines, err.decode()

    async def exit_code(self) -> int:
        """Wait for the end of the process alone; `Process.wait` waits for its pipes as well."""
        async with asyncio.timeout(DEADLINE):
            while (code := self.process.returncode) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return code

    async def line(self, kind: str, **members: Any) -> dict[str, Any]:
        """Read stdout up to an event of that kind."""
        assert self.process.stdout is not None
        async with asyncio.timeout(2 * DEADLINE):
            while line := await self.process.stdout.readline():
                event: dict[str, Any] = json.loads(line)
                if event["type"] == kind and members.items() <= event.items():
                    return event
        pytest.fail(f"stdout ended before {kind}")


@pytest.fixture
async def command(venue: Venue) -> AsyncIterator[Callable[..., Awaitable[Command]]]:
    """Start `wsfeeds subscribe cryptomus …` against the venue, credentials in the environment."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str, **options: Any) -> Command:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WSFEEDS_")}
        environment |= {"WSFEEDS_CRYPTOMUS_USER_ID": USER, "WSFEEDS_CRYPTOMUS_API_KEY": KEY}
        environment |= options.pop("env", {})
        place = ["--url", venue.url, "--api-url", venue.api_url]
        quick = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
        channels = [] if "-c" in arguments else ["-c", "trade"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wsfeeds", "subscribe", "cryptomus", "BTC_USDT"),
            *(*place, *quick, *channels, *arguments),
            env=environment,
            **{
                "stdin": asyncio.subprocess.DEVNULL,
                "stdout": asyncio.subprocess.PIPE,
                "stderr": asyncio.subprocess.PIPE,
                **options,
            },
        )
        processes.append(process)
        return Command(process)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
        # Closes the pipes of a process whose output nobody read to the end.
        process._transport.close()  # type: ignore[attr-defined]


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale the contract's waits of 10 s down, and nothing else."""
    monkeypatch.setattr("wsfeeds.session.subscriptions.ACK_DEADLINE", 0.3)
    monkeypatch.setattr("wsfeeds.session.dialogue._RESYNC_EVERY", 0.3)
    monkeypatch.setattr("wsfeeds.connectors.cryptomus._SNAPSHOT_DEADLINE", 0.3)


@pytest.fixture
def credentials() -> dict[str, str]:
    """What must never be seen."""
    return {"api_key": KEY, "sign": SIGN}
