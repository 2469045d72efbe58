"""Which proxy a URL goes through: the setting, else `HTTPS_PROXY`, never for loopback."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from wsfeeds.addresses import is_loopback
from wsfeeds.errors import UsageError

_SCHEMES = ("http", "https", "socks5", "socks5h")
_SOCKS_PORT = 1080


def proxy_for(
    url: str, setting: str | None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return the proxy URL for a request to `url`, None for a direct connection.

    `HTTPS_PROXY` is honoured for `wss` and `https` where no proxy is set, `NO_PROXY` (host
    names, `.suffix`, `*`) exempts hosts from both; the lower-case spellings count too.

    A SOCKS proxy is returned as `socks5h`, with its port: it resolves the venue's name, as only it
    may know the name and nobody else needs to.

    Raises:
        UsageError: `HTTPS_PROXY` is no proxy that can be used.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or _exempt(host, _variable("NO_PROXY", environment)):
        return None
    if setting is not None:
        return _resolving(setting)
    if urlsplit(url).scheme in {"wss", "https"}:
        return _resolving(_checked(_variable("HTTPS_PROXY", environment)))
    return None


def through(proxy: str | None) -> str:
    """Return what to say of the proxy where a connection failed that may have been its fault."""
    return f" through the proxy {_place(proxy)}" if proxy else ""


def proxy_failed(proxy: str | None, why: str) -> str:
    """Say that the proxy itself refused, in words that tell what to look at."""
    return f"the proxy {_place(proxy or '')} failed: {why}; see the setting proxy, or HTTPS_PROXY"


def _place(proxy: str) -> str:
    """Return host and port of a proxy, without user and password."""
    return urlsplit(proxy).netloc.rpartition("@")[2]


def _resolving(proxy: str | None) -> str | None:
    """Say where names are resolved: of a mere `socks5` the libraries think differently."""
    parts = urlsplit(proxy or "")
    if proxy is None or parts.scheme not in {"socks5", "socks5h"}:
        return proxy
    place = parts.netloc if parts.port else f"{parts.netloc.removesuffix(':')}:{_SOCKS_PORT}"
    return parts._replace(scheme="socks5h", netloc=place).geturl()


def _checked(value: str) -> str | None:
    """Read the variable as other programs do: without a scheme it is an HTTP proxy."""
    if not value:
        return None
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"HTTPS_PROXY is no proxy: {', '.join(_SCHEMES)}://HOST:PORT is expected")
    return url


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name) or environment.get(name.lower()) or ""


def _exempt(host: str, rules: str) -> bool:
    name = host.lower().rstrip(".")
    for rule in (part.strip().lower() for part in rules.split(",")):
        bare = rule.partition(":")[0] if rule.count(":") == 1 else rule
        bare = bare.lstrip("*").lstrip(".")
        if rule == "*" or (bare and (name == bare or name.endswith(f".{bare}"))):
            return True
    return False
