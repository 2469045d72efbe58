"""A virtual league and one user's bets on it, for the simulated Igratech.

No property of any payload is documented (docs/protocols/igratech.md, section 4), so the members
are made up; the arithmetic between bets, results and balance holds to the cent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

_CLUBS = ("Comets", "Rockets", "Meteors", "Pulsars", "Quasars", "Novas", "Titans", "Orbits")
_SELECTIONS = ("home", "draw", "away")
_MATCHES = 2
_MINUTES = (9, 18, 27, 36, 45, 54, 63, 72, 81, 90)
_START = 100_000
_TOP_UP_BELOW = 5_000
_TOP_UP = 50_000
_CURRENCY = "EUR"


@dataclass
class Match:
    """One match of a round; odds and money are counted in hundredths."""

    id: str
    home: str
    away: str
    odds: tuple[int, int, int]
    score: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def result(self) -> str:
        """The selection that won."""
        home, away = self.score
        return _SELECTIONS[0 if home > away else 2 if home < away else 1]


@dataclass
class Bet:
    """One bet of the user."""

    id: str
    match: Match
    selection: str
    stake: int
    odds: int
    status: str = "open"
    payout: int = 0

    def settle(self) -> None:
        """Pay what was won, cut to the cent."""
        won = self.selection == self.match.result
        self.status = "won" if won else "lost"
        self.payout = self.stake * self.odds // 100 if won else 0


class League:
    """Plays round after round, and one user who bets on some of it.

    Args:
        user: Whose balance it is.
        random: The only source of chance.
    """

    def __init__(self, user: str, random: Random) -> None:
        self.user = user
        self.balance = _START
        self._random = random
        self._round = 0
        self._bets = 0
        self._changes = 0
        self._table = {club: [0, 0, 0, 0] for club in _CLUBS}

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Give operation and payload of one message after the other, for ever."""
        yield self._balance_message("opening", 0)
        while True:
            self._round += 1
            yield from self._play()

    def _play(self) -> Iterator[tuple[str, bytes]]:
        matches = self._draw()
        for match in matches:
            yield "incident", self._upcoming(match)
        bets = [bet for match in matches for bet in self._wagers(match)]
        if bets:
            yield "bet", _json([_listed(bet) for bet in bets])
            self.balance -= sum(bet.stake for bet in bets)
            yield self._balance_message("stake", -sum(bet.stake for bet in bets))
        for minute in _MINUTES:
            for match in matches:
                yield from self._incident(match, minute)
        for match in matches:
            self._record(match)
        for match in matches:
            yield from self._settle(match, [bet for bet in bets if bet.match is match])
        yield "stats", self._standings()
        if self.balance < _TOP_UP_BELOW:
            self.balance += _TOP_UP
            yield self._balance_message("deposit", _TOP_UP)

    def _draw(self) -> list[Match]:
        clubs = self._random.sample(_CLUBS, 2 * _MATCHES)
        return [
            Match(f"g{self._round}-{number + 1}", clubs[2 * number], clubs[2 * number + 1], odds)
            for number in range(_MATCHES)
            for odds in [self._price()]
        ]

    def _price(self) -> tuple[int, int, int]:
        home = self._random.uniform(0.3, 0.55)
        draw = self._random.uniform(0.22, 0.28)
        home_odds, draw_odds, away_odds = (
            int(100 / (chance * 1.06)) for chance in (home, draw, 1 - home - draw)
        )
        return home_odds, draw_odds, away_odds

    def _wagers(self, match: Match) -> Iterator[Bet]:
        for _ in range(self._random.choice((0, 1, 1, 2))):
            self._bets += 1
            pick = self._random.randrange(3)
            stake = self._random.choice((200, 500, 1000, 1250, 2000))
            yield Bet(f"b{self._bets}", match, _SELECTIONS[pick], stake, match.odds[pick])

    def _upcoming(self, match: Match) -> bytes:
        prices = dict(zip(_SELECTIONS, map(_money, match.odds), strict=True))
        kickoff = {"gameId": match.id, "type": "kickoff", "home": match.home, "away": match.away}
        return _json(kickoff | {"round": self._round, "odds": prices, "at": _now()})

    def _incident(self, match: Match, minute: int) -> Iterator[tuple[str, bytes]]:
        kind = self._random.choices(("goal", "corner", "card", "attack"), weights=(16, 30, 10, 44))[
            0
        ]
        side = 0 if self._random.random() < 0.54 else 1
        if kind == "goal":
            match.score[side] += 1
        payload = {
            "gameId": match.id,
            "type": "fulltime" if minute == _MINUTES[-1] else kind,
            "minute": minute,
            "team": (match.home, match.away)[side],
            "score": {"home": match.score[0], "away": match.score[1]},
        }
        if minute == _MINUTES[-1] and kind == "goal":
            payload["type"] = "goal"
            yield "incident", _json(payload)
            payload |= {"type": "fulltime"}
        yield "incident", _json(payload)

    def _settle(self, match: Match, bets: list[Bet]) -> Iterator[tuple[str, bytes]]:
        if not bets:
            return
        for bet in bets:
            bet.settle()
        result = {"gameId": match.id, "result": match.result, "bets": [_listed(b) for b in bets]}
        yield "bets-result", _json(result)
        if paid := sum(bet.payout for bet in bets):
            self.balance += paid
            yield self._balance_message("payout", paid)

    def _record(self, match: Match) -> None:
        home, away = match.score
        for club, own, other in ((match.home, home, away), (match.away, away, home)):
            row = self._table[club]
            row[0] += 1
            row[1] += own
            row[2] += other
            row[3] += 3 if own > other else 1 if own == other else 0

    def _standings(self) -> bytes:
        rows = sorted(self._table.items(), key=lambda row: (-row[1][3], row[1][2] - row[1][1]))
        table = [
            {"team": club, "played": row[0], "for": row[1], "against": row[2], "points": row[3]}
            for club, row in rows
        ]
        return _json({"round": self._round, "table": table})

    def _balance_message(self, reason: str, change: int) -> tuple[str, bytes]:
        self._changes += 1
        payload = {
            "user": self.user,
            "currency": _CURRENCY,
            "balance": _money(self.balance),
            "change": _money(change),
            "reason": reason,
            "id": self._changes,
        }
        return "balance", _json(payload)


def _listed(bet: Bet) -> dict[str, Any]:
    listed = {
        "betId": bet.id,
        "gameId": bet.match.id,
        "selection": bet.selection,
        "stake": _money(bet.stake),
        "odds": _money(bet.odds),
        "status": bet.status,
    }
    return listed if bet.status == "open" else listed | {"payout": _money(bet.payout)}


def _money(hundredths: int) -> orjson.Fragment:
    """Write hundredths as a JSON number with both decimals."""
    sign, amount = ("-", -hundredths) if hundredths < 0 else ("", hundredths)
    return orjson.Fragment(f"{sign}{amount // 100}.{amount % 100:02}")


def _now() -> str:
    now = datetime.fromtimestamp(time.time(), UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
