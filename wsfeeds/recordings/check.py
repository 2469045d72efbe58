"""One segment, read once from beginning to end: every line, its digest, what it holds.

Blocks of lines are decoded at once; only a block with something wrong is looked at line by line.
Memory does not grow with the file.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import IO, Any

import msgspec

from wsfeeds.outputs.recorder_codec import digest_of, open_plain, read_errors
from wsfeeds.outputs.recorder_files import Kind
from wsfeeds.outputs.recorder_scan import blocks
from wsfeeds.recordings import strict
from wsfeeds.recordings.reports import GapFound, Problem

MOST_LISTED = 1_000


class Job(msgspec.Struct, frozen=True):
    """A file to check; an open one may end in a torn line."""

    path: str
    kind: Kind
    is_open: bool
    digest: bool
    feed: str | None = None
    """Whose events belong there, None where the place does not tell."""
    restarts: bool = False
    """Whether `seq` may begin again: a file that several runs were appended to."""


class Checked(msgspec.Struct):
    """What a file holds, and what is wrong in it; lists are bounded, counts are not."""

    lines: int = 0
    size: int = 0
    stored: int = 0
    sha256: str = ""
    first_seq: int | None = None
    last_seq: int | None = None
    first_recv_ts: int | None = None
    last_recv_ts: int | None = None
    gaps: int = 0
    torn: int = 0
    runs: list[str] = []
    problems: list[Problem] = []
    problem_count: int = 0
    gaps_found: list[GapFound] = []


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def check(job: Job) -> Checked:
    """Read one file and return what it holds and what is wrong in it."""
    if job.kind == "events":
        return _Events(job).run()
    return _Frames(job).run()


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


class _Check:
    """What both kinds of segments have in common."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.found = Checked()

    def run(self) -> Checked:
        """Read the file to its end."""
        found = self.found
        try:
            if self.job.digest and self._is_plain():
                self._read_and_digest()
            else:
                if self.job.digest:
                    found.stored, found.sha256 = digest_of(Path(self.job.path))
                with open_plain(Path(self.job.path)) as file:
                    self._read(file)
        except OSError as error:
            self.wrong(f"cannot be read: {error.strerror or error}")
        except read_errors() as error:
            self.wrong(f"cannot be expanded: {error}", line=found.lines + 1)
        found.stored = found.stored or found.size + found.torn
        return found

    def _is_plain(self) -> bool:
        return not self.job.path.endswith((".gz", ".zst"))

    def _read_and_digest(self) -> None:
        digest = hashlib.sha256()
        with open_plain(Path(self.job.path)) as file:
            for block in blocks(file):
                digest.update(block)
                self._block(block)
        self.found.sha256 = digest.hexdigest()

    def _read(self, file: IO[bytes]) -> None:
        for block in blocks(file):
            self._block(block)

    def _block(self, block: bytes) -> None:
        if not block.endswith(b"\n"):
            whole = block.rfind(b"\n") + 1
            self._torn(len(block) - whole, block.count(b"\n") + 1)
            block = block[:whole]
        if block:
            count = block.count(b"\n")
            self.whole(block, count)
            self.found.lines += count
            self.found.size += len(block)

    def _torn(self, size: int, line: int) -> None:
        self.found.torn = size
        if not self.job.is_open:
            self.wrong("the last line is torn", line=self.found.lines + line)

    def whole(self, block: bytes, count: int) -> None:
        """Check a block of so many whole lines."""
        raise NotImplementedError

    def wrong(self, cause: str, *, line: int | None = None) -> None:
        """Note damage."""
        self.found.problem_count += 1
        if len(self.found.problems) < MOST_LISTED:
            self.found.problems.append(Problem(path=self.job.path, line=line, cause=cause))

    def times(self, first: int, last: int) -> None:
        """Note the receive times of a stretch of lines."""
        if self.found.first_recv_ts is None:
            self.found.first_recv_ts = first
        self.found.last_recv_ts = last


