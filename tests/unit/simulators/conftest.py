"""An independent client of the simulators: plain httpx and websockets, none of our parsers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
import websockets

from wsfeeds.simulators import create
from wsfeeds.simulators.base import Listening, Simulator
from wsfeeds.simulators.faults import Faults

DEADLINE = 20.0
TOKEN = "/v2/user-api/exchange/account/web-socket/token"


class Peer:
    """One socket to a simulated Cryptomus, and what came out of it."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []
        self._id = 0

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            frame: dict[str, Any] = orjson.loads(await self.socket.recv())
        self.frames.append(frame)
        return frame

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            frame = await self.next()
            if wanted(frame):
                return frame

    async def update(self, channel: str) -> Any:
        frame = await self.until(lambda frame: frame.get("method") == f"{channel}_update")
        return frame["data"]

    async def send(self, method: str, *params: str) -> int:
        self._id += 1
        request = {"id": self._id, "method": method, "params": list(params)}
        await self.socket.send(orjson.dumps(request).decode())
        return self._id

    async def ask(self, method: str, *params: str) -> dict[str, Any]:
        request_id = await self.send(method, *params)
        return await self.until(
            lambda frame: (
                frame["id"] == request_id and not str(frame.get("method")).endswith("_update")
            )
        )

    async def closed(self) -> int | None:
        async with asyncio.timeout(DEADLINE):
            await self.socket.wait_closed()
        return self.socket.close_code


class Venue:
    """A listening simulated Cryptomus."""

    def __init__(self, simulator: Simulator, listening: Listening, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.listening = listening
        self.http = http

    def signed(self, **changes: str) -> dict[str, str]:
        key = self.listening.settings["api_key"].encode()
        sign = hashlib.md5(key).hexdigest()
        return {"userId": self.listening.settings["user_id"], "sign": sign} | changes

    async def token(self) -> str:
        answer = await self.http.get(TOKEN, headers=self.signed())
        return str(answer.json()["token"])

    @contextlib.asynccontextmanager
    async def open(self, token: str | None = None, **options: Any) -> AsyncIterator[Peer]:
        url = f"{self.listening.url}?token={token or await self.token()}"
        options = {"max_queue": None, "close_timeout": 1} | options  # unread frames delay a close
        async with websockets.connect(url, proxy=None, **options) as socket:
            yield Peer(socket)


@contextlib.asynccontextmanager
async def serve(
    *faults: str, rate: float | None = None, seed: int = 1, **options: object
) -> AsyncIterator[Venue]:
    simulator = create(
        "cryptomus", seed=seed, rate=rate, faults=Faults.parse(faults), options=options
    )
    async with (
        simulator.serve() as listening,
        httpx.AsyncClient(base_url=listening.api_url, trust_env=False, verify=False) as http,
    ):
        yield Venue(simulator, listening, http)


@pytest.fixture(name="serve")
def _serve():
    return serve


class Book:
    """The plainest order book: two dicts."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, Decimal]] = {"asks": {}, "bids": {}}

    def apply(self, data: dict[str, Any]) -> None:
        for side, levels in self.sides.items():
            if data["full_reload"]:
                levels.clear()
            for price, quantity in data[side]:
                if Decimal(quantity):
                    levels[Decimal(price)] = Decimal(quantity)
                else:
                    del levels[Decimal(price)]

    @property
    def best_bid(self) -> Decimal:
        return max(self.sides["bids"])

    @property
    def best_ask(self) -> Decimal:
        return min(self.sides["asks"])


@pytest.fixture(name="new_book")
def _new_book():
    return Book


class Hub:
    """A listening simulated hub of ASP.NET Core SignalR."""

    def __init__(self, simulator: Any, listening: Listening, http: httpx.AsyncClient) -> None:
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

    async def records(self, socket: websockets.ClientConnection) -> AsyncIterator[dict[str, Any]]:
        text = ""
        async for message in socket:
            assert isinstance(message, str)
            *whole, text = (text + message).split("\x1e")
            for record in whole:
                yield orjson.loads(record)

    async def take(self, socket: websockets.ClientConnection, count: int) -> list[dict[str, Any]]:
        """Take so many pushes; replies and pings are passed over."""
        found: list[dict[str, Any]] = []
        async for record in self.records(socket):
            if record.get("type") == 1:
                found.append(record)
            if len(found) == count:
                break
        return found

    async def until(self, socket: websockets.ClientConnection, kind: int | None) -> dict[str, Any]:
        async for record in self.records(socket):
            if record.get("type") == kind:
                return record
        raise AssertionError("the socket closed")


@contextlib.asynccontextmanager
async def serve_hub(
    feed: str,
    *faults: str,
    venue: Callable[..., Any] = Hub,
    rate: float | None = None,
    seed: int = 1,
    **options: object,
) -> AsyncIterator[Any]:
    simulator = create(feed, seed=seed, rate=rate, faults=Faults.parse(faults), options=options)
    async with (
        simulator.serve() as listening,
        httpx.AsyncClient(
            base_url=listening.api_url, trust_env=False, verify=False, timeout=DEADLINE
        ) as http,
        asyncio.timeout(4 * DEADLINE),
    ):
        yield venue(simulator, listening, http)


@pytest.fixture(name="serve_hub")
def _serve_hub():
    return serve_hub
