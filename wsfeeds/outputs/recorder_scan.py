"""What a segment holds, read from the file itself: for those that a crash left without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from wsfeeds.outputs.recorder_codec import open_plain
from wsfeeds.outputs.recorder_files import Kind

CHUNK = 1 << 16


class Scan(msgspec.Struct):
    """The whole lines of a segment; `size` is where the last readable one of them ends."""

    lines: int = 0
    size: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    first_recv_ts: int = 0
    last_recv_ts: int = 0
    gaps: int = 0
    run: str | None = None


class _EventHead(msgspec.Struct):
    type: str
    recv_ts: int
    seq: int


class _FrameHead(msgspec.Struct):
    recv_ts: int
    run: str | None = None


class _Heard(msgspec.Struct):
    """What tells whether a line, of either kind, is of something that the venue sent."""

    recv_ts: int
    type: str | None = None
    state: str | None = None
    dir: str | None = None


_event = msgspec.json.Decoder(_EventHead).decode
_frame = msgspec.json.Decoder(_FrameHead).decode
_heard = msgspec.json.Decoder(_Heard).decode
_OWN_WORDS = frozenset({"session", "gap", "error"})
"""Types of events that a run also writes while nothing comes."""


def blocks(file: IO[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """Yield the file in pieces of whole lines; only the last piece may end without a line break.

    Raises:
        OSError: The file cannot be read.
    """
    rest: list[bytes] = []
    while chunk := file.read(size):
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            rest.append(chunk)
            continue
        rest.append(chunk[:cut])
        yield b"".join(rest)
        rest = [chunk[cut:]] if cut < len(chunk) else []
    if rest:
        yield b"".join(rest)


def whole_lines(block: bytes) -> list[bytes]:
    """Return the lines of a block without their breaks; one without a break is not whole."""
    lines = block.split(b"\n")
    del lines[-1]
    return lines


def scan(path: Path, kind: Kind) -> Scan:
    """Return what a segment holds up to its last readable line.

    Raises:
        OSError: The file cannot be read.
    """
    found = Scan()
    lines = size = 0
    with open_plain(path) as file:
        for block in blocks(file):
            for line in whole_lines(block):
                lines += 1
                size += len(line) + 1
                if _note(found, kind, line):
                    found.lines, found.size = lines, size
    return found


def last_heard(path: Path) -> int | None:
    """Return when the last frame in a segment came, or its subscriptions began, None if never.

    What the recorder said by itself does not count. Of each block only its end is looked at.

    Raises:
        OSError: The file cannot be read; or one of `read_errors`, where it cannot be expanded.
    """
    last = None
    with open_plain(path) as file:
        for block in blocks(file):
            moments = map(_heard_at, reversed(whole_lines(block)))
            last = next((moment for moment in moments if moment is not None), last)
    return last


def _heard_at(line: bytes) -> int | None:
    try:
        said = _heard(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if said.type is None:
        return said.recv_ts if said.dir == "in" else None
    own = said.type in _OWN_WORDS and said.state != "subscribed"
    return None if own else said.recv_ts


def _note(found: Scan, kind: Kind, line: bytes) -> bool:
    """Take a line into account; tell whether it can be read."""
    try:
        if kind == "events":
            event = _event(line)
            recv_ts = event.recv_ts
            found.gaps += event.type == "gap"
            found.last_seq = event.seq
            if found.first_seq is None:
                found.first_seq = event.seq
        else:
            frame = _frame(line)
            recv_ts = frame.recv_ts
            found.run = found.run or frame.run
    except (msgspec.MsgspecError, RecursionError):
        return False
    found.first_recv_ts = found.first_recv_ts or recv_ts
    found.last_recv_ts = recv_ts
    return True
