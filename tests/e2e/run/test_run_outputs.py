"""Where results go: files, pipes, readers that are slow, stopped or gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

TICK = {"intervalMs": 20, "commands": [{"command": "send", "params": {"sendMessage": "tick"}}]}


class Flood:
    """Sends numbered messages as fast as they are taken, and counts the client's ticks."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.sent = 0
        self.ticks = 0

    async def __call__(self, connection: ServerConnection, _: Any) -> None:
        listening = asyncio.create_task(self._listen(connection))
        with contextlib.suppress(ConnectionClosed):
            for number in range(self.total):
                await connection.send(json.dumps({"n": number, "pad": "x" * 4000}))
                self.sent = number + 1
        await listening

    async def _listen(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                self.ticks += 1

    async def stands_still(self) -> None:
        """Wait until the client has ticked five times and nothing more could be sent meanwhile.

        Between two ticks a client that read at all would have read what there is.
        """
        async with asyncio.timeout(20):
            sent = ticks = -1
            while self.sent == 0 or self.sent != sent or self.ticks < ticks + 5:
                if self.sent != sent:
                    sent, ticks = self.sent, self.ticks
                await asyncio.sleep(0.01)


async def test_output_file_has_the_same_lines(run, says, tmp_path: Path) -> None:
    server = await says("1", "2")
    out = tmp_path / "out.jsonl"
    ran = await run({"url": server.url}, "-n", "2", "-o", str(out))
    assert [json.loads(line)["data"] for line in out.read_text().splitlines()] == ran.data


async def test_a_slow_reader_slows_the_server_and_loses_nothing(start, listen) -> None:
    """Memory stays bounded: the server cannot send far ahead of a reader that stands still."""
    flood = Flood(6000)
    server = await listen(flood, compression=None)
    ran = await start({"url": server.url, "onInterval": TICK}, "-n", "6000")
    await flood.stands_still()
    assert flood.sent < flood.total
    await ran.end()
    assert [json.loads(data)["n"] for data in ran.data] == list(range(6000))


async def test_a_closed_pipe_ends_quietly(tmp_path: Path, says) -> None:
    server = await says(*("x" for _ in range(100)))
    path = tmp_path / "document.json"
    path.write_text(json.dumps({"command": "websocket-v2", "params": {"url": server.url}}))
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m wsfeeds run {path} | head -n 2",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert len(out.splitlines()) == 2
    assert b"Traceback" not in err
    assert b"error" not in err


async def test_a_fifo_that_nobody_reads_is_refused_before_anything_is_opened(
    run, says, tmp_path: Path
) -> None:
    server = await says("x")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    ran = await run({"url": server.url}, "-o", str(fifo))
    assert (ran.code, ran.lines, server.connections) == (6, [], [])
    assert str(fifo) in ran.stderr


async def test_sigterm_ends_a_run_whose_fifo_is_not_read(start, listen, tmp_path: Path) -> None:
    """The reader has opened it and stands still; nothing may block the loop."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    flood = Flood(6000)
    server = await listen(flood, compression=None)
    ran = await start({"url": server.url, "onInterval": TICK}, "-o", str(fifo))
    await ran.line()
    await flood.stands_still()
    ran.process.send_signal(signal.SIGTERM)
    await ran.end()
    os.close(reader)
    assert ran.code == 0, ran.stderr


async def test_a_fifo_whose_reader_leaves_ends_quietly(start, says, tmp_path: Path) -> None:
    server = await says("x")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    ran = await start({"url": server.url}, "-o", str(fifo))
    await ran.line()
    os.close(reader)
    await ran.end()
    assert ran.code == 0
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
async def test_an_output_that_cannot_be_written_ends_with_6(run, says) -> None:
    server = await says("x")
    ran = await run({"url": server.url}, "-o", "/dev/full")
    assert ran.code == 6
    assert "No space left" in ran.stderr


async def test_the_end_counts_what_became_no_result(run, says) -> None:
    """A chain without a value publishes nothing, and says so once at the end."""
    server = await says('{"a":1}', '{"b":1}', '{"b":2}', '{"a":2}')
    chain = [{"command": "json-path", "params": {"path": "$.a"}}]
    ran = await run({"url": server.url, "onMessage": chain}, "-n", "2")
    assert ran.stderr.splitlines()[-1] == "2 results; not shown: 2 without a value"
    assert "not shown" not in (await run({"url": server.url}, "-n", "1", "-q")).stderr
