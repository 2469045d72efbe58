"""CPU per message: the same load for each client, in turn, several times over."""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import client
from benchmarks.cases import TO_CRYPTOFEED, Case
from benchmarks.client import Client
from benchmarks.feeds import BINANCE, CRYPTOMUS
from benchmarks.frames import EPOCH, Block
from benchmarks.load import Load, Order

CRYPTOFEED = "cryptofeed_binance"
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
    block = case.block(count // case.sockets)
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


def to_cryptofeed(load: Load, *, count: int, rounds: int) -> Iterator[tuple[str, list[Figure]]]:
    """Yield the figures of wsfeeds and of cryptofeed, for trades and for books of ten levels."""
    with tempfile.TemporaryDirectory(prefix="wsfeeds-bench-") as folder:
        for ours, theirs in TO_CRYPTOFEED:
            length = max(int(count * ours.share), 2 * START)
            sides = [
                (case, Figure(name), case.block(length))
                for case, name in ((ours, "wsfeeds"), (theirs, CRYPTOFEED))
            ]
            for _ in range(rounds):
                for case, figure, block in sides:
                    costs = []
                    for messages in (START, length):
                        asked = case.asked(messages)
                        program = (
                            client.wsfeeds(load, asked)
                            if case is ours
                            else client.reference(load, asked, CRYPTOFEED)
                        )
                        costs.append(_cpu(program, case, load, block, messages, Path(folder)))
                    figure.values.append((costs[1] - costs[0]) / (length - START) * 1e6)
            yield ours.name, [figure for _, figure, _ in sides]


def _clients(case: Case, load: Load, count: int) -> Iterator[Client]:
    asked = case.asked(count)
    yield client.wsfeeds(load, asked)
    for name in case.references:
        yield client.reference(load, asked, name)


def _cpu(program: Client, case: Case, load: Load, block: Block, count: int, folder: Path) -> float:
    order = Order(
        block,
        count // case.sockets,
        case.requests,
        sockets=case.sockets,
        deflated=case.deflated,
        takeover=case.takeover,
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
    first = EPOCH if case.feed in (CRYPTOMUS, BINANCE) else 0
    find = re.compile(case.feed.number).search
    symbol = re.compile(rb'"symbol":"([^"]*)').search
    seen: Counter[bytes] = Counter()
    for line in data:
        match, name = find(line), symbol(line)
        stream = name[1] if name is not None and case.sockets > 1 else b""
        wanted = first + seen[stream] // case.events_per_frame % block
        if match is None or int(match[1]) != wanted:
            sys.exit(f"{program.name}: this event is not the one that was sent: {line!r}")
        seen[stream] += 1
    each = count // case.sockets * case.events_per_frame
    if set(seen.values()) != {each} or len(seen) != case.sockets:
        sys.exit(f"{program.name}: {each} events are expected on each connection, not {seen}")


def ratio(figures: Sequence[Figure], name: str) -> float | None:
    """Return the median of wsfeeds as a share of a reference's, each round by itself."""
    ours = figures[0].values
    theirs = next((figure.values for figure in figures if figure.client == name), None)
    if theirs is None:
        return None
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def peak(case: Case, load: Load, *, count: int) -> int:
    """Return the memory that wsfeeds needs at most for so many messages, in KiB."""
    load.order = Order(case.block(), count, case.requests)
    program = client.wsfeeds(load, case.asked(count))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        return client.wait(client.start(program, nowhere), program)[1]
    finally:
        os.close(nowhere)
