"""Which host names are this machine's own, and which URLs name a proxy that can be used."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, unquote, urlsplit

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine, without asking a name server."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def proxy_fault(url: str) -> str | None:
    """Say what is wrong with the URL of a proxy, without showing it; None where nothing is."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.scheme not in PROXY_SCHEMES or any(map(str.isspace, url)):
        *others, last = (f"{scheme}://" for scheme in PROXY_SCHEMES)
        return f"must be a URL that begins with {', '.join(others)} or {last} and has a host"
    return _excess(parts)


def _excess(parts: SplitResult) -> str | None:
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return "must end with the port; in user and password, / ? # are written %2F %3F %23"
    if parts.scheme in {"http", "https"} and ":" in unquote(parts.username or ""):
        return "a user name with a colon in it cannot be told from the password"
    return None
