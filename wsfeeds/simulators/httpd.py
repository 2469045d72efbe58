"""HTTP as simulated venues see it: requests and responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import orjson


@dataclass(frozen=True)
class Request:
    """One HTTP request, or the one that opened a WebSocket; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    path: str = ""
    query: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def build(cls, head: h11.Request, body: bytes) -> Self:
        """Put a parsed head and its body together."""
        target = head.target.decode("ascii", "replace")
        parts = urlsplit(target)
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(
            method=head.method.decode("ascii"),
            target=target,
            headers=headers,
            body=body,
            path=unquote(parts.path),
            query=parse_qs(parts.query, keep_blank_values=True),
        )

    def param(self, name: str) -> str | None:
        """Give the first value of a query parameter."""
        return self.query[name][0] if name in self.query else None

    @property
    def upgrades(self) -> bool:
        """Tell whether the client asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass(frozen=True)
class Response:
    """One HTTP response; an asynchronous iterator as its body is streamed, chunk by chunk."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Answer with a JSON document."""
        kind = {"Content-Type": "application/json"}
        return cls(status, orjson.dumps(value), kind | dict(headers or {}))

    @classmethod
    def text(cls, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Answer with plain text."""
        kind = {"Content-Type": "text/plain; charset=utf-8"}
        return cls(status, body.encode(), kind | dict(headers or {}))
