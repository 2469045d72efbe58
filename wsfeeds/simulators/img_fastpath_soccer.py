"""A simulated soccer match, from the team colours to the end of the collection.

The action ids that docs/protocols/img_fastpath.md, section 5.6 does not list (goals, cards,
corners …) are not published; those here are made up and lie in soccer's range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from wsfeeds.simulators.img_fastpath_board import Board, Team
from wsfeeds.simulators.img_fastpath_delivery import Suspension, deliver, tally
from wsfeeds.simulators.img_fastpath_frames import Packet
from wsfeeds.simulators.img_fastpath_script import (
    POSSESSION_GAINED,
    SUBSTITUTION_IN,
    SUBSTITUTION_OUT,
    Effect,
    Kind,
    Scorer,
)

VIDEO_CHECK = Kind(51, "Video Check Underway")
VIDEO_RESULT = Kind(61, "Video check result")
POSSIBLE_VIDEO_CHECK = Kind(64, "Possible Video Check")
GOAL = Kind(101, "Goal")
SHOT_ON_TARGET = Kind(102, "Shot On Target")
SHOT_OFF_TARGET = Kind(103, "Shot Off Target")
CORNER = Kind(104, "Corner Awarded")
YELLOW_CARD = Kind(105, "Yellow Card")
PENALTY = Kind(106, "Penalty Awarded")
RED_CARD = Kind(107, "Red Card")
FREE_KICK = Kind(108, "Free Kick")
THROW_IN = Kind(109, "Throw In")
GOAL_KICK = Kind(110, "Goal Kick")
OFFSIDE = Kind(111, "Offside")
FOUL = Kind(112, "Foul")
PENALTY_MISSED = Kind(113, "Penalty Missed")
CORNER_RETAKE = Kind(129, "Corner Retake Awarded")

_PENALTY_FOUL = Kind(10601, "Foul")
_CHECK_GOAL = Kind(5101, "Goal")
_CHECK_PENALTY = Kind(5102, "Penalty")
_COUNTED = (
    GOAL,
    SHOT_ON_TARGET,
    SHOT_OFF_TARGET,
    CORNER,
    YELLOW_CARD,
    RED_CARD,
    PENALTY,
    FOUL,
    OFFSIDE,
    SUBSTITUTION_IN,
)
_FILLERS = (THROW_IN,) * 5 + (FREE_KICK,) * 3 + (GOAL_KICK,) * 2 + (OFFSIDE,)
_HALF = 45 * 60.0
_STARTERS = 11


class Match:
    """Plays one match; every scene that the feed knows happens at least once.

    Args:
        teams: Home and away.
        random: The only source of chance.
        interval: Seconds between the halves.
    """

    def __init__(self, teams: Sequence[Team], random: Random, *, interval: float) -> None:
        self.teams = tuple(teams)
        self.scorer = Scorer(random)
        self._random = random
        self._interval = interval
        self._strength = [random.uniform(0.9, 1.3), random.uniform(0.7, 1.1)]
        self._on = [list(team.players[:_STARTERS]) for team in teams]
        self._bench = [list(team.players[_STARTERS:]) for team in teams]

    def play(self) -> None:
        """Write the whole match down."""
        scorer, random = self.scorer, self._random
        venue = {"pitch": "Good", "weather": random.choice(["Sunny", "Rain", "Overcast"])}
        scorer.opening(self.teams, ("0, 128, 255", "255, 0, 253"), venue)
        self._half("1st half", 0.0, self._first_half())
        scorer.now += self._interval
        self._half("2nd half", _HALF, self._second_half())
        scorer.closing()

    def _first_half(self) -> list[Callable[[], None]]:
        scenes = [self._video_cancelled_goal, self._offside_goal, self._upgraded_card]
        return scenes + [self._goal] * self._random.randint(1, 2) + self._usual()

    def _second_half(self) -> list[Callable[[], None]]:
        scenes = [self._penalty, self._penalty_refused, self._restored_corner]
        scenes += [self._substitution] * 6
        return scenes + [self._goal] * self._random.randint(0, 2) + self._usual()

    def _usual(self) -> list[Callable[[], None]]:
        count = self._random.randint
        kinds = [(self._corner, 3, 6), (self._card, 1, 2), (self._foul, 4, 7), (self._shot, 5, 9)]
        return [scene for scene, low, high in kinds for _ in range(count(low, high))]

    def _half(self, label: str, clock: float, scenes: list[Callable[[], None]]) -> None:
        scorer, random = self.scorer, self._random
        scorer.start_period(label, clock)
        random.shuffle(scenes)
        end = scorer.now + _HALF + random.uniform(60, 240)
        times = sorted(random.uniform(scorer.now + 60, end - 120) for _ in scenes)
        for at, scene in zip(times, scenes, strict=True):
            self._open_play(at)
            scene()
        self._open_play(end)
        scorer.end_period()

    def _open_play(self, until: float) -> None:
        scorer, random = self.scorer, self._random
        while scorer.now < until:
            scorer.now += min(1.5 + random.expovariate(0.5), max(until - scorer.now, 0.0) + 0.5)
            team = self._attackers()
            if random.random() < 0.08:
                scorer.add(random.choice(_FILLERS), team=team)
            else:
                scorer.add(POSSESSION_GAINED, team=team, effect=_possession(team.side))

    def _attackers(self) -> Team:
        home, away = self._strength
        return self.teams[0 if self._random.random() * (home + away) < home else 1]

    def _player(self, team: Team) -> dict[str, str]:
        return {"player": self._random.choice(self._on[team.side])}

    def _wait(self, low: float, high: float) -> None:
        self.scorer.now += self._random.uniform(low, high)

    def _scored(self, team: Team) -> str:
        scorer = self.scorer
        goal = scorer.add(GOAL, "Pending", team=team)
        self._wait(3, 9)
        scorer.add(GOAL, id=goal, team=team, effect=_score(team.side))
        return goal

    def _goal(self) -> None:
        team = self._attackers()
        self.scorer.add(SHOT_ON_TARGET, team=team, metadata=self._player(team))
        self._wait(1, 2)
        goal = self._scored(team)
        self._wait(10, 25)
        self.scorer.add(GOAL, "Updated", id=goal, team=team, metadata=self._player(team))

    def _offside_goal(self) -> None:
        team = self._attackers()
        goal = self.scorer.add(GOAL, "Pending", team=team)
        self._wait(4, 8)
        self.scorer.add(GOAL, "Cancelled", id=goal, team=team)
        self.scorer.add(OFFSIDE, team=team, related=(goal,))

    def _video_cancelled_goal(self) -> None:
        team = self._attackers()
        goal = self._scored(team)
        for _ in self._video_check(_CHECK_GOAL, "Goal disallowed", goal):
            back = _score(team.side, -1)
            self.scorer.add(GOAL, "Deleted", id=goal, team=team, effect=back)

    def _video_check(self, about: Kind, verdict: str, related: str) -> Iterator[None]:
        """Write a check down; the caller's body happens between decision and result."""
        scorer = self.scorer
        self._wait(5, 10)
        scorer.add(POSSIBLE_VIDEO_CHECK, related=(related,))
        self._wait(5, 10)
        check = scorer.add(VIDEO_CHECK, "Pending", related=(related,))
        self._wait(2, 4)
        scorer.add(VIDEO_CHECK, id=check, subtype=about, related=(related,))
        self._wait(30, 80)
        yield
        scorer.add(VIDEO_RESULT, metadata={"verdict": verdict}, related=(check, related))

    def _penalty(self) -> None:
        team, scorer = self._attackers(), self.scorer
        penalty = scorer.add(PENALTY, "Pending", team=team)
        for _ in self._video_check(_CHECK_PENALTY, "Penalty confirmed", penalty):
            scorer.add(PENALTY, id=penalty, team=team, subtype=_PENALTY_FOUL)
        self._wait(30, 60)
        if self._random.random() < 0.76:
            self._scored(team)
        else:
            scorer.add(PENALTY_MISSED, team=team, related=(penalty,))

    def _penalty_refused(self) -> None:
        team, scorer = self._attackers(), self.scorer
        penalty = scorer.add(PENALTY, "Pending", team=team)
        self._wait(8, 20)
        scorer.add(PENALTY, "Cancelled", id=penalty, team=team)

    def _card(self) -> None:
        team = self._attackers()
        foul = self.scorer.add(FOUL, team=team)
        self._wait(5, 15)
        card = self.scorer.add(YELLOW_CARD, "Pending", team=team, related=(foul,))
        self._wait(3, 8)
        metadata = self._player(team)
        self.scorer.add(YELLOW_CARD, id=card, team=team, metadata=metadata, related=(foul,))

    def _upgraded_card(self) -> None:
        team = self._attackers()
        player = self._random.choice(self._on[team.side])
        card = self.scorer.add(YELLOW_CARD, team=team, metadata={"player": player})
        for _ in self._video_check(Kind(5103, "Red Card"), "Red card", card):
            metadata = {"player": player}
            self.scorer.add(RED_CARD, "Updated", id=card, team=team, metadata=metadata)
        self._on[team.side].remove(player)
        self._strength[team.side] *= 0.8

    def _corner(self) -> None:
        team = self._attackers()
        corner = self.scorer.add(CORNER, team=team)
        if self._random.random() < 0.1:
            self._wait(5, 15)
            self.scorer.add(CORNER_RETAKE, team=team, related=(corner,))

    def _restored_corner(self) -> None:
        team, scorer = self._attackers(), self.scorer
        corner = scorer.add(CORNER, team=team)
        self._wait(5, 10)
        scorer.add(CORNER, "Deleted", id=corner, team=team)
        self._wait(5, 10)
        scorer.add(CORNER, "Restored", id=corner, team=team)

    def _foul(self) -> None:
        team = self._attackers()
        foul = self.scorer.add(FOUL, team=team)
        self._wait(2, 5)
        self.scorer.add(FREE_KICK, team=self.teams[1 - team.side], related=(foul,))

    def _shot(self) -> None:
        team = self._attackers()
        kind = SHOT_ON_TARGET if self._random.random() < 0.4 else SHOT_OFF_TARGET
        self.scorer.add(kind, team=team, metadata=self._player(team))

    def _substitution(self) -> None:
        team = self._attackers()
        bench, field = self._bench[team.side], self._on[team.side]
        if not bench:
            return
        leaves = field.pop(self._random.randrange(1, len(field)))
        enters = bench.pop(self._random.randrange(len(bench)))
        field.append(enters)
        out = self.scorer.add(SUBSTITUTION_OUT, team=team, metadata={"player": leaves})
        self._wait(1, 3)
        metadata = {"player": enters}
        self.scorer.add(SUBSTITUTION_IN, team=team, metadata=metadata, related=(out,))


def soccer(
    fixture_id: str, teams: Sequence[Team], random: Random, *, suspension: str, live: bool
) -> dict[str, list[Packet]]:
    """Play a match and deliver both streams of it.

    Args:
        fixture_id: The id that every frame carries.
        teams: Home and away.
        random: The only source of chance.
        suspension: ``recover``, ``drop`` or ``none``.
        live: A live match has a short interval, a finished one the usual quarter of an hour.
    """
    match = Match(teams, random, interval=120.0 if live else 900.0)
    match.play()
    start = random.uniform(15, 25) * 60
    hole = Suspension(start, start + random.uniform(120, 180), suspension == "drop")
    actions = deliver(
        match.scorer.actions, fixture_id, random, suspension=None if suspension == "none" else hole
    )
    return {"actions": actions, "statistics": tally(actions, fixture_id, teams, _COUNTED, random)}


def _score(side: int, points: int = 1) -> Effect:
    def change(board: Board) -> None:
        board.score(side, points)

    return change


def _possession(side: int) -> Effect:
    def change(board: Board) -> None:
        board.possession = side

    return change
