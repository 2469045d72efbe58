"""The way to a server, step by step: names, ports, TLS, and what time it is there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Generator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wsfeeds.clock import wall_seconds
from wsfeeds.errors import Transient
from wsfeeds.protocol import Exchange, FeedSettings, HttpReply, HttpRequest
from wsfeeds.transport.faults import plain
from wsfeeds.transport.proxies import proxy_for
from wsfeeds.transport.websocket import tls_context

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443, "socks5": 1080, "socks5h": 1080}
_SECURE = {"wss", "https"}


class Place(msgspec.Struct, frozen=True):
    """A server to connect to; for a venue behind a proxy that is the proxy."""

    host: str
    port: int
    secure: bool
    is_proxy: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'proxy ' if self.is_proxy else ''}{host}:{self.port}"


def place_of(url: str, settings: FeedSettings) -> Place:
    """Return what a connection to a URL is made to first.

    Raises:
        UsageError: `HTTPS_PROXY` is no proxy that can be used.
    """
    proxy = proxy_for(url, settings.proxy.reveal() if settings.proxy else None)
    parts = urlsplit(proxy or url)
    scheme = parts.scheme.lower()
    port = parts.port or _PORTS.get(scheme, 443)
    return Place(parts.hostname or "", port, scheme in _SECURE, is_proxy=proxy is not None)


async def resolve(place: Place, settings: FeedSettings) -> list[str]:
    """Return the addresses of a name.

    Raises:
        Transient: There are none.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(settings.connect_timeout):
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(f"{place.host}: {plain(error)}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def connect(place: Place, settings: FeedSettings) -> None:
    """Open a connection and close it again.

    Raises:
        Transient: None can be made.
    """
    await _open(place, settings, None)


async def handshake(place: Place, settings: FeedSettings) -> str:
    """Go through the TLS handshake and return the version that was agreed on.

    Raises:
        Transient: The server, or its certificate, does not do.
        UsageError: A TLS setting cannot be used.
    """
    found = await _open(place, settings, tls_context(settings.ca_file, settings.ciphers))
    assert found is not None
    return found


async def _open(place: Place, settings: FeedSettings, context: ssl.SSLContext | None) -> str | None:
    try:
        async with asyncio.timeout(settings.connect_timeout):
            _, writer = await asyncio.open_connection(place.host, place.port, ssl=context)
    except (OSError, EOFError, UnicodeError) as error:
        raise Transient(f"{place}: {plain(error)}") from error
    secured = writer.get_extra_info("ssl_object")
    version: str | None = secured.version() if secured is not None else None
    writer.transport.abort()
    return version


class ServerTime:
    """Reads from the answers of a REST conversation how far the clocks are apart."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.ahead: float | None = None
        """Seconds by which the server's clock is ahead of ours, None where it does not tell."""

    def watch(self, exchange: Exchange) -> Exchange:
        """Return the same conversation, listened to."""
        try:
            request = next(exchange)
            while True:
                asked = wall_seconds()
                reply: HttpReply = yield request
                self._note(reply, (asked + wall_seconds()) / 2)
                request = exchange.send(reply)
        except StopIteration as done:
            return done.value
        finally:
            exchange.close()

    def _note(self, reply: HttpReply, ours: float) -> None:
        try:
            theirs = parsedate_to_datetime(reply.headers.get("date", ""))
            self.ahead = theirs.timestamp() + 0.5 - ours  # it is told in whole seconds
        except (ValueError, OverflowError):
            return


def knock(url: str) -> Generator[HttpRequest, HttpReply, Any]:
    """Ask for nothing in particular: any answer has a date."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].partition("?")[0]
    yield HttpRequest(url=f"{'https' if scheme.lower() in _SECURE else 'http'}://{host}/")
