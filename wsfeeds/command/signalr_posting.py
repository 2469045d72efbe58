"""Sends by HTTP, one after another and in order, beside whatever receives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from wsfeeds.command.listener import Listener, SendFailed
from wsfeeds.command.route import Reply
from wsfeeds.errors import Transient

_MOST_WAITING = 1000
Post = Callable[[str], Awaitable[Reply]]


class Poster:
    """Posts messages in order; what fails is told and passed over.

    Args:
        listener: Runs the work.
        post: Makes one request.
        answered: Takes each answer; what it raises ends the connection.
        failed: Takes the error of a request without an answer; the next one is made all the same.
    """

    def __init__(
        self,
        listener: Listener,
        post: Post,
        answered: Callable[[Reply], None],
        failed: Callable[[Transient], None],
    ) -> None:
        """Start with nothing to do."""
        self._post = post
        self._answered = answered
        self._failed = failed
        self._waiting: deque[str] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        listener.spawn(self._run())

    def put(self, message: str) -> None:
        """Queue a message.

        Raises:
            SendFailed: Too many are waiting already.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise SendFailed(f"{_MOST_WAITING} messages are waiting to be sent")
        self._waiting.append(message)
        self._idle.clear()
        self._news.set()

    async def drained(self) -> None:
        """Wait until everything was posted."""
        await self._idle.wait()

    async def _run(self) -> None:
        while True:
            while self._waiting:
                try:
                    self._answered(await self._post(self._waiting.popleft()))
                except Transient as error:
                    self._failed(error)
            self._idle.set()
            self._news.clear()
            await self._news.wait()
