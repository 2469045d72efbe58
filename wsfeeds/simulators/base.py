"""What a simulated venue is: a class per feed, served on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, ClassVar

import orjson

from wsfeeds.errors import UsageError
from wsfeeds.simulators.faults import COMMON, Faults, FrameFaults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.options import Options
from wsfeeds.simulators.server import Server
from wsfeeds.simulators.websocket import Session, Socket
from wsfeeds.simulators.wire import Wire

_TICK = 0.005
_CATCH_UP = 1.0


@dataclass(frozen=True)
class Listening:
    """Where a simulated venue listens and what a client needs to connect (contract, section 8)."""

    feed: str
    url: str
    api_url: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> bytes:
        """The JSON line that ``wsfeeds sim`` prints, without its line break."""
        return orjson.dumps(asdict(self))


class Simulator:
    """The base of every simulated venue; a subclass named by its module serves one feed.

    Args:
        seed: The same seed gives the same frames, but for times.
        rate: Data frames a second over all channels; None for `default_rate`.
        faults: What goes wrong.
        options: The page's toggles, as text or as values.

    Raises:
        UsageError: A fault or an option that this venue does not have.
    """

    feed: ClassVar[str]
    path: ClassVar[str] = "/"
    demo_symbols: ClassVar[tuple[str, ...]] = ()
    default_rate: ClassVar[float] = 20.0
    supported_faults: ClassVar[frozenset[str]] = COMMON
    option_type: ClassVar[type[Options]] = Options
    options: Options

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.seed = seed
        self.faults = faults or Faults()
        if impossible := self.faults.given() - self.supported_faults:
            names = ", ".join(sorted(impossible))
            has = ", ".join(sorted(self.supported_faults))
            raise UsageError(
                f"the {self.feed} simulator cannot have the fault {names}; it has {has}"
            )
        if rate is not None and not 0.0 < rate < float("inf"):
            raise UsageError(f"--rate takes a number of messages a second above 0, not {rate:g}")
        self.rate = rate
        self.options = self.option_type.parse(options or {})
        self._numbers = itertools.count(1)
        self._token_chances = self.random("token-error")

    def settings(self) -> dict[str, str]:
        """Give the settings that a client needs beside the URLs, such as credentials."""
        return {}

    async def http(self, request: Request) -> Response:
        """Answer a plain HTTP request."""
        del request
        return Response.text("Not Found\n", 404)

    async def upgrade(self, request: Request) -> Response | Session:
        """Refuse a WebSocket upgrade with a response, or give the session that serves it."""
        raise NotImplementedError

    def background(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Give what runs beside the connections while the venue is served."""
        return ()

    @contextlib.asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Listening]:
        """Serve the venue until the block ends.

        Raises:
            UsageError: The address cannot be listened on.
        """
        async with Server(self, host, port) as server:
            for work in self.background():
                server.start(work)
            yield Listening(
                feed=self.feed,
                url=f"ws://{server.address}{self.path}",
                api_url=f"http://{server.address}",
                settings=self.settings(),
            )

    def random(self, *purpose: object) -> Random:
        """Give a generator of its own for a purpose; the same names give the same numbers."""
        return Random("/".join(map(str, (self.seed, self.feed, *purpose))))  # noqa: S311

    def token_fails(self) -> bool:
        """Decide whether the fault ``token-error`` strikes this request for a token."""
        return self._token_chances.random() < self.faults.token_error

    async def ticks(self, rate: float | None = None) -> AsyncGenerator[int, None]:
        """Pace data frames: each turn gives how many are due now, at least one.

        What a slow client held up is made good, for a second's worth at most.
        """
        per_second = rate or self.rate or self.default_rate
        clock = asyncio.get_running_loop().time
        start, sent = clock(), 0.0
        while True:
            wait = max((sent + 1.0) / per_second - (clock() - start), _TICK)
            await asyncio.sleep(wait)
            due = (clock() - start) * per_second - sent
            if due > _CATCH_UP * per_second + 1.0:
                start, sent, due = clock(), 0.0, _CATCH_UP * per_second + 1.0
                sent = -due
            whole = int(due)
            if whole:
                sent += whole
                yield whole

    async def admit(self, request: Request) -> Response | Session:
        """Let an upgrade wait where a fault says so, then decide on it."""
        if self.faults.slow_upgrade is not None:
            await asyncio.sleep(self.faults.slow_upgrade)
        return await self.upgrade(request)

    def opened(self, wire: Wire, request: Request) -> Socket:
        """Make the socket of an accepted upgrade, with the faults that are its own."""
        number = next(self._numbers)
        return Socket(
            wire,
            request,
            number=number,
            faults=self.faults,
            frame_faults=FrameFaults(self.faults, lambda name: self.random("fault", number, name)),
            compress=True,
        )
