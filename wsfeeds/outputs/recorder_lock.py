"""One recorder a feed and folder: a lock that also remembers whose segments lie open."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

from wsfeeds.errors import UsageError
from wsfeeds.outputs.recorder_files import feed_folder, write_all

_LOCK = ".lock"
_PATIENCE = 0.5
"""Seconds to try for: `verify` holds the lock for a moment while it looks who has it."""
_POLL = 0.02


class _Holder(msgspec.Struct):
    run: str


class FeedLock:
    """Held from a recorder's start to its end; the system lets go of it when the process dies.

    The file names the run that writes, so that whoever finds its open segments after a crash knows
    which run they are of.
    """

    def __init__(self, root: Path, feed: str) -> None:
        """Lock the segments of `feed` in `root`."""
        self.path = feed_folder(root, feed) / _LOCK
        self._feed = feed
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            UsageError: Another recorder has it.
            OSError: The file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + _PATIENCE
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                os.close(fd)
                folder = self.path.parent.parent
                raise UsageError(
                    f"another recorder writes {self._feed} into {folder}: "
                    "stop it, or choose another --dir"
                )
            time.sleep(_POLL)
        self._fd = fd

    def last_run(self) -> str | None:
        """Return the run that held the lock last, if that can be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Holder).run
        except (OSError, msgspec.MsgspecError):
            return None

    def name(self, run: str) -> None:
        """Note the run that writes from now on.

        Raises:
            OSError: The file cannot be written.
        """
        assert self._fd is not None
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        write_all(self._fd, msgspec.json.encode(_Holder(run)) + b"\n")
        os.fsync(self._fd)

    def release(self) -> None:
        """Let others write."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_held(self) -> bool:
        """Tell whether some recorder has the lock now."""
        try:
            fd = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _try_lock(fd, shared=True)
        finally:
            os.close(fd)


def _try_lock(fd: int, *, shared: bool = False) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return True
    return False
