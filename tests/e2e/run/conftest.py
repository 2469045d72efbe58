"""The installed command on documents, against servers that share no code with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

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
        path.write_text(document if isinstance(document, str) else json.dumps(document))
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


Handler = Callable[[ServerConnection, Server], Awaitable[None]]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Serve WebSockets on a free port with `handler(connection, server)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(handler: Handler, **options: Any) -> Server:
            server = Server("")

            async def handle(connection: ServerConnection) -> None:
                server.connections.append(connection)
                await handler(connection, server)

            options.setdefault("close_timeout", 1)
            listening = await stack.enter_async_context(serve(handle, "127.0.0.1", 0, **options))
            scheme = "wss" if options.get("ssl") else "ws"
            port = next(iter(listening.sockets)).getsockname()[1]
            server.url = f"{scheme}://127.0.0.1:{port}"
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
