"""Matches and the odds on them, for the simulated quote stream.

Every event is played from a seed of its own, so the same steps give the same prices. A match
that is over is followed by the next one on the same ids: a stream for demos has no end.
Numbers are strings, statuses too; any status but ``1`` is locked
(docs/protocols/interact_quote.md, section 5).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

OPEN, LOCKED, SUSPENDED, CLOSED = "1", "0", "-3", "-1"
_MARGIN = 1.05
_LONGEST = 500.0
_MATCH = 90.0
_MINUTES_A_STEP = 0.5
_LOCK_STEPS = 4
_CLOSED_STEPS = 6
_MAX_GOALS = 10
_BALLS = 120
_RUNS = (0, 1, 2, 3, 4, 6)
_RUN_WEIGHTS = (36, 40, 8, 1, 10, 5)
_WICKET = 0.045


@dataclass
class Selection:
    """One outcome of a market; odds of an empty text are none."""

    id: str
    back: str = "0"
    back_line: str = "0"
    lay: str = "0"
    lay_line: str = "0"


@dataclass
class Market:
    """One market of an event and what changed in it since it was last taken."""

    event: str
    id: str
    selections: list[Selection]
    status: str = OPEN
    changed: set[str] = field(default_factory=set)
    updated: str = ""

    def put(self, status: str, rows: Sequence[Mapping[str, str]]) -> None:
        """Set status and odds, and note what that changes."""
        for selection, row in zip(self.selections, rows, strict=True):
            before = vars(selection).copy()
            for name, value in row.items():
                setattr(selection, name, value)
            if vars(selection) != before or status != self.status:
                self.changed.add(selection.id)
        self.status = status
        if self.changed:
            self.updated = _now()

    def lock(self, status: str) -> None:
        """Lock it; the prices stay."""
        self.put(status, [{} for _ in self.selections])


@dataclass(frozen=True)
class Shape:
    """How fancy items are written (section 7).

    Args:
        with_eid: They name their event.
        without_ut: They have no update time.
    """

    with_eid: bool = False
    without_ut: bool = False

    def items(
        self, market: Market, family: str, only: Iterable[str] | None = None
    ) -> list[dict[str, Any]]:
        """Write a market's selections as items of a family, all or some of them."""
        wanted = set(only) if only is not None else None
        write = self._fancy if family == "fancy-market" else _sportsbook
        return [
            write(market, each) for each in market.selections if wanted is None or each.id in wanted
        ]

    def _fancy(self, market: Market, selection: Selection) -> dict[str, Any]:
        item = {"eid": market.event} if self.with_eid else {}
        item |= {
            "mid": market.id,
            "pid": selection.id,
            "bl": selection.back_line,
            "bo": selection.back,
            "ll": selection.lay_line,
            "lo": selection.lay,
            "status": market.status,
        }
        return item if self.without_ut else item | {"ut": market.updated}


class Football:
    """A football match with the three-way market and the total of goals.

    Args:
        event: Its id.
        markets: The ids of the three-way market and of the total.
        random: The only source of chance.
    """

    def __init__(self, event: str, markets: tuple[str, str], random: Random) -> None:
        three, total = markets
        self._three = Market(event, three, [Selection(each) for each in ("1", "2", "3")])
        self._total = Market(event, total, [Selection(each) for each in ("1", "2")])
        self.markets = (self._three, self._total)
        self._random = random
        self._closed = self._locked = 0
        self._minute = 0.0
        self._score = [0, 0]
        self._rates = [0.0, 0.0]
        self._kick_off()

    def step(self) -> None:
        """Let half a minute pass."""
        if self._closed:
            self._closed -= 1
            if not self._closed:
                self._kick_off()
            return
        self._minute += _MINUTES_A_STEP
        if self._minute >= _MATCH:
            self._closed = _CLOSED_STEPS
            self._lock(CLOSED)
            return
        for side in (0, 1):
            if self._random.random() < self._rates[side] * _MINUTES_A_STEP / _MATCH:
                self._score[side] += 1
                self._locked = _LOCK_STEPS
                self._lock(LOCKED)
                return
        self._rates = [
            min(max(rate * math.exp(self._random.gauss(0, 0.01)), 0.3), 3.0) for rate in self._rates
        ]
        self._locked = max(self._locked - 1, 0)
        if not self._locked:
            self._price()

    def _kick_off(self) -> None:
        self._minute, self._score, self._locked = 0.0, [0, 0], 0
        self._rates = [self._random.uniform(1.2, 1.8), self._random.uniform(0.8, 1.4)]
        self._price()

    def _lock(self, status: str) -> None:
        for market in self.markets:
            market.lock(status)

    def _price(self) -> None:
        left = 1.0 - self._minute / _MATCH
        home, away = (_poisson(rate * left) for rate in self._rates)
        chances = [0.0, 0.0, 0.0]
        for mine, chance in enumerate(home):
            for theirs, other in enumerate(away):
                margin = self._score[0] + mine - self._score[1] - theirs
                chances[0 if margin > 0 else 1 if margin == 0 else 2] += chance * other
        self._three.put(OPEN, [_offer(chance, "0") for chance in chances])
        goals = _poisson(sum(self._rates) * left)
        more = max(round(sum(self._rates) * left), 0)
        line = f"{sum(self._score) + more}.5"
        under = sum(goals[: more + 1])
        self._total.put(OPEN, [_offer(1 - under, line), _offer(under, line)])


