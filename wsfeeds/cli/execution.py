"""The work of `wsfeeds run`: the document in, results out, an exit code at the end."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from wsfeeds import config, connectors, quantities
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console, logger, printable
from wsfeeds.cli.facts import FactLog
from wsfeeds.cli.running import Running
from wsfeeds.command.exact import loads
from wsfeeds.command.executor import Run
from wsfeeds.command.program import Program
from wsfeeds.config.run import RunFeed, RunSettings
from wsfeeds.errors import UsageError
from wsfeeds.events import ErrorEvent, Event, Malformed, SessionEvent, Unknown
from wsfeeds.outputs.jsonl import JsonlOutput
from wsfeeds.outputs.writers import Writer, append_to, writer_for
from wsfeeds.pipeline import Stream

_STDIN = "-"
_SHOWN = 2_000
"""Characters shown of a frame that became no result."""


@dataclass(kw_only=True)
class Options:
    """The options of `run`, as given."""

    spec: str
    output: str | None = None
    count: int | None = None
    duration: str | None = None
    session: bool = False
    item: str | None = None
    flags: dict[str, Any] = field(default_factory=dict)


def execute(options: Options, console: Console) -> int:
    """Run until the end and return the exit code.

    Raises:
        WsfeedsError: Something asked for cannot be done; the exit code is the error's.
    """
    if options.count is not None and options.count < 1:
        raise UsageError("-n takes a number of 1 or more")
    seconds = None if options.duration is None else quantities.parse_duration(options.duration)
    settings = _settings(options, console)
    for secret in config.secrets_of(settings):
        console.redactor.add(secret)
    program = Program(_read(options.spec), settings, os.environ)
    for secret in program.secrets:
        console.redactor.add(secret)
    item = _item(options, program)
    for warning in program.warnings:
        logger.warning("%s", warning)
    return leaving.run(_execute(options, console, program, item, seconds))


def _settings(options: Options, console: Console) -> RunSettings:
    path = Path(console.config_file) if console.config_file else None
    file = config.load_file(path, feeds=map(connectors.load, connectors.names()))
    settings = config.resolve(RunFeed(), file=file, flags=options.flags)
    return cast("RunSettings", settings)


def _read(spec: str) -> Any:
    """Return the JSON of the document.

    Raises:
        UsageError: It cannot be read, or is no JSON.
    """
    name = "the document on stdin" if spec == _STDIN else spec
    try:
        content = sys.stdin.buffer.read() if spec == _STDIN else Path(spec).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {spec}: {error.strerror}") from error
    try:
        return loads(content.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError as error:
        raise UsageError(f"{name} is no JSON: {error}") from error


def _item(options: Options, program: Program) -> Path | None:
    """Return the file whose removal ends the run.

    Raises:
        UsageError: It is not there.
    """
    wanted = program.stop_on.item_deleted
    if options.item is not None:
        path = Path(options.item)
        if not path.exists():
            raise UsageError(f"--item: {path} does not exist")
        if not wanted:
            program.warnings.append("--item has no effect: params.stopOn.itemDeleted is not true")
        return path
    if wanted and options.spec == _STDIN:
        program.warnings.append(
            "params.stopOn.itemDeleted: a document on stdin cannot be removed; name a file: --item"
        )
        return None
    return Path(options.spec)


async def _execute(
    options: Options, console: Console, program: Program, item: Path | None, seconds: float | None
) -> int:
    # 0.1 s to import, which a document that is refused does not pay.
    from wsfeeds.transport.websocket import WebsocketsTransport  # noqa: PLC0415

    stream = Stream(
        (),
        types=None if options.session else (),
        on_fact=_Facts(console, kept=options.session),
        redactor=console.redactor,
    )
    run = Run(program, stream, WebsocketsTransport(), count=options.count, item=item)
    running = Running(console, run.finish)
    writers: list[Writer] = [
        writer_for(1, "stdout", gate=stream.gate, on_error=running.fail),
    ]
    if options.output is not None:
        writers.append(append_to(Path(options.output), gate=stream.gate, on_error=running.fail))
    stream.outputs.append(JsonlOutput(writers))
    running.stop_after(seconds)
    code = await running.finish(run.run(), writers)
    if running.error is None:
        _summarise(run, stream, console)
    if code and run.error is not None:
        raise run.error
    return code


def _summarise(run: Run, stream: Stream, console: Console) -> None:
    """Tell at the end what came, and what rightly became no result (contract, section 3)."""
    facts = (f"{stream.facts[name]} {name}" for name in ("gap", "error", "malformed", "unknown"))
    told = ", ".join(fact for fact in facts if not fact.startswith("0 "))
    skipped = ", ".join(f"{number} {reason}" for reason, number in stream.skipped.items())
    parts = [f"{run.reports.results.fresh} results"]
    parts += [told] if told else []
    parts += [f"not shown: {skipped}"] if skipped else []
    console.say("; ".join(parts))


class _Facts:
    """Tells session facts on stderr; a command that fails again and again says so once."""

    def __init__(self, console: Console, *, kept: bool) -> None:
        self._console = console
        self._kept = kept
        """Whether the facts are on stdout as well."""
        self._log = FactLog()
        self._last = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, ErrorEvent) and not event.fatal:
            if event.message == self._last:
                logger.info("%s", event.message)
                return
            self._last = event.message
        if isinstance(event, Malformed | Unknown) and not self._kept:
            logger.warning("%s", printable(_whole(event)))
            return
        self._log(event)
        if isinstance(event, SessionEvent) and not logger.isEnabledFor(logging.INFO):
            self._say(event)

    def _say(self, event: SessionEvent) -> None:
        """Tell each step without `-v` too; what the log warns of anyway is left to it."""
        if event.state not in {"reconnecting", "subscribed"}:
            what = event.reason or event.url or ""
            self._console.say(printable(f"{event.feed}: {event.state} {what}".rstrip()))


def _whole(event: Malformed | Unknown) -> str:
    """Tell a frame that became no result with what it says: without `--session` it is only here."""
    if isinstance(event, Malformed):
        what, frame = f"malformed frame ({event.error})", event.frame
    else:
        what, frame = "unknown frame", bytes(event.data).decode(errors="replace")
    more = len(frame) - _SHOWN
    rest = f" … and {more} more characters; --session has them all" if more > 0 else ""
    return f"{event.feed}: {what}: {frame[:_SHOWN]}{rest}"
