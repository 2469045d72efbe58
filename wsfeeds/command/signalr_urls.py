"""Putting URLs of SignalR requests together; queries keep the text they came with."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit


def with_query(url: str, members: Mapping[str, str]) -> str:
    """Return a URL with more members in its query, percent-encoded."""
    return with_raw_query(url, "&".join(f"{name}={encoded(members[name])}" for name in members))


def with_raw_query(url: str, more: str) -> str:
    """Return a URL with a text that is a query already added to its own."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, more)))
    return urlunsplit(parts._replace(query=query, fragment=""))


def below(url: str, name: str) -> str:
    """Return the URL of something under a URL's path; the query stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}", fragment=""))


def encoded(value: str) -> str:
    """Percent-encode a value; tokens hold `+`, `/` and `=`."""
    return quote(value, safe="")
