"""What happens beside a recording: a command for each closed segment, and a watch on the disk."""

from __future__ import annotations

import queue
import shlex
import subprocess
import threading
import time
from pathlib import Path

from wsfeeds.cli.console import logger
from wsfeeds.clock import monotonic
from wsfeeds.errors import OutputFailed, UsageError
from wsfeeds.quantities import format_size

_WAITING = 1_000
_TIMEOUT = 300.0
_AT_THE_END = 30.0
_POLL = 0.05
_WARN_AT = 2


class CloseCommand:
    """Runs `--on-close COMMAND PATH` for one closed segment after the other, on a thread.

    It is never waited for while recording: paths queue up, and beyond a thousand they are left
    out with a warning. A command that takes more than five minutes is killed; at the end all of
    them together have half a minute left.
    """

    def __init__(self, command: str) -> None:
        """Start the thread.

        Raises:
            UsageError: The command is empty or has an open quote.
        """
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--on-close {command!r}: {error}") from None
        if not self._command:
            raise UsageError("--on-close needs a command")
        self._paths: queue.Queue[Path | None] = queue.Queue(_WAITING)
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="on-close", daemon=True)
        self._thread.start()

    def __call__(self, path: Path) -> None:
        """Have the command run for a closed segment; from any thread."""
        try:
            self._paths.put_nowait(path.absolute())
        except queue.Full:
            logger.warning("--on-close is too slow: it was not run for %s", path)

    def finish(self) -> None:
        """Wait for what is queued, for half a minute at most; blocks."""
        self._deadline = monotonic() + _AT_THE_END
        try:
            self._paths.put(None, timeout=_AT_THE_END)
        except queue.Full:
            return
        self._thread.join(_AT_THE_END)

    def _run(self) -> None:
        while (path := self._paths.get()) is not None:
            if self._deadline is not None and monotonic() > self._deadline:
                logger.warning("--on-close was not run for %s: no time left", path)
                continue
            self._run_for(path)

    def _run_for(self, path: Path) -> None:
        try:
            # stdout carries data and nothing else: what the command prints goes to stderr.
            process = subprocess.Popen(  # noqa: S603  # the user's own command
                [*self._command, str(path)], stdin=subprocess.DEVNULL, stdout=2
            )
        except OSError as error:
            logger.warning("--on-close %s: %s", self._command[0], error.strerror)
            return
        until = monotonic() + _TIMEOUT
        while process.poll() is None:
            if monotonic() > min(until, self._deadline or until):
                process.kill()
                process.wait()
                logger.warning("--on-close took too long for %s and was killed", path)
                return
            time.sleep(_POLL)
        if process.returncode:
            logger.warning("--on-close ended with %d for %s", process.returncode, path)


class FreeSpace:
    """Warns once when the disk fills up, and ends the recording while there is still room."""

    def __init__(self, least: int | None) -> None:
        """Keep `least` bytes free; None watches nothing."""
        self._least = least
        self._warned = False

    def check(self, free: int, where: Path) -> None:
        """Judge the space that is left.

        Raises:
            OutputFailed: It is less than is to be kept free.
        """
        if self._least is None or free >= _WARN_AT * self._least:
            return
        left = f"{format_size(free // 1_000_000 * 1_000_000)} are left on the disk of {where}"
        if free < self._least:
            raise OutputFailed(f"{left}, less than --min-free: stopped before it is full")
        if not self._warned:
            self._warned = True
            logger.warning("%s; recording stops at --min-free %s", left, format_size(self._least))
