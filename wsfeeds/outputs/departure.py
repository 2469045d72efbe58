"""Has the reader of a pipe or socket gone? Noticed also while there is nothing to write."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether a socket's reader is still there."""
_HUNG_UP = select.POLLHUP | select.POLLERR
_GONE_AFAR = _HUNG_UP | getattr(select, "POLLRDHUP", 0)


class Departure:
    """Tells once that a reader has gone, as long as it is watched."""

    def __init__(self, fd: int, on_gone: Callable[[], None]) -> None:
        """Watch the reader of `fd` on the running loop."""
        self._fd = fd
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._is_pipe = not stat.S_ISSOCK(os.fstat(fd).st_mode)
        self._ends = _HUNG_UP if self._is_pipe else _ends_of(fd)
        self._poll = select.poll()
        self._poll.register(fd, self._ends)
        if self._is_pipe:
            # On the writing end a "readable" descriptor means that the reader has gone.
            self._loop.add_reader(fd, self._tell)
        else:
            self._timer = self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Look for a hang-up: being readable says nothing, the peer may be sending for others."""
        if any(event & self._ends for _, event in self._poll.poll(0)):
            self._tell()
        else:
            self._timer = self._loop.call_later(_LOOK_EVERY, self._look)

    def _tell(self) -> None:
        self.stop()
        self._on_gone()

    def stop(self) -> None:
        """Watch no more."""
        if self._is_pipe:
            self._loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()


def _ends_of(fd: int) -> int:
    """Return what polling says of a socket that nobody reads any more.

    A local peer "hangs up" when it closes. One afar only says that it will send no more, which is
    what closing looks like from here.
    """
    with socket.socket(fileno=os.dup(fd)) as ours:
        return _HUNG_UP if ours.family == socket.AF_UNIX else _GONE_AFAR
