"""The simulated fixtures API (docs/protocols/img_fastpath.md, section 10)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.img_fastpath_board import Team
from wsfeeds.simulators.img_fastpath_fixtures import FINISHED, LIVE, Catalogue, Fixture
from wsfeeds.simulators.img_fastpath_frames import iso, uuid
from wsfeeds.simulators.img_fastpath_stream import Feed

_SPORT = r"/(?P<sport>v2/[a-z]+|[a-z][a-z-]*)"
_PACKETS = re.compile(_SPORT + r"/fixtures/(?P<id>[^/]+)/(?P<stream>actions|statistics)")
_SINGLE = re.compile(_SPORT + r"/fixtures/(?P<id>[^/]+)")
_LIST = re.compile(_SPORT + r"/fixtures")
_SEASONS = re.compile(_SPORT + r"/seasons")
_SEASON_LIST = re.compile(_SPORT + r"/seasons/(?P<season>[^/]+)/fixtures")
_SQUADS = re.compile(_SPORT + r"/seasons/(?P<season>[^/]+)/squads")
_LIVE_EVENTS = re.compile(r"(?:/tennis)?/tournaments/liveevents")
_NO_ACCEPT = "Request is missing required HTTP header 'Accept'"
_REFUSED = {"errorMessage": "Supplied token could not be authenticated"}
_PAGE = 20
_SORTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "startTime": lambda each: str(each["startDateUTC"]),
    "startDateUTC": lambda each: str(each["startDateUTC"]),
    "name": lambda each: str(each["name"]),
    "status": lambda each: str(each["status"]),
}


class Api:
    """Answers plain requests.

    Args:
        catalogue: The fixtures.
        token: What ``Authorization: Bearer`` has to carry.
        listing: How lists are wrapped: ``auto``, ``array``, ``pageable`` or ``named``.
        seasons: Gives the season id of a sport.
    """

    def __init__(
        self, catalogue: Catalogue, token: str, listing: str, seasons: Callable[[str], str]
    ) -> None:
        self._catalogue = catalogue
        self._token = token
        self._listing = listing
        self._season = seasons
        self._now = time.time_ns() // 1000

    def answer(self, request: Request) -> Response:
        """Check the headers, then answer."""
        if not request.headers.get("accept"):
            return Response.text(_NO_ACCEPT, 400)
        authorization = request.headers.get("authorization")
        if not authorization:
            return Response.json({"error": "No authorization header", "status": 401}, 401)
        if authorization != f"Bearer {self._token}":
            return Response.json(_REFUSED, 401)
        if request.method != "GET":
            return _error("Method not allowed", 405)
        return self._route(request)

    def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        if _LIVE_EVENTS.fullmatch(path):
            return Response.json([_event(each) for each in self._catalogue.of("tennis")][:2])
        path = path.removeprefix("/media")
        if match := _PACKETS.fullmatch(path):
            return self._packets(match["sport"], match["id"], match["stream"])
        if match := _SINGLE.fullmatch(path):
            fixture = self._catalogue.find(match["sport"], match["id"])
            return Response.json(self._listed(fixture)) if fixture else _missing()
        if match := _LIST.fullmatch(path):
            return self._list(request, match["sport"])
        if match := _SEASONS.fullmatch(path):
            return self._seasons(match["sport"])
        for pattern, answer in ((_SEASON_LIST, self._list), (_SQUADS, self._squads)):
            match = pattern.fullmatch(path)
            if match and match["season"] == self._season(match["sport"]):
                return answer(request, match["sport"])
        return _missing()

    def _packets(self, sport: str, fixture_id: str, stream: str) -> Response:
        """Every packet of a stream, but only after the match."""
        fixture = self._catalogue.find(sport, fixture_id)
        if fixture is None or not fixture.over or stream not in fixture.feeds:
            return _missing()
        feed = fixture.feeds[stream]
        return Response(
            200, b"[" + b",".join(_written(feed)) + b"]", {"Content-Type": "application/json"}
        )

    def _list(self, request: Request, sport: str) -> Response:
        fixtures = self._catalogue.of(sport)
        if not fixtures:
            return _missing()
        try:
            size, page = _whole(request, "size", _PAGE), _whole(request, "page", 0)
        except ValueError as error:
            return _error(str(error), 400)
        rows = [self._listed(each) for each in fixtures if self._wanted(each, request)]
        _sort(rows, request.query.get("sort", ["startTime,asc", "name,asc"]))
        if self._listing == "named":
            return self._named(rows, request, size)
        paged = "true" in (request.param("paged"), request.headers.get("paged"))
        part = rows[page * size : (page + 1) * size]
        if self._listing == "pageable" or (self._listing == "auto" and paged):
            return Response.json(_page(rows, part, page, size))
        return Response.json(part)

    def _named(self, rows: list[dict[str, Any]], request: Request, size: int) -> Response:
        """A named array and a cursor, as the overview of the REST API promises."""
        try:
            start = _whole(request, "cursor", 0)
        except ValueError as error:
            return _error(str(error), 400)
        end = start + size
        cursor = str(end) if end < len(rows) else None
        return Response.json({"fixtures": rows[start:end], "cursor": cursor})

    def _wanted(self, fixture: Fixture, request: Request) -> bool:
        status, _ = fixture.states()
        row = self._listed(fixture)
        live, subscribed = request.param("live"), request.param("subscribed")
        date, since, until = row["startDateUTC"][:10], *map(request.param, ("dateFrom", "dateTo"))
        return (
            (live is None or (live == "true") == (status == "Live"))
            and (subscribed is None or (subscribed == "true") == fixture.licensed)
            and _same(request.param("status"), status)
            and _same(request.param("type"), row["type"])
            and _same(request.param("coverageLevel"), row["coverageLevel"])
            and (since is None or date >= since)
            and (until is None or date <= until)
        )

    def _listed(self, fixture: Fixture) -> dict[str, Any]:
        status, collection = fixture.states()
        dropped = collection == "CollectionDropped"
        return {
            "id": fixture.id,
            "name": fixture.name,
            "status": status,
            "collectionStatus": collection,
            "type": "Official",
            "coverageLevel": "No Coverage" if dropped else "Standard stream",
            "startDateUTC": iso(self._now + round(fixture.starts * 3600) * 1_000_000, 0),
            "teams": [_listed_team(team) for team in fixture.teams],
            "stage": {"id": self._season(f"{fixture.sport}/stage"), "name": "Regular Season"},
            "venue": {"name": f"{fixture.teams[0].name} Ground"},
            "sport": fixture.sport.removeprefix("v2/"),
            "fixtureDeleted": False,
            "rules": None,
            "updateCount": 1,
        }

    def _seasons(self, sport: str) -> Response:
        if not self._catalogue.of(sport):
            return _missing()
        year = int(iso(self._now, 0)[:4])
        season = {
            "id": self._season(sport),
            "name": f"Simulated League {year}",
            "startDate": f"{year}-01-01",
            "endDate": f"{year}-12-31",
            "competition": {"id": self._season(f"{sport}/league"), "name": "Simulated League"},
        }
        return Response.json([season])

    def _squads(self, request: Request, sport: str) -> Response:
        del request
        teams = {team.id: team for each in self._catalogue.of(sport) for team in each.teams}
        return Response.json(
            [{"team": team.named(), "players": list(team.players)} for team in teams.values()]
        )


def season_id(random: Callable[..., Any], sport: str) -> str:
    """Make the id of a sport's season, stage or competition."""
    return uuid(random("season", sport))


