"""The work of `wsfeeds record`: several feeds in one loop, each with its own stream and files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from wsfeeds import app, config, connectors, quantities
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console, logger
from wsfeeds.cli.facts import FactLog
from wsfeeds.cli.record import Options
from wsfeeds.cli.record_hooks import CloseCommand, FreeSpace
from wsfeeds.cli.record_progress import Progress, Recorded, size
from wsfeeds.cli.running import Running
from wsfeeds.cli.subscribe import check_count
from wsfeeds.clock import Clock
from wsfeeds.config.record import Capture, Compress
from wsfeeds.errors import ExitCode, OutputFailed, UsageError, WsfeedsError, gravest
from wsfeeds.events import Event, Gap, SessionEvent
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_track import Fsync, Policy
from wsfeeds.pipeline import Countdown, Stream
from wsfeeds.session.feed import FeedRun

_TICK = 1.0
_DEFAULT_DIR = "recordings"
_DEFAULT_ROTATE = ("1h",)
_DEFAULT_FSYNC = "1s"


def run_recording(options: Options, console: Console) -> int:
    """Record until the end and return the exit code.

    Raises:
        WsfeedsError: Something asked for cannot be done; the exit code is the error's.
    """
    check_count(options.count)
    return leaving.run(_Recording(options, console).run())


def policy_of(options: Options, record: config.RecordSettings) -> Policy:
    """Return how to record: command line, then settings file, then defaults.

    Raises:
        UsageError: A value is none that there is.
    """
    compress = _word("--compress", options.compress, get_args(Compress)) or record.compress
    capture = _word("--capture", options.capture, get_args(Capture)) or record.capture
    seconds, most = quantities.parse_rotation(options.rotate or record.rotate or _DEFAULT_ROTATE)
    return Policy(
        rotate_seconds=seconds,
        rotate_bytes=most,
        compress=compress or "none",
        fsync=_fsync(options.fsync or record.fsync or _DEFAULT_FSYNC),
        capture=capture or "events",
    )


def _word(name: str, value: str | None, known: Sequence[str]) -> Any:
    if value is not None and value not in known:
        raise UsageError(f"{name} takes one of {', '.join(known)}, not {value!r}")
    return value


def _fsync(text: str) -> Fsync:
    if text in {"always", "never"}:
        return "always" if text == "always" else "never"
    seconds = quantities.parse_duration(text)
    if not seconds:
        raise UsageError("--fsync takes more than zero; `always` syncs every write")
    return seconds


class _Feed(Recorded):
    """One feed under way."""

    run: FeedRun
    code: int = 0


class _RestartGap:
    """Reports the hole since an earlier run, once, right after the first `subscribed`."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def emit(self, event: Event) -> None:
        if not isinstance(event, SessionEvent) or event.state != "subscribed":
            return
        stream, symbols = self._feed.stream, self._feed.run.wanted.symbols
        stream.outputs.remove(self)
        before = self._feed.recorder.previous_recv_ts or event.recv_ts
        gap = Gap(
            feed=event.feed,
            symbol=symbols[0] if len(symbols) == 1 else None,
            reason="restart",
            from_ts=min(before, event.recv_ts),
            to_ts=event.recv_ts,
        )
        stream.emit_fact(gap, event.recv_ts, event.conn)

    def emit_all(self, events: Sequence[Event]) -> None:
        """Data events say nothing of the connection."""

    def flush(self) -> None:
        """Nothing is kept here."""


