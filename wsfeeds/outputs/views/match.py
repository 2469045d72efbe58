"""Matches: a score line per fixture, and what happened last."""

from __future__ import annotations

from typing import Any, ClassVar

from wsfeeds import events
from wsfeeds.outputs.views.base import Handlers, Row, Rows
from wsfeeds.outputs.views.lines import LineFormatter
from wsfeeds.outputs.views.numbers import age_text
from wsfeeds.outputs.views.sports import action_spans, collection_style, score
from wsfeeds.outputs.views.table import Column, heading, table
from wsfeeds.outputs.views.text import Line, Span, as_text, clean, fit, short, slim

MAX_ACTIONS = 100
_COLUMNS = (
    Column("fixture", 80, widest=44, least=16),
    Column("score", 99, "right", least=5),
    Column("clock", 95, "right"),
    Column("period", 60, "right"),
    Column("status", 90, widest=18, least=8),
    Column("collection", 50, widest=18, least=8),
    Column("feed", 70, widest=14, least=9),
    Column("age", 30, "right"),
)
_LEAST_FOR_STATISTICS = 12


class Fixture(Row):
    """What is known of one fixture; null fields of later actions do not erase it."""

    __slots__ = ("clock", "collection", "last", "period", "points", "status")

    def __init__(self) -> None:
        """Know nothing yet."""
        super().__init__()
        self.last = 0
        self.points: events.Action | None = None
        self.clock: Any = None
        self.period: Any = None
        self.status: events.Action | None = None
        self.collection: events.Action | None = None


class _Happening(Row):
    __slots__ = ("event",)

    def __init__(self) -> None:
        super().__init__()
        self.event: Any = None


class MatchView:
    """Fixtures above; actions below, each in its latest state, the newest one first."""

    name: ClassVar[str] = "match"

    def __init__(self) -> None:
        """Start without fixtures."""
        self._fixtures = Rows(Fixture)
        self._actions = Rows(_Happening, MAX_ACTIONS)
        self._health: Rows[_Happening] = Rows(_Happening)
        self._statistics: events.Statistics | None = None
        self._formatter = LineFormatter()
        self._unnamed = 0
        self.handlers: Handlers = {
            events.Action: self._action,
            events.Statistics: self._take_statistics,
            events.FeedStatus: self._feed_status,
        }

    def draw(self, width: int, height: int, now: int) -> list[Line]:
        """Return the score lines, then the last actions."""
        room = max(1, min(len(self._fixtures), height - 2 if height < 6 else height * 2 // 3))
        rows = self._fixtures.busiest(room)
        if not rows:
            return self._waiting(width)[:height]
        several = len(self._fixtures) > 1
        lines = table(_COLUMNS, [self._cells(key, row, now) for key, row in rows], width)
        if len(self._fixtures) > len(rows):
            lines.append([(f"and {len(self._fixtures) - len(rows)} more fixtures", "dim")])
        if self._statistics is not None and height - len(lines) > _LEAST_FOR_STATISTICS:
            lines += self._statistics_block(width)
        if height - len(lines) > 1:
            lines.append(heading("actions, newest first", width))
            lines += self._action_lines(height - len(lines), several=several)
        return lines[:height]

    def _waiting(self, width: int) -> list[Line]:
        if self._statistics is not None:
            return self._statistics_block(width)
        return [[("waiting for the first action", "dim")]]

    def _statistics_block(self, width: int) -> list[Line]:
        assert self._statistics is not None
        return [
            heading(f"statistics {short(self._statistics.symbol)}", width),
            [(clean(self._statistics.data), "")],
        ]

    def _action_lines(self, count: int, *, several: bool) -> list[Line]:
        recent = self._actions.latest(count)
        return [self._action_line(row.event, several=several) for row in recent]

    def _action_line(self, event: events.Action, *, several: bool) -> Line:
        local = self._formatter.local_time(event.recv_ts)
        fixture = [(fit(short(event.symbol), 22) + " ", "dim")] if several else []
        clock = clean(event.clock) if event.clock else ""
        return [
            (f"{local} ", "dim"),
            *fixture,
            (f"{clock:>6} {score(event):>5}  ", ""),
            *action_spans(event),
        ]

    def _cells(self, symbol: Any, row: Fixture, now: int) -> list[Span]:
        status, collection, points = row.status, row.collection, row.points
        return [
            (short(symbol), "name"),
            (score(points) if points else "-:-", "name"),
            (clean(row.clock) if row.clock is not None else "", ""),
            (clean(row.period) if row.period is not None else "", ""),
            (clean(status.fixture_status) if status else "", "note"),
            (clean(collection.collection_status), collection_style(collection))
            if collection
            else ("", ""),
            self._feed(symbol),
            (age_text(now - row.last), "dim"),
        ]

    def _feed(self, symbol: Any) -> Span:
        health = self._health.get(symbol) or self._health.get(None)
        if health is None:
            return "", ""
        state = as_text(health.event)
        return clean(state), "good" if state == "connected" else "bad"

    def _action(self, event: events.Action) -> None:
        row = self._fixtures.touch(event.symbol)
        row.last = event.recv_ts
        kept = slim(event)
        kept.data = None
        if event.home_score is not None or event.away_score is not None:
            row.points = kept
        if event.clock is not None:
            row.clock = kept.clock
        if event.period is not None:
            row.period = event.period
        if event.fixture_status is not None:
            row.status = kept
        if event.collection_status is not None:
            row.collection = kept
        self._unnamed += 1
        name = self._unnamed if event.action_id is None else event.action_id
        self._actions.touch((event.symbol, name)).event = kept

    def _take_statistics(self, event: events.Statistics) -> None:
        self._statistics = slim(event)

    def _feed_status(self, event: events.FeedStatus) -> None:
        self._health.touch(event.symbol).event = event.state