def _written(feed: Feed) -> Sequence[bytes]:
    return [feed.encode(entry) for entry in feed.log if isinstance(entry, int)]


def _listed_team(team: Team) -> dict[str, Any]:
    club = {"id": team.id[::-1], "name": team.name.upper()}
    return {"id": team.id, "name": team.name, "club": club}


def _event(fixture: Fixture) -> dict[str, Any]:
    status = {LIVE: "InProgress", FINISHED: "Finished"}.get(fixture.phase, "NotStarted")
    if fixture.phase == LIVE and fixture.over:
        status = "Finished"
    return {"id": fixture.id, "name": fixture.name, "status": status}


def _sort(rows: list[dict[str, Any]], orders: Sequence[str]) -> None:
    for order in reversed(orders):
        name, _, direction = order.partition(",")
        if name in _SORTS:
            rows.sort(key=_SORTS[name], reverse=direction == "desc")


def _page(rows: Sequence[Any], part: Sequence[Any], page: int, size: int) -> dict[str, Any]:
    pages = -(-len(rows) // size)
    return {
        "content": part,
        "pageable": {"pageNumber": page, "pageSize": size, "offset": page * size, "paged": True},
        "totalElements": len(rows),
        "totalPages": pages,
        "number": page,
        "size": size,
        "numberOfElements": len(part),
        "first": page == 0,
        "last": page >= pages - 1,
        "empty": not part,
    }


def _whole(request: Request, name: str, default: int) -> int:
    text = request.param(name)
    if text is None or text == "":
        return default
    if not text.isdecimal() or (name == "size" and int(text) == 0):
        raise ValueError(f"{name} is no valid number: {text}")
    return int(text)


def _same(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted.lower() == value.lower()


def _missing() -> Response:
    return _error("Not found", 404)


def _error(text: str, status: int) -> Response:
    return Response(
        status, orjson.dumps({"errorMessage": text}), {"Content-Type": "application/json"}
    )
