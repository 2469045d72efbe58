"""`--control` with a stdin that is closed, that fails, or that says more than anybody wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

COMMAND = [sys.executable, "-m", "wsfeeds"]
SIM = [*COMMAND, "subscribe", "cryptomus", "BTC_USDT", "--sim", "-c", "trade", "--control"]


@pytest.fixture
def steered() -> Iterator[subprocess.Popen[bytes]]:
    """A run whose stdin and stdout the test holds; a watchdog ends what hangs."""
    with subprocess.Popen(
        [*SIM, "-d", "60s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def until(process: subprocess.Popen[bytes], kind: str) -> dict[str, object]:
    """Read events up to one of that type."""
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, object] = json.loads(line)
        if event["type"] == kind:
            return event
    pytest.fail(f"no {kind} event came")


def test_a_closed_stdin_is_told_and_the_stream_goes_on():
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *SIM, "-n", "5"],
        capture_output=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert sum(event["type"] == "trade" for event in events) == 5
    (error,) = [event for event in events if event["type"] == "error"]
    assert (error["fatal"], "stdin cannot be read" in error["message"]) == (False, True)


def test_a_stdin_that_fails_is_told_and_the_stream_goes_on(tmp_path):
    with (tmp_path / "written").open("wb") as file:
        done = subprocess.run(
            [*SIM, "-n", "5"], stdin=file, capture_output=True, check=False, timeout=60
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert [event["fatal"] for event in events if event["type"] == "error"] == [False]


def test_the_end_of_stdin_is_no_end_of_the_stream(steered):
    steered.stdin.write(b"jump\n")
    steered.stdin.close()
    assert "jump" in str(until(steered, "error")["message"])
    for _ in range(5):
        until(steered, "trade")


def test_a_line_without_end_is_left_out_once_and_later_commands_are_obeyed(steered):
    for _ in range(40):  # far more than is kept of a line
        steered.stdin.write(b"subscribe " * 10_000)
    steered.stdin.flush()
    assert "65536 bytes" in str(until(steered, "error")["message"])
    steered.stdin.write(b"\njump\n")
    steered.stdin.flush()
    assert "'jump'" in str(until(steered, "error")["message"])
    steered.stdin.write(b"quit\n")
    steered.stdin.flush()
    assert steered.wait(30) == 0


def test_a_stdin_that_does_not_block_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(
        [*SIM, "-d", "60s"], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(reading)
        until(process, "trade")
        os.write(writing, b"quit\n")
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        os.close(writing)
