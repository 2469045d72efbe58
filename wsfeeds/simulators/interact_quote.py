"""The simulated quote stream of an order slip (docs/protocols/interact_quote.md, section 7)."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import orjson

from wsfeeds.simulators.base import Simulator
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.interact_quote_odds import Cricket, Football, Market, Shape
from wsfeeds.simulators.interact_quote_token import TokenRefused, check, claims_of, issue
from wsfeeds.simulators.options import Options, choice, duration, switch
from wsfeeds.simulators.websocket import Session, Socket

FANCY, CHLOE = "fancy-market", "chloe-market"
_SUFFIX = "/quote/do-not-look-back"
_SUBSCRIBE = re.compile(r"order-slip-quote@(chloe-market|fancy-market)#([^@#]+)@([^@#]+)")
_UNSUBSCRIBE = re.compile(r"unsubscribe-order-slip-quote#([^@#]+)@([^@#]+)")
_BEARER = "bearer "
_FOOTBALL = {
    "40789105-e": ("1_33753650", "219_33753655"),
    "41115853-e": ("1_31260330", "219_31260335"),
}
_CRICKET = {
    "44914246-e": ("340_55854700", "878_55854706_f"),
    "44914990-e": ("11_55860101", "878_55860107_f"),
}
_MAX_UNSENT = 200

Key = tuple[str, str]
"""Event and market: what a subscription is known by."""


@dataclass(frozen=True, kw_only=True)
class QuoteOptions(Options):
    """What the page leaves open, and what shortens a test."""

    auth: bool = switch(True, "tokens are checked")
    token_life: float = duration("87600h", "how long the token of the settings is valid")
    claim: str = choice("expires_at", "exp", "none", help="which claim says when it expires")
    close_expired: bool = switch(False, "an open socket is closed when its token expires")
    initial: str = choice("running", "stopped", help="stopped: quotes come after start only")
    life: float = duration("3600s", "how long a subscription lives")
    alive: float = duration("30s", "time between heartbeats")
    bare_heartbeat: bool = switch(False, "a heartbeat is {}")
    with_eid: bool = switch(False, "fancy items name their event")
    without_ut: bool = switch(False, "fancy items have no update time")
    typo_type: bool = switch(False, "fancy frames are of type order-slipt-fancy")
    strict: bool = switch(False, "a family that does not fit the market id is an error")


@dataclass
class Subscription:
    """One wanted market of a connection."""

    family: str
    expires: float


class Client:
    """One connection: what it wants and what still has to be sent to it.

    A client that reads slowly misses quotes, and gets the latest ones once it has caught up.

    Args:
        socket: Its connection.
        running: Whether quotes are sent.
    """

    def __init__(self, socket: Socket, *, running: bool) -> None:
        self.socket = socket
        self.running = running
        self.wanted: dict[Key, Subscription] = {}
        self._unsent = 0
        self._behind = False
        self._news = asyncio.Event()

    def prune(self, now: float) -> None:
        """Forget what is older than its hour; nobody is told."""
        for key in [key for key, each in self.wanted.items() if each.expires <= now]:
            del self.wanted[key]

    def push(self, frame: bytes) -> None:
        """Send a quote as soon as the client reads."""
        if self._unsent < _MAX_UNSENT:
            self.socket.post(frame)
            self._unsent += 1
        else:
            self._behind = True
        self._news.set()

    async def send(self, catch_up: Callable[[Client], None]) -> None:
        """Keep sending what was pushed, for as long as the connection lives."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.socket.drain()
            self._unsent = 0
            if self._behind:
                self._behind = False
                catch_up(self)


