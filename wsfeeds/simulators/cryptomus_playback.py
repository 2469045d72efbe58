"""What a client of a recorded Cryptomus needs: a token for any credentials, and pongs."""

from __future__ import annotations

import secrets

import orjson

from wsfeeds.simulators.httpd import Request, Response

_TOKEN = "/web-socket/token"  # noqa: S105  # a path


def http(request: Request) -> Response | None:
    """Give a token to anybody (docs/protocols/cryptomus.md, section 2)."""
    if request.path.endswith(_TOKEN):
        return Response.json({"token": secrets.token_hex(32)})
    return None


def reply(message: bytes) -> bytes | None:
    """Answer a ping with the client's own id (docs/protocols/cryptomus.md, section 3)."""
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("method") != "ping":
        return None
    return orjson.dumps({"id": value.get("id"), "method": "pong", "data": None, "error": None})
