"""Which files a path stands for, and in which order they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Literal

import msgspec

from wsfeeds.errors import UsageError
from wsfeeds.outputs.recorder_codec import open_listed, read_errors
from wsfeeds.outputs.recorder_files import (
    PART,
    Kind,
    SegmentFile,
    parse_name,
    root_of,
    segments_below,
)
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_manifest import Manifest

Prefer = Literal["events", "frames"]
_CHUNK = 1 << 16


class File(msgspec.Struct, frozen=True):
    """One file to read, and the `recv_ts` from which on it has lines, 0 where only it knows."""

    path: Path
    kind: Kind
    first: int = 0


class Source(msgspec.Struct):
    """One feed of one recording: files of one kind that follow one another."""

    kind: Kind
    files: list[File]
    feed: str | None = None


class _Head(msgspec.Struct):
    feed: str | None = None
    run: str | None = None
    dir: str | None = None


def find_sources(paths: Iterable[str | os.PathLike[str]], prefer: Prefer) -> list[Source]:
    """Return what is to be read for some paths, each file once however often it is meant.

    A folder stands for all segments in it: where a run was recorded both ways, for those of the
    preferred kind. A file that is named stands for itself, whatever its kind.

    Raises:
        UsageError: A path does not exist or cannot be read, or there is nothing to read in it.
    """
    sources: list[Source] = []
    named: dict[str, File] = {}
    given = [Path(each) for each in paths]
    for path in given:
        check_readable(path)
    for folder in _outermost(given):
        found = _in_folder(folder, prefer)
        if not found and not live_segments(folder):
            raise UsageError(f"there is no recording in {folder}")
        sources += found
    meant = {os.path.realpath(file.path) for source in sources for file in source.files}
    for path in given:
        if not path.is_dir() and os.path.realpath(path) not in meant:
            named.setdefault(os.path.realpath(path), _named(path))
    sources += _grouped([*named.values()])
    for source in sources:
        for file in source.files:
            if file.path.exists():  # or a recorder has just closed it: see `open_listed`
                check_readable(file.path)
    return sources


def check_readable(path: Path) -> None:
    """Refuse what cannot be read, before any of it is.

    Raises:
        UsageError: There is no such file or folder, or it may not be read.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    if not (path.is_file() or path.is_dir()):
        raise UsageError(f"{path} is neither a file nor a folder; a pipe can be read only once")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UsageError(f"{path} cannot be read: permission denied")


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """Return the folders among some paths, without those that lie in another one."""
    folders = {os.path.realpath(path): path for path in reversed(paths) if path.is_dir()}
    return [
        path
        for real, path in reversed(folders.items())
        if not any(parent in folders for parent in map(str, Path(real).parents))
    ]


def live_segments(folder: Path) -> list[SegmentFile]:
    """Return the segments in a folder, each once: not the open twin of one just being closed.

    Raises:
        UsageError: A folder in it cannot be read.
    """
    try:
        segments = segments_below(folder)
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    found = [segment for segment in segments if segment.state != "unfinished"]
    closed = {(s.path.parent, s.stem) for s in found if s.state == "closed"}
    return [s for s in found if s.state == "closed" or (s.path.parent, s.stem) not in closed]


def head_of(path: Path) -> tuple[str | None, str | None, bool]:
    """Return the feed and run that a file's first line names, and whether it holds frames."""
    try:
        with open_listed(path)[1] as file:
            head = msgspec.json.decode(_first_line(file), type=_Head)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None, None, False
    except read_errors():
        return None, None, False
    return head.feed, head.run, head.dir is not None


def _first_line(file: IO[bytes]) -> bytes:
    """Read up to the first line break: an `open` line may be long."""
    parts = []
    while chunk := file.read(_CHUNK):
        head, found, _ = chunk.partition(b"\n")
        parts.append(head)
        if found:
            break
    return b"".join(parts)


def _named(path: Path) -> File:
    segment = parse_name(path)
    if segment is not None:
        return File(path, segment.kind, segment.first)
    return File(path, "frames" if head_of(path)[2] else "events")


def _grouped(named: Sequence[File]) -> list[Source]:
    """Join the files of one feed's folder that were named one by one, in their order of time."""
    groups: dict[tuple[str, Kind], list[File]] = {}
    for file in named:
        segment = parse_name(file.path)
        group = str(file.path.parent.parent) if segment and segment.feed else str(file.path)
        groups.setdefault((group, file.kind), []).append(file)
    return [
        Source(kind, sorted(set(files), key=lambda each: each.first), _feed_of(files[0].path))
        for (_, kind), files in groups.items()
    ]


def _feed_of(path: Path) -> str | None:
    segment = parse_name(path)
    if segment is not None and segment.feed is not None:
        return segment.feed
    return head_of(path)[0]


def _in_folder(folder: Path, prefer: Prefer) -> list[Source]:
    groups: dict[str, list[SegmentFile]] = {}
    for segment in sorted(live_segments(folder), key=lambda each: each.first):
        groups.setdefault(str(segment.path.parent.parent), []).append(segment)
    sources = []
    for segments in groups.values():
        events = [each for each in segments if each.kind == "events"]
        frames = [each for each in segments if each.kind == "frames"]
        if prefer == "events":
            covered = _runs_of_events(events)
            if None in covered:  # nothing tells which run the events are of: they may be all
                frames = []
            frames = [each for each in frames if head_of(each.path)[1] not in covered]
            sources += _source("events", events)
        sources += _source("frames", frames)
    return sources


def _source(kind: Kind, segments: list[SegmentFile]) -> list[Source]:
    files = [File(each.path, kind, each.first) for each in segments]
    return [Source(kind, files, segments[0].feed)] if segments else []


def _runs_of_events(segments: list[SegmentFile]) -> set[str | None]:
    """Return the runs whose events are there: the manifest tells, and the lock for open ones."""
    runs: set[str | None] = set()
    if not segments:
        return runs
    root = root_of(segments[0].path.parent)
    if root is None:
        return {None}
    listed = {root / line.path: line.run for line in Manifest(root).lines()}
    for segment in segments:
        if segment.path.name.endswith(PART):
            runs.add(FeedLock(root, segment.feed or "").last_run())
        else:
            runs.add(listed.get(segment.path.absolute()))
    return runs
