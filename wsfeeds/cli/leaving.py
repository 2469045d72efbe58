"""The way out of the process, which nothing that hangs may block.

A name look-up is a call of the C library in a thread: it cannot be cancelled, and without a network
it takes as long as the resolver likes. Python would wait for such threads twice, at the end of the
event loop and at that of the interpreter.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from wsfeeds.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")
_left_behind = False


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Do what `asyncio.run` does, without waiting for what its threads still do at the end."""
    import asyncio  # noqa: PLC0415  # not for --help
    from concurrent.futures import Future, ThreadPoolExecutor  # noqa: PLC0415

    class Threads(ThreadPoolExecutor):
        under_way: set[Future[Any]] = set()  # noqa: RUF012  # there is one

        def submit(self, call: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            future = super().submit(call, *arguments, **named)
            self.under_way.add(future)
            future.add_done_callback(self.under_way.discard)
            return future

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
            global _left_behind  # noqa: PLW0603  # the process has one way out
            super().shutdown(wait=False, cancel_futures=True)
            _left_behind = bool(self.under_way)

    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(Threads())
        return runner.run(main)


def leave(code: int) -> NoReturn:
    """Exit with a code, at once where a thread is left behind or after an interrupt.

    An interrupt that met `exec`, as in the import of a dataclass, makes Python end by the signal,
    whatever became of the exception.
    """
    if _left_behind or code == ExitCode.INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
