"""`wsfeeds subscribe`: events of one feed to stdout, and to a file if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsfeeds import app, quantities
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console
from wsfeeds.cli.control import Control
from wsfeeds.cli.drawing import Screen, TextWriter, paint
from wsfeeds.cli.facts import FactLog
from wsfeeds.cli.running import Running
from wsfeeds.config import nearest
from wsfeeds.errors import UsageError
from wsfeeds.events import TYPES
from wsfeeds.outputs.jsonl import JsonlOutput
from wsfeeds.outputs.raw import RawFrames
from wsfeeds.outputs.writers import Writer, append_to, writer_for
from wsfeeds.pipeline import Countdown, Stream
from wsfeeds.session.feed import FeedRun

FORMATS = ("auto", "pretty", "jsonl", "raw")


@dataclass(kw_only=True)
class Options:
    """The options of `subscribe`, as given."""

    feed: str
    symbols: Sequence[str] = ()
    channels: Sequence[str] = ()
    format: str = "auto"
    output: str | None = None
    count: int | None = None
    duration: str | None = None
    types: str | None = None
    heartbeats: bool = False
    control: bool = False
    sim: bool = False
    flags: dict[str, Any] = field(default_factory=dict)
    view: str | None = None
    live: bool = True


def check_types(text: str | None) -> list[str] | None:
    """Return the event types of `--types`.

    Raises:
        UsageError: One of them does not exist.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in TYPES:
            raise UsageError(f"--types: there is no event type {name!r}{nearest(name, TYPES)}")
    if not names:
        raise UsageError(f"--types needs at least one of {', '.join(TYPES)}")
    return names


def check_count(count: int | None) -> int | None:
    """Return the number of `-n`.

    Raises:
        UsageError: It is not positive.
    """
    if count is not None and count < 1:
        raise UsageError("-n takes a number of 1 or more")
    return count


def subscribe(options: Options, console: Console) -> int:
    """Run until the end and return the exit code.

    Raises:
        WsfeedsError: Something asked for cannot be done; the exit code is the error's.
    """
    if options.format not in FORMATS:
        raise UsageError(f"--format is one of {', '.join(FORMATS)}, not {options.format!r}")
    check_types(options.types)
    check_count(options.count)
    if options.view is not None:
        from wsfeeds.outputs.terminal import check_view  # noqa: PLC0415  # rich's share

        check_view(options.view)
    return leaving.run(_Subscribe(options, console).run())


class _Subscribe:
    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._run: FeedRun | None = None
        self._writers: list[Writer] = []
        self._screen: Screen | None = None
        self._stopped: str | None = None

    async def run(self) -> int:
        options = self._options
        running = Running(self._console, self._stop)
        seconds = None if options.duration is None else quantities.parse_duration(options.duration)
        asked = app.Subscription(
            feed=options.feed,
            symbols=options.symbols,
            channels=options.channels,
            flags=options.flags,
            config_file=Path(self._console.config_file) if self._console.config_file else None,
            sim=options.sim,
        )
        stream = Stream(
            (),
            types=check_types(options.types),
            heartbeats=options.heartbeats,
            countdown=self._countdown(),
            redactor=self._console.redactor,
        )
        async with app.simulated(asked) as wanted:
            self._run = run = app.open_feed(wanted, stream)
            run.listen(self._open_outputs(stream, running))
            stream.on_fact = self._fact_log()
            if options.control:
                Control(run, self._stop, running.fail).listen()
            running.stop_after(seconds)
            if self._stopped is not None:  # a signal came before there was anything to stop
                run.stop(self._stopped)
            return await self._finish(run, stream, running)

    async def _finish(self, run: FeedRun, stream: Stream, running: Running) -> int:
        async with running.beside(paint(self._screen, self._writers[0])):
            code = await running.finish(self._complete(run), self._writers)
        if running.error is None:
            self._summarise(stream)
        if code and run.error is not None:
            raise run.error
        return code

    async def _complete(self, run: FeedRun) -> int:
        """Run, and draw the last picture before the terminal's writer is closed."""
        try:
            return await run.run()
        finally:
            if self._screen is not None:
                self._screen.close()

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        if self._run is not None:
            self._run.stop(self._stopped)

    # --- outputs

    def _open_outputs(self, stream: Stream, running: Running) -> RawFrames | None:
        options = self._options
        out = writer_for(1, "stdout", gate=stream.gate, on_error=running.fail)
        self._writers.append(out)
        files: list[Writer] = []
        if options.output is not None:
            files.append(append_to(Path(options.output), gate=stream.gate, on_error=running.fail))
        self._writers += files
        shape = options.format
        if shape == "auto":
            shape = "pretty" if self._console.stdout_is_terminal else "jsonl"
        if shape == "raw":
            if files:
                stream.outputs.append(JsonlOutput(files))
            return RawFrames([out], count=options.count, on_count=lambda: self._raw_count(stream))
        if shape == "jsonl":
            stream.outputs.append(JsonlOutput([out, *files]))
            return None
        stream.outputs.append(self._pretty(out))
        if files:
            stream.outputs.append(JsonlOutput(files))
        return None

    def _countdown(self) -> Countdown | None:
        """Return what `-n` counts, unless it counts frames."""
        count = self._options.count
        if count is None or self._options.format == "raw":
            return None
        return Countdown(count, lambda: self._stop("count"))

    def _raw_count(self, stream: Stream) -> None:
        stream.close()
        self._stop("count")

    def _pretty(self, out: Writer) -> Any:
        from wsfeeds.outputs.terminal import TerminalOutput  # noqa: PLC0415  # rich takes 0.1 s

        options = self._options
        live = options.live and self._console.stdout_can_be_drawn_on
        screen = TerminalOutput(
            live=live,
            view=options.view,
            colour=self._console.colour,
            stream=TextWriter(out),
        )
        self._screen = screen
        screen.start()
        return screen

    def _fact_log(self) -> FactLog | None:
        # On a terminal the view itself shows what the log would write across it.
        return None if self._screen is not None and not self._console.verbose else FactLog()

    def _summarise(self, stream: Stream) -> None:
        if self._screen is not None and not self._console.verbose:
            return
        counted = ", ".join(f"{number} {reason}" for reason, number in stream.skipped.items())
        facts = ", ".join(
            f"{stream.facts[name]} {name}"
            for name in ("gap", "error", "malformed", "unknown")
            if stream.facts[name]
        )
        parts = [f"{stream.data_events} events"]
        parts += [facts] if facts else []
        parts += [f"not shown: {counted}"] if counted else []
        self._console.say("; ".join(parts))
