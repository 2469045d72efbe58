"""How a connection to ASP.NET Core SignalR is made: by the first transport offered that works.

docs/protocols/websocket_v2.md, section 6.2.
"""

from __future__ import annotations

import logging

from wsfeeds.command.listener import Listener, Unusable
from wsfeeds.command.route import Route
from wsfeeds.command.signalr_negotiation import Agreement, negotiate
from wsfeeds.command.signalr_pipes import EventPipe, Pipe, PollPipe, SocketPipe, Taker
from wsfeeds.command.signalr_urls import with_query
from wsfeeds.command.spec import Params
from wsfeeds.errors import Transient

_LOG = logging.getLogger("wsfeeds")


class Connector:
    """Makes one connection: negotiates, unless the document says not to, and opens a transport."""

    def __init__(self, params: Params, route: Route, listener: Listener, taker: Taker) -> None:
        """Prepare; what the transport brings goes to `taker`."""
        self._params = params
        self._route = route
        self._listener = listener
        self._taker = taker

    async def connect(self) -> tuple[Pipe, Agreement]:
        """Return an open transport and what was agreed on.

        Raises:
            CredentialsRefused, Transient, Unusable, UsageError: As for `VariantSession.open`.
        """
        options = self._params.signalr
        if options is not None and options.skip_negotiation:
            alone = Agreement(url=self._route.http(self._route.url))
            return await self._by("webSockets", alone), alone
        wanted = options.transport if options else None
        agreement = await negotiate(self._route)
        transports = [each for each in agreement.transports if wanted in {None, each}]
        if not transports:
            raise Unusable(_not_offered(wanted, agreement.transports))
        for transport in transports[:-1]:
            try:
                return await self._by(transport, agreement), agreement
            except Transient as error:
                _LOG.info("%s failed, trying the next transport: %s", transport, error.message)
                agreement = await negotiate(self._route)  # an id is good for one attempt
        return await self._by(transports[-1], agreement), agreement

    async def _by(self, transport: str, agreement: Agreement) -> Pipe:
        place = agreement.place
        pipe: Pipe
        if transport == "webSockets":
            pipe = SocketPipe(self._params, self._route, self._listener, self._taker)
        elif transport == "serverSentEvents":
            pipe = EventPipe(self._route, self._listener, self._taker)
            if agreement.access_token is not None:
                place = with_query(place, {"access_token": agreement.access_token})
        else:
            pipe = PollPipe(self._route, self._listener, self._taker)
        await pipe.connect(place, agreement.headers)
        return pipe


def _not_offered(wanted: str | None, offered: tuple[str, ...]) -> str:
    told = ", ".join(offered) or "none that carries text"
    if wanted is None:
        return f"the server offers no transport that carries text: it has {told}"
    return f"the server does not offer the transport {wanted}: it has {told}"