class QuoteSimulator(Simulator):
    """Quotes on football and cricket that move with the matches and lock around their goals."""

    feed: ClassVar[str] = "interact_quote"
    path: ClassVar[str] = f"/dev-f{_SUFFIX}"
    demo_symbols: ClassVar[tuple[str, ...]] = (
        "40789105-e@219_33753655",
        "41115853-e@1_31260330",
        "44914246-e@878_55854706_f",
    )
    default_rate: ClassVar[float] = 6.0
    option_type: ClassVar[type[Options]] = QuoteOptions
    options: QuoteOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self._secret = self.random("secret").randbytes(32)
        self._shape = Shape(self.options.with_eid, self.options.without_ut)
        matches = [(Football, each) for each in _FOOTBALL.items()]
        self._events: dict[str, Football | Cricket] = {
            event: kind(event, ids, self.random("event", event)) for kind, (event, ids) in matches
        }
        for event, ids in _CRICKET.items():
            self._events[event] = Cricket(event, ids, self.random("event", event))
        self._markets: dict[Key, Market] = {
            (market.event, market.id): market
            for event in self._events.values()
            for market in event.markets
        }
        self._clients: set[Client] = set()

    def settings(self) -> dict[str, str]:
        """Give a token that lives as long as the option says."""
        return {"token": self.token(self.options.token_life)}

    def token(self, life: float) -> str:
        """Issue a token that is valid for so many seconds from now."""
        claims = claims_of("sim_player1", time.time(), life, self.options.claim)
        return issue(self._secret, claims)

    async def upgrade(self, request: Request) -> Response | Session:
        """Check path and token."""
        if not request.path.endswith(_SUFFIX):
            return Response.text("Not Found\n", 404)
        expires: float | None = None
        if self.options.auth:
            authorization = request.param("authorization") or ""
            if not authorization.startswith(_BEARER):
                return Response.json({"error": "missing token"}, 401)
            try:
                token = authorization.removeprefix(_BEARER)
                expires = check(self._secret, token, time.time())
            except TokenRefused as refusal:
                return Response.json({"error": str(refusal)}, 401)
        return partial(self._session, expires=expires)

    def background(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Move the odds."""
        yield self._play()

    async def _session(self, socket: Socket, *, expires: float | None) -> None:
        client = Client(socket, running=self.options.initial == "running")
        self._clients.add(client)
        socket.start(client.send(self._snapshots))
        socket.start(self._beat(socket))
        if self.options.close_expired and expires is not None:
            socket.start(self._expire(socket, expires))
        try:
            async for message in socket:
                if (error := self._obey(client, message)) is not None:
                    await socket.send_json({"type": "error", "error": error})
                await socket.drain()
        finally:
            self._clients.discard(client)

    def _obey(self, client: Client, message: str | bytes) -> str | None:
        """Carry a command out; the text of what is wrong with it is returned."""
        try:
            frame = orjson.loads(message)
        except orjson.JSONDecodeError:
            return "invalid JSON"
        commend = frame.get("commend") if isinstance(frame, dict) else None
        if not isinstance(commend, str):
            return "missing commend"
        if commend == "start":
            client.running = True
            self._snapshots(client)
        elif commend == "stop":
            client.running = False
        elif match := _SUBSCRIBE.fullmatch(commend):
            return self._subscribe(client, match[1], (match[2], match[3]))
        elif match := _UNSUBSCRIBE.fullmatch(commend):
            client.wanted.pop((match[1], match[2]), None)
        else:
            return "invalid command"
        return None

    def _subscribe(self, client: Client, family: str, key: Key) -> str | None:
        if key not in self._markets:
            return f"unknown market {key[0]}@{key[1]}"
        if self.options.strict and (family == FANCY) != key[1].endswith("_f"):
            return f"market {key[1]} is no {family}"
        expires = asyncio.get_running_loop().time() + self.options.life
        client.wanted[key] = Subscription(family, expires)
        if client.running:
            client.push(self._frame(self._markets[key], family))
        return None

    def _snapshots(self, client: Client) -> None:
        client.prune(asyncio.get_running_loop().time())
        if client.running:
            for key, wanted in client.wanted.items():
                client.push(self._frame(self._markets[key], wanted.family))

    def _frame(self, market: Market, family: str, only: Iterable[str] | None = None) -> bytes:
        fancy = "order-slipt-fancy" if self.options.typo_type else "order-slip-fancy"
        kind = fancy if family == FANCY else "order-slip"
        return orjson.dumps({"type": kind, "data": self._shape.items(market, family, only)})

    async def _play(self) -> None:
        """Play the events that somebody wants, in turn; the others stand still."""
        turn = 0
        async for due in self.ticks():
            left = due
            while left > 0:
                watched = self._watched()
                if not watched:
                    break
                turn += 1
                left -= self._step(watched[turn % len(watched)])

    def _watched(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        events: dict[str, None] = {}
        for client in self._clients:
            client.prune(now)
            if client.running:
                events |= dict.fromkeys(event for event, _ in client.wanted)
        return sorted(events)

    def _step(self, name: str) -> int:
        """Let an event go on and tell who wants to know; at least one frame counts as sent."""
        event = self._events[name]
        event.step()
        sent = 0
        for market in event.markets:
            changed, market.changed = market.changed, set()
            if changed:
                sent += self._tell(market, changed)
        return max(sent, 1)

    def _tell(self, market: Market, changed: set[str]) -> int:
        sent = 0
        for client in self._clients:
            key = (market.event, market.id)
            wanted = client.wanted.get(key)
            if client.running and wanted is not None:
                client.push(self._frame(market, wanted.family, changed))
                sent = 1
        return sent

    async def _beat(self, socket: Socket) -> None:
        frame: dict[str, str] = {} if self.options.bare_heartbeat else {"type": "alive"}
        while True:
            await asyncio.sleep(self.options.alive)
            await socket.send_json(frame)

    async def _expire(self, socket: Socket, expires: float) -> None:
        await asyncio.sleep(max(expires - time.time(), 0.0))
        await socket.close(1008, "token is expired")
