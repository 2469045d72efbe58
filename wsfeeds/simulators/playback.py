"""Yesterday's venue: recorded inbound frames, played to whoever connects.

A client gets the frames of one recorded connection, in their time. Where a frame was sent in the
recording, the client is waited for, a moment; answers carry the client's own request ids. What a
feed needs beyond that (tokens over HTTP, pings) is in its module `<feed>_playback`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from wsfeeds.simulators.base import Listening
from wsfeeds.simulators.faults import Faults, FrameFaults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.server import Server
from wsfeeds.simulators.websocket import Session, Socket
from wsfeeds.simulators.wire import Wire

_WAIT_FOR_CLIENT = 2.0
_OPENING = 10_000_000
"""Microseconds of the recording during which what was sent then is waited for now."""
_IN_A_ROW = 64
_SHORTEST_SLEEP = 0.001


@dataclass(frozen=True)
class Played:
    """One recorded frame: when, whether the venue sent it, and its bytes."""

    recv_ts: int
    inbound: bool
    frame: bytes
    binary: bool


@dataclass(frozen=True)
class Recorded:
    """One recorded connection; `frames` reads it from the beginning each time."""

    url: str
    frames: Callable[[], Iterable[Played]]

    @property
    def path(self) -> str:
        """The path that its client asked for."""
        return urlsplit(self.url).path or "/"


Wait = Callable[[int], float]
"""Tells how many seconds it is until what was received at that time is due."""


class Etiquette(Protocol):
    """What a feed's `<feed>_playback` module may have."""

    def http(self, request: Request) -> Response | None:
        """Answer a plain request."""

    def reply(self, message: bytes) -> bytes | None:
        """Answer a ping."""


class Playback:
    """Serves the recorded connections of one feed, one after the other for each path."""

    def __init__(self, feed: str, recorded: Sequence[Recorded], pace: Callable[[], Wait]) -> None:
        """Play `recorded`, each in a pace of its own."""
        self.feed = feed
        self._recorded = recorded
        self._pace = pace
        self._turns: dict[str, int] = {}
        self._number = 0
        self._etiquette = _etiquette(feed)

    @contextlib.asynccontextmanager
    async def serve(self, host: str, port: int) -> AsyncIterator[Listening]:
        """Serve until the block ends.

        Raises:
            UsageError: The address cannot be listened on.
        """
        async with Server(self, host, port) as server:
            # Without a path: clients that ask for one per symbol append it by themselves.
            url, api_url = f"ws://{server.address}", f"http://{server.address}"
            yield Listening(feed=self.feed, url=url, api_url=api_url)

    async def http(self, request: Request) -> Response:
        """Answer what the feed's clients ask before they connect."""
        answer = self._etiquette.http(request) if self._etiquette is not None else None
        return answer or Response.text("this is a recording; it has no such page\n", 404)

    async def admit(self, request: Request) -> Response | Session:
        """Let everybody in, with whatever credentials."""
        candidates = [each for each in self._recorded if request.path.endswith(each.path)]
        if not candidates:
            candidates = list(self._recorded)
            if len({each.path for each in candidates}) > 1:
                return Response.text("nothing was recorded on this path\n", 404)
        turn = self._turns.get(request.path, 0)
        self._turns[request.path] = (turn + 1) % len(candidates)
        player = _Player(candidates[turn], self._pace(), self._etiquette)
        return player.to_end if turn < len(candidates) - 1 else player.for_good

    def opened(self, wire: Wire, request: Request) -> Socket:
        """Make the socket of an accepted upgrade."""
        self._number += 1
        none = Faults()
        return Socket(
            wire,
            request,
            number=self._number,
            faults=none,
            frame_faults=FrameFaults(none, lambda _: Random(0)),  # noqa: S311  # no fault strikes
            compress=True,
        )


class _Player:
    def __init__(self, recorded: Recorded, wait: Wait, etiquette: Etiquette | None) -> None:
        self._recorded = recorded
        self._wait = wait
        self._etiquette = etiquette
        self._inbox: list[bytes] = []
        self._heard = asyncio.Event()
        self._ids: dict[str, Any] = {}

    async def to_end(self, socket: Socket) -> None:
        """Play, then close, as the connection in the recording ended."""
        socket.start(self._listen(socket))
        await self._play(socket)

    async def for_good(self, socket: Socket) -> None:
        """Play, then stay: the recording ended, not the connection."""
        await self.to_end(socket)
        await asyncio.Event().wait()

    async def _listen(self, socket: Socket) -> None:
        async for message in socket:
            data = message.encode() if isinstance(message, str) else message
            answer = self._etiquette.reply(data) if self._etiquette is not None else None
            if answer is None:
                self._inbox.append(data)
                self._heard.set()
            else:
                await socket.send(answer)

    async def _play(self, socket: Socket) -> None:
        begun: int | None = None
        for number, played in enumerate(self._recorded.frames()):
            begun = played.recv_ts if begun is None else begun
            delay = self._wait(played.recv_ts)
            if delay > _SHORTEST_SLEEP or number % _IN_A_ROW == 0:
                await socket.drain()
                await asyncio.sleep(max(0.0, delay))
            if played.inbound:
                socket.queue(self._addressed(played.frame), binary=played.binary)
            elif played.recv_ts - begun < _OPENING:
                await socket.drain()
                await self._hear(played.frame)
        await socket.drain()

    async def _hear(self, sent: bytes) -> None:
        """Wait a moment for the client to say what was said in the recording."""
        if self._etiquette is not None and self._etiquette.reply(sent) is not None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_FOR_CLIENT):
                while not self._inbox:
                    self._heard.clear()
                    await self._heard.wait()
            message = self._inbox.pop(_best_match(sent, self._inbox))
            then, now = _id_of(sent), _id_of(message)
            if then != now:
                self._ids[repr(then)] = now

    def _addressed(self, frame: bytes) -> bytes:
        """Put the client's own id into the answer to its request."""
        if not self._ids:
            return frame
        identity = _id_of(frame)
        if identity is None or repr(identity) not in self._ids:
            return frame
        value = orjson.loads(frame)
        value["id"] = self._ids.pop(repr(identity))
        return orjson.dumps(value)


def _best_match(sent: bytes, said: list[bytes]) -> int:
    """Return which of the client's messages is the recorded one: the same, or of its method."""
    for alike in (_without_id, _method):
        wanted = alike(sent)
        for index, message in enumerate(said):
            if wanted is not None and alike(message) == wanted:
                return index
    return 0


def _members(message: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _id_of(message: bytes) -> Any:
    return _members(message).get("id")


def _method(message: bytes) -> Any:
    return _members(message).get("method")


def _without_id(message: bytes) -> Any:
    return {key: value for key, value in _members(message).items() if key != "id"} or message


def _etiquette(feed: str) -> Any:
    try:
        return importlib.import_module(f"wsfeeds.simulators.{feed}_playback")
    except ModuleNotFoundError:
        return None
