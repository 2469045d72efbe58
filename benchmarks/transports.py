"""The transports alone: what a frame costs before anybody looks at it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks import client
from benchmarks.cases import Case
from benchmarks.client import Client
from benchmarks.load import Load, Order
from benchmarks.throughput import START, Figure

KINDS = ("wsfeeds", "picows", "picows-aiofastnet")
_ROOT = Path(__file__).parent.parent
_PROGRAM = _ROOT / "benchmarks" / "references" / "bare_transport.py"


def measure(
    case: Case, load: Load, *, count: int, rounds: int, rate: float | None = None
) -> list[Figure]:
    """Return the figures of each transport, all frames at once or at a rate, one by one."""
    block = case.block()
    figures = {kind: Figure(kind) for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="wsfeeds-bench-") as folder:
        for _ in range(rounds):
            for kind, figure in figures.items():
                fixed = _cpu(kind, load, Order(block, START, 1), Path(folder))
                whole = _cpu(kind, load, Order(block, count, 1, rate=rate), Path(folder))
                figure.values.append((whole - fixed) / (count - START) * 1e6)
    return list(figures.values())


def _cpu(kind: str, load: Load, order: Order, folder: Path) -> float:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(_PROGRAM), kind, load.url, str(order.count)]
    return client.run(Client(kind, command, {"PYTHONPATH": path}), load, order, folder).cpu
