"""The transport over `websockets`: how a connection is dialled, through TLS and proxies."""

from __future__ import annotations

import contextlib
import logging
import re
import ssl
from typing import Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio import client
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import (
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

from wsfeeds._version import __version__
from wsfeeds.errors import Transient, UsageError
from wsfeeds.transport import retry_after
from wsfeeds.transport.base import Connection, Dial, Listener, UpgradeRefused
from wsfeeds.transport.connection import Handle, WebSocket
from wsfeeds.transport.faults import plain
from wsfeeds.transport.proxies import proxy_failed, through

USER_AGENT = f"wsfeeds/{__version__}"
_NOT_IN_URLS = re.compile("[^!-~]+")

# At DEBUG the library prints query tokens, Authorization headers and auth frames.
_quiet = logging.getLogger("wsfeeds.websockets")
_quiet.setLevel(logging.WARNING)


class _ProxyConnection(client.HTTPProxyConnection):
    """The library's, but for an error amid its clean-up where a proxy hangs up."""

    def connection_lost(self, exc: Exception | None) -> None:
        with contextlib.suppress(EOFError):  # it says twice that the stream is at its end
            super().connection_lost(exc)


client.HTTPProxyConnection = _ProxyConnection  # type: ignore[misc]  # there is no other way in


class _Dialer(connect):
    """`connect` that follows no redirect: the token in the URL is for this host alone."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebsocketsTransport:
    """Opens connections with the `websockets` library."""

    name = "websockets"

    async def connect(self, dial: Dial, listener: Listener) -> Connection:
        """Open one connection; see `wsfeeds.transport.base.Transport.connect`."""

        def connection(protocol: ClientProtocol, **options: Any) -> WebSocket:
            return WebSocket(protocol, listener, dial, **options)

        try:
            opened = await _Dialer(
                in_ascii(dial.url),
                create_connection=cast("type[ClientConnection]", connection),
                additional_headers=dial.headers,
                user_agent_header=None if _names_agent(dial.headers) else USER_AGENT,
                compression="deflate" if dial.compression else None,
                open_timeout=dial.timeout,
                ping_interval=None,
                max_size=dial.max_frame,
                max_queue=None,
                proxy=dial.proxy,
                logger=_quiet,
                **_tls(dial),
            )
        except InvalidStatus as error:
            raise _refused(error) from error
        except (InvalidURI, InvalidProxy) as error:
            # The error's own text holds the whole URL, secrets included.
            raise UsageError(f"this URL cannot be used: {error.msg}") from None
        except ProxyError as error:
            raise Transient(proxy_failed(dial.proxy, plain(error.__cause__ or error))) from error
        except (OSError, InvalidHandshake, EOFError) as error:
            place = urlsplit(dial.url).netloc.rpartition("@")[2]
            raise Transient(f"{place}{through(dial.proxy)}: {plain(error)}") from error
        return cast("Connection", Handle(cast("WebSocket", opened)))


def in_ascii(url: str) -> str:
    """Return a URL with what is no ASCII percent-encoded as UTF-8, in a host as IDNA says.

    What is encoded already stays as it is; the library itself would encode its percent signs again.

    Raises:
        UnicodeError: The host is no name.
    """
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    host, colon, port = place.partition(":")
    if not host.isascii():
        host = host.lower().encode("idna").decode()
    netloc = f"{_encoded(user)}{at}{host}{colon}{port}"
    path, query = _encoded(parts.path), _encoded(parts.query)
    return urlunsplit(parts._replace(netloc=netloc, path=path, query=query))


def _encoded(text: str) -> str:
    return _NOT_IN_URLS.sub(lambda found: quote(found[0]), text)


def tls_context(ca_file: str | None, ciphers: str | None) -> ssl.SSLContext:
    """Return a verifying TLS context, with one more authority or other ciphers if asked for.

    Raises:
        UsageError: The file or the cipher list cannot be used.
    """
    context = ssl.create_default_context()
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        if ciphers is not None:
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        what = f"ca_file {ca_file}" if ca_file is not None else f"ciphers {ciphers!r}"
        raise UsageError(f"{what} cannot be used: {plain(error)}") from error
    return context


def _tls(dial: Dial) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if dial.url.lower().startswith("wss:"):
        found["ssl"] = tls_context(dial.ca_file, dial.ciphers)
    if dial.proxy is not None and dial.proxy.lower().startswith("https:"):
        found["proxy_ssl"] = tls_context(dial.ca_file, None)
    return found


def _names_agent(headers: dict[str, str]) -> bool:
    return any(name.lower() == "user-agent" for name in headers)


def _refused(error: InvalidStatus) -> UpgradeRefused:
    response = error.response
    return UpgradeRefused(
        f"the server refused the upgrade with HTTP {response.status_code}",
        code=response.status_code,
        status=response.status_code,
        retry_after=retry_after.seconds(response.headers.get("Retry-After")),
    )
