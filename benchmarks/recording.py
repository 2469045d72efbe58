"""What recording and replaying cost, beside a subscription to the same load."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import client
from benchmarks.cases import Case
from benchmarks.client import Client
from benchmarks.load import Load, Order
from benchmarks.throughput import START, Figure

_KINDS = {
    "record": ["--compress", "none"],
    "record, zstd": ["--compress", "zstd"],
    "record, zstd, events and frames": ["--compress", "zstd", "--capture", "both"],
}


def measure(case: Case, load: Load, *, count: int, rounds: int) -> list[Figure]:
    """Return the figures of `subscribe`, of each kind of `record` and of `replay --speed max`."""
    block = case.block()
    figures: dict[str, Figure] = {}
    for _ in range(rounds):
        totals: dict[str, list[float]] = {}
        for length in (START, count):
            with tempfile.TemporaryDirectory(prefix="wsfeeds-bench-") as name:
                folder = Path(name)
                for program in _programs(case, load, length, folder):
                    order = Order(block, length, case.requests)
                    cost = client.run(program, load, order, folder)
                    totals.setdefault(program.name, []).append(cost.cpu)
        for name, (fixed, whole) in totals.items():
            value = (whole - fixed) / (count - START) * 1e6
            figures.setdefault(name, Figure(name)).values.append(value)
    return list(figures.values())


def _programs(case: Case, load: Load, count: int, folder: Path) -> list[Client]:
    subscribe = client.wsfeeds(load, case.asked(count))
    programs = [Client("subscribe", subscribe.command, subscribe.environment)]
    place = subscribe.command.index("subscribe")
    for name, options in _KINDS.items():
        recordings = folder / name.replace(", ", "-").replace(" ", "-")
        command = [*subscribe.command, *options, "--dir", str(recordings)]
        command[place] = "record"
        programs.append(Client(name, command, subscribe.environment))
    plain = str(folder / "record")
    replay = [sys.executable, "-m", "wsfeeds", "replay", plain, "--speed", "max", "-q"]
    return [*programs, Client("replay --speed max", replay)]
