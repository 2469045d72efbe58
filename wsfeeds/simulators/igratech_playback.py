"""What a client of a recorded Igratech needs: an answer to its pings."""

from __future__ import annotations

from wsfeeds.simulators.httpd import Request, Response

_PING = b"ping-pong"


def http(request: Request) -> Response | None:
    """Nothing is asked over HTTP."""
    del request
    return None  # "no answer" is an answer here


def reply(message: bytes) -> bytes | None:
    """Send a ping back, in the style it came in (docs/protocols/igratech.md, section 6.2)."""
    return message if _PING in message else None
