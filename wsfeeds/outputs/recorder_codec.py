"""Segments as stored and as read: plain, gzip or zstd."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from wsfeeds.outputs.recorder_files import Compression, names_of

_CHUNK = 1 << 20
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3


class _Hashing:
    """A file that knows the digest and size of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def compress(source: Path, target: Path, compression: Compression) -> tuple[int, str]:
    """Compress a file, bring the result to the disk, and return its size and sha256.

    Raises:
        OSError: Something cannot be read or written.
    """
    with source.open("rb") as plain, target.open("wb") as stored:
        out = _Hashing(stored)
        if compression == "gzip":
            _gzip(plain, out)
        else:
            _zstd(plain, out, source.stat().st_size)
        stored.flush()
        os.fsync(stored.fileno())
    return out.size, out.digest.hexdigest()


def _gzip(plain: BinaryIO, out: _Hashing) -> None:
    with gzip.GzipFile("", "wb", _GZIP_LEVEL, cast("IO[bytes]", out), mtime=0) as packed:
        while chunk := plain.read(_CHUNK):
            packed.write(chunk)


def _zstd(plain: BinaryIO, out: _Hashing, size: int) -> None:
    import zstandard  # noqa: PLC0415  # only those pay for it who compress

    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
    compressor.copy_stream(plain, cast("IO[bytes]", out), size=size)


def open_plain(path: Path) -> IO[bytes]:
    """Open a segment so that its lines can be read, whatever it is stored as.

    Raises:
        OSError: It cannot be read.
    """
    name = path.name
    if name.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if name.endswith(".zst"):
        return cast("IO[bytes]", io.BufferedReader(_Unpacked(path), _CHUNK))
    return path.open("rb")


def open_listed(path: Path) -> tuple[Path, IO[bytes]]:
    """Open a segment like `open_plain`, and where it was closed since it was listed, return how.

    Raises:
        OSError: It cannot be read.
    """
    for name in names_of(path):
        with contextlib.suppress(FileNotFoundError):
            return name, open_plain(name)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


class _Unpacked(io.RawIOBase):
    """A zstd file as plain bytes; unlike the library's reader it notices a missing end."""

    def __init__(self, path: Path) -> None:
        import zstandard  # noqa: PLC0415  # only those pay for it who compress

        self._file = path.open("rb")
        self._start = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._start()
        self._plain = b""
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            packed = self._frame.unused_data if self._frame.eof else b""
            packed = packed or self._file.read(_CHUNK)
            if self._frame.eof and packed:
                self._frame, self._begun = self._start(), False
            if not packed:
                if self._begun and not self._frame.eof:
                    raise EOFError("the compressed file is cut off")
                return 0
            self._begun = True
            self._plain = self._frame.decompress(packed)
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def read_errors() -> tuple[type[Exception], ...]:
    """Return what reading from `open_plain` raises where the stored bytes are damaged."""
    import zlib  # noqa: PLC0415  # as above

    import zstandard  # noqa: PLC0415  # as above

    return (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError)


def digest_of(path: Path) -> tuple[int, str]:
    """Return the size and sha256 of a file as it is stored.

    Raises:
        OSError: It cannot be read.
    """
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
