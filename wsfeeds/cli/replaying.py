"""The work of `wsfeeds replay`: recorded events through the outputs of a live subscription."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wsfeeds import decimals, quantities
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console
from wsfeeds.cli.damage import Damage
from wsfeeds.cli.drawing import TextWriter, paint
from wsfeeds.cli.replay import Options
from wsfeeds.cli.running import Running
from wsfeeds.cli.subscribe import FORMATS, check_count, check_types
from wsfeeds.errors import UsageError
from wsfeeds.events import Event
from wsfeeds.outputs.jsonl import JsonlOutput
from wsfeeds.outputs.raw import RawFrames
from wsfeeds.outputs.terminal import TerminalOutput
from wsfeeds.outputs.writers import Writer, append_to, writer_for
from wsfeeds.pipeline import Countdown, Stream
from wsfeeds.recordings import replay
from wsfeeds.recordings.replay import Pace, Player

_MAX = "max"


def run_replay(options: Options, console: Console) -> int:
    """Replay until the end and return the exit code.

    Raises:
        WsfeedsError: Something asked for cannot be done; the exit code is the error's.
    """
    if options.format not in FORMATS:
        raise UsageError(f"--format is one of {', '.join(FORMATS)}, not {options.format!r}")
    check_types(options.types)
    check_count(options.count)
    if options.serve is not None:
        from wsfeeds.cli.replay_serving import serve_recording  # noqa: PLC0415  # its own world

        since, until = _range(options)
        pace_of(options)  # a wrong one is refused now, not when somebody connects
        serving = serve_recording(options, console, lambda: pace_of(options), since, until)
        return leaving.run(serving)
    return leaving.run(_Replay(options, console).run())


def parse_time(name: str, text: str | None) -> int | None:
    """Return an ISO 8601 time as microseconds, UTC where it names no zone.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    micros = decimals.iso_to_micros(text)
    if micros is None:
        raise UsageError(f"{name} takes an ISO 8601 time such as 2026-11-20T14:00, not {text!r}")
    return micros


def _range(options: Options) -> tuple[int | None, int | None]:
    return parse_time("--from", options.since), parse_time("--to", options.until)


def pace_of(options: Options) -> Pace:
    """Return the pace that `--speed` and `--max-wait` ask for.

    Raises:
        UsageError: One of them is none.
    """
    longest = None if options.max_wait is None else quantities.parse_duration(options.max_wait)
    if options.speed == _MAX:
        return Pace(None, longest)
    try:
        speed = float(options.speed.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.0 < speed < float("inf"):
        raise UsageError(f"--speed takes a number above 0 or max, not {options.speed!r}")
    return Pace(speed, longest)


class _Replay:
    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._stream = Stream(
            (),
            types=check_types(options.types),
            heartbeats=True,
            countdown=None
            if options.count is None or options.format == "raw"
            else Countdown(options.count, self._end),
        )
        self._player = Player(self._stream, pace_of(options))
        self._damage = Damage()
        self._writers: list[Writer] = []
        self._screen: TerminalOutput | None = None

    async def run(self) -> int:
        """Open the recording and the outputs, and play."""
        try:
            return await self._replay()
        finally:
            self._damage.summarise()

    async def _replay(self) -> int:
        options = self._options
        since, until = _range(options)
        shape = options.format
        if shape == "auto":
            shape = "pretty" if self._console.stdout_is_terminal else "jsonl"
        running = Running(self._console, lambda _: self._player.stop())
        if shape == "raw":
            lines = replay.frames(options.paths, since=since, until=until, on_damage=self._damage)
            out = self._open_writer(running)
            tap = RawFrames([out], count=options.count, on_count=self._end)
            return await running.finish(self._player.play_frames(lines, tap), self._writers)
        events = replay.exact_events(
            options.paths, since=since, until=until, on_damage=self._damage
        )
        self._open_outputs(shape, running)
        async with running.beside(paint(self._screen, self._writers[0])):
            return await running.finish(self._play(events), self._writers)

    async def _play(self, events: Iterator[Event]) -> int:
        """Play, and draw the last picture before the terminal's writer is closed."""
        try:
            return await self._player.play(events)
        finally:
            if self._screen is not None:
                self._screen.close()

    def _end(self) -> None:
        self._player.stop()

    def _open_writer(self, running: Running) -> Writer:
        out = writer_for(1, "stdout", gate=self._stream.gate, on_error=running.fail)
        self._writers.append(out)
        return out

    def _open_outputs(self, shape: str, running: Running) -> None:
        outputs = self._stream.outputs
        out = self._open_writer(running)
        files: list[Writer] = []
        if self._options.output is not None:
            path = Path(self._options.output)
            files.append(append_to(path, gate=self._stream.gate, on_error=running.fail))
            self._writers += files
        if shape == "jsonl":
            outputs.append(JsonlOutput([out, *files]))
            return
        live = self._options.live and self._console.stdout_can_be_drawn_on
        self._screen = TerminalOutput(
            live=live,
            view=self._options.view,
            colour=self._console.colour,
            stream=TextWriter(out),
        )
        self._screen.start()
        outputs.append(self._screen)
        if files:
            outputs.append(JsonlOutput(files))
