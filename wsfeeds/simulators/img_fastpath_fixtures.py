"""The fixtures that the simulated FastPath knows, and the streams of each.

Their ids do not depend on the seed, so that they can be typed; what happens in them does.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wsfeeds.simulators.img_fastpath_board import COLLECTION_STATUS, FIXTURE_STATUS, Team
from wsfeeds.simulators.img_fastpath_frames import Packet, Style, uuid
from wsfeeds.simulators.img_fastpath_mma import mma
from wsfeeds.simulators.img_fastpath_soccer import soccer
from wsfeeds.simulators.img_fastpath_sports import TABLE_TENNIS, VOLLEYBALL, basketball, rallies
from wsfeeds.simulators.img_fastpath_stream import Feed, Pace, play_all
from wsfeeds.simulators.img_fastpath_tennis import tennis

SOCCER_LIVE = "433eac65-2c3c-4164-bcae-b6f27db27d0c"
TENNIS_LIVE = "2022-2789-MS027"
TENNIS_FINISHED = "2022-0784-QS010"
TENNIS_NOT_STARTED = "2022-2789-MS028"

LIVE, FINISHED, SCHEDULED = "live", "finished", "scheduled"
_TOWNS = (
    "Harbour Town",
    "Northgate",
    "Eastfield",
    "Silverlake",
    "Port Avalon",
    "Redhill",
    "Castle Bay",
    "Westbrook",
    "Stonebridge",
    "Kingsferry",
)
_SUFFIXES = {"soccer": "FC", "basketball": "Hawks", "v2/volleyball": "VC"}
_NAMES = ("Novak", "Lind", "Moreau", "Ito", "Silva", "Okafor", "Berg", "Kovac", "Reyes", "Haas")
_INITIALS = "ABCDEFGHJK"
_SQUAD = 18
_FLAT = frozenset({"tennis", "mma"})
_COUNTS = {"soccer": 45, "basketball": 6, "v2/volleyball": 4, "v2/tabletennis": 3}


@dataclass
class Fixture:
    """One fixture.

    Args:
        sport: As in the path, such as ``v2/volleyball``.
        id: Its id.
        teams: Home and away; for tennis and fights the players.
        phase: ``live``, ``finished`` or ``scheduled``.
        licensed: Whether the account may stream it.
        starts: Hours from now until its start.
    """

    sport: str
    id: str
    teams: tuple[Team, Team]
    phase: str
    licensed: bool = True
    starts: float = 0.0
    watched: asyncio.Event = field(default_factory=asyncio.Event)
    build: Callable[[Fixture], dict[str, Feed]] = field(default=lambda _: {}, repr=False)

    @property
    def name(self) -> str:
        """Home v away."""
        return f"{self.teams[0].name} v {self.teams[1].name}"

    @property
    def flat(self) -> bool:
        """Whether it belongs to the older generation with flat frames."""
        return self.sport in _FLAT

    @functools.cached_property
    def feeds(self) -> dict[str, Feed]:
        """Its streams by name; played out when first needed."""
        return self.build(self)

    @property
    def over(self) -> bool:
        """Whether no more packets follow."""
        if self.phase != LIVE or not self.watched.is_set():
            return self.phase == FINISHED
        return all(feed.over for feed in self.feeds.values())

    def states(self) -> tuple[str, str]:
        """Its status and the status of its collection."""
        if self.phase == SCHEDULED:
            return FIXTURE_STATUS[0], COLLECTION_STATUS[0]
        if self.phase == FINISHED:
            return FIXTURE_STATUS[2], COLLECTION_STATUS[5]
        packet = None
        if self.watched.is_set() and not self.flat:
            packet = self.feeds["actions"].last()
        if packet is None:
            return FIXTURE_STATUS[1], COLLECTION_STATUS[1]
        summary: dict[str, Any] = packet.body["fixtureSummary"]
        return summary["currentStatus"], summary["collectionStatus"]

    async def play(self, *, at_once: bool) -> None:
        """Play a live fixture, at once or as soon as somebody watches it."""
        if at_once:
            self.watched.set()
        await self.watched.wait()
        await play_all(tuple(self.feeds.values()))


class Catalogue:
    """Every fixture of a simulator.

    Args:
        random: Gives the chance of a purpose.
        pace: How fast matches are played.
        style: How frames are written.
        suspension: ``recover``, ``drop`` or ``none``, for the live soccer match.
    """

    def __init__(
        self, random: Callable[..., Random], pace: Pace, style: Style, suspension: str
    ) -> None:
        self._random = random
        self._pace = pace
        self._style = style
        self._suspension = suspension
        self.fixtures = {(each.sport, each.id): each for each in self._all()}

    def find(self, sport: str, fixture_id: str) -> Fixture | None:
        """Look a fixture up."""
        return self.fixtures.get((sport, fixture_id))

    def of(self, sport: str) -> list[Fixture]:
        """List the fixtures of a sport."""
        return [each for each in self.fixtures.values() if each.sport == sport]

    def _all(self) -> Iterator[Fixture]:
        for sport, count in _COUNTS.items():
            for number in range(count):
                yield self._team_fixture(sport, number)
        for fixture_id, phase in (
            (TENNIS_LIVE, LIVE),
            (TENNIS_FINISHED, FINISHED),
            (TENNIS_NOT_STARTED, SCHEDULED),
        ):
            yield self._fixture("tennis", fixture_id, _duel(fixture_id), phase)
        for number, phase in enumerate((LIVE, FINISHED, SCHEDULED)):
            fixture_id = _id("mma", number)
            yield self._fixture("mma", fixture_id, _duel(fixture_id), phase)

    def _team_fixture(self, sport: str, number: int) -> Fixture:
        fixture_id = SOCCER_LIVE if (sport, number) == ("soccer", 0) else _id(sport, number)
        phase = {0: LIVE, 1: FINISHED}.get(number, SCHEDULED)
        fixture = self._fixture(sport, fixture_id, _sides(sport, number), phase)
        # Not a live one: who takes the first live fixture of the list shall get its stream.
        fixture.licensed = (sport, number) != ("soccer", 2)
        fixture.starts = {0: -0.5, 1: -24.0}.get(number, 3.0 * number)
        return fixture

    def _fixture(
        self, sport: str, fixture_id: str, teams: tuple[Team, Team], phase: str
    ) -> Fixture:
        return Fixture(sport, fixture_id, teams, phase, build=self._feeds)

    def _feeds(self, fixture: Fixture) -> dict[str, Feed]:
        live = fixture.phase == LIVE
        tennis_match = fixture.sport == "tennis"
        return {
            name: Feed(
                packets,
                self._pace,
                self._style,
                live=live,
                first=0 if tennis_match else 1,
                watched_health=not tennis_match,
            )
            for name, packets in self._script(fixture, live=live).items()
        }

    def _script(self, fixture: Fixture, *, live: bool) -> dict[str, list[Packet]]:
        random = self._random("match", fixture.sport, fixture.id)
        players = (fixture.teams[0].name, fixture.teams[1].name)
        if fixture.sport == "tennis":
            return tennis(players, random)
        if fixture.sport == "mma":
            return mma(players, random)
        if fixture.sport == "basketball":
            return basketball(fixture.id, fixture.teams, random)
        if fixture.sport == "soccer":
            suspension = self._suspension if live else "none"
            return soccer(fixture.id, fixture.teams, random, suspension=suspension, live=live)
        rules = VOLLEYBALL if fixture.sport == "v2/volleyball" else TABLE_TENNIS
        return rallies(fixture.id, fixture.teams, random, rules)


@functools.cache
def _id(sport: str, number: int) -> str:
    return uuid(Random(f"{sport}/{number}"))  # noqa: S311 - an id, not a secret


def _sides(sport: str, number: int) -> tuple[Team, Team]:
    count, suffix = len(_TOWNS), _SUFFIXES.get(sport, "TTC")
    home, away = number % count, (number + 1 + number // count) % count
    if home == away:
        away = (away + 1) % count
    return _team(sport, 0, f"{_TOWNS[home]} {suffix}"), _team(sport, 1, f"{_TOWNS[away]} {suffix}")


@functools.cache
def _team(sport: str, side: int, name: str) -> Team:
    random = Random(f"{sport}/{name}")  # noqa: S311 - a cast, not a secret
    players = [f"{initial}. {surname}" for initial in _INITIALS for surname in _NAMES]
    return Team(side, uuid(random), name, tuple(random.sample(players, _SQUAD)))


def _duel(key: str) -> tuple[Team, Team]:
    random = Random(key)  # noqa: S311 - a cast, not a secret
    names: Sequence[str] = random.sample(_NAMES, 2)
    initials = random.sample(_INITIALS, 2)
    first, second = (
        Team(side, uuid(random), f"{initials[side]}. {names[side]}") for side in (0, 1)
    )
    return first, second
