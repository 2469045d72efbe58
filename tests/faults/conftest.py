"""Far ends that fail on purpose, and clients of them, in this process and as the command."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from tests.faults.scripted import DEADLINE, KEY, SIGN, USER, Venue
from wsfeeds import app
from wsfeeds.events import Event, encode
from wsfeeds.pipeline import Stream
from wsfeeds.session.feed import FeedRun
from wsfeeds.session.tap import Tap

QUICK = {"backoff_initial": "10ms", "backoff_max": "40ms", "connect_timeout": "5s"}


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
def bare_server() -> Callable[..., contextlib.AbstractAsyncContextManager[int]]:
    """Serve TCP, with TLS if asked for, for a block, on the port that the block is given."""

    @contextlib.asynccontextmanager
    async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
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

        async with await asyncio.start_server(start, "127.0.0.1", 0, ssl=tls) as server:
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


Talking = Callable[[ServerConnection], Awaitable[None]]


@pytest.fixture
def in_one_read() -> Callable[..., None]:
    """Write frames, and maybe a close behind them, so that one read of the client brings all."""

    def write(socket: ServerConnection, *frames: Any, close: int | None = None) -> None:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in frames]
        parts = [Frame(Opcode.TEXT, text.encode()) for text in texts]
        if close is not None:
            parts.append(Frame(Opcode.CLOSE, close.to_bytes(2, "big")))
        socket.transport.write(b"".join(part.serialize(mask=False) for part in parts))

    return write


class Collected:
    """The output of a client in this process: every event as a line would say it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()

    def emit(self, event: Event) -> None:
        self.events.append(json.loads(encode(event)))

    def emit_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self.emit(event)

    def flush(self) -> None:
        self.arrived.set()


class Client:
    """A subscription that runs in this process."""

    def __init__(self, make: Callable[[Stream], FeedRun]) -> None:
        self.output = Collected()
        self.stream = Stream([self.output])
        self.run = make(self.stream)
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


Make = Callable[[Stream], FeedRun]


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Make], Client]]:
    """Start clients that run what is made for their stream."""
    clients: list[Client] = []

    def start(make: Make) -> Client:
        clients.append(Client(make))
        return clients[-1]

    yield start
    for client in clients:
        client.run.stop("test is over")
    ended = await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
    faults = [one for one in ended if isinstance(one, Exception)]
    assert not faults


@pytest.fixture
def connect_to(start: Callable[[Make], Client]) -> Callable[..., Client]:
    """Start clients of any feed, at the `url` among the keywords."""

    def connect(
        feed: str, *symbols: str, channels: str = "", tap: Tap | None = None, **settings: Any
    ) -> Client:
        wanted = app.Subscription(
            feed=feed,
            symbols=symbols,
            channels=channels.split(",") if channels else (),
            settings={**QUICK, **settings},
        )
        return start(lambda stream: app.open_feed(wanted, stream, tap=tap))

    return connect


def client_of(venue: Venue, connect_to: Callable[..., Client]) -> Callable[..., Client]:
    def start(*symbols: str, channels: str = "trade", **settings: Any) -> Client:
        place = {"url": venue.url, "api_url": venue.api_url, "user_id": USER, "api_key": KEY}
        asked = symbols or ("BTC_USDT",)
        return connect_to("cryptomus", *asked, channels=channels, **{**place, **settings})

    return start


@pytest.fixture
def connect(venue: Venue, connect_to: Callable[..., Client]) -> Callable[..., Client]:
    """Start clients of the venue; settings are keywords, their waits short by default."""
    return client_of(venue, connect_to)


@pytest.fixture
def connect_tls(tls_venue: Venue, connect_to: Callable[..., Client]) -> Callable[..., Client]:
    """Start clients of the venue behind TLS."""
    return client_of(tls_venue, connect_to)


@pytest.fixture
async def sockets() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Serve WebSockets of any venue by a script, at the URL that is returned.

    `refuse` gives the status of an upgrade that is refused, by its path.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def start(script: Talking, refuse: Callable[[str], int | None] | None = None) -> str:
            def answer(connection: ServerConnection, request: Request) -> Response | None:
                status = refuse(urlsplit(request.path).path) if refuse else None
                return None if status is None else connection.respond(http.HTTPStatus(status), "")

            async def handle(socket: ServerConnection) -> None:
                with contextlib.suppress(ConnectionClosed):
                    await script(socket)
                    await socket.wait_closed()

            server = await stack.enter_async_context(
                serve(
                    handle,
                    *("127.0.0.1", 0),
                    process_request=answer,
                    ping_interval=None,
                    close_timeout=1,
                )
            )
            return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

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
    monkeypatch.setattr("wsfeeds.connectors._cryptomus_books._DEADLINE", 0.3)


@pytest.fixture
def credentials() -> dict[str, str]:
    """What must never be seen."""
    return {"api_key": KEY, "sign": SIGN}
