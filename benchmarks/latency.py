"""From the sending of a frame to the arrival of its line at a reader, paced."""

from __future__ import annotations

import os
import select
import time

from benchmarks import client
from benchmarks.client import Client
from benchmarks.frames import Block
from benchmarks.load import Load, Order

_SESSION = b'"type":"session"'


class _Reader:
    """Reads a client's lines as they come and notes when each one came."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self.arrived: list[float] = []
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLIN)
        self._rest = b""

    def look(self) -> None:
        """Take what is there, without waiting."""
        if not self._poll.poll(0):
            return
        data = self._rest + os.read(self.pipe, 1 << 20)
        now = time.perf_counter()
        *lines, self._rest = data.split(b"\n")
        self.arrived += [now for line in lines if _SESSION not in line]


def measure(program: Client, load: Load, order: Order) -> list[float]:
    """Return the latency of each frame in seconds, sorted.

    The thread that sends is the one that reads: one clock, and no third process in between.
    """
    ours, theirs = os.pipe()
    os.set_blocking(ours, True)
    reader = _Reader(ours)
    order.on_turn = reader.look
    load.order = order
    process = client.start(program, theirs)
    os.close(theirs)
    client.wait(process, program)
    order.finished.wait(5.0)
    while len(reader.arrived) < order.count and reader._poll.poll(100):  # noqa: SLF001
        before = len(reader.arrived)
        reader.look()
        if len(reader.arrived) == before:
            break
    os.close(ours)
    if len(reader.arrived) != order.count:
        raise RuntimeError(f"{program.name}: {len(reader.arrived)} lines for {order.count} frames")
    return sorted(
        arrived - sent for sent, arrived in zip(order.sent_at, reader.arrived, strict=True)
    )


def order(block: Block, requests: int, *, rate: float, seconds: float, burst: int = 1) -> Order:
    """Return an order for that many seconds at that rate."""
    return Order(block, int(rate * seconds), requests, rate=rate, burst=burst)


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Return p50, p99 and p99.9 in microseconds."""
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    last = len(latencies) - 1
    return {name: latencies[round(share * last)] * 1e6 for name, share in shares.items()}
