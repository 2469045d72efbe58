"""What one connection's hooks do, one after another; docs/protocols/websocket_v2.md, section 3.

A piece of work runs here and now, as long as nothing before it waits. One that waits (for the
answer to a POST) holds up those after it, so hooks never overlap and messages keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from wsfeeds.clock import monotonic

Wait = tuple[asyncio.Future[None], float | None]
"""What is waited for, and until when on the monotonic clock at the latest."""
Work = Generator[Wait, None, Any]
Job = Callable[[], Work | None]


class Worker:
    """Does one job at a time.

    Args:
        done: Called after each job.
        resumed: Called when a job that had waited has gone on, for as far as it could.
        failed: Takes what a job raises that had waited or had to wait its turn.
    """

    def __init__(
        self,
        *,
        done: Callable[[], None],
        resumed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Start with nothing to do."""
        self._done = done
        self._resumed = resumed
        self._failed = failed
        self._queue: deque[Job] = deque()
        self._work: Work | None = None
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """The number of jobs whose turn is still to come."""
        return len(self._queue)

    def do(self, job: Job) -> None:
        """Do a job now, or after those before it; what it raises now is the caller's."""
        if self._busy:
            self._queue.append(job)
            return
        self._busy = True
        try:
            self._begin(job)
        finally:
            self._next()

    def clear(self) -> int:
        """Forget the jobs whose turn is still to come; return how many they were."""
        forgotten = len(self._queue)
        self._queue.clear()
        return forgotten

    async def settled(self) -> None:
        """Wait until nothing is to be done."""
        await self._idle.wait()

    def stop(self) -> None:
        """Give up what waits and what would come after it."""
        self.clear()
        work, self._work = self._work, None
        if work is not None:
            work.close()
        self._next()

    def _begin(self, job: Job) -> None:
        work = job()
        if work is None:
            self._done()
        else:
            self._work = work
            self._advance(work)

    def _advance(self, work: Work) -> None:
        """Let a job go on until it waits or is through."""
        try:
            awaited, deadline = next(work)
        except StopIteration:
            self._work = None
            self._done()
            return
        except BaseException:
            self._work = None
            raise
        self._idle.clear()
        turn = self._turn(work)
        awaited.add_done_callback(turn)
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, deadline - monotonic()), turn, awaited)

    def _turn(self, work: Work) -> Callable[[asyncio.Future[None]], None]:
        """Return what goes on with a job, once."""
        over = False

        def turn(awaited: asyncio.Future[None]) -> None:
            nonlocal over
            if over or self._work is not work:
                return
            over = True
            awaited.remove_done_callback(turn)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._guard(lambda: self._advance(work))
            self._next()
            self._guard(self._resumed)

        return turn

    def _next(self) -> None:
        """Do what waited its turn, unless something waits again."""
        while self._work is None and self._queue:
            job = self._queue.popleft()
            self._guard(lambda job=job: self._begin(job))  # type: ignore[misc]
        if self._work is None:
            self._busy = False
            self._idle.set()

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self._failed(error)
