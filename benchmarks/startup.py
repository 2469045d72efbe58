"""What a user waits for: the help, and the first event of a simulator."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.throughput import Figure

_WSFEEDS = [sys.executable, "-m", "wsfeeds"]
_BARE = [sys.executable, "-c", "pass"]
_FIRST = [*_WSFEEDS, "subscribe", "cryptomus", "BTC_USDT", "--sim", "-n", "1", "-q"]


def help_time(rounds: int) -> list[Figure]:
    """Return the milliseconds that `--help` takes, and those of an empty Python."""
    figures = [Figure("wsfeeds --help"), Figure("python -c pass")]
    for _ in range(rounds):
        for figure, command in zip(figures, ([*_WSFEEDS, "--help"], _BARE), strict=True):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            figure.values.append((time.perf_counter() - start) * 1e3)
    return figures


def first_event(rounds: int) -> list[Figure]:
    """Return the milliseconds until the first data event of a simulator is read from a pipe."""
    figure = Figure("first simulated event")
    for _ in range(rounds):
        start = time.perf_counter()
        with subprocess.Popen(_FIRST, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if b'"type":"session"' not in line:
                    figure.values.append((time.perf_counter() - start) * 1e3)
                    break
            process.stdout.read()
    return [figure]
