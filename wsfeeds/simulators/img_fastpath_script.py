"""What a scorer collects at a match (docs/protocols/img_fastpath.md, sections 5.3 to 5.7)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from wsfeeds.simulators.img_fastpath_board import Board, Team
from wsfeeds.simulators.img_fastpath_frames import uuid


class Kind(NamedTuple):
    """An action type: its id and its name (section 5.6)."""

    number: int
    name: str


MATCH_CONDITIONS = Kind(1, "Match conditions")
TEAM_COLOURS = Kind(2, "Team Colours")
LINEUPS = Kind(3, "Lineups")
START_FIXTURE = Kind(4, "Start Fixture")
END_MATCH = Kind(5, "End match")
START_PERIOD = Kind(6, "Start Period")
END_PERIOD = Kind(7, "End period")
START_CLOCK = Kind(8, "Start Clock")
STOP_CLOCK = Kind(9, "Stop clock")
SUBSTITUTION_IN = Kind(13, "Substitution In")
SUBSTITUTION_OUT = Kind(14, "Substitution Out")
POSSESSION_GAINED = Kind(15, "Possession Gained")
STATUS_UPDATED = Kind(22, "Status Updated")
TIMEOUT = Kind(52, "Timeout")


Effect = Callable[[Board], None]


@dataclass(frozen=True)
class Action:
    """One packet of an action, as the scorer sends it."""

    created: float
    kind: Kind
    state: str
    id: str
    period: int
    clock: float
    elapsed: float
    team: Team | None = None
    subtype: Kind | None = None
    metadata: Mapping[str, Any] | None = None
    related: tuple[str, ...] = ()
    effect: Effect | None = None


class Scorer:
    """Writes down a match.

    Args:
        random: The only source of chance.
        counts_down: Whether the clock runs towards 00:00.
    """

    def __init__(self, random: Random, *, counts_down: bool = False) -> None:
        self.random = random
        self.now = 0.0
        self.actions: list[Action] = []
        self.board = Board(counts_down=counts_down)
        self._period_start = 0.0

    @property
    def clock(self) -> float:
        """The match clock now, in seconds."""
        return self.board.clock(self.now)

    def add(
        self,
        kind: Kind,
        state: str = "Confirmed",
        *,
        id: str | None = None,  # noqa: A002 - the venue's word for it
        effect: Effect | None = None,
        **details: Any,
    ) -> str:
        """Write down an action, or the next state of one.

        Returns:
            The action's id, which its later states carry as well.
        """
        action_id = id or uuid(self.random)
        period = len(self.board.periods)
        clock, elapsed = self.clock, self.now - self._period_start if period else 0.0
        self.actions.append(
            Action(
                self.now, kind, state, action_id, period, clock, elapsed, effect=effect, **details
            )
        )
        if effect is not None:
            effect(self.board)
        return action_id

    def start_period(self, label: str, clock: float = 0.0, *, clocked: bool = True) -> None:
        """Begin a period and let its clock run."""
        now = self._period_start = self.now

        def begin(board: Board) -> None:
            board.start_period(now, label, clock)

        begin(self.board)  # first: the action belongs to the period that it starts
        self.add(START_PERIOD)
        self.actions[-1] = dataclasses.replace(self.actions[-1], effect=begin)
        if clocked:
            self.start_clock()

    def end_period(self, *, clocked: bool = True) -> None:
        """End a period and stop its clock."""
        if clocked:
            self.stop_clock()
        now = self.now
        self.add(END_PERIOD, effect=lambda board: board.end_period(now))

    def start_clock(self) -> None:
        """Write down that the clock runs."""
        now = self.now
        self.add(START_CLOCK, effect=lambda board: board.start_clock(now))

    def stop_clock(self) -> None:
        """Write down that the clock stands."""
        now = self.now
        self.add(STOP_CLOCK, effect=lambda board: board.stop_clock(now))

    def status(self, fixture: int, collection: int, *, finished: bool = False) -> None:
        """Write down the states of fixture and collection."""
        self.actions.append(
            status_action(self.random, self.now, fixture, collection, finished=finished)
        )

    def opening(self, teams: Sequence[Team], colours: tuple[str, str], venue: object) -> None:
        """Write down what comes before the match."""
        home, away = colours
        metadata = {"awayTeamColour": away, "homeTeamColour": home}
        self.add(TEAM_COLOURS, metadata=metadata)
        self.now += 2.0
        self.add(MATCH_CONDITIONS, metadata=venue)
        for team in teams:
            self.now += 2.0
            self.add(LINEUPS, team=team, metadata={"players": _numbered(team)})
        self.now += 2.0
        self.status(1, 1)
        self.now += 1.0
        self.add(START_FIXTURE)
        self.now += 1.0

    def closing(self) -> None:
        """Write down the end of the match; the last packet says that nothing follows."""
        self.now += 5.0
        self.add(END_MATCH, effect=_completed)
        self.now += 20.0
        self.status(2, 2)
        self.now += 40.0
        self.status(2, 5, finished=True)


def status_action(
    random: Random,
    at: float,
    fixture: int,
    collection: int,
    *,
    finished: bool = False,
    reason: Mapping[str, Any] | None = None,
) -> Action:
    """Write down a ``Status Updated``: period 0 and clock 00:00, whatever the match's are."""

    def change(board: Board) -> None:
        board.status, board.collection, board.finished = fixture, collection, finished

    metadata = {"coverageLevel": 3, "fixtureStatus": fixture, "collectionStatus": collection}
    return Action(
        at,
        STATUS_UPDATED,
        "Confirmed",
        uuid(random),
        0,
        0.0,
        0.0,
        metadata=metadata | dict(reason or {}),
        effect=change,
    )


def _completed(board: Board) -> None:
    board.status = 2


def _numbered(team: Team) -> list[dict[str, Any]]:
    return [
        {"shirtNumber": number, "name": name, "starting": number <= 11}
        for number, name in enumerate(team.players, 1)
    ]
