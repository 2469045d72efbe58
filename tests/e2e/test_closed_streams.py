"""Standard streams that whoever started the command has closed, or whose reader has left."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from wsfeeds import simulators

SIM = ("subscribe", "cryptomus", "--sim", "-n", "3")


def start(*arguments: str, closed: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command by a shell that closes these descriptors."""
    command = [sys.executable, "-m", "wsfeeds", *arguments]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ,
        **options,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("feeds",),
        ("feeds", "--json"),
        ("schema",),
        ("--help",),
        ("--version",),
        ("doctor", "igratech", "--sim"),
        ("sim", "cryptomus"),
        SIM,
    ],
    ids=" ".join,
)
def test_a_closed_stdout_is_an_output_that_failed(arguments):
    done = start(*arguments, closed=">&-")
    assert done.returncode == 6
    (line,) = done.stderr.splitlines()
    assert b"cannot write to stdout" in line


@pytest.mark.parametrize("arguments", [("feeds",), ("schema", "trade"), SIM], ids=" ".join)
def test_nobody_misses_a_closed_stderr(arguments):
    done = start(*arguments, closed="2>&-")
    assert done.returncode == 0
    assert done.stdout


def test_a_mistake_has_its_exit_code_with_nobody_to_tell_it_to():
    assert start("feeds", "nope", closed="2>&-").returncode == 2
    assert start("feeds", closed=">&- 2>&-").returncode == 6
    assert start("subscribe", "cryptomus", "-n", "x", closed="<&- >&- 2>&-").returncode == 2


def test_a_recording_needs_none_of_them(tmp_path):
    options = ["--dir", str(tmp_path), "-n", "5"]
    done = start("record", "cryptomus", "--sim", *options, closed="<&- >&- 2>&-")
    assert done.returncode == 0
    (segment,) = tmp_path.rglob("*.events.jsonl")
    assert [json.loads(line)["seq"] for line in segment.read_bytes().splitlines()]


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path):
    """What is said on stderr must not end up in the output file."""
    target = tmp_path / "out.jsonl"
    done = start(*SIM, "-v", "-o", str(target), closed="<&- 2>&-")
    assert done.returncode == 0
    assert target.read_bytes() == done.stdout
    assert done.stdout.count(b"\n") == len([json.loads(x) for x in done.stdout.splitlines()])


async def test_a_reader_that_leaves_a_socket_ends_a_quiet_market():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [sys.executable, "-m", "wsfeeds", "subscribe", "igratech", "-q", "--url"]
    async with simulators.create("igratech", rate=0.001).serve() as listening:
        process = await asyncio.create_subprocess_exec(
            *command, listening.url, stdout=theirs.fileno(), stderr=subprocess.PIPE
        )
        theirs.close()
        read = b""
        async with asyncio.timeout(30):
            while b'"subscribed"' not in read:
                read += await asyncio.get_running_loop().sock_recv(ours, 65_536)
            ours.close()
            _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (0, b"")
