"""Numbers that a person could count by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wsfeeds.cli.stats import describe, sparkline
from wsfeeds.events import SessionEvent
from wsfeeds.recordings.stats import Latencies, stats

from .conftest import FEED, NOON, gap, trade

SECOND = 1_000_000


def test_rates_gaps_silences_and_latency_are_counted(write: Callable[..., Path]) -> None:
    reads = []
    for second in (0, 1, 2, 3, 10):
        event = trade(second)
        event.ts = NOON + second * SECOND - 5_000
        reads.append((NOON + second * SECOND, [event]))
    facts = [
        SessionEvent(feed=FEED, state="connected"),
        SessionEvent(feed=FEED, state="reconnecting"),
        gap(),
    ]
    reads.append((NOON + 11 * SECOND, facts))  # type: ignore[arg-type]
    (feed,) = stats([write(reads)]).feeds
    assert (feed.events, feed.facts, feed.connections, feed.reconnects) == (5, 3, 1, 1)
    assert [(found.reason, found.length) for found in feed.gaps] == [("disconnect", 5)]
    (series,) = feed.series
    assert (series.channel, series.symbol, series.events) == ("trade", "BTC_USDT", 5)
    assert series.rate == 0.4
    assert series.longest_silence == 7 * SECOND
    assert series.latency is not None
    assert series.latency.min == series.latency.max == series.latency.p50 == 5_000
    assert series.activity == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_percentiles_are_within_two_percent(sign: int) -> None:
    latencies = Latencies()
    for number in range(1, 10_001):
        latencies.add(sign * number)
    found = latencies.result()
    assert found is not None
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99)):
        exact = share * 10_000 if sign > 0 else -10_000 + share * 10_000
        assert value == pytest.approx(exact, rel=0.03)


def test_nothing_has_no_percentiles_and_zero_is_its_own_class() -> None:
    latencies = Latencies()
    assert latencies.result() is None
    latencies.add(0)
    found = latencies.result()
    assert found is not None
    assert found.p99 == 0


def test_people_get_a_table_with_bars_where_they_can_be_drawn(simple: Path) -> None:
    plain = describe(stats([simple]), bars=False)
    assert "cryptomus: 179 data events, 1 session facts" in plain[0]
    assert any("gap" in line and "disconnect, 5 µs" in line for line in plain)
    assert "█" in "\n".join(describe(stats([simple]), bars=True))


def test_a_sparkline_shows_silence_as_a_space() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([]) == ""