class _Recording:
    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._feeds: list[_Feed] = []
        self._stopped: str | None = None
        path = Path(console.config_file) if console.config_file else None
        feeds = map(connectors.load, connectors.names())
        self._record = config.load_file(path, feeds=feeds).record
        self._root = Path(options.folder or self._record.dir or _DEFAULT_DIR)
        self._policy = policy_of(options, self._record)
        least = None if options.min_free is None else quantities.parse_size(options.min_free)
        self._space = FreeSpace(least)

    async def run(self) -> int:
        """Record everything until the end."""
        options = self._options
        seconds = None if options.duration is None else quantities.parse_duration(options.duration)
        wanted = self._subscriptions()
        command = None if options.on_close is None else CloseCommand(options.on_close)
        running = Running(self._console, self._stop)
        async with contextlib.AsyncExitStack() as stack:
            places = [await stack.enter_async_context(app.simulated(each)) for each in wanted]
            self._prepare(places, running, command)
            await self._open()
            self._console.say(f"recording {', '.join(f.feed for f in self._feeds)} to {self._root}")
            running.stop_after(seconds)
            progress = Progress(self._console, self._feeds)
            try:
                async with running.beside(self._tick(progress)):
                    code = await running.finish(self._all(running), ())
            finally:
                progress.erase()
                if command is not None:
                    await asyncio.to_thread(command.finish)
        self._summarise()
        return code

    # --- what is recorded

    def _subscriptions(self) -> list[app.Subscription]:
        options, file = self._options, self._console.config_file
        path = Path(file) if file else None
        if options.feed is not None:
            asked = [(options.feed, options.symbols, options.channels)]
        else:
            if options.channels or options.flags:
                raise UsageError("-c, --set, --url, --api-url and --max-retries need a FEED")
            subscriptions = self._record.subscriptions
            asked = [(each.feed, each.symbols, each.channels) for each in subscriptions]
        if not asked:
            raise UsageError(
                "nothing to record: name a FEED, or a --config FILE with [[record.subscriptions]]"
            )
        return [
            app.Subscription(
                feed=feed,
                symbols=symbols,
                channels=channels,
                flags=options.flags,
                config_file=path,
                sim=options.sim,
            )
            for feed, symbols, channels in asked
        ]

    def _prepare(
        self,
        wanted: Sequence[app.Subscription],
        running: Running,
        command: CloseCommand | None,
    ) -> None:
        """Put every feed together before anything is opened, so that bad usage opens nothing."""
        count = self._options.count
        countdown = None if count is None else Countdown(count, lambda: self._stop("count"))
        loop = asyncio.get_running_loop()

        def failed(error: OutputFailed) -> None:
            loop.call_soon_threadsafe(running.fail, error)

        for each in wanted:
            recorder = Recorder(
                self._root,
                connectors.load(each.feed).name,
                self._policy,
                on_error=failed,
                on_closed=command,
                say=logger.warning,
                redactor=self._console.redactor,
            )
            stream = Stream(
                [recorder],
                heartbeats=self._options.heartbeats,
                countdown=countdown,
                redactor=self._console.redactor,
            )
            feed = _Feed(recorder.feed, recorder, stream)
            stream.on_fact = self._listen(feed)
            feed.run = app.open_feed(each, stream, tap=recorder.tap)
            self._feeds.append(feed)

    def _listen(self, feed: _Feed) -> Callable[[Event], None]:
        log = FactLog()

        def heard(event: Event) -> None:
            if isinstance(event, SessionEvent) and event.state == "reconnecting":
                feed.reconnects += 1
            log(event)

        return heard

    async def _open(self) -> None:
        for number, feed in enumerate(self._feeds):
            try:
                await asyncio.to_thread(feed.recorder.open)
            except WsfeedsError:
                for earlier in self._feeds[:number]:
                    earlier.recorder.close()
                raise
            if feed.recorder.previous_recv_ts is not None:
                feed.stream.outputs.append(_RestartGap(feed))

    # --- while it runs

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        for feed in self._feeds:
            feed.run.stop(reason)

    async def _all(self, running: Running) -> int:
        await asyncio.gather(*(self._one(feed, running) for feed in self._feeds))
        return gravest(feed.code for feed in self._feeds)

    async def _one(self, feed: _Feed, running: Running) -> None:
        """Record one feed to its end; whatever ends it, the others go on and its files close."""
        try:
            if self._stopped is None:
                feed.code = await feed.run.run()
        except OutputFailed as error:
            running.fail(error)
        except Exception as error:  # noqa: BLE001  # outermost for this feed: the others go on
            feed.code = ExitCode.FAULT
            logger.exception("%s: a fault in wsfeeds itself", feed.feed, exc_info=error)
        feed.ended = self._stopped or "finished"  # and not ticked any more
        try:
            await asyncio.to_thread(feed.recorder.close)
        except OutputFailed as error:
            running.fail(error)
        if feed.code and feed.run.error is not None:
            feed.ended = feed.run.error.message
            logger.error("%s: %s", feed.feed, feed.ended)

    async def _tick(self, progress: Progress) -> None:
        clock = Clock()
        while True:
            await asyncio.sleep(_TICK)
            clock.anchor()
            for feed in self._feeds:
                if feed.ended is None:
                    feed.recorder.tick(clock.now())
            self._space.check(self._feeds[0].recorder.free_bytes(), self._root)
            progress.tick()

    def _summarise(self) -> None:
        for feed in self._feeds:
            recorder, stream = feed.recorder, feed.stream
            skipped = ", ".join(f"{number} {why}" for why, number in stream.skipped.items())
            parts = [f"{stream.data_events} data events", size(recorder.written)]
            parts += [f"{recorder.segments} segments", f"{recorder.gaps} gaps"]
            parts += [f"not shown: {skipped}"] if skipped else []
            self._console.say(f"{feed.feed}: {', '.join(parts)}")
