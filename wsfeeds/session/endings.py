"""How connections end, and the words for it."""

from __future__ import annotations

from wsfeeds.errors import Transient
from wsfeeds.transport.base import LOST, TOO_BIG

STALE = "stale"


class Stale(Transient):
    """The peer, or the data, has been silent for too long."""


class Renewed(Transient):
    """The connector wants a new connection although this one worked: no failure to be counted."""


def closed(code: int, reason: str, *, ours: bool, max_frame: int) -> Transient:
    """Return the error for a connection that is gone.

    Args:
        code: The close code, `LOST` where there was no close frame.
        reason: The text of the close frame.
        ours: Whether this side gave up because of what the venue had sent.
        max_frame: The setting, in bytes.
    """
    if code == LOST:
        what = "the connection was lost"
    elif ours and code == TOO_BIG:
        return Transient(f"a frame was larger than max_frame ({max_frame} bytes)", code=code)
    elif ours:
        what = "wsfeeds closed the connection, for the venue broke the WebSocket protocol"
    else:
        what = "the venue closed the connection"
    return Transient(f"{what}: {reason}" if reason else what, code=code)
