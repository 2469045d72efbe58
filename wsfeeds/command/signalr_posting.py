"""Sends by HTTP, one after another and in order, beside whatever receives.

Whoever sends gets a future of the server's answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from wsfeeds.command.listener import Listener, SendFailed
from wsfeeds.command.route import Reply
from wsfeeds.errors import CredentialsRefused, Transient, WsfeedsError

_MOST_WAITING = 1000
_OVER = "the connection is closed"
_LOG = logging.getLogger("wsfeeds")
Post = Callable[[str], Awaitable[Reply]]


class Poster:
    """Posts messages in order; what fails is told and passed over.

    Args:
        listener: Runs the work.
        post: Makes one request.
        answered: Takes each answer; raises what it means where the message was refused.
        failed: Takes the error of a message that was not taken; the next one is posted all the
            same.
        within: The seconds that one request may take.
    """

    def __init__(
        self,
        listener: Listener,
        post: Post,
        answered: Callable[[Reply], None],
        failed: Callable[[WsfeedsError], None],
        *,
        within: float,
    ) -> None:
        """Start with nothing to do."""
        self._post = post
        self._answered = answered
        self._failed = failed
        self._within = within
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        listener.spawn(self._run())

    def put(self, message: str, *, ours: bool = False) -> asyncio.Future[None]:
        """Queue a message; the future is done when the server has taken it, or fails.

        Of a message that is `ours` a failure is only logged: nobody looks at its future.

        Raises:
            SendFailed: Too many are waiting already.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise SendFailed(f"{_MOST_WAITING} messages are waiting to be sent")
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        taken.add_done_callback(_logged if ours else _seen)
        self._waiting.append((message, taken))
        self._idle.clear()
        self._news.set()
        return taken

    async def drained(self) -> None:
        """Wait until everything was posted."""
        await self._idle.wait()

    async def _run(self) -> None:
        try:
            while True:
                while self._waiting:
                    await self._deliver(*self._waiting.popleft())
                self._idle.set()
                self._news.clear()
                await self._news.wait()
        finally:
            for _, taken in self._waiting:
                taken.set_exception(SendFailed(_OVER))

    async def _deliver(self, message: str, taken: asyncio.Future[None]) -> None:
        error: WsfeedsError = SendFailed(_OVER)
        try:
            self._answered(await self._in_time(message))
            taken.set_result(None)
        except (Transient, SendFailed, CredentialsRefused) as refused:
            error = refused
            self._failed(refused)
        finally:
            if not taken.done():
                taken.set_exception(error)

    async def _in_time(self, message: str) -> Reply:
        try:
            async with asyncio.timeout(self._within):
                return await self._post(message)
        except TimeoutError:
            raise Transient(f"no answer to a POST within {self._within:g} s") from None


def _seen(taken: asyncio.Future[None]) -> None:
    """Look at the error of a message, so that one nobody waits for is no leak."""
    with contextlib.suppress(asyncio.CancelledError):
        taken.exception()


def _logged(taken: asyncio.Future[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        error = taken.exception()
        if error is not None and str(error) != _OVER:
            _LOG.warning("a message could not be sent: %s", error)
