"""Putting URLs of SignalR requests together; queries keep the text they came with."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}
_SECURED = ("http", "https")


def with_query(url: str, members: Mapping[str, str]) -> str:
    """Return a URL with more members in its query, percent-encoded."""
    return with_raw_query(url, "&".join(f"{name}={encoded(members[name])}" for name in members))


def with_raw_query(url: str, more: str) -> str:
    """Return a URL with a text that is a query already added to its own."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, more)))
    return urlunsplit(parts._replace(query=query, fragment=""))


def bare(url: str) -> str:
    """Return a URL without its query."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def without(query: str, *names: str) -> str:
    """Return a query without members, whose names are told in lower case."""
    return "&".join(each for each in query.split("&") if each and _name(each) not in names)


def _name(member: str) -> str:
    return unquote(member.partition("=")[0]).lower()


def below(url: str, name: str) -> str:
    """Return the URL of something under a URL's path; the query stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))


def same_server(url: str, other: str) -> bool:
    """Tell whether what is meant for one URL may go to another; `https` is no worse than `http`."""
    here, there = _origin(url), _origin(other)
    return there == here or (here[1:] == there[1:] and (here[0], there[0]) == _SECURED)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of a URL, the port None where it is the scheme's own."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, None if parts.port == _PORTS[parts.scheme] else parts.port


def encoded(value: str) -> str:
    """Percent-encode a value; tokens hold `+`, `/` and `=`."""
    return quote(value, safe="")
