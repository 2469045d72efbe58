"""A simulated tennis match in the older, flat generation (docs/protocols/img_fastpath.md, 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wsfeeds.simulators.img_fastpath_frames import Moment, Number, Packet

_POINTS = ("0", "15", "30", "40")
_ALARM_EVERY = 25.0
_SETS_NEEDED = 2
_UNKNOWN_PLAYER = {"player1Id": "Unknown", "player1Country": "Unknown"}
_TEAMS = ("TeamA", "TeamB")
_MEASURES = (
    "aces",
    "faults",
    "doubleFaults",
    "totalServes",
    "1stServe",
    "1stServePointsWon",
    "2ndServes",
    "breakPointsPlayed",
    "breakPointsSaved",
)

DUMMY: Mapping[str, Any] = {
    "timestamp": "1970-01-01T00:00:00.000Z",
    "eventElementType": "MatchStatusUpdate",
    "matchTime": "00:00:00",
    "seqNum": 0,
    "matchStatus": {
        "umpireCountry": "Unknown",
        "umpire": "Unknown",
        "teamAPlayer1": "Unknown",
        "tossChooser": "Unknown",
        "matchState": {"state": "NotStarted"},
        "teamBPlayer1": "Unknown",
        "numSets": -1,
        "scoringType": "UnknownScoringType",
        "firstServer": "UnknownTeam",
        "tossWinner": "UnknownTeam",
        "courtNum": -1,
        "teamAPlayersDetails": _UNKNOWN_PLAYER,
        "teamBPlayersDetails": _UNKNOWN_PLAYER,
        "umpireCode": "Unknown",
        "tieBreakType": "Unknown",
    },
}
"""What comes before anything is known of a match (golden frame G20)."""


@dataclass
class Score:
    """The score of a match in points, games and sets; side 0 is TeamA."""

    points: list[int] = field(default_factory=lambda: [0, 0])
    games: list[int] = field(default_factory=lambda: [0, 0])
    sets: list[int] = field(default_factory=lambda: [0, 0])
    previous: list[dict[str, int]] = field(default_factory=list)

    @property
    def tie_break(self) -> bool:
        """Whether a tie-break is being played."""
        return self.games == [6, 6]

    def win_point(self, side: int) -> bool:
        """Count a point; tell whether it ended a game."""
        self.points[side] += 1
        needed = 7 if self.tie_break else 4
        if self.points[side] < needed or self.points[side] - self.points[1 - side] < 2:
            return False
        ends_set = self.tie_break or (self.games[side] >= 5 and self._leads(side))
        self.games[side] += 1
        self.points = [0, 0]
        if ends_set:
            self.sets[side] += 1
            self.previous.append({"gamesA": self.games[0], "gamesB": self.games[1]})
            self.games = [0, 0]
        return True

    def written(self) -> dict[str, Any]:
        """The score as frames carry it."""
        mine, theirs = (self._point(side) for side in (0, 1))
        kind = "TieBreakGame" if self.tie_break else "StandardGame"
        return {
            "currentSetScore": {"gamesA": self.games[0], "gamesB": self.games[1]},
            "overallSetScore": {"setsA": self.sets[0], "setsB": self.sets[1]},
            "currentGameScore": {"pointsA": mine, "pointsB": theirs, "gameType": kind},
            "previousSetsScore": list(self.previous),
        }

    def break_point(self, receiver: int) -> bool:
        """Tell whether the receiver wins the game with the next point."""
        own, other = self.points[receiver], self.points[1 - receiver]
        return not self.tie_break and own >= 3 and own - other >= 1

    def _leads(self, side: int) -> bool:
        return self.games[side] - self.games[1 - side] >= 1

    def _point(self, side: int) -> str:
        own, other = self.points[side], self.points[1 - side]
        if self.tie_break:
            return str(own)
        if own >= 3 and other >= 3:
            return "AD" if own > other else "40"
        return _POINTS[own]


class Match:
    """Plays one match and delivers it as the venue does, with a lost connection in between.

    Args:
        players: Of TeamA and TeamB.
        random: The only source of chance.
    """

    def __init__(self, players: tuple[str, str], random: Random) -> None:
        self.score = Score()
        self.stream: list[Packet] = [Packet(0.0, DUMMY)]
        self.statistics: list[Packet] = []
        self._players = players
        self._random = random
        self._now = 1.0
        self._first_point = 0.0
        self._server = random.randrange(2)
        self._counts = {name: (Counter[str](), Counter[str]()) for name in _columns()}
        self._lost = random.uniform(600, 1200)
        self._back = self._lost + random.uniform(60, 110)
        self._alarms = 0

    def play(self) -> None:
        """Play from the umpire's arrival to the last point."""
        self._add("UmpireOnCourt", {})
        self._state("PlayersOnCourt")
        self._state("WarmUp")
        self._first_point = self._now
        self._state("InProgress")
        while max(self.score.sets) < _SETS_NEEDED:
            self._point()
        self._now += 5.0
        self._state("Finished")

    def _point(self) -> None:
        random, score, server = self._random, self.score, self._server
        self._now += random.uniform(15, 35)
        number = sum(score.sets) + 1
        kind, winner = self._rally(number)
        game_over = score.win_point(winner)
        if game_over or (score.tie_break and sum(score.points) % 2):
            self._server = 1 - server
        if game_over:
            self._now += 20.0
        body = {
            "server": {"team": _TEAMS[server]},
            "nextServer": {"team": _TEAMS[self._server]},
            "score": score.written(),
            "details": {"scoredBy": _TEAMS[winner], "pointType": kind},
        }
        self._add("PointScored", body)
        self.statistics.append(Packet(max(self._arrival(), self._now), self._table()))

    def _rally(self, number: int) -> tuple[str, int]:
        """Play one point; give its kind and who won it."""
        random, server = self._random, self._server
        receiver = 1 - server
        pressed = self.score.break_point(receiver)
        self._count(number, server, "totalServes")
        kind, winner = "Standard", server if random.random() < 0.6 else receiver
        if random.random() < 0.62:
            self._count(number, server, "1stServe")
            if random.random() < 0.1:
                kind, winner = "Ace", server
                self._count(number, server, "aces")
            if winner == server:
                self._count(number, server, "1stServePointsWon")
        else:
            self._count(number, server, "faults")
            self._count(number, server, "2ndServes")
            if random.random() < 0.1:
                kind, winner = "DoubleFault", receiver
                self._count(number, server, "doubleFaults")
        if pressed:
            self._count(number, receiver, "breakPointsPlayed")
            if winner == server:
                self._count(number, server, "breakPointsSaved")
        return kind, winner

    def _count(self, number: int, side: int, name: str) -> None:
        for column in ("match", f"set{number}"):
            self._counts[column][side][name] += 1

    def _table(self) -> dict[str, Any]:
        return {
            column: {f"team{'AB'[side]}": _row(counts[side]) for side in (0, 1)}
            for column, counts in self._counts.items()
        }

    def names(self) -> dict[str, Any]:
        """The first frame of the statistics stream."""
        first, second = self._players
        return {"teamA": {"player1": first}, "teamB": {"player1": second}}

    def _state(self, state: str) -> None:
        details = [
            {"player1Id": f"P{number}", "player1Country": country}
            for number, country in ((101, "ESP"), (202, "NOR"))
        ]
        status = {
            "umpire": "A. Umpire",
            "umpireCountry": "SUI",
            "umpireCode": "AU1",
            "teamAPlayer1": self._players[0],
            "teamBPlayer1": self._players[1],
            "teamAPlayersDetails": details[0],
            "teamBPlayersDetails": details[1],
            "tossChooser": "TeamA",
            "tossWinner": "TeamA",
            "firstServer": _TEAMS[self._server],
            "numSets": 3,
            "scoringType": "StandardScoring",
            "courtNum": 1,
            "tieBreakType": "StandardTieBreak",
            "matchState": {"state": state},
        }
        self._add("MatchStatusUpdate", {"matchStatus": status})
        self._now += 20.0

    def _add(self, kind: str, body: Mapping[str, Any]) -> None:
        """Add a frame; while the venue is cut off it waits, and alarms go out instead."""
        self._sound_alarms()
        played = max(int(self._now - self._first_point), 0) if self._first_point else 0
        hours, seconds = divmod(played, 3600)
        frame = {
            "seqNum": Number(),
            "timestamp": Moment(self._now, 3),
            "eventElementType": kind,
            "matchTime": f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}",
            **body,
        }
        if self._lost <= self._now < self._back:
            late = self._back - self._now
            frame["delayStatus"] = "RECONSTRUCTED" if late > _ALARM_EVERY else "DELAYED"
        self.stream.append(Packet(self._arrival(), frame))

    def _arrival(self) -> float:
        return self._back if self._lost <= self._now < self._back else self._now

    def _sound_alarms(self) -> None:
        if self._now < self._lost or self._alarms:
            return
        last = self.stream[-1].at
        at = self._lost + _ALARM_EVERY
        while at < self._back:
            self._alarms += 1
            body = {
                "seqNum": Number(),
                "timestamp": Moment(at, 3),
                "eventElementType": "Alarm",
                "lastReceivedTimestamp": Moment(last, 3),
            }
            self.stream.append(Packet(at, body))
            at += _ALARM_EVERY


def tennis(players: tuple[str, str], random: Random) -> dict[str, list[Packet]]:
    """Play a tennis match and deliver both streams of it; statistics begin with the names."""
    match = Match(players, random)
    match.play()
    names = Packet(0.0, match.names())
    return {"stream": match.stream, "statistics": [names, *match.statistics]}


def _columns() -> tuple[str, ...]:
    return ("match", "set1", "set2", "set3", "set4", "set5")


def _row(counts: Mapping[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {name: counts.get(name, 0) for name in _MEASURES}
    serves = row["totalServes"]
    row["1stServe%"] = round(100 * row["1stServe"] / serves) if serves else 0
    return row
