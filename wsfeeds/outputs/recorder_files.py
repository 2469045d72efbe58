"""Where recordings lie: folders, names and bounds of segments (contract, section 6)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from wsfeeds.clock import to_datetime

Kind = Literal["events", "frames"]
Compression = Literal["none", "gzip", "zstd"]

MANIFEST = "manifest.jsonl"
PART = ".part"
UNFINISHED = ".tmp"
"""What a compressed segment is called until all of it is on disk."""
ENDINGS: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}

_NAME = re.compile(
    r"([0-9]{8}T[0-9]{6}\.[0-9]{6})Z\.(events|frames)\.jsonl(\.gz|\.zst)?(\.part|\.tmp)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
_ROOT_IS_AT_MOST = 3
"""Folders between a segment and the folder that holds the manifest: date, feed, DIR."""


class SegmentFile(msgspec.Struct, frozen=True):
    """A segment as its name tells; `first` is the first `recv_ts` in it."""

    path: Path
    kind: Kind
    first: int
    ending: str
    state: Literal["closed", "part", "unfinished"]

    @property
    def feed(self) -> str | None:
        """The feed of the folder it lies in, None outside of a recording."""
        return _partition(self.path.parent.parent.name, "feed")

    @property
    def date(self) -> str | None:
        """The date of the folder it lies in, None outside of a recording."""
        return _partition(self.path.parent.name, "date")

    @property
    def stem(self) -> str:
        """The name that it has open and closed, compressed or not."""
        return f"{stamp(self.first)}.{self.kind}.jsonl"


def _partition(name: str, key: str) -> str | None:
    return name.removeprefix(f"{key}=") if name.startswith(f"{key}=") else None


def stamp(recv_ts: int) -> str:
    """Return a receive time as it stands in file names and run ids."""
    return to_datetime(recv_ts).strftime("%Y%m%dT%H%M%S.%fZ")


def date_of(recv_ts: int) -> str:
    """Return the UTC date of a receive time, as in folder names."""
    return to_datetime(recv_ts).strftime("%Y-%m-%d")


def feed_folder(root: Path, feed: str) -> Path:
    """Return the folder of a feed's segments."""
    return root / f"feed={feed}"


def part_path(root: Path, feed: str, kind: Kind, recv_ts: int) -> Path:
    """Return where a segment that begins at `recv_ts` is written."""
    folder = feed_folder(root, feed) / f"date={date_of(recv_ts)}"
    return folder / f"{stamp(recv_ts)}.{kind}.jsonl{PART}"


def final_path(part: Path, compression: Compression) -> Path:
    """Return the name of a segment once it is closed."""
    return part.with_name(part.name.removesuffix(PART) + ENDINGS[compression])


def names_of(path: Path) -> Iterator[Path]:
    """Yield the names that a listed segment may have by now: an open one may have been closed."""
    yield path
    if path.name.endswith(PART):
        yield from (final_path(path, compression) for compression in ENDINGS)


def segment_end(recv_ts: int, seconds: float | None) -> int:
    """Return the receive time at which a segment that begins at `recv_ts` has to end.

    Periods are counted from midnight UTC, and the next midnight ends the last one.
    """
    midnight = recv_ts - recv_ts % _DAY
    if seconds is None:
        return midnight + _DAY
    period = max(1, round(seconds * 1_000_000))
    return min(midnight + _DAY, midnight + ((recv_ts - midnight) // period + 1) * period)


def parse_name(path: Path) -> SegmentFile | None:
    """Return what a file name says of a segment, None if it is not the name of one."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    states: dict[str | None, Literal["closed", "part", "unfinished"]]
    states = {None: "closed", PART: "part", UNFINISHED: "unfinished"}
    kind: Kind = "events" if match[2] == "events" else "frames"
    first = (moment - _EPOCH) // _MICROSECOND
    return SegmentFile(path, kind, first, match[3] or "", states[match[4]])


def segments_below(folder: Path) -> list[SegmentFile]:
    """Return every segment in a folder and the folders in it, in the order of their paths.

    Raises:
        OSError: One of them cannot be read.
    """
    found: list[SegmentFile] = []
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders.sort()
        for name in sorted(files):
            segment = parse_name(Path(parent, name))
            if segment is not None:
                found.append(segment)
    return found


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # it was removed while we looked
        raise error


def root_of(path: Path) -> Path | None:
    """Return the folder of the recording that a file or folder belongs to, if it does."""
    for folder in _upwards(path):
        if (folder / MANIFEST).is_file():
            return folder
    for folder in _upwards(path):
        if any(each.is_dir() for each in folder.glob("feed=*")):
            return folder
        if folder.name.startswith("feed="):
            return folder.parent
    return None


def _upwards(path: Path) -> Iterator[Path]:
    path = Path(os.path.abspath(path))  # noqa: PTH100  # symbolic links stay as they were given
    folders = [path, *path.parents]
    return (folder for folder in folders[: _ROOT_IS_AT_MOST + 1] if folder.is_dir())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write everything, however often the system wants to be asked."""
    with memoryview(data) as view:
        done = os.write(fd, view)
        while done < len(view):
            done += os.write(fd, view[done:])
