"""The process's surroundings, judged once: streams, terminals, colour, logging, signals."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wsfeeds.errors import OutputFailed, ReaderGone
from wsfeeds.secrets import Redactor

OUTPUT_ERRORS = frozenset(
    {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EROFS}
)
"""What says that an output cannot be written, and not that we have made a mistake."""
_STREAMS = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))

logger = logging.getLogger("wsfeeds")
secrets = Redactor()
"""All secrets that this process has come to know: also the last line it says is free of them."""


@dataclass
class Console:
    """What every command may be told, and what it finds around itself."""

    config_file: str | None = None
    verbose: int = 0
    quiet: bool = False
    log_format: str = "text"
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    redactor: Redactor = field(default_factory=lambda: secrets)

    @property
    def stdout_is_terminal(self) -> bool:
        """Whether a person sees stdout."""
        return os.isatty(1)

    @property
    def stdout_can_be_drawn_on(self) -> bool:
        """Whether it is a terminal that does more than print lines."""
        return self.stdout_is_terminal and self.environment.get("TERM") != "dumb"

    @property
    def colour(self) -> bool:
        """Whether stdout takes colours: a terminal, unless `NO_COLOR`; always if `FORCE_COLOR`."""
        if self.environment.get("NO_COLOR"):
            return False
        return bool(self.environment.get("FORCE_COLOR")) or self.stdout_can_be_drawn_on

    def set_up_logging(self) -> None:
        """Send our log to stderr: warnings, with `-v` progress too, with `-q` errors only."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            _Json(self.redactor) if self.log_format == "json" else _Text(self.redactor)
        )
        logger.handlers[:] = [handler]
        logger.propagate = False
        level = logging.DEBUG if self.verbose > 1 else logging.INFO
        logger.setLevel(logging.ERROR if self.quiet else level if self.verbose else logging.WARNING)

    def say(self, text: str) -> None:
        """Tell a person something on stderr, unless quiet."""
        if not self.quiet:
            if self.log_format == "json":
                logger.log(logging.WARNING, text)
            else:
                tell(self.redactor(text))


class _Text(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
        self._redact = redactor

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        return printable(self._redact(super().format(record)))


class _Json(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redact = redactor

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "message": self._redact(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line)


def ensure_streams() -> None:
    """Open the standard streams that whoever started us has closed.

    Else the next file or socket would get their number, and be written to. What is put there can
    be opened but not used, so that a closed stdin or stdout fails as such; nobody misses stderr.
    """
    for fd, (name, flags) in enumerate(_STREAMS):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # it takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False))


def discard_stdout() -> None:
    """Give Python, which flushes stdout once more at exit, somewhere to write to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def put(text: str) -> None:
    """Print data to stdout.

    Raises:
        ReaderGone: Nobody reads it any more.
        OutputFailed: It cannot be written.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError as error:
        discard_stdout()
        raise ReaderGone("the reader of stdout went away") from error
    except OSError as error:
        discard_stdout()
        raise OutputFailed(f"cannot write to stdout: {error.strerror}") from error


def tell(text: str) -> None:
    """Write a line to stderr; if that is full or gone, there is nobody to tell."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def is_json() -> bool:
    """Tell whether the log has been set up to be JSON."""
    return any(isinstance(handler.formatter, _Json) for handler in logger.handlers)


def printable(text: str) -> str:
    """Return text without control characters, which a venue could steer the terminal with."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def on_signals(loop: object, handle: Callable[[int], None]) -> None:
    """Install `handle` for SIGINT and SIGTERM on the running loop."""
    import asyncio  # noqa: PLC0415  # `--help` does without
    import signal  # noqa: PLC0415

    assert isinstance(loop, asyncio.AbstractEventLoop)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle, number)
