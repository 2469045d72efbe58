"""What the document's strings say once their variables have values: URL, headers, proxy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from wsfeeds.addresses import proxy_fault
from wsfeeds.command.spec import ProxySettings
from wsfeeds.errors import UsageError

SCHEMES = ("ws", "wss", "http", "https")
_HOST = r"(?!xn--)[\w.-]*[a-z][\w-]*\.?|127\.0\.0\.1|\[::1\]"
_PLAIN = re.compile(rf"\w+://({_HOST})(:\d+)?([/?#][ -~]*)?", re.ASCII | re.IGNORECASE)
_LONG = 10_000
"""The HTTP library needs to be asked about other URLs only, and about longer ones."""


def names_server(url: str) -> bool:
    """Tell whether a URL names a server: a scheme of `SCHEMES`, a host, perhaps a port."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        whole = bool(host) and parts.port != 0 and parts.scheme.lower() in SCHEMES
        host.encode("idna")  # labels that no name server could be asked for
    except ValueError:
        return False
    plain = len(url) < _LONG and _PLAIN.fullmatch(url) is not None
    return whole and (plain or _is_usable(url))


def _is_usable(url: str) -> bool:
    """Ask the HTTP library whether it can make anything of a URL."""
    from wsfeeds.transport.lean_httpx import httpx  # noqa: PLC0415  # costs 0.1 s

    try:
        return bool(httpx.URL(url).host)
    except (httpx.InvalidURL, UnicodeError):
        return False


def check_url(url: str) -> None:
    """Refuse a URL that names no server; the message does not show it, it may hold a password.

    Raises:
        UsageError: Its scheme is none of ws, wss, http, https, or it has no host.
    """
    if not names_server(url) or any(map(str.isspace, url)):
        raise UsageError("params.url: must be a URL that begins with ws://, wss://, http:// or "
                         "https:// and has a host")  # fmt: skip


def check_header_values(headers: Mapping[str, str]) -> None:
    """Refuse values that no HTTP request can carry.

    Raises:
        UsageError: A value, expanded, is not one line of ASCII.
    """
    for name, value in headers.items():
        if not value.isascii() or not all(char.isprintable() or char == "\t" for char in value):
            raise UsageError(f"params.headers.{name}: must be one line of ASCII text")


def proxy_url(proxy: str | ProxySettings | None) -> str | None:
    """Return the proxy as one URL, variables expanded.

    Raises:
        UsageError: No proxy can be reached by it.
    """
    if proxy is None:
        return None
    url = proxy if isinstance(proxy, str) else _joined(proxy)
    fault = proxy_fault(url)
    if fault is not None:
        raise UsageError(f"params.proxy: {fault}")
    return url


def _joined(proxy: ProxySettings) -> str:
    if proxy.url is not None:
        return proxy.url
    user = ""
    if proxy.username is not None:
        password = f":{quote(proxy.password, safe='')}" if proxy.password is not None else ""
        user = f"{quote(proxy.username, safe='')}{password}@"
    port = f":{proxy.port}" if proxy.port is not None else ""
    host = proxy.host or ""
    if any(sign in host for sign in "@/?#"):
        raise UsageError("params.proxy.host: must be the name or address of a host, nothing more")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{proxy.protocol}://{user}{host}{port}"
