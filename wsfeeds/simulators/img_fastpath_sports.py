"""Simulated basketball and rally games (volleyball, table tennis) for the FastPath feed.

Of basketball's ids 201, 204 and 222 are published (docs/protocols/img_fastpath.md, section 5.6);
the others, and all of the rally games', are made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from wsfeeds.simulators.img_fastpath_board import Board, Team
from wsfeeds.simulators.img_fastpath_delivery import deliver, tally
from wsfeeds.simulators.img_fastpath_frames import Packet
from wsfeeds.simulators.img_fastpath_script import (
    POSSESSION_GAINED,
    SUBSTITUTION_IN,
    SUBSTITUTION_OUT,
    TIMEOUT,
    Effect,
    Kind,
    Scorer,
)

TURNOVER = Kind(201, "Turnover")
DEFENSIVE_REBOUND = Kind(203, "Defensive Rebound")
OFFENSIVE_REBOUND = Kind(204, "Offensive Rebound")
TWO_POINTS = Kind(205, "Two Points Scored")
THREE_POINTS = Kind(206, "Three Points Scored")
FREE_THROW = Kind(207, "Free Throw Scored")
FREE_THROW_MISSED = Kind(208, "Free Throw Missed")
SHOT_MISSED = Kind(209, "Shot Missed")
FOUL = Kind(210, "Foul")
STEAL = Kind(222, "Steal")
POINT = Kind(301, "Point Scored")

_SHOTS = {TWO_POINTS: 2, THREE_POINTS: 3, FREE_THROW: 1}
_COUNTED = (*_SHOTS, SHOT_MISSED, DEFENSIVE_REBOUND, OFFENSIVE_REBOUND, TURNOVER, STEAL, FOUL)
_QUARTER = 600.0


class Basketball:
    """Plays four quarters; the clock runs down and stands at fouls and timeouts."""

    def __init__(self, teams: Sequence[Team], random: Random) -> None:
        self.scorer = Scorer(random, counts_down=True)
        self._teams = tuple(teams)
        self._random = random

    def play(self) -> None:
        """Write the whole match down."""
        scorer = self.scorer
        scorer.opening(self._teams, ("20, 40, 160", "240, 240, 240"), {"surface": "Parquet"})
        for number in range(1, 5):
            scorer.start_period(f"Quarter {number}", _QUARTER)
            side = self._random.randrange(2)
            while scorer.clock > 0:
                side = self._possession(side)
            scorer.end_period()
            scorer.now += 60.0
        scorer.closing()

    def _possession(self, side: int) -> int:
        """Play one possession; the side that has the ball next is returned."""
        scorer, random, team = self.scorer, self._random, self._teams[side]
        scorer.add(POSSESSION_GAINED, team=team, effect=_possession(side))
        if not self._pass(random.uniform(5, 22)):
            return side
        chance = random.random()
        if chance < 0.13:
            lost = scorer.add(TURNOVER, team=team)
            if random.random() < 0.5:
                scorer.add(STEAL, team=self._teams[1 - side], related=(lost,))
        elif chance < 0.25:
            self._foul(team)
        elif chance < 0.60:
            self._basket(team, TWO_POINTS if random.random() < 0.7 else THREE_POINTS)
        else:
            scorer.add(SHOT_MISSED, team=team)
            if self._pass(2.0) and random.random() < 0.27:
                scorer.add(OFFENSIVE_REBOUND, team=team)
                return side
            scorer.add(DEFENSIVE_REBOUND, team=self._teams[1 - side])
        return 1 - side

    def _pass(self, seconds: float) -> bool:
        """Let the clock run; tell whether time is left."""
        self.scorer.now += min(seconds, self.scorer.clock)
        return self.scorer.clock > 0

    def _basket(self, team: Team, kind: Kind) -> None:
        basket = self.scorer.add(kind, "Pending", team=team)
        self._pass(1.0)
        score = _score(team.side, _SHOTS[kind])
        self.scorer.add(kind, id=basket, team=team, effect=score)
        if self._random.random() < 0.05 and kind is THREE_POINTS:
            back = _score(team.side, -1)  # a foot was on the line
            self.scorer.add(TWO_POINTS, "Updated", id=basket, team=team, effect=back)

    def _foul(self, team: Team) -> None:
        scorer, random = self.scorer, self._random
        scorer.add(FOUL, team=self._teams[1 - team.side])
        scorer.stop_clock()
        if random.random() < 0.2:
            scorer.add(TIMEOUT, team=team)
            scorer.now += 60.0
        if random.random() < 0.3:
            out = scorer.add(SUBSTITUTION_OUT, team=team)
            scorer.add(SUBSTITUTION_IN, team=team, related=(out,))
        for _ in range(2):
            scorer.now += random.uniform(6, 12)
            made = random.random() < 0.75
            effect = _score(team.side, 1) if made else None
            scorer.add(FREE_THROW if made else FREE_THROW_MISSED, team=team, effect=effect)
        scorer.start_clock()


@dataclass(frozen=True)
class Rules:
    """How sets are won.

    Args:
        points: Needed for a set, with two ahead.
        last: Needed for the deciding set.
        sets: Needed for the match.
    """

    points: int
    last: int
    sets: int


VOLLEYBALL = Rules(points=25, last=15, sets=3)
TABLE_TENNIS = Rules(points=11, last=11, sets=3)


class Rallies:
    """Plays a game of rallies: the score of the match counts sets, that of a period points."""

    def __init__(self, teams: Sequence[Team], random: Random, rules: Rules) -> None:
        self.scorer = Scorer(random)
        self._teams = tuple(teams)
        self._random = random
        self._rules = rules

    def play(self) -> None:
        """Write the whole match down."""
        scorer, rules = self.scorer, self._rules
        scorer.opening(self._teams, ("200, 20, 20", "20, 160, 60"), {"hall": "Main"})
        while max(scorer.board.total) < rules.sets:
            number = len(scorer.board.periods) + 1
            scorer.start_period(f"Set {number}", clocked=False)
            self._set(rules.last if number == 2 * rules.sets - 1 else rules.points)
            scorer.end_period(clocked=False)
            scorer.now += 60.0
        scorer.closing()

    def _set(self, needed: int) -> None:
        scorer, random = self.scorer, self._random
        edge = random.uniform(0.44, 0.56)
        points = scorer.board.periods[-1].points
        while True:
            scorer.now += random.uniform(8, 25)
            side = 0 if random.random() < edge else 1
            scorer.add(POSSESSION_GAINED, team=self._teams[side], effect=_possession(side))
            if random.random() < 0.04:
                scorer.add(TIMEOUT, team=self._teams[1 - side])
                scorer.now += 30.0
            leads = points[side] + 1 - points[1 - side]
            won = points[side] + 1 >= needed and leads >= 2
            scorer.add(POINT, team=self._teams[side], effect=_rally(side, won=won))
            if won:
                return


def basketball(fixture_id: str, teams: Sequence[Team], random: Random) -> dict[str, list[Packet]]:
    """Play a basketball match and deliver both streams of it."""
    match = Basketball(teams, random)
    match.play()
    actions = deliver(match.scorer.actions, fixture_id, random, counts_down=True)
    return {"actions": actions, "statistics": tally(actions, fixture_id, teams, _COUNTED, random)}


def rallies(
    fixture_id: str, teams: Sequence[Team], random: Random, rules: Rules
) -> dict[str, list[Packet]]:
    """Play volleyball or table tennis and deliver both streams of it."""
    match = Rallies(teams, random, rules)
    match.play()
    actions = deliver(match.scorer.actions, fixture_id, random)
    counted = (POINT, TIMEOUT)
    return {"actions": actions, "statistics": tally(actions, fixture_id, teams, counted, random)}


def _score(side: int, points: int) -> Effect:
    def change(board: Board) -> None:
        board.score(side, points)

    return change


def _rally(side: int, *, won: bool) -> Effect:
    def change(board: Board) -> None:
        board.score(side, 1, total=1 if won else 0)

    return change


def _possession(side: int) -> Effect:
    def change(board: Board) -> None:
        board.possession = side

    return change
