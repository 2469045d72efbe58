"""`--control`: commands from stdin while a subscription runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator

from wsfeeds.errors import UsageError, WsfeedsError
from wsfeeds.session.feed import FeedRun

_log = logging.getLogger("wsfeeds")
_COMMANDS = "subscribe SYM…, unsubscribe SYM…, pause, resume, quit"
_BARE = {"pause", "resume", "quit"}
_STDIN = 0
_CHUNK = 65_536
_LONGEST = 65_536
"""Bytes of a line beyond which nobody meant a command: more than `all` markets of any venue."""


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
        """Read stdin in a thread: it may be anything, and blocks.

        At its end, or when it fails, there are no more commands and the run goes on.
        """
        self._run.keep_open = True
        loop = asyncio.get_running_loop()

        def read() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                try:
                    for line in lines_of(_STDIN):
                        loop.call_soon_threadsafe(self.obey, line)
                except OSError as error:
                    cause = f"stdin cannot be read: {error.strerror or error}"
                    loop.call_soon_threadsafe(self._complain, cause)
                loop.call_soon_threadsafe(self._run.close_when_idle)

        threading.Thread(target=read, name="control", daemon=True).start()

    def obey(self, line: str | None) -> None:
        """Carry out one line; None is one that was too long to be kept."""
        if line is None:
            self._complain(f"a command of more than {_LONGEST} bytes is left out")
            return
        words = line.split()
        if not words:
            return
        try:
            self._carry_out(words[0], words[1:])
        except UsageError as error:
            self._complain(f"command {line.strip()!r}: {error.message}")
        except WsfeedsError as error:
            self._fail(error)

    def _complain(self, message: str) -> None:
        try:
            self._run.complain(message)
        except WsfeedsError as error:  # it could not be written
            self._fail(error)

    def _carry_out(self, command: str, symbols: list[str]) -> None:
        if command in {"subscribe", "unsubscribe"}:
            if not symbols:
                raise UsageError(f"{command} needs a symbol")
            if command == "unsubscribe":
                self._run.unsubscribe(symbols)
                return
            held = [symbol for symbol in symbols if symbol in self._run.wanted.symbols]
            self._run.subscribe(symbols)
            if held:  # of which no event tells
                _log.warning("already subscribed: %s", ", ".join(held))
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


def lines_of(fd: int) -> Iterator[str | None]:
    """Yield lines, None for each that is too long, of which no more than that is ever kept.

    `sys.stdin` is of no use: a blocked thread holds its lock when Python exits.

    Raises:
        OSError: It cannot be read.
    """
    rest = b""
    skipping = False
    while chunk := _read(fd):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not skipping:
                yield _text(line)
            skipping = False
        if skipping:
            rest = b""
        elif len(rest) > _LONGEST:
            yield None
            skipping, rest = True, b""
    if rest:
        yield _text(rest)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:  # somebody who shares it has made it so
            select.select([fd], [], [])


def _text(line: bytes) -> str | None:
    return None if len(line) > _LONGEST else line.decode("utf-8", "replace")


def _unknown() -> str:
    return f"unknown; there are {_COMMANDS}"
