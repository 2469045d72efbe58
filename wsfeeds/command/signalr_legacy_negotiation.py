"""Negotiation of ASP.NET SignalR 2.x, and the URLs that follow from it.

docs/protocols/websocket_v2.md, section 6.3.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from wsfeeds.command.exact import dumps
from wsfeeds.command.listener import Unusable
from wsfeeds.command.route import Route
from wsfeeds.command.signalr_negotiation import (
    MOST_REDIRECTS,
    bearer,
    learned,
    moved,
    parsed,
    redirected,
)
from wsfeeds.command.signalr_urls import (
    bare,
    below,
    same_server,
    with_query,
    with_raw_query,
    without,
)
from wsfeeds.command.spec import Params
from wsfeeds.command.strings import names_server
from wsfeeds.errors import UsageError

PROTOCOL = "1.5"
_DATA = "connectiondata"
_OURS = (_DATA, "clientprotocol")
_CORE = "this is a server of ASP.NET Core SignalR: use the protocol signalr"
_HUBS_MISSING = (
    "params.signalr.hubs: this protocol needs the names of the hubs: give them here, as "
    "Hub.Method in params.signalr.methods, or as connectionData in the query of params.url"
)


_NO_HUBS = (
    'params.url: connectionData must be a list of hubs, percent-encoded: [{"name":"hubname"}]'
)


class _Hub(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What was negotiated; times are in seconds, `keepalive` None is a server without."""

    base: str
    path: str
    query: str
    data: str
    token: str
    access_token: str | None = None
    keepalive: float | None = None
    disconnect: float = 30.0
    connection: float = 110.0
    transport_connect: float = 5.0
    web_sockets: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request of the connection beside the document's."""
        return bearer(self.access_token)

    def url(self, action: str, transport: str, *, cursor: dict[str, str] | None = None) -> str:
        """Return the URL of a request; `cursor` are members of a stream that goes on."""
        streams = action in {"connect", "reconnect", "poll"}
        gets = streams and transport != "longPolling"
        members = {
            "transport": transport,
            **(cursor or {}),
            "clientProtocol": PROTOCOL,
            "connectionToken": self.token,
            "connectionData": self.data,
        }
        if gets and self.access_token is not None:
            members["access_token"] = self.access_token
        if gets:
            members["tid"] = str(random.randrange(11))  # noqa: S311  # against caches
        url = with_query(below(self.path if streams else self.base, action), members)
        return with_raw_query(url, self.query)


def base_of(url: str) -> tuple[str, str]:
    """Return S of the protocol page, and the document's own query without what we say ourselves."""
    parts = urlsplit(url)
    path = "/signalr" if parts.path in {"", "/"} else parts.path
    return bare(urlunsplit(parts._replace(path=path))), without(parts.query, _DATA)


def connection_data(params: Params) -> str:
    """Return the hubs as `connectionData` says them.

    Raises:
        UsageError: Nobody names a hub.
    """
    for name, value in parse_qsl(urlsplit(params.url).query):
        if name.lower() == _DATA:
            if not _names_hubs(value):
                raise UsageError(_NO_HUBS)
            return value
    options = params.signalr
    named = [each.rpartition(".")[0] for each in (options.methods if options else ())]
    hubs = [hub for hub in named if hub] or list(options.hubs if options else ())
    if not hubs:
        raise UsageError(_HUBS_MISSING)
    unique = dict.fromkeys(hub.lower() for hub in hubs)
    return dumps([{"name": hub} for hub in unique]).decode()


def _names_hubs(data: str) -> bool:
    try:
        return bool(msgspec.json.decode(data, type=list[_Hub]))
    except (msgspec.MsgspecError, RecursionError):
        return False


class Filter:
    """Which calls are delivered: by method, or by hub and method; names compare without case."""

    def __init__(self, methods: Sequence[str]) -> None:
        """Let through what `methods` name, all calls if they name none."""
        lower = [name.lower() for name in methods]
        self.everything = not lower
        self._bare = frozenset(name for name in lower if "." not in name)
        self._qualified = frozenset(tuple(name.rsplit(".", 1)) for name in lower if "." in name)

    def passes(self, hub: str, method: str) -> bool:
        """Tell whether a call is to be delivered."""
        hub, method = hub.lower(), method.lower()
        return self.everything or method in self._bare or (hub, method) in self._qualified


async def negotiate(route: Route, data: str) -> Terms:
    """Ask for a connection, following the server to wherever it points.

    Raises:
        CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        Unusable: The server refuses, or speaks another protocol.
    """
    base, query = base_of(route.http(route.url))
    token: str | None = None
    for _ in range(MOST_REDIRECTS + 1):
        asked = with_query(
            below(base, "negotiate"), {"clientProtocol": PROTOCOL, "connectionData": data}
        )
        asked = with_raw_query(asked, query)
        reply = await route.fetch("GET", asked, headers=bearer(token))
        if (there := redirected(asked, reply, route)) is not None:
            token = token if same_server(asked, there) else None
            base, query = bare(there), without(urlsplit(there).query, *_OURS)
            continue
        answer = parsed(reply, _CORE)
        if "availableTransports" in answer:
            raise Unusable(_CORE)
        if answer.get("Error"):
            raise Unusable(f"the server refused to negotiate: {answer['Error']}")
        if not answer.get("RedirectUrl"):
            return _terms(answer, base, query, data, token, route)
        there = moved(base, answer["RedirectUrl"], route, secret=bool(answer.get("AccessToken")))
        token = learned(answer.get("AccessToken"), route) or token
        # As in the official client, the redirect's query takes the place of the document's.
        base, query = bare(there), urlsplit(there).query
    raise Unusable(f"the server redirected more than {MOST_REDIRECTS} times")


def _terms(
    answer: dict[str, Any], base: str, query: str, data: str, access: str | None, route: Route
) -> Terms:
    token, path = answer.get("ConnectionToken"), answer.get("Url")
    if not isinstance(token, str) or not token:
        raise Unusable("negotiate was answered without a connection token")
    route.learn(token)
    return Terms(
        base=base,
        path=_at(base, path) if isinstance(path, str) and path else base,
        query=query,
        data=data,
        token=token,
        access_token=access,
        keepalive=_seconds(answer.get("KeepAliveTimeout")),
        disconnect=_seconds(answer.get("DisconnectTimeout")) or 30.0,
        connection=_seconds(answer.get("ConnectionTimeout")) or 110.0,
        transport_connect=_seconds(answer.get("TransportConnectTimeout")) or 5.0,
        web_sockets=answer.get("TryWebSockets") is not False,
    )


def _at(base: str, url: str) -> str:
    """Return where on the server of `base` a `Url` is: only its path says something.

    Raises:
        Unusable: It is no URL.
    """
    try:
        path = urlsplit(url).path.strip("/")
        there = urlunsplit(urlsplit(base)._replace(path=f"/{path}"))
    except ValueError:
        there = ""
    if not names_server(there):
        raise Unusable("negotiate was answered with a Url that is none")
    return there


def _seconds(value: Any) -> float | None:
    """Return a time that is one, None for zero and anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e9 else None
