"""The list of fixtures in every shape and with every failure of the protocol page, section 10."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from wsfeeds.connectors.img_fastpath import Connector, FastPathSettings
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.protocol import HttpReply, HttpRequest
from wsfeeds.secrets import Secret

API = "https://api.example.test"
SETTINGS = FastPathSettings(token=Secret("sample-token"), api_url=f"{API}/")
G17 = (
    '{"id": "a777703c-3c72-4a09-ad3a-355a965067ad", "name": "Nyköbing FC v FC Helsingör", '
    '"status": "Unverified", "collectionStatus": "CollectionDropped", "type": "Official", '
    '"coverageLevel": "No Coverage", "startDateUTC": "2023-02-25T14:00:00", "teams": []}'
)
Answer = Callable[[dict[str, str]], Any]


def fixtures(first: int, last: int) -> list[dict[str, str]]:
    return [{"id": f"f{number}", "name": f"match {number}"} for number in range(first, last + 1)]


def listed(
    answer: Answer, *, sport: str = "soccer", most: int = 20
) -> tuple[list[dict[str, Any]], list[HttpRequest]]:
    """Run the conversation; `answer` gets the query and returns a body or a whole reply."""
    exchange = Connector.markets(SETTINGS, sport=sport)
    asked: list[HttpRequest] = [next(exchange)]
    while len(asked) <= most:
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(asked[-1].url).query).items()
        }
        said = answer(query)
        reply = said if isinstance(said, HttpReply) else HttpReply(200, json.dumps(said).encode())
        try:
            asked.append(exchange.send(reply))
        except StopIteration as stop:
            return stop.value, asked
    raise AssertionError("the conversation has no end")


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["symbol"].rpartition("/")[2] for row in rows]


def test_numbers_of_a_fixture_keep_their_digits():
    body = b'[{"id":123456789012345678901,"coverageLevel":0.10000000000000000000000001}]'
    rows, _ = listed(lambda _: HttpReply(200, body))
    assert rows[0]["symbol"] == "soccer/123456789012345678901"
    assert rows[0]["coverage_level"] == "0.10000000000000000000000001"


def test_a_fixture_is_described_by_its_symbol_and_the_venues_words():
    rows, asked = listed(lambda _: HttpReply(200, f"[{G17}]".encode()))
    assert rows == [
        {
            "symbol": "soccer/a777703c-3c72-4a09-ad3a-355a965067ad",
            "name": "Nyköbing FC v FC Helsingör",
            "status": "Unverified",
            "collection_status": "CollectionDropped",
            "start": "2023-02-25T14:00:00",
            "type": "Official",
            "coverage_level": "No Coverage",
        }
    ]
    assert len(asked) == 2, "only the second answer tells that the first was all"


def test_the_request_carries_token_version_and_the_wish_for_pages():
    _, asked = listed(lambda _: [], sport="v2/volleyball")
    assert asked[0].method == "GET"
    assert asked[0].url == f"{API}/v2/volleyball/fixtures?size=100&page=0"
    assert asked[0].headers == {
        "Accept": "application/vnd.imggaming.dde.api+json;version=1",
        "Authorization": "Bearer sample-token",
        "Content-Type": "application/json",
        "paged": "true",
    }


def test_the_default_is_the_announced_host():
    exchange = Connector.markets(FastPathSettings(token=Secret("sample-token")), sport="soccer")
    assert next(exchange).url.startswith("https://dde-api.data.srarena.io/soccer/fixtures?")


def test_pages_are_read_until_the_one_that_says_it_is_the_last():
    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return {"content": fixtures(2 * page, 2 * page + 1), "pageable": {}, "last": page == 2}

    rows, asked = listed(answer)
    assert ids(rows) == ["f0", "f1", "f2", "f3", "f4", "f5"]
    assert len(asked) == 3


@pytest.mark.parametrize("place", ["", "pageable", "page"])
def test_pages_are_read_until_their_number_is_reached(place: str):
    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        counts = {"totalPages": 3}
        return {"content": fixtures(page, page), **({place: counts} if place else counts)}

    rows, asked = listed(answer)
    assert ids(rows) == ["f0", "f1", "f2"]
    assert len(asked) == 3


@pytest.mark.parametrize("name", ["cursor", "nextCursor", "next_cursor", "next"])
@pytest.mark.parametrize("place", ["", "pagination", "meta"])
def test_a_cursor_is_followed_until_there_is_none(name: str, place: str):
    def answer(query: dict[str, str]) -> Any:
        at = int(query.get("cursor", "0"))
        cursor = {name: str(at + 1) if at < 2 else None}
        return {"fixtures": fixtures(at, at), **({place: cursor} if place else cursor)}

    rows, asked = listed(answer)
    assert ids(rows) == ["f0", "f1", "f2"]
    assert len(asked) == 3


def test_a_link_to_the_next_page_is_followed_on_the_same_host_only():
    def answer(host: str) -> Answer:
        return lambda query: {
            "items": fixtures(int(query.get("at", "0")), int(query.get("at", "0"))),
            "links": {"next": {"href": f"{host}/soccer/fixtures?at=1"}},
        }

    rows, _ = listed(answer(API))
    assert ids(rows) == ["f0", "f1"]
    rows, asked = listed(answer("https://other.example.test"))
    assert ids(rows) == ["f0"]
    assert all(request.url.startswith(API) for request in asked)


@pytest.mark.parametrize(
    "body",
    [
        fixtures(1, 2),
        {"content": fixtures(1, 2)},
        {"fixtures": fixtures(1, 2)},
        {"matches": fixtures(1, 2), "count": 2},
        {"data": {"anything": fixtures(1, 2)}},
    ],
)
def test_every_shape_of_a_list_is_read(body: Any):
    assert ids(listed(lambda _: body)[0]) == ["f1", "f2"]


def test_a_venue_that_ignores_paging_is_asked_once_more_at_most():
    rows, asked = listed(lambda _: fixtures(1, 150))
    assert len(rows) == 150
    assert len(asked) == 2


@pytest.mark.parametrize("cap", [7, 20, 100])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("beyond", [200, 204, 400, 404, 416])
def test_pages_are_read_to_the_end_whatever_size_the_venue_caps_them_at(
    cap: int, wrapped: bool, beyond: int
):
    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        rows = fixtures(0, 44)[page * cap : (page + 1) * cap]
        if not rows and beyond != 200:
            return HttpReply(beyond, b"")
        return {"content": rows} if wrapped else rows

    rows, asked = listed(answer)
    assert len(rows) == 45
    assert len(asked) == -(-45 // cap) + 1


def test_a_page_that_was_promised_and_is_missing_is_no_end():
    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return HttpReply(404, b"") if page else {"content": fixtures(1, 2), "last": False}

    with pytest.raises(UsageError):
        listed(answer)


def test_the_list_ends_after_a_bounded_number_of_pages():
    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return fixtures(page, page)

    assert len(listed(answer, most=2_000)[1]) == 1_000


def test_what_is_no_fixture_is_passed_over():
    assert ids(listed(lambda _: [None, 1, {"name": "no id"}, {"id": True}, {"id": 7}])[0]) == ["7"]


def test_no_content_is_an_empty_list():
    assert listed(lambda _: HttpReply(204, b""))[0] == []


def test_the_teams_name_a_fixture_without_a_name():
    teams = [{"name": "A"}, {"name": "B"}]
    assert listed(lambda _: [{"id": "x", "teams": teams}])[0][0]["name"] == "A v B"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"errorMessage":"Supplied token could not be authenticated"}', "Supplied token"),
        (b'{"error":"no token","status":401}', "no token"),
        (b'{"message":"Forbidden"}', "Forbidden"),
        (b"{The supplied authentication is invalid}", "supplied authentication"),
        (b"", "HTTP 40"),
    ],
)
def test_refused_credentials_say_what_the_venue_said(status: int, body: bytes, said: str):
    with pytest.raises(CredentialsRefused, match=said):
        listed(lambda _: HttpReply(status, body))


@pytest.mark.parametrize("status", [400, 404])
def test_a_sport_that_is_not_there_is_a_usage_error(status: int):
    with pytest.raises(UsageError, match="croquet"):
        listed(lambda _: HttpReply(status, b"[]"), sport="croquet")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_list_is_worth_another_try(status: int):
    with pytest.raises(Transient) as caught:
        listed(lambda _: HttpReply(status, b"", retry_after=7.0))
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("body", [b"<html>", b"5", b'{"total":0}'])
def test_an_answer_without_a_list_is_worth_another_try(body: bytes):
    with pytest.raises(Transient):
        listed(lambda _: HttpReply(200, body))


@pytest.mark.parametrize("sport", ["", "media", "v2", "soccer/fixtures", "so ccer", "../x", "a?b"])
def test_a_malformed_sport_is_a_usage_error(sport: str):
    with pytest.raises(UsageError):
        Connector.markets(SETTINGS, sport=sport)


def test_named_symbols_narrow_the_list():
    exchange = Connector.markets(SETTINGS, sport="soccer", symbols=["soccer/f2", "/soccer/f3"])
    next(exchange)
    exchange.send(HttpReply(200, json.dumps(fixtures(1, 4)).encode()))
    with pytest.raises(StopIteration) as stop:
        exchange.send(HttpReply(200, b"[]"))
    assert ids(stop.value.value) == ["f2", "f3"]


def test_a_list_without_a_sport_or_a_token_is_a_usage_error():
    with pytest.raises(UsageError, match="--sport"):
        Connector.markets(SETTINGS)
    with pytest.raises(UsageError, match="token"):
        Connector.markets(FastPathSettings(), sport="soccer")


def test_live_events_of_tennis_are_found_flat_or_in_tournaments():
    flat = [{"id": "2022-2789-MS027", "status": "InProgress"}]
    nested = [{"id": "t1", "events": [{"eventId": "2022-2789-MS027", "status": "InProgress"}]}]
    for body in (flat, nested, {"tournaments": nested}):
        rows, asked = listed(lambda _, body=body: body, sport="tennis")  # type: ignore[misc]
        assert asked[0].url == f"{API}/tournaments/liveevents"
        assert [row["symbol"] for row in rows] == ["tennis/2022-2789-MS027"]
        assert rows[0]["status"] == "InProgress"


def test_live_events_of_tennis_may_be_below_the_sport():
    replies = iter([HttpReply(404, b""), HttpReply(200, b'[{"id":"e1"}]')])
    rows, asked = listed(lambda _: next(replies), sport="tennis")
    assert ids(rows) == ["e1"]
    assert asked[1].url == f"{API}/tennis/tournaments/liveevents"
