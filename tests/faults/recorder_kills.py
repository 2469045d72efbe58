# ruff: noqa: T201  # a program that tells its parent how it went
"""A recorder under load, killed again and again: a program, so that it may fork.

    python recorder_kills.py FOLDER SEED KILLS COMPRESSION [STEP]

Each round forks a recorder, kills it (at a random moment, or before the named step of closing a
segment), starts the next one on the same folder, and checks that what is on disk verifies and is a
prefix of what was received, with everything in it that a flush had confirmed. It prints `ok`.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from wsfeeds.events import Book, Trade
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_manifest import Manifest
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.recordings.replay import read
from wsfeeds.recordings.sources import live_segments
from wsfeeds.recordings.verify import verify

FEED = "cryptomus"
_COUNTER = struct.Struct("<Q")
_SEGMENT = 20_000


def event(round_: int, number: int) -> Any:
    """Return event `number` of a round: what was received can be told from that alone."""
    if number % 7 == 0:
        levels = [[f"{number}.{level}", "1.50"] for level in range(number % 30)]
        return Book(
            feed=FEED,
            channel="depth",
            symbol=f"R{round_}",
            snapshot=True,
            synced=True,
            scale_index=0,
            bids=levels,  # type: ignore[arg-type]
            asks=[],
        )
    return Trade(feed=FEED, channel="trade", symbol=f"R{round_}", price=f"{number}", quantity="1")


def recorder(root: Path, compression: str, step: Any = lambda _: None) -> Recorder:
    def fail(error: Exception) -> None:
        print("unexpected:", error, flush=True)
        os._exit(3)

    policy = Policy(rotate_bytes=_SEGMENT, compress=compression, fsync="never")  # type: ignore[arg-type]
    return Recorder(root, FEED, policy, on_error=fail, step=step)


def record(root: Path, round_: int, compression: str, confirmed: mmap.mmap, step: Any) -> NoReturn:
    """Record as fast as can be until killed; note each event that a flush has confirmed."""
    chance = random.Random(round_)
    one = recorder(root, compression, step)
    one.open()
    base = time.time_ns() // 1_000
    seq = 0
    while True:
        base += 50
        for _ in range(chance.randint(1, 40)):
            seq += 1
            each = event(round_, seq)
            each.seq, each.recv_ts, each.conn = seq, base, 1
            one.emit(each)
        one.flush()
        _COUNTER.pack_into(confirmed, 0, seq)
        if seq % 4 == 0:
            time.sleep(0.0002)


def forked(work: Any) -> int:
    """Run something in a child, so that no thread or lock of it is left here."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # the child ends here, whatever happens
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def check(root: Path, rounds: int, confirmed: list[int], compression: str) -> None:
    """Start and stop a recorder, then compare everything on disk with what was received."""
    after = recorder(root, compression)
    after.open()
    after.close()
    if not any(root.rglob("*.events.jsonl*")):  # killed before they had written anything
        assert not any(confirmed), confirmed
        return
    report = verify([root])
    assert report.ok, report.damage[:3]
    assert not report.open, report.open
    listed = {root / line.path for line in Manifest(root).lines()}
    assert {segment.path for segment in live_segments(root)} == listed
    seen: dict[str, int] = {}
    for each in read(root):
        symbol = each.symbol or ""
        number = seen[symbol] = seen.get(symbol, 0) + 1
        assert each.seq == number, (symbol, each.seq, number)
        wanted = event(int(symbol[1:]), number)
        if isinstance(each, Trade):
            assert each.price == wanted.price
        else:
            assert isinstance(each, Book)
            assert [list(level) for level in each.bids] == wanted.bids
    for number in range(rounds):
        assert seen.get(f"R{number}", 0) >= confirmed[number], (number, confirmed[number])


def killed(pid: int, after: float | None) -> None:
    """Kill a recorder after a while, or wait for it to kill itself."""
    if after is not None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"the recorder ended by itself: {status}"


def main(folder: str, seed: str, kills: str, compression: str, step: str | None = None) -> None:
    root = Path(folder)
    chance = random.Random(seed)
    confirmed: list[int] = []
    shared = mmap.mmap(-1, _COUNTER.size)

    def stop_at(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for round_ in range(int(kills)):
        _COUNTER.pack_into(shared, 0, 0)
        pid = forked(lambda round_=round_: record(root, round_, compression, shared, stop_at))
        killed(pid, None if step else chance.uniform(0.004, 0.08))
        confirmed.append(_COUNTER.unpack_from(shared, 0)[0])
        if step or round_ % 4 == 3 or round_ == int(kills) - 1:
            pid = forked(lambda: check(root, len(confirmed), confirmed, compression))
            _, status = os.waitpid(pid, 0)
            assert status == 0, f"round {round_}"
    print("ok", sum(confirmed), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
