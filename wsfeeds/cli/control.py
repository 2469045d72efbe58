"""`--control`: commands from stdin while a subscription runs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

from wsfeeds.errors import UsageError
from wsfeeds.session.feed import FeedRun

_COMMANDS = "subscribe SYM…, unsubscribe SYM…, pause, resume, quit"


class Control:
    """Carries out one command a line; a bad one is an `error` event, not an end."""

    def __init__(self, run: FeedRun, stop: Callable[[str], None]) -> None:
        """Command `run`; `stop` ends it."""
        self._run = run
        self._stop = stop

    def listen(self) -> None:
        """Read stdin in a thread: it may be anything, and blocks."""
        self._run.keep_open = True
        loop = asyncio.get_running_loop()

        def read() -> None:
            for line in sys.stdin.buffer:
                text = line.decode("utf-8", "replace")
                if loop.is_closed():
                    return
                loop.call_soon_threadsafe(self.obey, text)

        threading.Thread(target=read, name="control", daemon=True).start()

    def obey(self, line: str) -> None:
        """Carry out one line."""
        words = line.split()
        if not words:
            return
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
            raise UsageError(
                f"{command} takes nothing more" if command in _COMMANDS else _unknown()
            )
        match command:
            case "pause":
                self._run.pause()
            case "resume":
                self._run.resume()
            case "quit":
                self._stop("quit")
            case _:
                raise UsageError(_unknown())


def _unknown() -> str:
    return f"unknown; there are {_COMMANDS}"
