"""Carries a connector's REST conversations over httpx: tokens, market lists, fixtures.

Each request has `connect_timeout` in all, from the connect to the last byte of the answer: a server
that sends a byte now and then holds nothing up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wsfeeds import config
from wsfeeds._version import __version__
from wsfeeds.errors import Transient, UsageError
from wsfeeds.protocol import Exchange, FeedSettings, HttpReply, HttpRequest
from wsfeeds.transport import retry_after
from wsfeeds.transport.faults import plain
from wsfeeds.transport.proxies import proxy_failed, proxy_for, through
from wsfeeds.transport.websocket import tls_context

if TYPE_CHECKING:
    import httpx

_MAX_BODY = 64_000_000
_PROXY_WANTS_CREDENTIALS = 407


async def converse(exchange: Exchange, settings: FeedSettings) -> Any:
    """Run a conversation to its end and return its result.

    Raises:
        CredentialsRefused, Transient: As the connector reads the answers.
        Transient: No answer came.
        UsageError: A URL or TLS setting cannot be used, or secrets would travel unencrypted.
    """
    try:
        request = next(exchange)
        while True:
            request = exchange.send(await _fetch(request, settings))
    except StopIteration as done:
        return done.value
    finally:
        exchange.close()


async def _fetch(request: HttpRequest, settings: FeedSettings) -> HttpReply:
    from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # costs 0.1 s

    config.check_transport(
        request.url,
        carries_secret=bool(settings.headers or request.headers),
        allow_insecure=settings.allow_insecure,
    )
    setting = settings.proxy.reveal() if settings.proxy else None
    proxy = proxy_for(request.url, setting)
    secure = request.url.lower().startswith("https:")
    try:
        async with (
            asyncio.timeout(settings.connect_timeout),
            httpx.AsyncClient(
                verify=tls_context(settings.ca_file, settings.ciphers) if secure else False,
                proxy=proxied(proxy, settings.ca_file),
                trust_env=False,
                timeout=settings.connect_timeout,
                headers=_general(settings),
            ) as client,
        ):
            reply = await _read(client, request)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise UsageError(f"this URL cannot be used: {error}") from error
    except UnicodeError as error:  # the library looks at where an answer redirects
        raise Transient(f"{_host(request.url)}: redirects to a host that is no name") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        why = f"no answer in time (connect_timeout is {settings.connect_timeout:g} s)"
        raise Transient(f"{_host(request.url)}{through(proxy)}: {why}") from error
    except httpx.ProxyError as error:
        raise Transient(proxy_failed(proxy, plain(error))) from error
    except httpx.HTTPError as error:
        raise Transient(f"{_host(request.url)}{through(proxy)}: {plain(error)}") from error

    if reply.status == _PROXY_WANTS_CREDENTIALS and proxy is not None:
        raise Transient(proxy_failed(proxy, f"HTTP {reply.status}"), status=reply.status)
    return reply


def proxied(proxy: str | None, ca_file: str | None) -> httpx.Proxy | None:
    """Return a proxy for the HTTP library; one with TLS is verified as the venue is.

    Raises:
        UsageError: The file cannot be used.
    """
    from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # as above

    if proxy is None:
        return None
    secure = proxy.lower().startswith("https:")
    return httpx.Proxy(proxy, ssl_context=tls_context(ca_file, None) if secure else None)


def _general(settings: FeedSettings) -> httpx.Headers:
    """Return the headers of all requests; those of a request itself, such as `sign`, win."""
    from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # as above

    headers = httpx.Headers({"User-Agent": f"wsfeeds/{__version__}", "Accept": "application/json"})
    headers.update({name: value.reveal() for name, value in (settings.headers or {}).items()})
    return headers


async def _read(client: httpx.AsyncClient, request: HttpRequest) -> HttpReply:
    sent = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    async with client.stream(request.method, request.url, headers=sent) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BODY:
                raise Transient(f"{_host(request.url)} answered with more than {_MAX_BODY} bytes")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpReply(
            status=response.status_code,
            body=bytes(body),
            headers=headers,
            retry_after=retry_after.seconds(headers.get("retry-after")),
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
