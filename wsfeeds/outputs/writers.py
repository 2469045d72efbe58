"""Bytes to file descriptors without ever blocking the event loop on a slow reader.

A regular file takes a plain write. A pipe or socket takes at most as much as it has room for; the
rest waits, and the gate stays closed meanwhile. Anything else, a terminal above all, may block in
the kernel at any time and gets a thread. `O_NONBLOCK` is never set: the descriptor may be shared
with a shell and with stderr.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import select
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from wsfeeds.errors import OutputFailed, ReaderGone, WsfeedsError
from wsfeeds.outputs.departure import Departure
from wsfeeds.pipeline import Gate

_ATOMIC = select.PIPE_BUF
"""What a pipe that polls as writable takes without blocking."""
_THREAD_QUEUE = 256

OnError = Callable[[WsfeedsError], None]


class Writer(Protocol):
    """Takes whole lines; bytes are copied, the buffer may be reused at once."""

    def write(self, data: bytes | bytearray) -> None:
        """Write or keep the data.

        Raises:
            OutputFailed: It could not be written.
            ReaderGone: Nobody reads any more.
        """

    @property
    def behind(self) -> bool:
        """Whether something written before is still waiting for the reader."""

    async def close(self) -> None:
        """Return once everything is written; the caller sets the deadline."""


def failure(where: str, error: OSError) -> WsfeedsError:
    """Return what a failed write means: a reader that went away, or a broken output."""
    if error.errno in {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN}:
        return ReaderGone(f"the reader of {where} went away")
    reason = error.strerror or str(error)
    return OutputFailed(
        f"cannot write to {where}: {reason}", code=errno.errorcode.get(error.errno or 0)
    )


class FileWriter:
    """A regular file or device that is written directly, in whole buffers."""

    def __init__(self, fd: int, where: str, *, owned: bool = False) -> None:
        """Write to `fd`; `where` names it in errors; an owned one is closed at the end."""
        self._fd = fd
        self._where = where
        self._owned = owned

    @classmethod
    def append(cls, path: Path) -> FileWriter:
        """Open a file for appending; it is created if it is not there.

        A last line that an earlier run left torn is ended first, so that it spoils no other.

        Raises:
            OutputFailed: It cannot be opened.
        """
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            writer = cls(fd, str(path), owned=True)
            if stat.S_ISREG(os.fstat(fd).st_mode) and _is_torn(fd):
                writer.write(b"\n")
        except OSError as error:
            raise OutputFailed(f"cannot open {path}: {error.strerror}") from error
        return writer

    def write(self, data: bytes | bytearray) -> None:
        """Write everything; see `Writer.write`."""
        view = memoryview(data)
        try:
            done = os.write(self._fd, view)
            while done < len(view):
                done += os.write(self._fd, view[done:])
        except OSError as error:
            raise failure(self._where, error) from error
        finally:
            view.release()

    @property
    def behind(self) -> bool:
        """Never: what is written is in the file."""
        return False

    async def close(self) -> None:
        """Close the file if it is ours."""
        if self._owned and self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _is_torn(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


class PipeWriter:
    """A pipe or socket: written as far as it has room, the rest when it has again."""

    def __init__(self, fd: int, where: str, *, gate: Gate, on_error: OnError) -> None:
        """Write to `fd` on the running loop; `on_error` hears of failures between writes."""
        self._fd = fd
        self._where = where
        self._gate = gate
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        self._failed = False
        self._drained = asyncio.Event()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            self._socket = socket.socket(fileno=os.dup(fd))
        self._departure = Departure(fd, self._reader_gone)

    def write(self, data: bytes | bytearray) -> None:
        """Write what there is room for and keep the rest; see `Writer.write`."""
        waiting = bool(self._pending)
        self._pending += data
        if waiting:
            return
        self._drain()
        if self._pending:
            self._loop.add_writer(self._fd, self._ready)
            self._gate.close(self)

    def _drain(self) -> None:
        pending = self._pending
        sent = 0
        view = memoryview(pending)
        try:
            while sent < len(view) and self._room():
                with view[sent : sent + _ATOMIC] as part:  # a traceback must not keep it
                    sent += self._put(part)
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed = True
            raise failure(self._where, error) from error
        finally:
            view.release()
            del pending[:sent]

    def _room(self) -> bool:
        return bool(self._poll.poll(0))

    def _put(self, part: memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(part, socket.MSG_DONTWAIT)
        return os.write(self._fd, part)

    def _ready(self) -> None:
        try:
            self._drain()
        except WsfeedsError as error:
            self._stop_watching()
            self._on_error(error)
            return
        if not self._pending:
            self._loop.remove_writer(self._fd)
            self._drained.set()
            self._gate.open(self)

    def _reader_gone(self) -> None:
        self._failed = True
        self._stop_watching()
        self._on_error(ReaderGone(f"the reader of {self._where} went away"))

    def _stop_watching(self) -> None:
        self._loop.remove_writer(self._fd)
        self._departure.stop()
        self._drained.set()

    @property
    def behind(self) -> bool:
        """Whether the reader has not taken everything yet."""
        return bool(self._pending)

    async def close(self) -> None:
        """Return once the reader has taken everything, or has gone."""
        while self._pending and not self._failed:
            self._drained.clear()
            await self._drained.wait()
        self._stop_watching()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class ThreadWriter:
    """A terminal, or whatever else may block in the kernel: one thread writes, in order."""

    def __init__(self, fd: int, where: str, *, gate: Gate, on_error: OnError) -> None:
        """Write to `fd`; `on_error` hears of failures."""
        self._fd = fd
        self._where = where
        self._gate = gate
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting = 0
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"write {where}", daemon=True)
        self._thread.start()

    def write(self, data: bytes | bytearray) -> None:
        """Hand the data to the thread; see `Writer.write`."""
        self._queue.put(bytes(data))
        self._waiting += 1
        if self._waiting >= _THREAD_QUEUE:
            self._gate.close(self)

    def _run(self) -> None:
        writer = FileWriter(self._fd, self._where)
        error: WsfeedsError | None = None
        while (data := self._queue.get()) is not None:
            if error is None:
                try:
                    writer.write(data)
                except WsfeedsError as failed:
                    error = failed
            self._tell(self._written, error)
        self._tell(self._done.set)

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *args)

    def _written(self, error: WsfeedsError | None) -> None:
        self._waiting -= 1
        if error is not None:
            self._on_error(error)
        if self._waiting < _THREAD_QUEUE // 2:
            self._gate.open(self)

    @property
    def behind(self) -> bool:
        """Whether the thread has not written everything yet."""
        return self._waiting > 0

    async def close(self) -> None:
        """Return once the thread has written everything."""
        self._queue.put(None)
        await self._done.wait()


def append_to(path: Path, *, gate: Gate, on_error: OnError) -> Writer:
    """Return what appends to a path: a file directly, a FIFO as far as its reader takes it.

    Raises:
        OutputFailed: It cannot be opened.
    """
    if not path.is_fifo():
        return FileWriter.append(path)
    try:
        # Opened without waiting for a reader; the descriptor is ours alone.
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise OutputFailed(f"cannot open {path}: {error.strerror}") from error
    return PipeWriter(fd, str(path), gate=gate, on_error=on_error)


def writer_for(fd: int, where: str, *, gate: Gate, on_error: OnError) -> Writer:
    """Return the writer that suits what the descriptor is."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(fd)):
        return FileWriter(fd, where)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return PipeWriter(fd, where, gate=gate, on_error=on_error)
    return ThreadWriter(fd, where, gate=gate, on_error=on_error)
