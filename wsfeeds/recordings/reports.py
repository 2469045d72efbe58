"""What `verify --json` and `stats --json` print: the shapes, and their JSON Schema's source."""

from __future__ import annotations

from typing import Literal

import msgspec

from wsfeeds.events import GapReason, Micros


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of damage: the file, the line (from 1) where there is one, and what is wrong."""

    path: str
    line: int | None
    cause: str


class GapFound(msgspec.Struct, frozen=True, kw_only=True):
    """A hole that the recording itself reports."""

    path: str
    line: int
    feed: str
    channel: str
    symbol: str | None
    reason: GapReason
    from_ts: Micros | None
    to_ts: Micros | None
    missed: int | None


class SegmentChecked(msgspec.Struct, frozen=True, kw_only=True):
    """One file and what was found in it; `bytes` are those on disk."""

    path: str
    kind: Literal["events", "frames"]
    feed: str | None
    run: str | None
    state: Literal["closed", "open"]
    lines: int
    bytes: int
    first_recv_ts: Micros | None
    last_recv_ts: Micros | None
    first_seq: int | None
    last_seq: int | None
    gaps: int


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `wsfeeds verify`: `ok` unless there is damage.

    `gaps` and `open` are part of an honest recording, not damage. The lists of damage and gaps end
    after a thousand entries, the numbers do not.
    """

    ok: bool
    files: int
    lines: int
    bytes: int
    damaged: int
    gap_count: int
    damage: list[Problem]
    gaps: list[GapFound]
    open: list[str]
    segments: list[SegmentChecked]
    repaired: list[str] = []


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """`recv_ts - ts` in microseconds, within 2 %; negative where the venue's clock leads."""

    min: int
    p50: int
    p90: int
    p99: int
    max: int


class GapStat(msgspec.Struct, frozen=True, kw_only=True):
    """One hole: how long in microseconds, where its bounds are known."""

    reason: GapReason
    channel: str
    symbol: str | None
    recv_ts: Micros
    length: int | None
    missed: int | None


class SeriesStat(msgspec.Struct, frozen=True, kw_only=True):
    """Data events of one channel and symbol; `rate` is a second, silence in microseconds.

    `activity` counts the events in equal parts of the time between the first and the last event of
    everything that was summarised.
    """

    channel: str
    symbol: str | None
    events: int
    rate: float
    first_recv_ts: Micros
    last_recv_ts: Micros
    longest_silence: int
    latency: Latency | None
    activity: list[int]


class FeedStat(msgspec.Struct, frozen=True, kw_only=True):
    """One feed of the recording."""

    feed: str
    events: int
    facts: int
    rate: float
    first_recv_ts: Micros | None
    last_recv_ts: Micros | None
    connections: int
    reconnects: int
    gap_count: int
    gaps: list[GapStat]
    series: list[SeriesStat]


class StatsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `wsfeeds stats`."""

    feeds: list[FeedStat]


REPORTS: dict[str, type[msgspec.Struct]] = {"verify": VerifyReport, "stats": StatsReport}
"""The shapes by the command that prints them."""
