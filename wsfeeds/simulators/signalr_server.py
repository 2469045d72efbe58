"""What the simulated SignalR servers of both generations share: who may come, and what lives."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, ClassVar

from wsfeeds.simulators.base import Simulator
from wsfeeds.simulators.faults import Faults, FrameFaults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.options import Options
from wsfeeds.simulators.signalr_hub import OddsHub
from wsfeeds.simulators.signalr_options import HubOptions

_COOKIE = "ARRAffinity"
_BEARER = "Bearer "


class HubServer(Simulator):
    """A server of one hub; its connections outlive any one request."""

    option_type: ClassVar[type[Options]] = HubOptions
    options: HubOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self.access_token = secrets.token_urlsafe(24)
        self.count = itertools.count(1)
        self._affinity = secrets.token_urlsafe(12)
        self._work: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()

    def settings(self) -> dict[str, str]:
        """Give the bearer token, if there is one."""
        return {"token": self.options.token} if self.options.token else {}

    def background(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Serve the connections."""
        yield self._serve_connections()

    def serve_connection(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what a connection does beside the requests."""
        self._work.put_nowait(work)

    def hub(self, number: int) -> OddsHub:
        """Make the hub of a connection."""
        first = self.options.subscribe_first
        return OddsHub(self.random("hub", number), subscribe_first=first)

    def frame_faults(self, number: int) -> FrameFaults:
        """Make the frame faults of a connection, whatever transport it has."""
        return FrameFaults(self.faults, lambda name: self.random("fault", number, name))

    def refusal(self, request: Request, wanted: str) -> Response | None:
        """Refuse a request without the bearer token, where one is wanted."""
        given = request.headers.get("authorization", "").removeprefix(_BEARER)
        if not wanted or wanted in (given, request.param("access_token")):
            return None
        return Response.text("", 401, {"WWW-Authenticate": "Bearer"})

    def affinity(self) -> dict[str, str]:
        """Give the header that binds a client to this server, if there are others."""
        cookie = f"{_COOKIE}={self._affinity}; Path=/; HttpOnly"
        return {"Set-Cookie": cookie} if self.options.sticky else {}

    def comes_back(self, request: Request) -> bool:
        """Tell whether a request found the server that it negotiated with."""
        wanted = f"{_COOKIE}={self._affinity}"
        return not self.options.sticky or wanted in request.headers.get("cookie", "")

    def ends_early(self, number: int, how: str) -> bool:
        """Tell whether the option `end` is for this connection."""
        limit = self.options.end_connections
        return how != "never" and (not limit or number <= limit)

    async def _serve_connections(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(await self._work.get())
