"""Bytes to real descriptors: files, pipes, sockets, and what becomes of their failures."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Any

import pytest

from wsfeeds.errors import OutputFailed, ReaderGone
from wsfeeds.events import Trade
from wsfeeds.outputs.queue import HIGH_WATER, QueueOutput
from wsfeeds.outputs.writers import (
    FileWriter,
    PipeWriter,
    ThreadWriter,
    failure,
    writer_for,
)
from wsfeeds.pipeline import Gate

BIG = b"x" * 99 + b"\n"


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


class Errors(list[Exception]):
    """Collects what goes wrong between writes."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    def __call__(self, error: Exception) -> None:
        self.append(error)
        self.told.set()


def is_closed(gate: Gate) -> bool:
    return gate.closed


async def read_all(fd: int) -> bytes:
    return await asyncio.to_thread(lambda: b"".join(iter(lambda: os.read(fd, 65_536), b"")))


def test_a_file_is_appended_to_and_closed(tmp_path):
    for _ in range(2):
        writer = FileWriter.append(tmp_path / "out")
        writer.write(bytearray(b"line\n"))
        asyncio.run(writer.close())
        asyncio.run(writer.close())
    assert (tmp_path / "out").read_bytes() == b"line\nline\n"


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(OutputFailed, match=str(tmp_path / "no")):
        FileWriter.append(tmp_path / "no" / "out")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPIPE, ReaderGone),
        (errno.ECONNRESET, ReaderGone),
        (errno.ENOSPC, OutputFailed),
        (errno.EIO, OutputFailed),
        (errno.EFBIG, OutputFailed),
    ],
)
def test_a_reader_that_left_is_no_failure_and_a_full_disk_is(number, kind):
    error = failure("stdout", OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert "stdout" in error.message


async def test_a_pipe_takes_everything_in_order_however_slowly_it_is_read(pipe):
    reading, writing = pipe
    gate, errors = Gate(), Errors()
    writer = PipeWriter(writing, "stdout", gate=gate, on_error=errors)
    sent = b"".join(b"%d\n" % number + BIG for number in range(20_000))
    for start in range(0, len(sent), 50_000):
        writer.write(sent[start : start + 50_000])
    assert is_closed(gate)
    got = asyncio.create_task(read_all(reading))
    await asyncio.wait_for(writer.close(), 20)
    assert not is_closed(gate)
    os.close(writing)
    assert await got == sent
    assert errors == []


async def test_a_write_never_blocks_the_loop(pipe):
    writer = PipeWriter(pipe[1], "stdout", gate=Gate(), on_error=Errors())
    writer.write(BIG * 10_000)  # more than a pipe holds: it would hang here
    os.close(pipe[0])
    await writer.close()


async def test_a_reader_that_leaves_a_full_pipe_ends_the_writing(pipe):
    reading, writing = pipe
    errors = Errors()
    writer = PipeWriter(writing, "stdout", gate=Gate(), on_error=errors)
    writer.write(BIG * 10_000)
    os.close(reading)
    await asyncio.wait_for(errors.told.wait(), 20)
    assert isinstance(errors[0], ReaderGone)
    await asyncio.wait_for(writer.close(), 20)


async def test_a_reader_that_leaves_an_idle_pipe_is_noticed(pipe):
    reading, writing = pipe
    errors = Errors()
    writer = PipeWriter(writing, "stdout", gate=Gate(), on_error=errors)
    os.close(reading)
    await asyncio.wait_for(errors.told.wait(), 20)
    assert isinstance(errors[0], ReaderGone)
    await writer.close()


async def test_a_write_to_a_pipe_without_reader_raises(pipe):
    reading, writing = pipe
    writer = PipeWriter(writing, "stdout", gate=Gate(), on_error=Errors())
    os.close(reading)
    with pytest.raises(ReaderGone):
        writer.write(BIG * 100)
    await writer.close()


async def test_a_socket_is_written_without_blocking():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate, errors = Gate(), Errors()
        writer = PipeWriter(ours.fileno(), "stdout", gate=gate, on_error=errors)
        writer.write(BIG * 20_000)
        assert is_closed(gate)
        got = asyncio.create_task(read_all(theirs.fileno()))
        await asyncio.wait_for(writer.close(), 20)
        ours.shutdown(socket.SHUT_WR)
        assert await got == BIG * 20_000
        assert ours.getblocking()


async def test_a_reader_that_leaves_an_idle_socket_is_noticed():
    ours, theirs = socket.socketpair()
    with ours:
        errors = Errors()
        writer = PipeWriter(ours.fileno(), "stdout", gate=Gate(), on_error=errors)
        theirs.close()
        await asyncio.wait_for(errors.told.wait(), 20)
        assert [type(error) for error in errors] == [ReaderGone]
        await writer.close()


async def test_a_local_peer_that_only_sends_no_more_still_reads():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        errors = Errors()
        theirs.sendall(b"for somebody else")
        theirs.shutdown(socket.SHUT_WR)
        writer = PipeWriter(ours.fileno(), "stdout", gate=Gate(), on_error=errors)
        writer._departure._look()
        writer.write(BIG)
        await writer.close()
        assert theirs.recv(len(BIG)) == BIG
        assert errors == []


async def test_a_reader_that_leaves_an_idle_connection_is_noticed():
    errors = Errors()
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours:
        writer = PipeWriter(ours.fileno(), "stdout", gate=Gate(), on_error=errors)
        theirs.close()
        await asyncio.wait_for(errors.told.wait(), 20)
        assert [type(error) for error in errors] == [ReaderGone]
        await writer.close()


async def test_a_thread_writes_in_order_and_holds_the_gate_while_it_is_behind(pipe):
    reading, writing = pipe
    gate = Gate()
    writer = ThreadWriter(writing, "terminal", gate=gate, on_error=Errors())
    for number in range(1_000):
        writer.write(b"%d\n" % number + BIG * 10)
    assert is_closed(gate)
    got = asyncio.create_task(read_all(reading))
    await asyncio.wait_for(writer.close(), 20)
    os.close(writing)
    lines = (await got).splitlines()
    assert [int(line) for line in lines if line.isdigit()] == list(range(1_000))
    assert not is_closed(gate)


async def test_a_thread_tells_of_a_reader_that_left(pipe):
    reading, writing = pipe
    errors = Errors()
    writer = ThreadWriter(writing, "terminal", gate=Gate(), on_error=errors)
    os.close(reading)
    writer.write(BIG)
    await asyncio.wait_for(errors.told.wait(), 20)
    assert isinstance(errors[0], ReaderGone)
    await writer.close()


async def test_the_writer_suits_the_descriptor(tmp_path, pipe):
    def kind(fd: int) -> type:
        return type(writer_for(fd, "x", gate=Gate(), on_error=Errors()))

    for path in (tmp_path / "file", "/dev/null"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        assert kind(fd) is FileWriter
        os.close(fd)
    writer = writer_for(pipe[1], "x", gate=Gate(), on_error=Errors())
    assert isinstance(writer, PipeWriter)
    await writer.close()
    ours, theirs = os.openpty()
    terminal = writer_for(theirs, "x", gate=Gate(), on_error=Errors())
    assert isinstance(terminal, ThreadWriter)
    await terminal.close()
    os.close(ours)
    os.close(theirs)


async def test_a_consumer_that_is_behind_closes_the_gate():
    gate = Gate()
    queue = QueueOutput(gate)
    for number in range(HIGH_WATER):
        queue.emit(Trade(feed="f", channel="c", price=str(number), quantity="1"))
    queue.flush()
    assert is_closed(gate)
    taken: list[Any] = [await queue.take() for _ in range(HIGH_WATER)]
    assert [event.price for event in taken] == [str(n) for n in range(HIGH_WATER)]
    assert not is_closed(gate)
    queue.end()
    assert await queue.take() is None
