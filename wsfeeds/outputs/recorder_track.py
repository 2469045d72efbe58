"""One kind of lines of one feed on their way to disk: gathered, written, synced, rotated.

Lines gather in a buffer and are written once per read, in whole lines. What takes time, syncing and
closing, is done by threads.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from wsfeeds.errors import OutputFailed
from wsfeeds.outputs.recorder_closing import Finished
from wsfeeds.outputs.recorder_files import Compression, Kind, part_path, segment_end, sync_folder
from wsfeeds.outputs.recorder_manifest import Closed

BUFFER = 65_536
"""Bytes gathered at most before they are written."""

Fsync = float | Literal["always", "never"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How to record: rotation in seconds and bytes, None for neither but midnight."""

    rotate_seconds: float | None = 3600.0
    rotate_bytes: int | None = None
    compress: Compression = "none"
    fsync: Fsync = 1.0
    capture: Literal["events", "frames", "both"] = "events"


class Segment:
    """An open segment; `dirty` while something in it may not be on the disk."""

    __slots__ = ("dirty", "fd", "first_recv_ts", "first_seq", "known", "path", "size")

    def __init__(self, path: Path, recv_ts: int, seq: int | None) -> None:
        """Create the file.

        Raises:
            OSError: It cannot be created, or exists.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self.fd = os.open(path, flags, 0o666)
        self.path = path
        self.size = 0
        self.dirty = True
        self.known = False
        """Whether the folder's entry of it is on the disk."""
        self.first_recv_ts = recv_ts
        self.first_seq = seq

    def sync(self) -> None:
        """Bring to the disk what was written so far.

        Raises:
            OSError: The disk did not take it.
        """
        self.dirty = False
        os.fsync(self.fd)
        if not self.known:
            self.known = True
            sync_folder(self.path.parent)

    def vanished(self) -> bool:
        """Tell whether somebody removed the file, so that nobody will ever read it."""
        try:
            return not os.path.samestat(os.fstat(self.fd), self.path.stat())
        except OSError:
            return True


class Track:
    """The lines of one kind; `limit` is the `recv_ts` from which on they need a new segment."""

    def __init__(
        self,
        root: Path,
        feed: str,
        kind: Kind,
        run: str,
        policy: Policy,
        *,
        finish: Callable[[Segment, Finished], None],
    ) -> None:
        """Write below `root`; `finish` takes over what is written to its end."""
        self.limit = 0
        self.buffer = bytearray()
        self.lines = 0
        self.gaps = 0
        self.last_recv_ts = 0
        self.written = 0
        self.uncounted = 0
        """Bytes that rotation by size leaves out: what each segment repeats of its connections."""
        self.segment: Segment | None = None
        self.failed: OutputFailed | None = None
        self._root = root
        self._feed = feed
        self._kind: Kind = kind
        self._run = run
        self._policy = policy
        self._finish = finish
        self._hashes = policy.compress == "none"
        self._digest = hashlib.sha256()

    def begin(self, recv_ts: int, seq: int | None) -> None:
        """Begin a new segment, after closing the one before it.

        Raises:
            OutputFailed: It cannot be created, or something failed earlier.
        """
        if self.failed is not None:
            raise self.failed
        self.end("rotate")
        path = part_path(self._root, self._feed, self._kind, recv_ts)
        try:
            self.segment = Segment(path, recv_ts, seq)
        except OSError as error:
            raise self.fail(error, path) from error
        self.limit = segment_end(recv_ts, self._policy.rotate_seconds)
        self.lines = self.gaps = self.uncounted = 0
        self._digest = hashlib.sha256()

    def write(self) -> None:
        """Write what was gathered, in one piece.

        Raises:
            OutputFailed: It could not be written; what is in the file are whole lines.
        """
        buffer, segment = self.buffer, self.segment
        if not buffer:
            return
        if self.failed is not None or segment is None:
            buffer.clear()
            if self.failed is not None:
                raise self.failed
            return
        try:
            self._put(segment, buffer)
        finally:
            buffer.clear()

    def _put(self, segment: Segment, buffer: bytearray) -> None:
        done = 0
        try:
            done = os.write(segment.fd, buffer)
            while done < len(buffer):
                done += os.write(segment.fd, bytes(buffer[done:]))
            if self._policy.fsync == "always":
                segment.sync()
        except OSError as error:
            whole = segment.size + buffer.rfind(b"\n", 0, done) + 1
            raise self.fail(error, segment.path, cut=whole) from error
        if self._hashes:
            self._digest.update(buffer)
        segment.size += done
        segment.dirty = True
        self.written += done

    def flush(self) -> None:
        """Write what was gathered; the read is through, so this is where a full segment may end."""
        if self.buffer:
            self.write()
            size = self._policy.rotate_bytes
            segment = self.segment
            if size is None or segment is None:
                return
            if segment.size - self.uncounted >= size:
                # A later `recv_ts`, because the next segment is to have another name.
                self.limit = min(self.limit, segment.first_recv_ts + 1)

    def end(self, reason: Closed) -> None:
        """Hand over the open segment to be closed, if there is one.

        Raises:
            OutputFailed: Its last lines could not be written.
        """
        self.write()
        segment, self.segment = self.segment, None
        self.limit = 0
        if segment is None:
            return
        first = segment.first_seq
        finished = Finished(
            part=segment.path,
            kind=self._kind,
            feed=self._feed,
            run=self._run,
            lines=self.lines,
            first_seq=first,
            last_seq=None if first is None else first + self.lines - 1,
            first_recv_ts=segment.first_recv_ts,
            last_recv_ts=self.last_recv_ts,
            gaps=self.gaps,
            closed=reason,
            stored=(segment.size, self._digest.hexdigest()) if self._hashes else None,
        )
        self._finish(segment, finished)

    def check(self) -> None:
        """Look whether the open segment is still where it was created.

        Raises:
            OutputFailed: It is not.
        """
        segment = self.segment
        if segment is not None and segment.vanished():
            gone = OSError(errno.ENOENT, "the file has vanished")
            raise self.fail(gone, segment.path)

    def fail(self, error: OSError, path: Path, *, cut: int | None = None) -> OutputFailed:
        """Take no more lines; the open segment stays for the next start to be closed."""
        segment, self.segment = self.segment, None
        self.limit = 0
        self.buffer.clear()
        if segment is not None:
            _leave(segment, cut)
        self.failed = failure(error, path)
        return self.failed


def _leave(segment: Segment, cut: int | None) -> None:
    try:
        if cut is not None:
            os.ftruncate(segment.fd, cut)
    except OSError:
        pass  # the next start cuts it
    finally:
        os.close(segment.fd)


def failure(error: OSError, path: Path) -> OutputFailed:
    """Return what ends a recorder that cannot write."""
    reason = error.strerror or str(error)
    return OutputFailed(
        f"cannot record to {path}: {reason}", code=errno.errorcode.get(error.errno or 0)
    )
