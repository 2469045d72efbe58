"""Which proxy a URL goes through: the setting, else `HTTPS_PROXY`, never for loopback."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from wsfeeds.addresses import is_loopback, proxy_fault
from wsfeeds.errors import UsageError

_SOCKS_PORT = 1080


def proxy_for(
    url: str, setting: str | None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return the proxy URL for a request to `url`, None for a direct connection.

    `HTTPS_PROXY` is honoured for `wss` and `https` where no proxy is set, `NO_PROXY` (host
    names, `.suffix`, `*`) exempts hosts from both; the lower-case spellings count too.

    A SOCKS proxy is returned as `socks5h`, with its port: it resolves the venue's name, as only it
    may know the name and nobody else needs to. A user without a password has an empty one.

    Raises:
        UsageError: `HTTPS_PROXY` is no proxy that can be used.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or _exempt(host, _variable("NO_PROXY", environment)):
        return None
    if setting is not None:
        return _spelled_out(setting)
    if urlsplit(url).scheme in {"wss", "https"}:
        found = _variable("HTTPS_PROXY", environment)
        return _spelled_out(_checked(found)) if found else None
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


def _spelled_out(proxy: str) -> str:
    """Say everything of which the libraries think differently where it is left out."""
    parts = urlsplit(proxy)
    user, at, place = parts.netloc.rpartition("@")
    if user and ":" not in user:
        user += ":"
    scheme = parts.scheme
    if scheme in {"socks5", "socks5h"}:
        scheme = "socks5h"
        place = place if parts.port else f"{place.removesuffix(':')}:{_SOCKS_PORT}"
    return parts._replace(scheme=scheme, netloc=f"{user}{at}{place}").geturl()


def _checked(value: str) -> str:
    """Read the variable as other programs do: without a scheme it is an HTTP proxy."""
    url = value if "://" in value else f"http://{value}"
    fault = proxy_fault(url)
    if fault is not None:
        raise UsageError(f"HTTPS_PROXY is no proxy: {fault}")
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
