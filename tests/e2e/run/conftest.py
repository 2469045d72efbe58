"""The installed command on documents, against servers that share no code with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]
import trustme
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode

DEADLINE = 20.0


@dataclass
class Ran:
    """A run that is going on, or is over."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)
    stderr: str = ""

    @property
    def results(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == "result"]

    @property
    def data(self) -> list[Any]:
        """What fresh onMessage results say."""
        return [
            line["data"]
            for line in self.results
            if line["hook"] == "onMessage" and not line["heartbeat"]
        ]

    async def line(self) -> dict[str, Any]:
        """Wait for one more line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            raw = await self.process.stdout.readline()
        assert raw, f"no more lines; stderr: {(await self.end()).stderr}"
        self.lines.append(json.loads(raw, parse_float=str))
        return self.lines[-1]

    async def end(self) -> Ran:
        """Wait for the end."""
        async with asyncio.timeout(DEADLINE):
            out, err = await self.process.communicate()
        self.lines += [json.loads(raw, parse_float=str) for raw in out.splitlines()]
        self.stderr += err.decode()
        return self

    @property
    def code(self) -> int:
        assert self.process.returncode is not None
        return self.process.returncode


Start = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start `wsfeeds run` on the params of a document."""
    started: list[asyncio.subprocess.Process] = []

    async def begin(
        params: Any, *options: str, env: dict[str, str] | None = None, whole: bool = False
    ) -> Ran:
        path = tmp_path / "document.json"
        document = params if whole else {"command": "websocket-v2", "params": params}
        text = document if isinstance(document, str | bytes) else json.dumps(document)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wsfeeds",
            "run",
            str(path),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=clean | {"XDG_CONFIG_HOME": str(tmp_path)} | (env or {}),
        )
        started.append(process)
        return Ran(process)

    yield begin
    for process in started:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


Run = Callable[..., Awaitable[Ran]]


@pytest.fixture
def run(start: Start) -> Run:
    """Run `wsfeeds run` to its end."""

    async def whole(params: Any, *options: str, **more: Any) -> Ran:
        return await (await start(params, *options, **more)).end()

    return whole


@dataclass
class Server:
    """A WebSocket server of the test."""

    url: str
    connections: list[ServerConnection] = field(default_factory=list)
    received: list[str | bytes] = field(default_factory=list)
    pings: int = 0

    def abort(self) -> None:
        for connection in self.connections:
            connection.transport.abort()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110  # whatever it looks at has no event
                await asyncio.sleep(0.005)


Handler = Callable[[ServerConnection, Server], Awaitable[None]]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Serve WebSockets on a free port with `handler(connection, server)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(handler: Handler, **options: Any) -> Server:
            server = Server("")

            class Counting(ServerConnection):
                def process_event(self, event: Any) -> None:
                    server.pings += getattr(event, "opcode", None) is Opcode.PING
                    super().process_event(event)

            async def handle(connection: ServerConnection) -> None:
                server.connections.append(connection)
                await handler(connection, server)

            options.setdefault("close_timeout", 1)
            options.setdefault("create_connection", Counting)
            listening = await stack.enter_async_context(serve(handle, "127.0.0.1", 0, **options))
            scheme = "wss" if options.get("ssl") else "ws"
            port = next(iter(listening.sockets)).getsockname()[1]
            server.url = f"{scheme}://127.0.0.1:{port}"
            stack.callback(server.abort)  # a peer that does not read would hold up the end
            return server

        yield begin


async def _drain(connection: ServerConnection, server: Server) -> None:
    async for message in connection:
        server.received.append(message)


@pytest.fixture
async def says(listen: Callable[..., Awaitable[Server]]) -> Callable[..., Awaitable[Server]]:
    """Serve a list of messages to each client, then keep what the client sends."""

    async def begin(*messages: str | bytes, then: int | None = None, tls: Any = None) -> Server:
        async def handler(connection: ServerConnection, server: Server) -> None:
            for message in messages:
                await connection.send(message)
            if then is not None:
                await connection.close(then, "bye")
            await _drain(connection, server)

        return await listen(handler, ssl=tls)

    return begin


class Peer:
    """A python-socketio server and what its clients did."""

    def __init__(self, **options: Any) -> None:
        self.server = socketio.AsyncServer(async_mode="aiohttp", namespaces="*", **options)
        self.url = ""
        self.heard: list[tuple[Any, ...]] = []
        self.acks: list[Any] = []
        self.gone: asyncio.Event = asyncio.Event()
        self.requests: list[web.Request] = []
        self.ports: set[int] = set()
        self.refuse_direct_sockets = False
        self.swallow_upgrades = False
        self.probe = ""
        """How an upgrade from polling goes wrong, if it is to."""
        self.probes = 0

    async def refusal(self, request: web.Request) -> web.StreamResponse | None:
        """Note a request; return the answer where it is not left to the server."""
        self.requests.append(request)
        assert request.transport is not None
        self.ports.add(request.transport.get_extra_info("peername")[1])
        if "Upgrade" not in request.headers:
            return None
        if self.swallow_upgrades:
            await self.gone.wait()
        if "sid" not in request.query and self.refuse_direct_sockets:
            return web.json_response({"code": 3, "message": "Bad request"}, status=400)
        return await self.fail(request) if self.probe else None

    async def fail(self, request: web.Request) -> web.StreamResponse:
        """Answer an upgrade from polling with something else."""
        self.probes += 1
        if self.probe == "refused":
            return web.Response(status=400)
        found = web.WebSocketResponse()
        await found.prepare(request)
        if self.probe == "chatter":
            await found.send_str("this is no answer")
        elif self.probe == "silent":
            await found.receive()
        if self.probe != "closed":
            await found.receive()
        await found.close()
        return found


@pytest.fixture
async def peer() -> AsyncIterator[Callable[..., Awaitable[Peer]]]:  # one handler each
    async with contextlib.AsyncExitStack() as stack:

        async def begin(path: str = "socket.io", **options: Any) -> Peer:
            peer = Peer(**options)
            server = peer.server

            @server.on("connect", namespace="*")
            async def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
                if namespace == "/deny":
                    raise socketio.exceptions.ConnectionRefusedError("nope")
                server.start_background_task(greet, namespace, sid)

            async def greet(namespace: str, sid: str) -> None:
                await server.emit("odds", {"id": 1, "price": "1.5"}, to=sid, namespace=namespace)
                await server.emit("noise", 1, to=sid, namespace=namespace)
                await server.emit("bin", b"\x01\x02\x03", to=sid, namespace=namespace)

            @server.on("*", namespace="*")
            async def anything(event: str, namespace: str, sid: str, *args: Any) -> Any:
                peer.heard.append((event, namespace, *args))
                if event == "ask":
                    await server.emit("question", to=sid, namespace=namespace,
                                      callback=lambda *a: peer.acks.append(a))  # fmt: skip
                if event == "leave":
                    await server.disconnect(sid, namespace=namespace)
                await server.emit("echo", list(args), to=sid, namespace=namespace)
                return "ok"

            @server.on("disconnect", namespace="*")
            async def disconnect(namespace: str, sid: str, reason: Any = None) -> None:
                peer.gone.set()

            @web.middleware
            async def watch(request: web.Request, handler: Any) -> Any:
                refused = await peer.refusal(request)
                return refused if refused is not None else await handler(request)

            app = web.Application(middlewares=[watch])
            server.attach(app, socketio_path=path)
            runner = web.AppRunner(app, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.push_async_callback(server.shutdown)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return peer

        yield begin


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server's TLS context for stream.test and the file of its authority."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("stream.test", "127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return context, str(path)
