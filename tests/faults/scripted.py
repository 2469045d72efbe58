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
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

DEADLINE = 10.0
USER, KEY = "fault-user-0001", "FAULT-API-KEY-0123456789"
SIGN = hashlib.md5(KEY.encode()).hexdigest()
TOKEN = "/v2/user-api/exchange/account/web-socket/token"
MARKETS = "/v2/user-api/exchange/markets"
SCALES = "/api/v2/symbol-scales"
KNOWN = ("BTC_USDT", "ETH_USDT", "TRX_USDT")


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
        self.rest: list[Request] = []
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
        if target.path in {TOKEN, MARKETS, SCALES}:
            self.rest.append(request)
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
