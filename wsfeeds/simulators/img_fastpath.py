"""The simulated IMG Arena FastPath: one WebSocket a fixture and stream, and the fixtures API.

See docs/protocols/img_fastpath.md; the choices that it leaves to a simulator are options.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import string
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import orjson

from wsfeeds.errors import UsageError
from wsfeeds.simulators.base import Simulator
from wsfeeds.simulators.faults import Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.img_fastpath_fixtures import (
    LIVE,
    SCHEDULED,
    SOCCER_LIVE,
    Catalogue,
    Fixture,
)
from wsfeeds.simulators.img_fastpath_frames import Style, heartbeat
from wsfeeds.simulators.img_fastpath_rest import Api, season_id
from wsfeeds.simulators.img_fastpath_stream import Feed, Pace
from wsfeeds.simulators.img_fastpath_tennis import DUMMY
from wsfeeds.simulators.options import Options, choice, duration, number, switch
from wsfeeds.simulators.websocket import Session, Socket

_PATHS = (
    re.compile(
        r"(?:/media)?/(?P<sport>v2/[a-z]+|[a-z][a-z-]*)/fixtures/(?P<id>[^/]+)"
        r"/(?P<stream>actions|statistics)"
    ),
    re.compile(r"/(?P<sport>tennis)/events/(?P<id>[^/]+)/(?P<stream>stream|statistics)"),
    re.compile(r"/(?P<sport>mma)/fights/(?P<id>[^/]+)/(?P<stream>details|actions)"),
    re.compile(r"/media/(?P<sport>mma)/fight-(?P<stream>details|actions)/feed/(?P<id>[^/]+)"),
)
_ACCEPTED = {"message": "Authorisation accepted", "level": "INFO"}
_MALFORMED = {"message": "Authentication message had incorrect format", "level": "ERROR"}
_REFUSED = {
    "message": b'{"errorMessage":"Supplied token could not be authenticated"}',
    "text": b"{The supplied authentication is invalid}",
    "level": b'{"message":"Supplied token could not be authenticated","level":"ERROR"}',
    "error": b'{"error":"Invalid token","status":401}',
}
_TOKEN_LENGTH = 20


@dataclass(frozen=True, kw_only=True)
class FastPathOptions(Options):
    """What the page leaves open, and what shortens a test."""

    heartbeat: float = duration("10s", "time between heartbeats")
    heartbeat_shape: str = choice("tracking", "golf", help="which published heartbeat is sent")
    auth_timeout: float = duration("10s", "a connection without its auth frame is closed")
    auth_answer: str = choice("message", "none", help="whether a good token is answered")
    bad_token: str = choice(
        "message", "text", "level", "error", "close", help="what a bad token is answered"
    )
    start_position: str = choice(
        "skip", "nth", help="startPosition=5 skips five packets, or starts at the fifth"
    )
    numbering: str = choice(
        "fixture", "connection", help="fixtureSeqNum counts per fixture, or from 1 per connection"
    )
    handshake: str = choice(
        "open", "204", "401", "403", "404", "429", "503", help="how stream handshakes are answered"
    )
    handshakes: int = number(0, "so many handshakes are answered so, then all open; 0: all")
    require_accept: bool = switch(False, "a handshake without Accept is answered 400")
    not_started: str = choice("204", "dummy", help="what a tennis match that has not begun gives")
    suspension: str = choice(
        "recover", "drop", "none", help="what becomes of the live soccer match's collection"
    )
    outage: float = duration("0s", "how long the upstream falls silent")
    outage_at: float = duration("10s", "when it does, counted from the start of the match")
    check: float = duration("10s", "time between the venue's looks at its upstream")
    silence: float = duration("30s", "upstream silence that is reported as Disconnected")
    speedup: int = number(20, "simulated seconds in a second; --rate overrides it")
    start: str = choice(
        "watched", "serving", help="live matches begin with their first client, or at once"
    )
    linger: float = duration("60s", "how long a socket stays open after the last packet")
    listing: str = choice(
        "auto", "array", "pageable", "named", help="how fixture lists are wrapped"
    )
    version: str = choice("3", "1", help="the frames of today, or those of 2022")
    scientific: bool = switch(False, "timelineSequence is printed like 1.0E-16")


class Place(NamedTuple):
    """What a path leads to."""

    fixture: Fixture
    stream: str


class FastPathSimulator(Simulator):
    """FastPath with a live soccer match and more, as docs/protocols/img_fastpath.md says."""

    feed: ClassVar[str] = "img_fastpath"
    path: ClassVar[str] = ""
    demo_symbols: ClassVar[tuple[str, ...]] = (f"soccer/{SOCCER_LIVE}",)
    default_rate: ClassVar[float] = 8.0
    option_type: ClassVar[type[Options]] = FastPathOptions
    options: FastPathOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        own = self.options
        if own.speedup < 1 or own.handshakes < 0:
            raise UsageError("simulator options speedup and handshakes take no number below 1 or 0")
        pace = Pace(own.speedup, rate, own.check, own.silence, own.outage_at, own.outage)
        style = Style(int(own.version), scientific=own.scientific)
        self.catalogue = Catalogue(self.random, pace, style, own.suspension)
        letters = string.ascii_letters + string.digits
        self.token = "".join(self.random("token").choices(letters, k=_TOKEN_LENGTH))
        season = functools.partial(season_id, self.random)
        self._api = Api(self.catalogue, self.token, own.listing, season)
        self._handshakes = 0

    def settings(self) -> dict[str, str]:
        """Give the access token."""
        return {"token": self.token}

    async def http(self, request: Request) -> Response:
        """Answer the fixtures API."""
        return self._api.answer(request)

    async def upgrade(self, request: Request) -> Response | Session:
        """Find the fixture of a path; whatever stands in the way is an HTTP status."""
        if (refusal := self._refused()) is not None:
            return refusal
        if self.options.require_accept and not request.headers.get("accept"):
            return Response.text("Request is missing required HTTP header 'Accept'", 400)
        place = self._place(request.path)
        if place is None:
            return Response.json({"errorMessage": "Fixture not found"}, 404)
        fixture = place.fixture
        if not fixture.licensed:
            return Response.json({"errorMessage": "Fixture not subscribed"}, 403)
        if fixture.phase == SCHEDULED:
            if fixture.sport == "tennis" and self.options.not_started == "dummy":
                return functools.partial(self._session, frames=_dummy())
            return Response(204)
        position = request.param("startPosition") or "0"
        if not position.isdecimal():
            return Response.json({"errorMessage": "startPosition is no number"}, 400)
        frames = self._frames(place, int(position), fast=request.param("speed") == "fast")
        fixture.watched.set()
        return functools.partial(self._session, frames=frames)

    def background(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Play the live matches."""
        at_once = self.options.start == "serving"
        for fixture in self.catalogue.fixtures.values():
            if fixture.phase == LIVE and fixture.licensed:
                yield fixture.play(at_once=at_once)

    def _refused(self) -> Response | None:
        if self.options.handshake == "open":
            return None
        self._handshakes += 1
        if self.options.handshakes and self._handshakes > self.options.handshakes:
            return None
        status = int(self.options.handshake)
        return Response(204) if status == 204 else Response.text("", status)

    def _place(self, path: str) -> Place | None:
        for pattern in _PATHS:
            match = pattern.fullmatch(path)
            fixture = match and self.catalogue.find(match["sport"], match["id"])
            if match and fixture:
                fits = fixture.flat == ("/fixtures/" not in path)
                return Place(fixture, match["stream"]) if fits else None
        return None

    def _frames(
        self, place: Place, position: int, *, fast: bool
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        fixture = place.fixture
        feed: Feed = fixture.feeds[place.stream]
        if fixture.sport == "tennis" and place.stream == "statistics":
            return feed.latest()
        if fixture.flat:
            return feed.follow(max(position - feed.first, 0), fast=fast)
        skip = position if self.options.start_position == "skip" else max(position - 1, 0)
        alone = self.options.numbering == "connection"
        return feed.follow(skip, fast=fast, per_connection=alone)

    async def _session(
        self, socket: Socket, *, frames: AsyncGenerator[tuple[bytes, bool], None]
    ) -> None:
        if not await self._authorised(socket):
            return
        socket.start(self._beat(socket))
        socket.start(self._send(socket, frames))
        async for _ in socket:  # whatever a client says after the auth frame is ignored
            pass

    async def _authorised(self, socket: Socket) -> bool:
        """Judge the auth frame (section 3); after anything but a good one close with 1008."""
        try:
            async with asyncio.timeout(self.options.auth_timeout):
                message = await socket.receive()
        except TimeoutError:
            await socket.close(1008, "no authentication")
            return False
        token = _token(message)
        if token == self.token:
            if self.options.auth_answer == "message":
                await socket.send_json(_ACCEPTED)
            return True
        if token is None:
            await socket.send_json(_MALFORMED)
        elif self.options.bad_token != "close":  # noqa: S105 - an option's value
            await socket.send(_REFUSED[self.options.bad_token])
        await socket.close(1008, "not authenticated")
        return False

    async def _beat(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(self.options.heartbeat)
            now = time.time_ns() // 1000
            await socket.send_json(heartbeat(self.options.heartbeat_shape, now))

    async def _send(self, socket: Socket, frames: AsyncGenerator[tuple[bytes, bool], None]) -> None:
        async with contextlib.aclosing(frames):
            async for frame, is_data in frames:
                await (socket.publish(frame) if is_data else socket.send(frame))
        await asyncio.sleep(self.options.linger)
        await socket.close(1000)


async def _dummy() -> AsyncGenerator[tuple[bytes, bool], None]:
    """Give what a match that has not begun gives, then nothing."""
    yield orjson.dumps(DUMMY), True
    await asyncio.Event().wait()


def _token(message: str | bytes) -> str | None:
    """Read the auth frame; None where it is none."""
    try:
        frame = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    token = frame.get("authToken") if isinstance(frame, dict) else None
    return token if isinstance(token, str) else None
