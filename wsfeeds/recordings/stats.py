"""`wsfeeds stats`: rates, latency, gaps and silences of a recording, in one pass."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from wsfeeds.events import DATA_EVENTS, Event, Gap, SessionEvent
from wsfeeds.recordings.lines import OnDamage, refuse
from wsfeeds.recordings.replay import exact_events
from wsfeeds.recordings.reports import (
    FeedStat,
    GapStat,
    Latency,
    SeriesStat,
    StatsReport,
)

_DATA = frozenset(DATA_EVENTS)
_PARTS = 40
_MOST_GAPS = 1_000
_SECOND = 1_000_000
_STEP = math.log(1.02)
"""Latencies are counted in classes two percent wide: exact enough, and bounded in memory."""


def stats(paths: Iterable[str | os.PathLike[str]], on_damage: OnDamage = refuse) -> StatsReport:
    """Summarise recordings; `on_damage` is told of what cannot be read and may let it pass.

    Raises:
        UsageError: A path does not exist, or there is nothing to read in it.
        RecordingDamaged: A line is no event; file and line are named.
    """
    return summarise(exact_events(paths, on_damage=on_damage))


def summarise(events: Iterator[Event]) -> StatsReport:
    """Summarise events."""
    feeds: dict[str, _Feed] = {}
    for event in events:
        feed = feeds.get(event.feed)
        if feed is None:
            feed = feeds[event.feed] = _Feed(event.feed)
        feed.add(event)
    return StatsReport(feeds=[feed.result(feeds.values()) for feed in feeds.values()])


class Latencies:
    """Percentiles of many numbers in bounded memory."""

    def __init__(self) -> None:
        """Start empty."""
        self._classes: Counter[int] = Counter()
        self._count = 0
        self._min = 0
        self._max = 0

    def add(self, value: int) -> None:
        """Count a number."""
        self._min = value if not self._count else min(self._min, value)
        self._max = value if not self._count else max(self._max, value)
        self._count += 1
        self._classes[_class_of(value)] += 1

    def result(self) -> Latency | None:
        """Return the percentiles, None of nothing."""
        if not self._count:
            return None
        return Latency(
            min=self._min,
            p50=self._at(0.5),
            p90=self._at(0.9),
            p99=self._at(0.99),
            max=self._max,
        )

    def _at(self, share: float) -> int:
        left = math.ceil(share * self._count)
        for each in sorted(self._classes):
            left -= self._classes[each]
            if left <= 0:
                return min(max(_middle_of(each), self._min), self._max)
        return self._max


def _class_of(value: int) -> int:
    """Return a number's class; those of negative numbers are negative."""
    size = 1 + int(math.log(abs(value)) / _STEP) if value else 0
    return size if value >= 0 else -size


def _middle_of(each: int) -> int:
    if each == 0:
        return 0
    size = round(math.exp((abs(each) - 0.5) * _STEP))
    return size if each > 0 else -size


class _Series:
    """The data events of one channel and symbol."""

    def __init__(self, event: Event) -> None:
        self.channel = event.channel
        self.symbol = event.symbol
        self.count = 0
        self.first = self.last = event.recv_ts
        self.silence = 0
        self.latencies = Latencies()
        self.seconds: Counter[int] = Counter()

    def add(self, event: Event) -> None:
        recv_ts = event.recv_ts
        self.count += 1
        self.silence = max(self.silence, recv_ts - self.last)
        self.last = max(self.last, recv_ts)
        self.seconds[recv_ts // _SECOND] += 1
        if event.ts is not None:
            self.latencies.add(recv_ts - event.ts)

    def result(self, begin: int, end: int) -> SeriesStat:
        return SeriesStat(
            channel=self.channel,
            symbol=self.symbol,
            events=self.count,
            rate=_rate(self.count, self.first, self.last),
            first_recv_ts=self.first,
            last_recv_ts=self.last,
            longest_silence=self.silence,
            latency=self.latencies.result(),
            activity=self._activity(begin, end),
        )

    def _activity(self, begin: int, end: int) -> list[int]:
        first, last = begin // _SECOND, end // _SECOND
        parts = min(_PARTS, last - first + 1)
        counts = [0] * parts
        for second, count in self.seconds.items():
            counts[(second - first) * parts // (last - first + 1)] += count
        return counts


class _Feed:
    """Everything of one feed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts = 0
        self.first: int | None = None
        self.last: int | None = None
        self.series: dict[tuple[str, str | None], _Series] = {}
        self.connections = 0
        self.reconnects = 0
        self.gap_count = 0
        self.gaps: list[GapStat] = []

    def add(self, event: Event) -> None:
        recv_ts = event.recv_ts
        self.first = recv_ts if self.first is None else min(self.first, recv_ts)
        self.last = recv_ts if self.last is None else max(self.last, recv_ts)
        if event.__class__ not in _DATA:
            self._fact(event)
            return
        key = (event.channel, event.symbol)
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = _Series(event)
        series.add(event)

    def _fact(self, event: Event) -> None:
        self.facts += 1
        if isinstance(event, SessionEvent):
            self.connections += event.state == "connected"
            self.reconnects += event.state == "reconnecting"
        elif isinstance(event, Gap):
            self.gap_count += 1
            if len(self.gaps) < _MOST_GAPS:
                self.gaps.append(_gap(event))

    def result(self, feeds: Iterable[_Feed]) -> FeedStat:
        everything = [feed for feed in feeds if feed.first is not None]
        begin = min(feed.first or 0 for feed in everything)
        end = max(feed.last or 0 for feed in everything)
        count = sum(series.count for series in self.series.values())
        return FeedStat(
            feed=self.name,
            events=count,
            facts=self.facts,
            rate=_rate(count, self.first or 0, self.last or 0),
            first_recv_ts=self.first,
            last_recv_ts=self.last,
            connections=self.connections,
            reconnects=self.reconnects,
            gap_count=self.gap_count,
            gaps=self.gaps,
            series=[
                self.series[key].result(begin, end)
                for key in sorted(self.series, key=lambda key: (key[0], key[1] or ""))
            ],
        )


def _gap(event: Gap) -> GapStat:
    known = event.from_ts is not None and event.to_ts is not None
    return GapStat(
        reason=event.reason,
        channel=event.channel,
        symbol=event.symbol,
        recv_ts=event.recv_ts,
        length=(event.to_ts or 0) - (event.from_ts or 0) if known else None,
        missed=event.missed,
    )


def _rate(count: int, first: int, last: int) -> float:
    """Return events a second; of less than two moments there is no rate."""
    return round((count - 1) * _SECOND / (last - first), 3) if last > first else 0.0
