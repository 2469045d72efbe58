"""How everything of one connection travels: headers, cookies, proxy, TLS; HTTP and WebSocket.

Cookies that an answer sets go out again with every later request and upgrade (sticky sessions);
docs/protocols/websocket_v2.md, section 5.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from wsfeeds import config
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import CredentialsRefused, Transient, UsageError, WsfeedsError
from wsfeeds.session.rest import proxied
from wsfeeds.transport import retry_after
from wsfeeds.transport.base import (
    CLOSE_WITHIN,
    Connection,
    Dial,
    Listener,
    Transport,
    UpgradeRefused,
)
from wsfeeds.transport.proxies import proxy_failed, proxy_for, through

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    import httpx

_LOG = logging.getLogger("wsfeeds")
_REFUSED = frozenset({401, 403})
_PROXY_REFUSES = 407
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
_NO_HOST = "this URL cannot be used: its host is no name"
_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


class Reply(msgspec.Struct, frozen=True):
    """The answer to one HTTP request; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class CutShort(Transient):
    """An answer broke off; `reply` has what there is of its body."""

    def __init__(self, message: str, reply: Reply) -> None:
        """Keep the part."""
        super().__init__(message)
        self.reply = reply


def refusal(status: int, what: str, headers: Mapping[str, str] | None = None) -> WsfeedsError:
    """Return the error for an HTTP status that is no success; `what` was asked for.

    401 and 403 refuse the credentials, anything else may be better another time.
    """
    message = f"{what} was answered with HTTP {status}"
    if status in _REFUSED:
        return CredentialsRefused(message, code=status)
    wait = retry_after.seconds((headers or {}).get("retry-after"))
    return Transient(message, code=status, status=status, retry_after=wait)


