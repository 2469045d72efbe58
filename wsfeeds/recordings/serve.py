"""Recorded connections, found and read one by one: what `replay --serve` plays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

import msgspec

from wsfeeds.errors import UsageError
from wsfeeds.recordings.lines import FrameLine, OnDamage, read_frames, refuse
from wsfeeds.recordings.replay import frame_sources
from wsfeeds.recordings.sources import Source


class Connection(msgspec.Struct, frozen=True):
    """One recorded connection; `lines` reads its frames from the beginning each time."""

    feed: str
    url: str
    lines: Callable[[], Iterator[FrameLine]]


def connections(
    paths: Iterable[str | os.PathLike[str]],
    *,
    since: int | None = None,
    until: int | None = None,
    on_damage: OnDamage = refuse,
) -> list[Connection]:
    """Return the connections that were recorded, in their order, with frames in the range.

    `on_damage` is told of each line that is no frame, once; unless it raises, the rest is played.

    Raises:
        UsageError: A path does not exist, or no frames were recorded there.
        RecordingDamaged: A line is no frame; file and line are named.
    """
    found: list[Connection] = []
    for source in frame_sources(paths):
        if source.feed is None:
            path = source.files[0].path
            raise UsageError(f"{path}: which feed is this? Keep frames below a folder feed=NAME")
        found += _connections(source, source.feed, since, until, on_damage)
    return found


def _connections(
    source: Source, feed: str, since: int | None, until: int | None, on_damage: OnDamage
) -> Iterator[Connection]:
    opened: dict[tuple[str | None, int], FrameLine] = {}
    heard: set[tuple[str | None, int]] = set()
    run = None
    for line in _lines(source, on_damage):
        if line.dir == "open":
            run = line.run
            opened.setdefault((run, line.conn), line)
        elif line.dir == "in" and _within(line, since, until):
            heard.add((run, line.conn))
    for key, line in opened.items():
        if key in heard:
            reader = _reader(source, key, since, until)
            yield Connection(feed, line.url or "", reader)


def _reader(
    source: Source, key: tuple[str | None, int], since: int | None, until: int | None
) -> Callable[[], Iterator[FrameLine]]:
    def read() -> Iterator[FrameLine]:
        run = None
        for line in _lines(source, lambda _: None):  # it has been told already
            if line.dir == "open":
                run = line.run
            elif (run, line.conn) == key and _within(line, since, until):
                yield line

    return read


def _lines(source: Source, on_damage: OnDamage) -> Iterator[FrameLine]:
    for file in source.files:
        yield from read_frames(file.path, on_damage)


def _within(line: FrameLine, since: int | None, until: int | None) -> bool:
    return (since is None or line.recv_ts >= since) and (until is None or line.recv_ts < until)
