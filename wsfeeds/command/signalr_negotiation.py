"""Negotiation of ASP.NET Core SignalR: whom to talk to, under which id, by which transports.

docs/protocols/websocket_v2.md, section 6.2.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from wsfeeds import config
from wsfeeds.command.listener import Unusable
from wsfeeds.command.route import Reply, Route, refusal
from wsfeeds.command.signalr_urls import (
    bare,
    below,
    same_server,
    with_query,
    with_raw_query,
    without,
)
from wsfeeds.command.strings import names_server
from wsfeeds.errors import Transient

MOST_REDIRECTS = 100
_REDIRECTS = frozenset({301, 302, 307, 308})
_NEGOTIATE = "/negotiate"
_NAMES = {"websockets": "webSockets", "serversentevents": "serverSentEvents",
          "longpolling": "longPolling"}  # fmt: skip
_ORDER = ("webSockets", "serverSentEvents", "longPolling")
_LEGACY = "this is a server of the older ASP.NET SignalR: use the protocol signalr-legacy"


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What was negotiated; `id` None is a connection that was not negotiated."""

    url: str
    id: str | None = None
    transports: tuple[str, ...] = _ORDER
    access_token: str | None = None

    @property
    def place(self) -> str:
        """The URL of every request of the connection."""
        return self.url if self.id is None else with_query(self.url, {"id": self.id})

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request of the connection beside the document's."""
        return bearer(self.access_token)


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that carries an access token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def negotiate(route: Route) -> Agreement:
    """Ask for a connection, following the server to wherever it points.

    Raises:
        CredentialsRefused, Transient, UsageError: As for `VariantSession.open`.
        Unusable: The server refuses, or speaks another protocol.
    """
    url, token = route.http(route.url), None
    for _ in range(MOST_REDIRECTS + 1):
        headers = {
            "Content-Type": "text/plain;charset=UTF-8",
            "X-Requested-With": "XMLHttpRequest",
            **bearer(token),
        }
        asked = below(url, "negotiate")
        if "negotiateVersion=" not in urlsplit(url).query:
            asked = with_query(asked, {"negotiateVersion": "1"})
        reply = await route.fetch("POST", asked, headers=headers, content=b"")
        if (there := redirected(asked, reply, route)) is not None:
            token = token if same_server(asked, there) else None
            ours = () if "negotiateVersion=" in urlsplit(url).query else ("negotiateversion",)
            url = with_raw_query(bare(there), without(urlsplit(there).query, *ours))
            continue
        answer = _answer(reply)
        if answer.get("error"):
            raise Unusable(f"the server refused to negotiate: {answer['error']}")
        if not answer.get("url"):
            return _agreed(answer, url, token, route)
        url = moved(url, answer["url"], route, secret=bool(answer.get("accessToken")))
        token = learned(answer.get("accessToken"), route) or token
    raise Unusable(f"the server redirected more than {MOST_REDIRECTS} times")


def redirected(asked: str, reply: Reply, route: Route) -> str | None:
    """Return where an HTTP redirect points, less its `/negotiate`; None where there is none.

    The method stays the same: no server negotiates by another one. Another server than the one
    asked gets none of the document's headers.

    Raises:
        Unusable, UsageError: See `moved`.
    """
    if reply.status not in _REDIRECTS or not reply.headers.get("location"):
        return None
    there = moved(asked, reply.headers["location"], route, secret=False)
    parts = urlsplit(there)
    if not parts.path.endswith(_NEGOTIATE):
        return None  # to a page for people
    if not same_server(asked, there):
        route.withhold()
    return urlunsplit(parts._replace(path=parts.path.removesuffix(_NEGOTIATE), fragment=""))


def moved(url: str, target: Any, route: Route, *, secret: bool) -> str:
    """Return where a redirect points.

    Raises:
        Unusable: It is no URL of HTTP.
        UsageError: An access token would travel there in plain text.
    """
    try:
        there = urljoin(url, target) if isinstance(target, str) else ""
    except ValueError:
        there = ""
    if not names_server(there) or "@" in urlsplit(there).netloc:
        raise Unusable("the server redirected to what is no URL")
    there = route.http(there)
    config.check_transport(
        there, carries_secret=secret, allow_insecure=route.settings.allow_insecure
    )
    return there


def learned(token: Any, route: Route) -> str | None:
    """Return a token that the server gave, once nobody will see it in an output.

    Raises:
        Unusable: It is no text that a header can carry.
    """
    if not token:
        return None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise Unusable("the server gave an access token that no header can carry")
    route.learn(token)
    return token


def parsed(reply: Reply, other: str) -> dict[str, Any]:
    """Return the JSON object of a negotiation's answer.

    Args:
        reply: The answer.
        other: What the server is if it does not know the method: Core takes POST alone.

    Raises:
        CredentialsRefused, Transient: The status, or the body, is another one.
        Unusable: It is the other generation.
    """
    if reply.status == 405:
        raise Unusable(f"negotiate was answered with HTTP 405: {other}")
    if reply.status != 200:
        raise refusal(reply.status, "negotiate", reply.headers)
    try:
        return msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Transient(f"negotiate was answered with something else: {error}") from error


def _answer(reply: Reply) -> dict[str, Any]:
    answer = parsed(reply, _LEGACY)
    if "ProtocolVersion" in answer and "availableTransports" not in answer:
        raise Unusable(_LEGACY)
    return answer


def _agreed(answer: dict[str, Any], url: str, token: str | None, route: Route) -> Agreement:
    version = answer.get("negotiateVersion") or 0
    name = answer.get("connectionToken") if version else answer.get("connectionId")
    offered = answer.get("availableTransports")
    if not isinstance(name, str) or not name or not isinstance(offered, list):
        raise Unusable("negotiate was answered without connection id or transports")
    route.learn(name)
    known = {_offer(each) for each in offered}
    return Agreement(
        url=url,
        id=name,
        transports=tuple(each for each in _ORDER if each in known),
        access_token=token,
    )


def _offer(transport: Any) -> str | None:
    """Return the document's word for a transport that can carry text."""
    if not isinstance(transport, dict):
        return None
    formats = transport.get("transferFormats")
    if isinstance(formats, list) and "Text" not in formats:
        return None
    return _NAMES.get(str(transport.get("transport")).lower())
