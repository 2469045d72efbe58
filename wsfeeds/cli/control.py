"""`--control`: commands from stdin while a subscription runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from wsfeeds.errors import UsageError, WsfeedsError
from wsfeeds.session.feed import FeedRun

_COMMANDS = "subscribe SYM…, unsubscribe SYM…, pause, resume, quit"
_BARE = {"pause", "resume", "quit"}


class Control:
    """Carries out one command a line; a bad one is an `error` event, not an end."""

    def __init__(
        self, run: FeedRun, stop: Callable[[str], None], fail: Callable[[WsfeedsError], None]
    ) -> None:
        """Command `run`; `stop` ends it, `fail` hears of an output that cannot go on."""
        self._run = run
        self._stop = stop
        self._fail = fail

    def listen(self) -> None:
        """Read stdin in a thread: it may be anything, and blocks."""
        self._run.keep_open = True
        loop = asyncio.get_running_loop()

        def read() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                for line in _lines(0):
                    loop.call_soon_threadsafe(self.obey, line)
                loop.call_soon_threadsafe(self._run.close_when_idle)

        threading.Thread(target=read, name="control", daemon=True).start()

    def obey(self, line: str) -> None:
        """Carry out one line."""
        words = line.split()
        if not words:
            return
        try:
            self._carry_out_or_complain(line, words)
        except WsfeedsError as error:
            self._fail(error)

    def _carry_out_or_complain(self, line: str, words: list[str]) -> None:
        try:
            self._carry_out(words[0], words[1:])
        except UsageError as error:
            self._run.complain(f"command {line.strip()!r}: {error.message}")

    def _carry_out(self, command: str, symbols: list[str]) -> None:
        if command in {"subscribe", "unsubscribe"}:
            if not symbols:
                raise UsageError(f"{command} needs a symbol")
            change = self._run.subscribe if command == "subscribe" else self._run.unsubscribe
            change(symbols)
            return
        if symbols:
            raise UsageError(f"{command} takes nothing more" if command in _BARE else _unknown())
        match command:
            case "pause":
                self._run.pause()
            case "resume":
                self._run.resume()
            case "quit":
                self._stop("quit")
            case _:
                raise UsageError(_unknown())


def _lines(fd: int) -> Iterator[str]:
    """Yield lines without `sys.stdin`, whose lock a blocked thread holds when Python exits."""
    rest = b""
    while chunk := os.read(fd, 65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _unknown() -> str:
    return f"unknown; there are {_COMMANDS}"
