"""Recordings as streams of events again: merged in the order of receipt, cut, and paced."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from wsfeeds.clock import monotonic
from wsfeeds.errors import RecordingDamaged, UsageError
from wsfeeds.events import DATA_EVENTS, AnyEvent, Event, materialize
from wsfeeds.pipeline import Gate, Stream
from wsfeeds.recordings.lines import (
    FrameLine,
    OnDamage,
    read_events,
    read_exact,
    read_frames,
    refuse,
)
from wsfeeds.recordings.normalize import Normalizer, frame_of
from wsfeeds.recordings.sources import File, Source, find_sources
from wsfeeds.session.tap import Tap

_T = TypeVar("_T")
_DATA = frozenset(DATA_EVENTS)
_IN_A_ROW = 256
"""Events emitted before others on the loop get a turn."""
_SHORTEST_SLEEP = 0.001

Path = str | os.PathLike[str]
_by_time: Callable[[Any], int] = attrgetter("recv_ts")


def read(*paths: Path) -> Iterator[AnyEvent]:
    """Yield the events of recordings, oldest first, typed, read as they are asked for.

    Args:
        paths: Recordings, folders in them or single files, compressed or not. What was recorded
            as frames only is turned into events by the feed's connector.

    Raises:
        UsageError: A path does not exist, or there is nothing to read in it.
        RecordingDamaged: A line is no event; file and line are named.
    """
    sources = find_sources(paths, "events")

    def opened(source: Source) -> Iterator[AnyEvent]:
        if source.kind == "frames":
            return map(materialize, _normalized(source, None, refuse))
        return _joined(source.files, read_events)

    return _merged([opened(source) for source in sources])


def exact_events(
    paths: Iterable[Path],
    *,
    since: int | None = None,
    until: int | None = None,
    on_damage: OnDamage = refuse,
) -> Iterator[Event]:
    """Yield the events of recordings as connectors make them, within `since <= recv_ts < until`.

    Args:
        paths: Recordings, folders in them or single files.
        since: Microseconds; None is from the beginning.
        until: Microseconds; None is to the end.
        on_damage: Told of each line that is no event; unless it raises, the rest is read.

    Raises:
        UsageError: A path does not exist, or there is nothing to read in it.
        RecordingDamaged: A line is no event; file and line are named.
    """
    sources = find_sources(paths, "events")

    def opened(source: Source) -> Iterator[Event]:
        if source.kind == "frames":
            return _normalized(source, since, on_damage)
        return _joined(_from(source.files, since), partial(read_exact, on_damage=on_damage))

    return _cut(_merged([opened(source) for source in sources]), since, until)


def frames(
    paths: Iterable[Path],
    *,
    since: int | None = None,
    until: int | None = None,
    on_damage: OnDamage = refuse,
) -> Iterator[FrameLine]:
    """Yield the frames of recordings, within `since <= recv_ts < until`; see `exact_events`.

    Raises:
        UsageError: A path does not exist, or no frames were recorded there.
        RecordingDamaged: A line is no frame; file and line are named.
    """
    sources = frame_sources(paths)
    read_file = partial(read_frames, on_damage=on_damage)
    joined = [_joined(_from(source.files, since), read_file) for source in sources]
    return _cut(_merged(joined), since, until)


def frame_sources(paths: Iterable[Path]) -> list[Source]:
    """Return where the frames of recordings are.

    Raises:
        UsageError: A path does not exist, or no frames were recorded there.
    """
    paths = list(paths)
    sources = [each for each in find_sources(paths, "frames") if each.kind == "frames"]
    if not sources:
        where = ", ".join(map(str, paths))
        raise UsageError(
            f"no frames were recorded in {where}: record with --capture frames or both"
        )
    return sources


def _joined(files: Sequence[File], read_file: Callable[[Any], Iterator[_T]]) -> Iterator[_T]:
    return itertools.chain.from_iterable(read_file(file.path) for file in files)


def _merged(tracks: Sequence[Iterator[Any]]) -> Iterator[Any]:
    return tracks[0] if len(tracks) == 1 else heapq.merge(*tracks, key=_by_time)


def _from(files: Sequence[File], since: int | None) -> Sequence[File]:
    """Leave out the files that end before `since`: those before the last that begins by then."""
    if since is None:
        return files
    begun = [number for number, file in enumerate(files) if file.first <= since]
    return files[begun[-1] if begun else 0 :]


def _cut(events: Iterator[_T], since: int | None, until: int | None) -> Iterator[_T]:
    for event in events:
        recv_ts = _by_time(event)
        if since is not None and recv_ts < since:
            continue
        if until is not None and recv_ts >= until:
            continue  # another run's clock may have been set back
        yield event


def _normalized(source: Source, since: int | None, on_damage: OnDamage) -> Iterator[Event]:
    if source.feed is None:
        path = source.files[0].path
        raise UsageError(
            f"{path}: which feed is this? Keep frames below a folder feed=NAME, as recorded"
        )
    return _events_of(source, Normalizer(source.feed), since, on_damage)


def _events_of(
    source: Source, normalizer: Normalizer, since: int | None, on_damage: OnDamage
) -> Iterator[Event]:
    for file in _from(source.files, since):
        for line in read_frames(file.path, on_damage):
            try:
                yield from normalizer.feed(line)
            except RecordingDamaged as damage:
                on_damage(RecordingDamaged(f"{file.path}: {damage.message}"))


class Pace:
    """When to do what: the recorded times, so many times as fast, without long waits."""

    def __init__(self, speed: float | None, max_wait: float | None) -> None:
        """Play `speed` times as fast, None as fast as can be; no wait is longer than `max_wait`."""
        self._speed = speed
        self._max_wait = max_wait
        self._last: int | None = None
        self._due = monotonic()

    def wait(self, recv_ts: int) -> float:
        """Return the seconds until what was received at `recv_ts` is due."""
        if self._speed is None:
            return 0.0
        if self._last is not None:
            pause = max(0, recv_ts - self._last) / 1_000_000 / self._speed
            if self._max_wait is not None:
                pause = min(pause, self._max_wait)
            self._due += pause
        self._last = recv_ts
        return self._due - monotonic()


class Player:
    """Emits recorded events to a stream, in time, as fast as its outputs take them."""

    def __init__(self, stream: Stream, pace: Pace) -> None:
        """Play to `stream`."""
        self._stream = stream
        self._pace = pace
        self._stopped = False
        self._open = asyncio.Event()
        self._open.set()
        self._asleep: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """End after the event under way."""
        self._stopped = True
        self._open.set()
        if self._asleep is not None:
            self._asleep.cancel()

    def pause_reading(self) -> None:
        """An output cannot take more."""
        self._open.clear()

    def resume_reading(self) -> None:
        """It can again."""
        self._open.set()

    async def play(self, events: Iterator[Event]) -> int:
        """Play events to the stream and return the exit code."""
        stream = self._stream

        def emit(event: Event) -> None:
            if event.__class__ in _DATA:
                stream.emit((event,), event.recv_ts, event.conn)
            else:
                stream.emit_fact(event, event.recv_ts, event.conn)

        return await self._play(events, emit)

    async def play_frames(self, lines: Iterator[FrameLine], tap: Tap) -> int:
        """Play inbound frames to a tap and return the exit code."""

        def hear(line: FrameLine) -> None:
            if line.dir == "in":
                tap.inbound(line.recv_ts, line.conn, frame_of(line), line.base64)

        return await self._play(lines, hear)

    async def _play(self, items: Iterator[_T], handle: Callable[[_T], None]) -> int:
        gate: Gate = self._stream.gate
        gate.attach(self)
        try:
            for number, item in enumerate(items):
                await self._until_due(_by_time(item), number)
                if self._stopped:
                    break
                handle(item)
            self._stream.flush()
        finally:
            gate.detach(self)
        return 0

    async def _until_due(self, recv_ts: int, number: int) -> None:
        delay = self._pace.wait(recv_ts)
        if delay > _SHORTEST_SLEEP:
            self._stream.flush()
            await self._sleep(delay)
        elif number % _IN_A_ROW == 0:
            await asyncio.sleep(0)
        if not self._open.is_set():
            self._stream.flush()
            await self._open.wait()

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or less if `stop` is called meanwhile."""
        self._asleep = asyncio.create_task(asyncio.sleep(seconds))
        await asyncio.wait({self._asleep})
        self._asleep = None
