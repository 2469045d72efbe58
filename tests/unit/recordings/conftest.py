"""Recordings made by the recorder itself, of events made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wsfeeds.events import Event, Gap, Trade
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_track import Policy

FEED = "cryptomus"
NOON = 1_795_176_000_000_000
"""2026-11-20 12:00 UTC in microseconds."""
HOUR = 3_600_000_000


def trade(number: int, *, symbol: str = "BTC_USDT") -> Trade:
    return Trade(feed=FEED, channel="trade", symbol=symbol, price=f"{number}.50", quantity="1")


def gap() -> Gap:
    return Gap(feed=FEED, reason="disconnect", from_ts=NOON, to_ts=NOON + 5)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Record reads, each a receive time and its events, as one run."""

    def write(
        reads: Iterable[tuple[int, Sequence[Event]]],
        *,
        root: Path | None = None,
        **policy: Any,
    ) -> Path:
        folder = root or tmp_path / "recording"
        failures: list[Exception] = []
        recorder = Recorder(folder, FEED, Policy(**policy), on_error=failures.append)
        recorder.open()
        seq = 0
        for recv_ts, events in reads:
            for event in events:
                seq += 1
                event.seq, event.recv_ts, event.conn = seq, recv_ts, 1
                recorder.emit(event)
            recorder.flush()
        recorder.close()
        assert failures == []
        return folder

    return write


@pytest.fixture
def simple(write: Callable[..., Path]) -> Path:
    """Three hours of one run, an event a minute, with a gap in the second hour."""
    reads: list[tuple[int, list[Event]]] = [
        (NOON + minute * 60_000_000, [gap() if minute == 90 else trade(minute)])
        for minute in range(180)
    ]
    return write(reads)


def segments(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.jsonl*") if path.parent != root)
