"""The simulated Igratech: greeting, keepalive, settings, logout, and a virtual league.

See docs/protocols/igratech.md, section 7; wire shapes are assumptions of that page.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from wsfeeds.errors import UsageError
from wsfeeds.simulators.base import Simulator
from wsfeeds.simulators.faults import COMMON, Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.igratech_envelope import STYLES, encode, operation
from wsfeeds.simulators.igratech_league import League
from wsfeeds.simulators.options import Options, choice, duration, switch, text
from wsfeeds.simulators.websocket import Session, Socket

_PATHS = {"both": ("/", "/wspublic"), "root": ("/",), "wspublic": ("/wspublic",)}
_SETTINGS = b'{"oddsFormat":"decimal","currency":"EUR","minStake":0.50,"maxStake":500.00}'
_STATUS = b'{"code":0,"text":"OK"}'
_BEFORE_CLOSE = 0.05


@dataclass(frozen=True, kw_only=True)
class IgratechOptions(Options):
    """What the page leaves open, and what shortens a test."""

    style: str = choice(*STYLES, help="how messages are wrapped")
    strict_style: bool = switch(False, "client messages in another style are ignored")
    paths: str = choice("both", "root", "wspublic", help="where upgrades are accepted")
    user: str = text("player-1", "who a connection without ?user= belongs to")
    close_first: bool = switch(False, "a logout leaves in one write with the close behind it")
    mute_pong: bool = switch(False, "pings are not answered")
    rogue_ping: bool = switch(False, "the server pings too, which it should not")
    rogue_interval: float = duration("2s", "time between rogue pings")
    idle: float = duration("0s", "a client silent for so long is closed; 0s: never")
    greeting: bool = switch(True, "connected is sent at once")
    script: str = text("", "a JSON file with the pushes: [{after_ms, operation, payload}, ...]")


class Push(msgspec.Struct, frozen=True):
    """One scripted push: `after_ms` counts from the greeting; the payload goes out as it is."""

    after_ms: float
    operation: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class IgratechSimulator(Simulator):
    """Igratech with a virtual league, or with scripted pushes."""

    feed: ClassVar[str] = "igratech"
    path: ClassVar[str] = ""  # none, so that a client tries the documented ones
    default_rate: ClassVar[float] = 5.0
    supported_faults: ClassVar[frozenset[str]] = COMMON | {"logout"}
    option_type: ClassVar[type[Options]] = IgratechOptions
    options: IgratechOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self.ignored = 0
        self._script = _read(self.options.script) if self.options.script else None
        self._evictions: dict[str, asyncio.Event] = {}
        self._leagues: dict[str, Iterator[tuple[str, bytes]]] = {}

    async def upgrade(self, request: Request) -> Response | Session:
        """Accept on the documented paths only."""
        if request.path not in _PATHS[self.options.paths]:
            return Response.text("Not Found\n", 404)
        return partial(self._session, user=request.param("user") or self.options.user)

    async def _session(self, socket: Socket, *, user: str) -> None:
        older, evicted = self._evictions.get(user), asyncio.Event()
        self._evictions[user] = evicted
        try:
            if self.options.greeting:
                await self._send(socket, "connected", msgspec.json.encode({"user": user}))
            if older is not None:
                older.set()
            self._start(socket, user, evicted)
            await self._answer(socket)
        finally:
            if self._evictions.get(user) is evicted:
                del self._evictions[user]

    def _start(self, socket: Socket, user: str, evicted: asyncio.Event) -> None:
        pushing = self._play(socket) if self._script is not None else self._bet(socket, user)
        work = [socket.start(pushing)]
        if self.options.rogue_ping:
            work.append(socket.start(self._ping(socket)))
        if self.options.idle:
            socket.start(self._close_idle(socket))
        socket.start(self._log_out(socket, evicted, work))

    async def _answer(self, socket: Socket) -> None:
        async for message in socket:
            asked = operation(message, self.options.style, strict=self.options.strict_style)
            if asked == "settings":
                await self._send(socket, "settings", _SETTINGS, _STATUS)
            elif asked is None:
                self.ignored += 1
            elif not self.options.mute_pong:
                await self._send(socket, "ping-pong", b"{}")

    async def _send(
        self, socket: Socket, name: str, payload: bytes, status: bytes | None = None
    ) -> None:
        await socket.send(encode(self.options.style, name, payload, status))

    async def _play(self, socket: Socket) -> None:
        clock = asyncio.get_running_loop().time
        start = clock()
        for push in self._script or ():
            await asyncio.sleep(start + push.after_ms / 1000 - clock())
            await socket.publish(encode(self.options.style, push.operation, bytes(push.payload)))

    async def _bet(self, socket: Socket, user: str) -> None:
        """Push what happens in the league; it stands still while the user is away."""
        if user not in self._leagues:
            self._leagues[user] = League(user, self.random("league", user)).messages()
        messages = self._leagues[user]
        async for due in self.ticks():
            for _ in range(due):
                name, payload = next(messages)
                socket.post(encode(self.options.style, name, payload))
            await socket.drain()

    async def _ping(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(self.options.rogue_interval)
            await self._send(socket, "ping-pong", b"{}")

    async def _close_idle(self, socket: Socket) -> None:
        idle = self.options.idle
        while True:
            left = idle - socket.silent_for()
            if left <= 0:
                break
            await asyncio.sleep(left)
        await socket.close(1000, "idle")

    async def _log_out(
        self, socket: Socket, evicted: asyncio.Event, work: Sequence[asyncio.Task[None]]
    ) -> None:
        """Wait until another client logs in, say so, and close within 100 ms.

        With `close_first` the close leaves in the same write, to test the race.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.faults.logout):
                await evicted.wait()
        for task in work:
            task.cancel()
        reason = b'{"reason":"another client logged in"}'
        socket.queue(encode(self.options.style, "logout", reason))
        if not self.options.close_first:
            await socket.drain()
            await asyncio.sleep(_BEFORE_CLOSE)
        await socket.close(1000)


def _read(path: str) -> list[Push]:
    """Read the scripted pushes.

    Raises:
        UsageError: The file cannot be read or is no such list.
    """
    try:
        pushes = msgspec.json.decode(Path(path).read_bytes(), type=list[Push])
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is no script of pushes: {error}") from error
    return sorted(pushes, key=lambda push: push.after_ms)