class _Events(_Check):
    """A segment of events."""

    def whole(self, block: bytes, count: int) -> None:
        """Check a block at once, and line by line only where that fails."""
        try:
            decoded = strict.decoder.decode_lines(block)
        except _UNREADABLE:
            self._singly(block)
            return
        if (
            len(decoded) != count
            or strict.faulty_decimal(decoded)
            or not strict.is_canonical(decoded, block)
        ):
            self._singly(block)
            return
        if self.job.feed is not None and {event.feed for event in decoded} != {self.job.feed}:
            self._singly(block)
            return
        times = [event.recv_ts for event in decoded]
        numbers = [event.seq for event in decoded]
        found = self.found
        start = numbers[0]
        in_order = times == sorted(times) and times[0] >= (found.last_recv_ts or 0)
        expected = start if found.last_seq is None else found.last_seq + 1
        if start < 1 or min({event.conn for event in decoded}) < 1:
            self._singly(block)
            return
        if not in_order or numbers != list(range(expected, expected + len(numbers))):
            self._singly(block)
            return
        if found.first_seq is None:
            found.first_seq = start
        found.last_seq = numbers[-1]
        self.times(times[0], times[-1])
        if b'"type":"gap"' in block:
            for number, event in enumerate(decoded, found.lines + 1):
                if event.__class__ is strict.GAP:
                    self._gap(event, number)

    def _singly(self, block: bytes) -> None:
        for number, line in enumerate(block.split(b"\n")[:-1], self.found.lines + 1):
            try:
                event = strict.decoder.decode(line)
            except _UNREADABLE as error:
                self.wrong(f"no event: {_said(error)}", line=number)
                continue
            fault = strict.faulty_decimal([event])
            fault = fault or strict.miswritten(event, line) or strict.misnumbered(event)
            if fault:
                self.wrong(fault, line=number)
            if self.job.feed not in {None, event.feed}:
                self.wrong(f"an event of {event.feed} in a folder of {self.job.feed}", line=number)
            self._follow(event, number)
            if event.__class__ is strict.GAP:
                self._gap(event, number)

    def _follow(self, event: Any, number: int) -> None:
        found = self.found
        again = self.job.restarts and event.seq == 1
        if found.last_seq is not None and event.seq != found.last_seq + 1 and not again:
            self.wrong(f"seq {event.seq} follows {found.last_seq}", line=number)
        if found.last_recv_ts is not None and event.recv_ts < found.last_recv_ts and not again:
            self.wrong(
                f"recv_ts {event.recv_ts} is less than {found.last_recv_ts} before it",
                line=number,
            )
        if found.first_seq is None:
            found.first_seq = event.seq
        found.last_seq = event.seq
        self.times(event.recv_ts, event.recv_ts)

    def _gap(self, event: Any, number: int) -> None:
        self.found.gaps += 1
        if len(self.found.gaps_found) < MOST_LISTED:
            gap = GapFound(
                path=self.job.path,
                line=number,
                feed=event.feed,
                channel=event.channel,
                symbol=event.symbol,
                reason=event.reason,
                from_ts=event.from_ts,
                to_ts=event.to_ts,
                missed=event.missed,
            )
            self.found.gaps_found.append(gap)


class _Frames(_Check):
    """A segment of frames."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._open: set[int] = set()

    def whole(self, block: bytes, count: int) -> None:
        """Check a block at once, and line by line only where that fails."""
        try:
            decoded = strict.frames.decode_lines(block)
        except _UNREADABLE:
            self._singly(block)
            return
        if len(decoded) != count or b"\r" in block:
            self._singly(block)
            return
        for number, line in enumerate(decoded, self.found.lines + 1):
            self._line(line, number)

    def _singly(self, block: bytes) -> None:
        for number, text in enumerate(block.split(b"\n")[:-1], self.found.lines + 1):
            if text.endswith(b"\r"):
                self.wrong("it ends in \\r\\n", line=number)
            try:
                line = strict.frames.decode(text)
            except _UNREADABLE as error:
                self.wrong(f"no frame: {_said(error)}", line=number)
            else:
                self._line(line, number)

    def _line(self, line: strict.In | strict.Out | strict.Open, number: int) -> None:
        found, recv_ts = self.found, line.recv_ts
        if found.last_recv_ts is not None and recv_ts < found.last_recv_ts:
            self.wrong(f"recv_ts {recv_ts} is less than {found.last_recv_ts}", line=number)
        self.times(recv_ts, recv_ts)
        if isinstance(line, strict.Open):
            self._open.add(line.conn)
            if line.run not in found.runs:
                found.runs.append(line.run)
        elif line.conn not in self._open:
            self.wrong(f"a frame of connection {line.conn}, which has no open line", line=number)
            self._open.add(line.conn)
        elif line.base64:
            try:
                base64.b64decode(line.frame, validate=True)
            except ValueError:
                self.wrong("a frame that is no base64", line=number)
