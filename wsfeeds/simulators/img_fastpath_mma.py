"""A simulated fight in flat, tennis-style frames (docs/protocols/img_fastpath.md, 2.2 and 8).

Only their outline is published: number, time and kind. The kinds and bodies here are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from wsfeeds.simulators.img_fastpath_frames import Moment, Number, Packet, clock_text

_ROUND = 300.0
_ROUNDS = 3
_STRIKES = ("Jab", "Cross", "Hook", "Kick", "Knee", "Takedown", "TakedownAttempt", "Clinch")
_CORNERS = ("Red", "Blue")


class Fight:
    """Fights three rounds, unless a knockout ends it before.

    Args:
        fighters: In the red and in the blue corner.
        random: The only source of chance.
    """

    def __init__(self, fighters: tuple[str, str], random: Random) -> None:
        self.details: list[Packet] = []
        self.actions: list[Packet] = []
        self._fighters = fighters
        self._random = random
        self._now = 0.0
        self._points = [0, 0]

    def run(self) -> None:
        """Write the whole fight down."""
        self._detail("FightStatusUpdate", {"fightStatus": {"state": "NotStarted"}})
        self._now += 5.0
        for corner, fighter in zip(_CORNERS, self._fighters, strict=True):
            self._detail("FighterWalkout", {"fighter": {"corner": corner, "name": fighter}})
            self._now += 5.0
        self._detail("FightStatusUpdate", {"fightStatus": {"state": "InProgress"}})
        for number in range(1, _ROUNDS + 1):
            if self._round(number):
                break
            self._now += 60.0
        else:
            self._result("Decision")
        self._detail("FightStatusUpdate", {"fightStatus": {"state": "Finished"}})

    def _round(self, number: int) -> bool:
        """Fight a round; tell whether it ended the fight."""
        random, start = self._random, self._now
        self._detail("RoundStarted", {"round": number})
        while True:
            self._now += random.uniform(1, 8)
            if self._now >= start + _ROUND:
                self._now = start + _ROUND
                self._detail("RoundEnded", {"round": number})
                return False
            side = random.randrange(2)
            landed = random.random() < 0.45
            self._points[side] += landed
            kind = random.choice(_STRIKES)
            left = clock_text(start + _ROUND - self._now)
            body = {
                "round": number,
                "roundTime": left,
                "fighter": _CORNERS[side],
                "action": {"type": kind, "landed": landed},
            }
            self.actions.append(self._packet("FightAction", body))
            if landed and random.random() < 0.002:
                self._points[side] += 1000
                self._detail("RoundEnded", {"round": number})
                self._result("Knockout")
                return True

    def _result(self, method: str) -> None:
        self._now += 5.0
        winner = _CORNERS[0 if self._points[0] >= self._points[1] else 1]
        self._detail("FightResult", {"result": {"winner": winner, "method": method}})

    def _detail(self, kind: str, body: Mapping[str, Any]) -> None:
        self.details.append(self._packet(kind, body))

    def _packet(self, kind: str, body: Mapping[str, Any]) -> Packet:
        frame = {
            "seqNum": Number(),
            "timestamp": Moment(self._now, 3),
            "eventElementType": kind,
            **body,
        }
        return Packet(self._now, frame)


def mma(fighters: tuple[str, str], random: Random) -> dict[str, list[Packet]]:
    """Run a fight and deliver both streams of it."""
    fight = Fight(fighters, random)
    fight.run()
    return {"details": fight.details, "actions": fight.actions}
