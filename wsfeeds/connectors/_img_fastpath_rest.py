"""The REST conversations of FastPath: which fixtures there are.

Protocol facts are from docs/protocols/img_fastpath.md, sections 3, 8 and 10. The list comes in
several shapes and error bodies too, so each is read leniently.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.protocol import HttpReply, HttpRequest, unavailable

ACCEPT = "application/vnd.imggaming.dde.api+json;version=1"
DEFAULT_API = "https://dde-api.data.srarena.io"
_PAGE_SIZE = 100
_NO_SUCH_PAGE = frozenset({400, 404, 416})
_MOST_PAGES = 1_000
_LIST_NAMES = ("content", "fixtures", "items", "data", "results", "events")
_CURSOR_NAMES = ("cursor", "nextCursor", "next_cursor", "next")
_CURSOR_PLACES = ("pageable", "pagination", "paging", "page", "meta", "links")
_TENNIS_PATHS = ("/tournaments/liveevents", "/tennis/tournaments/liveevents")

Row = dict[str, Any]
Rows = Generator[HttpRequest, HttpReply, list[Row]]


class _Page(msgspec.Struct):
    """One answer of the list: its rows, and how it says that more follow."""

    rows: list[Row]
    cursor: str | None = None
    total: int | None = None
    last: bool | None = None

    @property
    def silent(self) -> bool:
        """Whether it says nothing of a next page; only asking for it tells."""
        return self.cursor is None and self.total is None and self.last is None


def fetch_fixtures(
    api_url: str | None, token: str, sport: str, symbols: Sequence[str] = ()
) -> Rows:
    """Fetch the fixtures of a sport, page by page (section 10), or those named of them.

    Returns:
        One dict a fixture: `symbol`, `name`, `status`, `collection_status`, `start` (as sent, UTC
        where it names no zone), `type`, `coverage_level`.

    Raises:
        CredentialsRefused: The venue does not accept the token.
        UsageError: There is no such sport.
        Transient: The list is not there for now.
    """
    base = (api_url or DEFAULT_API).rstrip("/")
    if sport == "tennis":
        rows = yield from _fetch_tennis(base, token)
    else:
        rows = yield from _fetch_pages(f"{base}/{sport}/fixtures", token, sport)
    described = [_described(row, sport) for row in rows]
    wanted = {symbol.lstrip("/") for symbol in symbols}
    return [row for row in described if not wanted or row["symbol"] in wanted]


def _fetch_pages(address: str, token: str, sport: str) -> Rows:
    found: dict[str, Row] = {}
    url = f"{address}?{urlencode({'size': _PAGE_SIZE, 'page': 0})}"
    before: _Page | None = None
    for number in itertools.count(1):
        reply = yield _request(url, token)
        if before is not None and before.silent and reply.status in _NO_SUCH_PAGE:
            break
        page = _page(reply, sport)
        new = {_id(row): row for row in page.rows if _id(row) and _id(row) not in found}
        found.update(new)
        # A venue that ignores paging sends the same rows again: no news is the end.
        if not new or number >= _MOST_PAGES or page.last is True:
            break
        following = _following(address, page, number, before)
        if following is None:
            break
        url, before = following, page
    return list(found.values())


def _following(address: str, page: _Page, number: int, before: _Page | None) -> str | None:
    """Return the address of the next page, None after the last.

    How many rows came says nothing: a venue may cap its pages below the size that was asked for.
    """
    if page.cursor is not None:
        if page.cursor.startswith(("http://", "https://")):
            # The token goes nowhere else.
            same = urlsplit(page.cursor)[:2] == urlsplit(address)[:2]
            return page.cursor if same else None
        return f"{address}?size={_PAGE_SIZE}&cursor={quote(page.cursor, safe='')}"
    if page.total is not None:
        more = number < page.total
    else:
        # A chain of cursors ends with the page that has none.
        more = page.last is False or before is None or before.cursor is None
    return f"{address}?{urlencode({'size': _PAGE_SIZE, 'page': number})}" if more else None


def _fetch_tennis(base: str, token: str) -> Rows:
    """Fetch the live events of tennis, of which only the path is known (section 8)."""
    for path in _TENNIS_PATHS:
        reply = yield _request(f"{base}{path}", token)
        if reply.status != 404 or path == _TENNIS_PATHS[-1]:
            break
    page = _page(reply, "tennis")
    rows = list(itertools.chain.from_iterable(map(_events, page.rows)))
    return [row for row in rows if _id(row)]


def _events(row: Row) -> list[Row]:
    """Return the events of a tournament, or the row itself where it is an event."""
    for name in ("events", "liveEvents"):
        if isinstance(row.get(name), list):
            return [event for event in row[name] if isinstance(event, dict)]
    return [row]


def _request(url: str, token: str) -> HttpRequest:
    headers = {
        "Accept": ACCEPT,
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "paged": "true",
    }
    return HttpRequest(url=url, headers=headers)


def _page(reply: HttpReply, sport: str) -> _Page:
    if reply.status == 204:
        return _Page([])
    if reply.status != 200:
        raise _refused(reply, sport)
    try:
        body = reply.json()
    except msgspec.DecodeError as error:
        raise Transient("the list of fixtures is no JSON") from error
    rows = _rows(body)
    if rows is None:
        raise Transient("the list of fixtures answered no list")
    if isinstance(body, list):
        return _Page(rows)
    return _Page(
        rows,
        cursor=_cursor(body),
        total=_member(body, "totalPages", int),
        last=_member(body, "last", bool),
    )


def _rows(body: Any) -> list[Row] | None:
    """Find the list: bare, `content`, or one named array, at most one object deep."""
    if isinstance(body, list):
        return [row for row in body if isinstance(row, dict)]
    if not isinstance(body, dict):
        return None
    names = (*_LIST_NAMES, *body)
    for place in (body, *(inner for inner in body.values() if isinstance(inner, dict))):
        for name in (*names, *place):
            if isinstance(place.get(name), list):
                return [row for row in place[name] if isinstance(row, dict)]
    return None


def _cursor(body: Row) -> str | None:
    for place in (body, *(body.get(name) for name in _CURSOR_PLACES)):
        if not isinstance(place, dict):
            continue
        for name in _CURSOR_NAMES:
            value = place.get(name)
            if isinstance(value, dict):
                value = value.get("href")
            if isinstance(value, str) and value:
                return value
    return None


def _member(body: Row, name: str, kind: type) -> Any:
    for place in (body, *(body.get(each) for each in _CURSOR_PLACES)):
        if isinstance(place, dict) and type(place.get(name)) is kind:
            return place[name]
    return None


def _refused(reply: HttpReply, sport: str) -> CredentialsRefused | UsageError | Transient:
    """Return the error for a status that is none of success (sections 3 and 10)."""
    said = error_text(reply)
    if reply.status in {401, 403}:
        return CredentialsRefused(
            f"the list of fixtures refused the token: HTTP {reply.status}{said}", code=reply.status
        )
    if reply.status in {400, 404}:
        return UsageError(
            f"the venue lists no fixtures of {sport!r}: HTTP {reply.status}{said}",
            code=reply.status,
        )
    return unavailable("the list of fixtures", reply)


def error_text(reply: HttpReply) -> str:
    """Return what an error body says, in parentheses: a known member, else the raw text."""
    try:
        body = reply.json()
    except msgspec.DecodeError:
        raw = reply.body.decode(errors="replace").strip()[:200]
        return f" ({raw})" if raw else ""
    if isinstance(body, dict):
        for name in ("errorMessage", "error", "message"):
            if isinstance(body.get(name), str) and body[name]:
                return f" ({body[name]})"
    return ""


def _id(row: Row) -> str:
    for name in ("id", "fixtureId", "eventId"):
        if isinstance(row.get(name), str | int) and not isinstance(row[name], bool):
            return str(row[name])
    return ""


def _described(row: Row, sport: str) -> Row:
    return {
        "symbol": f"{sport}/{_id(row)}",
        "name": _word(row, "name") or _versus(row.get("teams")),
        "status": _word(row, "status", "eventStatus"),
        "collection_status": _word(row, "collectionStatus"),
        "start": _word(row, "startDateUTC", "startTime", "start"),
        "type": _word(row, "type"),
        "coverage_level": _word(row, "coverageLevel"),
    }


def _word(row: Row, *names: str) -> str | None:
    """Return the first of some members that is there, as text."""
    found = next((row[name] for name in names if row.get(name) not in {None, ""}), None)
    return None if found is None else str(found)


def _versus(teams: Any) -> str | None:
    if not isinstance(teams, list):
        return None
    names = [team.get("name") for team in teams if isinstance(team, dict)]
    return " v ".join(name for name in names if isinstance(name, str)) or None
