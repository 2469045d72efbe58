"""Carries a connector's REST conversations over httpx: tokens, market lists, fixtures."""

from __future__ import annotations

from typing import Any

import httpx

from wsfeeds._version import __version__
from wsfeeds.errors import Transient, UsageError
from wsfeeds.protocol import Exchange, FeedSettings, HttpReply, HttpRequest
from wsfeeds.transport import retry_after
from wsfeeds.transport.faults import plain
from wsfeeds.transport.proxies import proxy_for
from wsfeeds.transport.websocket import tls_context

_MAX_BODY = 64_000_000


async def converse(exchange: Exchange, settings: FeedSettings) -> Any:
    """Run a conversation to its end and return its result.

    Raises:
        CredentialsRefused, Transient: As the connector reads the answers.
        Transient: No answer came.
        UsageError: A URL or TLS setting cannot be used.
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
    proxy = settings.proxy.reveal() if settings.proxy else None
    secure = request.url.lower().startswith("https:")
    try:
        async with httpx.AsyncClient(
            verify=tls_context(settings.ca_file, settings.ciphers) if secure else False,
            proxy=proxy_for(request.url, proxy),
            trust_env=False,
            timeout=settings.connect_timeout,
            headers={"User-Agent": f"wsfeeds/{__version__}", "Accept": "application/json"},
        ) as client:
            return await _read(client, request)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise UsageError(f"this URL cannot be used: {error}") from error
    except httpx.TimeoutException as error:
        raise Transient(f"{_host(request.url)}: no answer in time") from error
    except httpx.HTTPError as error:
        raise Transient(f"{_host(request.url)}: {plain(error)}") from error


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
    return httpx.URL(url).host