def http_url(url: str) -> str:
    """Return the URL for HTTP requests to the same place."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme=_SCHEMES[parts.scheme.lower()]))


def ws_url(url: str) -> str:
    """Return the URL for a WebSocket at the same place."""
    parts = urlsplit(http_url(url))
    return urlunsplit(parts._replace(scheme=_SOCKET_SCHEMES[parts.scheme], fragment=""))


class Route:
    """Makes the HTTP requests and upgrades of one connection."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        settings: RunSettings,
        proxy: str | None,
        ciphers: str | None,
        transport: Transport,
        learn: Callable[[str], None],
        carries_secret: bool,
    ) -> None:
        """Prepare; `headers` go with everything, `learn` hears of secrets for the redactor."""
        self.url = url
        self.settings = settings
        self.close_within = CLOSE_WITHIN
        """Seconds that the server gets to answer a close."""
        self.learn = learn
        self.headers = {name: value for name, value in headers.items() if name.lower() != "cookie"}
        """What goes with everything, but for cookies."""
        self._cookie = next((v for name, v in headers.items() if name.lower() == "cookie"), None)
        self._proxy = proxy
        self._ciphers = ciphers
        self._transport = transport
        self._carries_secret = carries_secret
        self._clients: dict[tuple[str | None, bool], httpx.AsyncClient] = {}
        self._jar: CookieJar | None = None

    @staticmethod
    def http(url: str) -> str:
        """Return the URL for HTTP requests to the same place."""
        return http_url(url)

    @staticmethod
    def ws(url: str) -> str:
        """Return the URL for a WebSocket at the same place."""
        return ws_url(url)

    # --- WebSocket

    async def upgrade(
        self, url: str, listener: Listener, headers: Mapping[str, str] | None = None
    ) -> Connection:
        """Open a WebSocket; `headers` win over the document's.

        Raises:
            CredentialsRefused: The server answered 401 or 403.
            UpgradeRefused, Transient, UsageError: See `wsfeeds.transport.base.Transport.connect`.
        """
        self._check(url)
        sent = self._merged(headers)
        cookie = self._cookies_for(url)
        if cookie:
            sent["Cookie"] = cookie
        dial = Dial(
            url=ws_url(url),
            headers=sent,
            timeout=self.settings.connect_timeout,
            max_frame=self.settings.max_frame,
            compression=self.settings.compression,
            proxy=proxy_for(url, self._proxy),
            ca_file=self.settings.ca_file,
            ciphers=self._ciphers,
        )
        try:
            return await self._transport.connect(dial, listener)
        except UpgradeRefused as error:
            if error.status in _REFUSED:
                raise CredentialsRefused(error.message, code=error.code) from error
            raise
        except UnicodeError:  # a server may name a host (a redirect) that is none
            raise UsageError(_NO_HOST) from None

    # --- HTTP

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        data: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the HTTP library's own, for each step
    ) -> Reply:
        """Make one request and read its answer whole; every status is returned.

        Args:
            method: The HTTP method.
            url: Where to; ws and wss are taken for http and https.
            headers: They win over the document's.
            content: The body.
            data: Or a form.
            timeout: Seconds for the answer to begin and between its parts; `connect_timeout` if
                not given.

        Raises:
            CutShort: The answer broke off within its body.
            Transient: No answer came, or one larger than `max_frame`.
            UsageError: The URL, the proxy or a TLS setting cannot be used.
        """
        body = bytearray()
        largest = self.settings.max_frame
        limit = timeout or self.settings.connect_timeout
        status, named = 0, dict[str, str]()
        try:
            async with self.stream(
                method, url, headers=headers, content=content, data=data, timeout=limit
            ) as response:
                status = response.status_code
                named = {name.lower(): value for name, value in response.headers.items()}
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > largest:
                        break
        except Transient as error:
            if not body:
                raise
            raise CutShort(error.message, Reply(status, named, bytes(body))) from error
        if len(body) > largest:
            raise Transient(f"an answer was larger than max_frame ({largest} bytes)")
        return Reply(status, named, bytes(body))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        data: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the HTTP library's own, for each step
        timeout_read: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Make one request and yield its answer for reading in parts, see `fetch`.

        `timeout_read` is the longest silence within the answer; without one of the two timeouts
        there is no limit to it.
        """
        from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # costs 0.1 s

        self._check(url)
        client = self._client(http_url(url))
        proxy = proxy_for(http_url(url), self._proxy)
        connect = timeout or self.settings.connect_timeout
        limits = httpx.Timeout(connect, read=timeout_read or timeout)
        sent = [(name.encode(), value.encode()) for name, value in self._merged(headers).items()]
        if cookie := self._cookies_for(url):
            sent.append((b"Cookie", cookie.encode("latin-1")))
        try:
            request = client.build_request(
                method, http_url(url), headers=sent, content=content, data=data, timeout=limits
            )
            response = await _sent(client, request)
            self._keep_cookies(response)
            try:
                if response.status_code == _PROXY_REFUSES and proxy is not None:
                    told = f"HTTP {_PROXY_REFUSES} {response.reason_phrase}"
                    raise Transient(proxy_failed(proxy, told), code=_PROXY_REFUSES)
                yield response
            finally:
                await response.aclose()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UsageError(f"this URL cannot be used: {error}") from error
        except httpx.ProxyError as error:
            raise Transient(proxy_failed(proxy, _plain(error))) from error
        except httpx.HTTPError as error:
            place = f"{urlsplit(url).hostname}{through(proxy)}"
            raise Transient(f"{place}: {_plain(error)}") from error

    def withhold(self) -> None:
        """Send no header and no cookie of the document any more: this is not whom they are for."""
        if self.headers or self._cookie is not None:
            _LOG.warning("redirected to another server: it gets none of the document's headers")
        self.headers, self._cookie = {}, None

    async def aclose(self) -> None:
        """Close what is kept open for further requests."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    # --- what they share

    def _check(self, url: str) -> None:
        config.check_transport(
            url,
            carries_secret=self._carries_secret,
            allow_insecure=self.settings.allow_insecure,
        )

    def _merged(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        own = dict(headers or {})
        names = {name.lower() for name in own}
        return {n: v for n, v in self.headers.items() if n.lower() not in names} | own

    def _client(self, url: str) -> httpx.AsyncClient:
        from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415  # as above

        from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # see `stream`
        from wsfeeds.transport.websocket import USER_AGENT, tls_context  # noqa: PLC0415

        self._jar = self._jar if self._jar is not None else CookieJar()
        secure = url.startswith("https:")
        proxy = proxy_for(url, self._proxy)
        client = self._clients.get((proxy, secure))
        if client is None:
            verify: Any = tls_context(self.settings.ca_file, self._ciphers) if secure else False
            client = httpx.AsyncClient(
                verify=verify,
                proxy=proxied(proxy, self.settings.ca_file),
                trust_env=False,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
                limits=httpx.Limits(keepalive_expiry=15.0),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # we keep them
            )
            self._clients[proxy, secure] = client
        return client

    def _keep_cookies(self, response: httpx.Response) -> None:
        """Take the cookies of an answer, each byte as a character: they return as they came."""
        from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # see `stream`

        seen = httpx.Response(200, headers=response.headers.raw, request=response.request)
        seen.headers.encoding = "latin-1"
        with warnings.catch_warnings(action="ignore"):  # it complains of dates that are none
            httpx.Cookies(self._jar).extract_cookies(seen)

    def _cookies_for(self, url: str) -> str:
        """Return the Cookie header of a request: the document's cookies, then the server's."""
        held = None
        if self._jar is not None:
            from urllib.request import Request  # noqa: PLC0415  # see `stream`

            from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # see `stream`

            request = Request(str(httpx.URL(http_url(url))))  # noqa: S310  # the jar wants one
            self._jar.add_cookie_header(request)
            held = request.get_header("Cookie")
        return "; ".join(filter(None, (self._cookie, held)))


async def _sent(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        return await client.send(request, stream=True)
    except UnicodeError:  # the library looks at where an answer redirects, followed or not
        told = f"{request.url.host}: the answer redirects to a host that is no name"
        raise Transient(told) from None


def _plain(error: httpx.HTTPError) -> str:
    name = type(error).__name__
    if "Timeout" in name:
        return "no answer in time"
    cause = error.__cause__ or error
    return getattr(cause, "strerror", None) or str(error).strip() or name
