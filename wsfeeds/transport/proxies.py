"""Which proxy a URL goes through: the setting, else `HTTPS_PROXY`, never for loopback."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine, without asking a name server."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(
    url: str, setting: str | None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Return the proxy URL for a request to `url`, None for a direct connection.

    `HTTPS_PROXY` is honoured for `wss` and `https` where no proxy is set, `NO_PROXY` (host
    names, `.suffix`, `*`) exempts hosts from both; the lower-case spellings count too.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or _exempt(host, _variable("NO_PROXY", environment)):
        return None
    if setting is not None:
        return setting
    if urlsplit(url).scheme in {"wss", "https"}:
        return _variable("HTTPS_PROXY", environment) or None
    return None


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
