"""The hub behind both SignalR simulators: its methods, and football odds that move with the game.

Each connection has a hub of its own, played from a seed, so the same steps give the same pushes.
A match that is over is followed by the next one: a stream for demos has no end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from wsfeeds.clock import wall_seconds

ODDS, EVENT = "ReceiveOdds", "ReceiveEvent"
_MARGIN = 1.05
_LONGEST = 101.0
_MATCH = 90
_TEAMS = (
    ("Malmö FF", "Örgryte IS"),
    ("1. FC Köln", "Bayern München"),
    ("Atlético Madrid", "Getafe CF"),
    ("Leeds United", "Aston Villa"),
)
_GOAL = 0.012


class HubError(Exception):
    """A hub method failed; its text is what the client is told."""


@dataclass
class Match:
    """One football match: who plays, and how it stands."""

    id: str
    home: str
    away: str
    home_rate: float
    away_rate: float
    minute: int = 0
    home_score: int = 0
    away_score: int = 0
    suspended: int = 0

    @property
    def score(self) -> str:
        """The score as it is shown."""
        return f"{self.home_score}-{self.away_score}"

    def chances(self) -> tuple[float, float, float]:
        """Chances of home, draw and away, as far as one can tell now."""
        left = max(_MATCH - self.minute, 1) / _MATCH
        lead = self.home_score - self.away_score
        ahead = (lead + (self.home_rate - self.away_rate) * left) / math.sqrt(0.4 + 2.2 * left)
        draw = 0.28 * math.exp(-0.5 * ahead * ahead) * (1.6 - 0.6 * left)
        home = (1.0 - draw) / (1.0 + math.exp(-1.7 * ahead))
        return home, draw, 1.0 - draw - home


class OddsHub:
    """The hub of one connection.

    Args:
        random: The only source of chance.
        subscribe_first: Whether nothing is pushed before `Sub` was called.
    """

    name = "OddsHub"

    def __init__(self, random: Random, *, subscribe_first: bool = False) -> None:
        self._random = random
        self._subscribed = not subscribe_first
        self._number = 0
        self._played = 0
        self._matches = [self._kick_off(teams) for teams in _TEAMS]

    def call(self, method: str, arguments: Sequence[Any]) -> Any:
        """Carry out a call of the client and return its result; names compare without case.

        Raises:
            HubError: There is no such method, or it fails.
        """
        match method.lower():
            case "sub":
                self._subscribed = True
                return "ok"
            case "unsub":
                self._subscribed = False
                return "ok"
            case "echo":
                return arguments[0] if len(arguments) == 1 else list(arguments)
            case "fail":
                raise HubError("An error occurred while processing your request.")
        raise HubError(f"Method does not exist: {method}")

    def push(self) -> tuple[str, list[Any]] | None:
        """Let the games go on; the client's method to call and its arguments, None for nobody."""
        if not self._subscribed:
            return None
        self._number += 1
        index = self._random.randrange(len(self._matches))
        match = self._matches[index]
        if match.minute >= _MATCH:
            payload = self._incident(match, "full-time")
            self._matches[index] = self._kick_off(_TEAMS[index])
            return EVENT, [payload]
        match.minute += self._random.random() < 0.4
        match.suspended = max(match.suspended - 1, 0)
        if self._random.random() < _GOAL * (match.home_rate + match.away_rate):
            return EVENT, [self._goal(match)]
        return ODDS, [self._odds(match)]

    def _kick_off(self, teams: tuple[str, str]) -> Match:
        self._played += 1
        strength = self._random.uniform(-0.5, 0.7)
        return Match(
            f"sr:match:{41115850 + self._played}",
            *teams,
            home_rate=1.4 + strength / 2,
            away_rate=1.4 - strength / 2,
        )

    def _goal(self, match: Match) -> dict[str, Any]:
        share = match.home_rate / (match.home_rate + match.away_rate)
        if self._random.random() < share:
            match.home_score += 1
        else:
            match.away_score += 1
        match.suspended = 3
        return self._incident(match, "goal")

    def _incident(self, match: Match, kind: str) -> dict[str, Any]:
        return {
            "id": self._number,
            "event": match.id,
            "kind": kind,
            "minute": match.minute,
            "score": match.score,
            "ts": _now(),
        }

    def _odds(self, match: Match) -> dict[str, Any]:
        outcome = self._random.randrange(3)
        chance = match.chances()[outcome] + self._random.uniform(-0.004, 0.004)
        price = min(max(1.0 / (max(chance, 1e-6) * _MARGIN), 1.01), _LONGEST)
        return {
            "id": self._number,
            "event": match.id,
            "name": f"{match.home} - {match.away}",
            "market": "1x2",
            "selection": ("home", "draw", "away")[outcome],
            "price": f"{price:.2f}",
            "status": "suspended" if match.suspended else "open",
            "minute": match.minute,
            "score": match.score,
            "ts": _now(),
        }


def _now() -> int:
    return int(wall_seconds() * 1000)
