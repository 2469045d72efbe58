"""A run from its first signal handler to its exit code, the same for every streaming command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from wsfeeds.cli.console import Console, logger, on_signals
from wsfeeds.errors import ExitCode, OutputFailed, ReaderGone, WsfeedsError
from wsfeeds.outputs.writers import Writer

_TERMINATE_WITHIN = 4.5
"""Seconds that SIGTERM leaves a blocked reader: with the way out at most the contract's 5."""


class Running:
    """Ends a run when asked: by a signal, a duration, a failed output or a reader that went."""

    def __init__(self, console: Console, stop: Callable[[str], None]) -> None:
        """Call `stop` with a reason, once, to end the run politely."""
        self._console = console
        self._stop = stop
        self._signal: int | None = None
        self._terminate_by: float | None = None
        self._patience: asyncio.Timeout | None = None
        self._fault: BaseException | None = None
        self.error: WsfeedsError | None = None
        self._loop = asyncio.get_running_loop()
        on_signals(self._loop, self._on_signal)

    def _on_signal(self, number: int) -> None:
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = number
        if number == signal.SIGTERM:
            self._terminate_by = self._loop.time() + _TERMINATE_WITHIN
            if self._patience is not None:
                self._patience.reschedule(self._terminate_by)
        else:
            self._console.say("stopping; press Ctrl-C again to end at once")
        self._stop("interrupted" if number == signal.SIGINT else "terminated")

    def stop_after(self, seconds: float | None) -> None:
        """End the run after that long."""
        if seconds is not None:
            self._loop.call_later(seconds, self._stop, "duration")

    def fail(self, error: WsfeedsError) -> None:
        """End the run because an output cannot go on."""
        self.error = self.error or error
        self._stop("output")

    @contextlib.asynccontextmanager
    async def beside(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Do something beside the run, such as drawing, as long as the block lasts.

        An output that fails there ends the run; any other exception is a fault of ours, which
        ends it too and is raised.
        """
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended_beside)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        if self._fault is not None:
            raise self._fault

    def _ended_beside(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, WsfeedsError):
            self.fail(error)
        elif error is not None:
            self._fault = error
            self._stop("fault")

    async def finish(self, run: Awaitable[int], writers: Sequence[Writer]) -> int:
        """Await the run, let the writers write everything, and return the exit code."""
        code = 0
        try:
            code = await run
        except (OutputFailed, ReaderGone) as error:
            self.error = self.error or error
        if self.error is None:
            await self._drain(writers)
        if isinstance(self.error, ReaderGone):
            return self._ended(ExitCode.OK)
        if self.error is not None:
            raise self.error
        return self._ended(code)

    async def _drain(self, writers: Sequence[Writer]) -> None:
        """Wait for slow readers: for ever, but after SIGTERM for some seconds."""
        try:
            async with asyncio.timeout_at(self._terminate_by) as self._patience:
                await _close(writers)
        except TimeoutError:
            logger.info("a blocked reader has not taken everything")
        except WsfeedsError as error:
            self.error = self.error or error
        finally:
            self._patience = None

    def _ended(self, code: int) -> int:
        if self._signal == signal.SIGINT:
            return ExitCode.INTERRUPTED
        if self._signal == signal.SIGTERM:
            return ExitCode.OK
        return code


async def _close(writers: Sequence[Writer]) -> None:
    for writer in writers:
        await writer.close()
