"""CPU per message: the same load for each client, in turn, several times over."""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import client
from benchmarks.cases import Case
from benchmarks.client import Client
from benchmarks.feeds import CRYPTOMUS
from benchmarks.frames import EPOCH, Block
from benchmarks.load import Load, Order

START = 1_000
"""Messages of the short run, which is subtracted: start-up, connecting and ending are in both."""


@dataclass
class Figure:
    """What was measured of one client: microseconds of CPU per message, one value a round."""

    client: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)


def measure(case: Case, load: Load, *, count: int, rounds: int) -> list[Figure]:
    """Return the figures of all clients of a case, wsfeeds first."""
    count = max(int(count * case.share), 2 * START)
    block = case.block(count)
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="wsfeeds-bench-") as folder:
        for _ in range(rounds):
            pairs = zip(_clients(case, load, START), _clients(case, load, count), strict=True)
            for short, long in pairs:
                fixed = _cpu(short, case, load, block, START, Path(folder))
                whole = _cpu(long, case, load, block, count, Path(folder))
                value = (whole - fixed) / (count - START) * 1e6
                figures.setdefault(long.name, Figure(long.name)).values.append(value)
    return list(figures.values())


def _clients(case: Case, load: Load, count: int) -> Iterator[Client]:
    asked = case.asked(count)
    yield client.wsfeeds(load, asked)
    for name in case.references:
        yield client.reference(load, asked, name)


def _cpu(program: Client, case: Case, load: Load, block: Block, count: int, folder: Path) -> float:
    order = Order(
        block,
        count,
        case.requests,
        deflated=case.deflated,
        greeting=case.feed.greeting,
        answer=case.feed.answer,
    )
    cost = client.run(program, load, order, folder, piped=case.piped)
    _check(program, cost.output, case, len(block), count)
    cost.output.unlink()
    return cost.cpu


def _check(program: Client, output: Path, case: Case, block: int, count: int) -> None:
    """Find every frame's events in the output, in order, and nothing else."""
    data = (line for line in output.open("rb") if b'"type":"session"' not in line)
    first = EPOCH if case.feed is CRYPTOMUS else 0
    each = range(case.events_per_frame)
    expected = (first + number % block for number in range(count) for _ in each)
    find = re.compile(case.feed.number).search
    for number, (line, wanted) in enumerate(zip(data, expected, strict=True)):
        match = find(line)
        if match is None or int(match[1]) != wanted:
            sys.exit(f"{program.name}: event {number} is not the one that was sent: {line!r}")


def ratio(figures: Sequence[Figure], name: str) -> float | None:
    """Return the median of wsfeeds as a share of a reference's, each round by itself."""
    ours = figures[0].values
    theirs = next((figure.values for figure in figures if figure.client == name), None)
    if theirs is None:
        return None
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def peak(case: Case, load: Load, *, count: int) -> int:
    """Return the memory that wsfeeds needs at most for so many messages, in KiB."""
    order = Order(case.block(), count, case.requests)
    with tempfile.TemporaryDirectory(prefix="wsfeeds-bench-") as folder:
        program = client.wsfeeds(load, case.asked(count))
        return client.run(program, load, order, Path(folder)).peak
