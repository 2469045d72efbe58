"""What the simulated FastPath shows of a match: teams, score, clock, periods, states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wsfeeds.simulators.img_fastpath_frames import Moment, clock_text

FIXTURE_STATUS = (
    "Scheduled",
    "Live",
    "Completed",
    "Postponed",
    "Abandoned",
    "Cancelled",
    "Suspended",
    "Unverified",
)
COLLECTION_STATUS = (
    "CollectionScheduled",
    "CollectingLive",
    "CollectingPostMatch",
    "CollectionSuspended",
    "CollectionDropped",
    "CollectionCompleted",
    "PostMatchChecked",
)


@dataclass(frozen=True)
class Team:
    """One side of a fixture; `side` is 0 for home, 1 for away."""

    side: int
    id: str
    name: str
    players: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """The team as frames carry it."""
        return {"id": self.id, "name": self.name}


@dataclass
class Period:
    """One period of a match, as the summary lists it."""

    id: int
    label: str
    start: float
    end: float | None = None
    points: list[int] = field(default_factory=lambda: [0, 0])
    total: list[int] = field(default_factory=lambda: [0, 0])

    def listed(self) -> dict[str, Any]:
        """The period as frames carry it: times without a zone."""
        return {
            "id": self.id,
            "end": None if self.end is None else Moment(self.end, 0, zone=False),
            "type": "Regular",
            "label": self.label,
            "start": Moment(self.start, 0, zone=False),
            "awayTeamScore": self.total[1],
            "homeTeamScore": self.total[0],
            "awayTeamPeriodScore": self.points[1],
            "homeTeamPeriodScore": self.points[0],
        }


class Board:
    """What the venue shows of a match: score, clock, periods, states.

    Args:
        counts_down: Whether the clock runs towards 00:00.
    """

    def __init__(self, *, counts_down: bool = False) -> None:
        self.total = [0, 0]
        self.periods: list[Period] = []
        self.status = 0
        self.collection = 0
        self.possession = 0
        self.finished = False
        self._direction = -1 if counts_down else 1
        self._clock = 0.0
        self._running_since: float | None = None

    def start_period(self, at: float, label: str, clock: float) -> None:
        """Open the next period with its clock at rest."""
        self._clock, self._running_since = clock, None
        self.periods.append(Period(len(self.periods) + 1, label, at, total=list(self.total)))

    def end_period(self, at: float) -> None:
        """Close the current period."""
        self.periods[-1].end = at

    def start_clock(self, at: float) -> None:
        """Let the clock run."""
        self._running_since = at

    def stop_clock(self, at: float) -> None:
        """Stop the clock where it is."""
        self._clock, self._running_since = self.clock(at), None

    def clock(self, at: float) -> float:
        """Read the clock, in seconds."""
        if self._running_since is None:
            return self._clock
        return self._clock + self._direction * (at - self._running_since)

    def score(self, side: int, points: int = 1, *, total: int | None = None) -> None:
        """Add points to the period and to the total, or a number of its own to the total."""
        self.total[side] += points if total is None else total
        if self.periods:
            self.periods[-1].points[side] += points
            self.periods[-1].total = list(self.total)

    def summary(self, at: float) -> dict[str, Any]:
        """The ``fixtureSummary`` at a time (section 5.4)."""
        return {
            "isTied": self.total[0] == self.total[1],
            "periods": [period.listed() for period in self.periods],
            "finished": self.finished,
            "awayTeamScore": self.total[1],
            "homeTeamScore": self.total[0],
            "currentPeriod": max(len(self.periods), 1),
            "currentStatus": FIXTURE_STATUS[self.status],
            "collectionStatus": COLLECTION_STATUS[self.collection],
            "currentClockTime": clock_text(self.clock(at)),
            "currentClockState": "stopped" if self._running_since is None else "running",
            "isHomeTeamInPossesion": self.possession == 0,
        }
