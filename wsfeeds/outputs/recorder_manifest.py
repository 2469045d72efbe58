"""The manifest of a recording: one line for each closed segment, one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from wsfeeds._version import __version__
from wsfeeds.outputs.recorder_files import MANIFEST, Kind, sync_folder, write_all

Closed = Literal["rotate", "stop", "recovered"]
_CHUNK = 65_536


class ManifestLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one closed segment (contract, section 6).

    `path` is relative to the recording's folder, `bytes` and `sha256` are of the file as stored,
    sequence numbers are null for frames.
    """

    path: str
    kind: Kind
    feed: str
    run: str
    lines: int
    bytes: int
    sha256: str
    first_seq: int | None
    last_seq: int | None
    first_recv_ts: int
    last_recv_ts: int
    gaps: int
    closed: Closed
    version: str = __version__


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ManifestLine).decode


def encode_line(line: ManifestLine) -> bytes:
    """Return the line as it stands in the file, with its line break."""
    return _encode(line) + b"\n"


def decode_line(text: bytes) -> ManifestLine:
    """Return one line of a manifest.

    Raises:
        msgspec.DecodeError: It is no JSON.
        msgspec.ValidationError: It is no manifest line.
    """
    return _decode(text)


class Manifest:
    """`manifest.jsonl` of one recording."""

    def __init__(self, root: Path) -> None:
        """Belong to the recording in `root`; nothing is opened."""
        self.path = root / MANIFEST

    def heal(self) -> None:
        """Cut a torn last line that a crash left behind.

        Raises:
            OSError: The manifest cannot be written.
        """
        if self.path.exists():
            with self._locked() as fd:
                _cut_torn_line(fd)

    def append(self, line: ManifestLine) -> None:
        """Add a line and bring it to the disk; on failure the manifest is as it was before.

        Raises:
            OSError: It cannot be written.
        """
        with self._locked() as fd:
            end = _cut_torn_line(fd)
            try:
                write_all(fd, encode_line(line))
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise

    def replace(self, lines: list[ManifestLine], *, keep_as: Path) -> None:
        """Put other lines in place of all there are; the old file is kept under another name.

        Raises:
            OSError: It cannot be written.
        """
        fresh = self.path.with_name(f"{MANIFEST}.tmp")
        with self._locked():
            with fresh.open("wb") as file:
                file.writelines(map(encode_line, lines))
                file.flush()
                os.fsync(file.fileno())
            os.link(self.path, keep_as)
            fresh.replace(self.path)
            sync_folder(self.path.parent)

    def lines(self) -> list[ManifestLine]:
        """Return every line that can be read; what cannot is for `verify` to report."""
        return [line for _, line in self.readable() if line is not None]

    def readable(self) -> Iterator[tuple[bytes, ManifestLine | None]]:
        """Yield each whole line as stored and as read, None where it is no manifest line."""
        for text in self._content().split(b"\n")[:-1]:
            try:
                yield text, decode_line(text)
            except msgspec.MsgspecError:
                yield text, None

    def torn(self) -> bytes:
        """Return the beginning of a line that a crash left at the end; the next start cuts it."""
        return self._content().rpartition(b"\n")[2]

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the only right to write; the file may have been replaced while we waited."""
        while True:
            new = not self.path.exists()
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not self._is(fd):
                    continue
                if new:
                    sync_folder(self.path.parent)
                yield fd
            finally:
                os.close(fd)
            return

    def _is(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self.path.stat())
        except FileNotFoundError:
            return False


def _cut_torn_line(fd: int) -> int:
    """Cut what follows the last line break and return the size that is left."""
    size = end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _CHUNK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
    return end
