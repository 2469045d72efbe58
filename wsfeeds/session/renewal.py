"""A new token before the old one ends: a second connection takes over from the first.

Both deliver until the second has subscribed, and brought something of everything or had some
seconds for it, and the first has carried out its last command: so nothing is missed. Where the
first one dies earlier, the session reports the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from wsfeeds.clock import monotonic, wall_seconds
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError
from wsfeeds.session.link import Link

_BEFORE = 60.0
_RETRY = 10.0
_CAUGHT_UP_WITHIN = 5.0
_POLL = 0.05


class Renewing(Protocol):
    """The session, as its renewal sees it."""

    async def open_newer(self, link: Link, expiry: float) -> Link | None:
        """Open a second connection with a token that lives longer, None where there is none."""

    def complain(self, message: str) -> None:
        """Emit an error event."""


class Renewal:
    """Renews one socket's connections, one after another."""

    def __init__(self, session: Renewing) -> None:
        """Renew for `session`."""
        self._session = session
        self.successor: Link | None = None
        """The second connection, while it is being waited for."""

    async def renew(self, link: Link, expiry: float) -> None:
        """Hand `link` over before `expiry` (seconds since the epoch), and end it."""
        await asyncio.sleep(max(0.0, expiry - _BEFORE - wall_seconds()))
        told = False
        while not link.ended.done():
            try:
                if await self._hand_over(link, expiry):
                    return
            except Transient as error:
                self._session.complain(f"hand-over: {error.message}")
            except CredentialsRefused as error:
                link.end(error)
                return
            if not told:
                told = True
                name = link.connector.name
                message = f"the {name} token is about to expire and there is no newer one"
                self._session.complain(message)
            await asyncio.sleep(_RETRY)

    async def _hand_over(self, link: Link, expiry: float) -> bool:
        successor = self.successor = await self._session.open_newer(link, expiry)
        if successor is None:
            return False
        link.twin = successor
        await _until(lambda: successor.ended.done() or successor.subscribed)
        has_had_time = _patience(successor)
        await _until(
            lambda: successor.ended.done() or successor.connector.caught_up() or has_had_time()
        )
        await _until(lambda: successor.ended.done() or not link.talks)
        if successor.ended.done():
            self.successor = None
            await successor.close()
            raise _failure(successor)
        link.end()
        return True

    async def take(self) -> Link | None:
        """Return the second connection if it is alive; whatever it is, it is not kept here."""
        successor, self.successor = self.successor, None
        if successor is not None and not successor.is_open:
            await successor.close()
            return None
        return successor


def _patience(successor: Link) -> Callable[[], bool]:
    """Return what tells whether a link has had its time; being kept unread does not count."""
    deadline = successor.reading.at(monotonic()) + _CAUGHT_UP_WITHIN
    return lambda: successor.reading.at(monotonic()) >= deadline


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a rare, short wait
        await asyncio.sleep(_POLL)


def _failure(successor: Link) -> BaseException:
    """Return why a second connection ended early: a bug of ours stays one."""
    error = successor.ended.exception()
    if error is not None and not isinstance(error, WsfeedsError):
        return error
    why = "" if error is None else f": {error.message}"
    return Transient(f"the second connection did not hold{why}")