class Cricket:
    """A cricket innings with the match odds and a fancy market on its runs.

    Args:
        event: Its id.
        markets: The ids of the match odds and of the fancy market.
        random: The only source of chance.
    """

    def __init__(self, event: str, markets: tuple[str, str], random: Random) -> None:
        odds, runs = markets
        self._odds = Market(event, odds, [Selection("4"), Selection("5")])
        self._session = Market(event, runs, [Selection("1")])
        self.markets = (self._odds, self._session)
        self._random = random
        self._closed = self._wait = 0
        self._ball = self._runs = self._wickets = 0
        self._begin()

    def step(self) -> None:
        """Lock for a ball, or bowl it and open again."""
        if self._closed:
            self._closed -= 1
            if not self._closed:
                self._begin()
            return
        if self._session.status == OPEN:
            self._quote(SUSPENDED, "0")
            return
        if self._wait:
            self._wait -= 1
            return
        self._ball += 1
        if self._random.random() < _WICKET:
            self._wickets += 1
            self._wait = _LOCK_STEPS
            self._odds.lock(SUSPENDED)
        else:
            self._runs += self._random.choices(_RUNS, weights=_RUN_WEIGHTS)[0]
        if self._ball >= _BALLS or self._wickets >= 10:
            self._closed = _CLOSED_STEPS
            for market in self.markets:
                market.lock(CLOSED)
        elif not self._wait:
            self._price()

    def _begin(self) -> None:
        self._ball = self._runs = self._wickets = self._wait = 0
        self._price()

    def _price(self) -> None:
        self._quote(OPEN, f"{self._random.choice((1.80, 1.85, 1.90, 1.95)):.2f}")
        ahead = (self._expected() - 160.0) / 40.0
        chance = 1.0 / (1.0 + math.exp(-ahead))
        self._odds.put(OPEN, [_offer(chance, "0"), _offer(1.0 - chance, "0")])

    def _quote(self, status: str, odds: str) -> None:
        line = int(self._expected())
        row = {"back_line": str(line + 1), "lay_line": str(line), "back": odds, "lay": odds}
        self._session.put(status, [row])

    def _expected(self) -> float:
        """Runs at the end of the innings, as far as one can tell now."""
        return self._runs + (_BALLS - self._ball) * 1.35 * (1.0 - self._wickets * 0.06)


def _sportsbook(market: Market, selection: Selection) -> dict[str, Any]:
    return {
        "event_id": market.event,
        "market_id": market.id,
        "product_id": selection.id,
        "price": selection.back,
        "status": market.status,
    }


def _offer(chance: float, line: str) -> dict[str, str]:
    price = f"{min(max(1.0 / (max(chance, 1e-6) * _MARGIN), 1.01), _LONGEST):.2f}"
    lay = f"{min(float(price) * 1.02 + 0.01, _LONGEST + 10):.2f}"
    return {"back": price, "lay": lay, "back_line": line, "lay_line": line}


def _poisson(mean: float) -> list[float]:
    return [math.exp(-mean) * mean**count / math.factorial(count) for count in range(_MAX_GOALS)]


def _now() -> str:
    now = datetime.fromtimestamp(time.time(), UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"
