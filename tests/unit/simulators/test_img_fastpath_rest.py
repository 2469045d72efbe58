"""The simulated fixtures API, seen by an independent client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import websockets

from wsfeeds.simulators import create

ACCEPT = "application/vnd.imggaming.dde.api+json;version=1"
SOCCER = "/soccer/fixtures"
LIVE = "433eac65-2c3c-4164-bcae-b6f27db27d0c"


@asynccontextmanager
async def client(**options: Any):
    simulator = create("img_fastpath", options=options)
    async with simulator.serve() as listening:
        headers = {"Accept": ACCEPT, "Authorization": f"Bearer {listening.settings['token']}"}
        async with httpx.AsyncClient(
            base_url=listening.api_url, headers=headers, trust_env=False
        ) as http:
            yield http


async def test_a_request_without_accept_is_400():
    async with client() as http:
        request = http.build_request("GET", SOCCER)
        del request.headers["accept"]
        answer = await http.send(request)
    assert answer.status_code == 400
    assert answer.text == "Request is missing required HTTP header 'Accept'"


async def test_a_request_without_a_token_is_401():
    async with client() as http:
        request = http.build_request("GET", SOCCER)
        del request.headers["authorization"]
        answer = await http.send(request)
    assert answer.status_code == 401
    assert answer.json()["status"] == 401


async def test_a_wrong_token_is_401():
    async with client() as http:
        answer = await http.get(SOCCER, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json() == {"errorMessage": "Supplied token could not be authenticated"}


async def test_other_methods_are_405_and_unknown_paths_404():
    async with client() as http:
        assert (await http.post(SOCCER)).status_code == 405
        assert (await http.get("/curling/fixtures")).status_code == 404
        assert (await http.get("/soccer/fixtures/unknown")).status_code == 404
        assert (await http.get("/nothing")).status_code == 404


async def test_an_unpaged_list_is_a_bare_array_of_twenty():
    async with client() as http:
        rows = (await http.get(SOCCER)).json()
        more = (await http.get(SOCCER, params={"size": 100})).json()
    assert len(rows) == 20
    assert len(more) == 45
    assert {row["id"] for row in more} >= {LIVE}
    starts = [row["startDateUTC"] for row in more]
    assert starts == sorted(starts)
    assert not starts[0].endswith("Z")


@pytest.mark.parametrize("where", ["query", "header"])
async def test_paged_lists_tell_where_they_end(where):
    seen: list[str] = []
    async with client() as http:
        for page in range(10):
            params: dict[str, Any] = {"page": page}
            headers = {"paged": "true"} if where == "header" else {}
            if where == "query":
                params["paged"] = "true"
            answer = (await http.get(SOCCER, params=params, headers=headers)).json()
            seen += [row["id"] for row in answer["content"]]
            assert answer["pageable"]["pageNumber"] == page
            if answer["last"]:
                break
    assert (page, answer["totalElements"], answer["totalPages"]) == (2, 45, 3)
    assert len(set(seen)) == 45


async def test_a_list_may_be_a_named_array_with_a_cursor():
    seen: list[str] = []
    async with client(listing="named") as http:
        cursor: str | None = "0"
        while cursor is not None:
            answer = (await http.get(SOCCER, params={"cursor": cursor})).json()
            seen += [row["id"] for row in answer["fixtures"]]
            cursor = answer["cursor"]
    assert len(set(seen)) == 45


async def test_the_wrapping_can_be_fixed():
    async with client(listing="array") as http:
        assert isinstance((await http.get(SOCCER, params={"paged": "true"})).json(), list)
    async with client(listing="pageable") as http:
        assert "content" in (await http.get(SOCCER)).json()


@pytest.mark.parametrize("params", [{"size": "0"}, {"size": "x"}, {"page": "-1"}])
async def test_numbers_in_the_query_are_checked(params):
    async with client() as http:
        assert (await http.get(SOCCER, params=params)).status_code == 400


async def test_lists_are_filtered():
    async with client() as http:

        async def ids(**params: str) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = (
                await http.get(SOCCER, params={"size": "100", **params})
            ).json()
            return rows

        assert {row["status"] for row in await ids(live="true")} == {"Live"}
        assert [row["id"] for row in await ids(live="true", subscribed="true")] == [LIVE]
        assert len(await ids(subscribed="false")) == 1
        assert {row["status"] for row in await ids(status="Scheduled")} == {"Scheduled"}
        assert await ids(type="training") == []
        assert await ids(dateFrom="2999-01-01") == []
        assert len(await ids(dateTo="2999-01-01", coverageLevel="standard stream")) == 45
        names = [row["name"] for row in await ids(sort="name,desc")]
        assert names == sorted(names, reverse=True)


async def test_one_fixture_can_be_asked_for():
    async with client() as http:
        fixture = (await http.get(f"{SOCCER}/{LIVE}")).json()
    assert fixture["id"] == LIVE
    assert fixture["status"] == "Live"
    assert fixture["collectionStatus"] == "CollectingLive"
    assert fixture["name"] == " v ".join(team["name"] for team in fixture["teams"])
    assert set(fixture["teams"][0]) == {"id", "name", "club"}


async def test_the_packets_of_a_match_can_be_had_only_after_it():
    async with client() as http:
        assert (await http.get(f"{SOCCER}/{LIVE}/actions")).status_code == 404
        rows = (await http.get(SOCCER, params={"size": 100})).json()
        over = next(row["id"] for row in rows if row["status"] == "Completed")
        actions = (await http.get(f"{SOCCER}/{over}/actions")).json()
        statistics = (await http.get(f"{SOCCER}/{over}/statistics")).json()
        assert (await http.get(f"{SOCCER}/{over}/odds")).status_code == 404
    numbers = [packet["fixtureAction"]["fixtureSeqNum"] for packet in actions]
    assert numbers == list(range(1, len(actions) + 1))
    assert statistics[-1]["finished"] is True


async def test_a_dropped_collection_shows_in_the_fixture_and_leaves_its_packets():
    simulator = create("img_fastpath", options={"speedup": 200_000, "suspension": "drop"})
    async with simulator.serve() as listening:
        token = listening.settings["token"]
        async with websockets.connect(
            f"{listening.url}{SOCCER}/{LIVE}/statistics", proxy=None, max_queue=None
        ) as socket:
            await socket.send(orjson.dumps({"authToken": token}).decode())
            async with asyncio.timeout(20.0):
                while not orjson.loads(await socket.recv()).get("finished"):
                    pass
        headers = {"Accept": ACCEPT, "Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(base_url=listening.api_url, headers=headers, trust_env=False) as http,
            asyncio.timeout(20.0),
        ):
            packets = await http.get(f"{SOCCER}/{LIVE}/actions")
            while packets.status_code == 404:
                packets = await http.get(f"{SOCCER}/{LIVE}/actions")
            fixture = (await http.get(f"{SOCCER}/{LIVE}")).json()
    assert fixture["status"] == "Unverified"
    assert fixture["collectionStatus"] == "CollectionDropped"
    assert fixture["coverageLevel"] == "No Coverage"
    assert packets.json()[-1]["finished"] is True


async def test_seasons_lead_to_fixtures_and_squads():
    async with client() as http:
        (season,) = (await http.get("/soccer/seasons")).json()
        fixtures = (await http.get(f"/soccer/seasons/{season['id']}/fixtures")).json()
        squads = (await http.get(f"/soccer/seasons/{season['id']}/squads")).json()
        assert (await http.get("/soccer/seasons/unknown/fixtures")).status_code == 404
        assert (await http.get("/curling/seasons")).status_code == 404
    assert len(fixtures) == 20
    assert len(squads[0]["players"]) == 18


async def test_other_sports_have_lists_of_their_own():
    async with client() as http:
        for sport in ("basketball", "v2/volleyball", "v2/tabletennis", "tennis", "mma"):
            assert (await http.get(f"/{sport}/fixtures")).json(), sport
        events = (await http.get("/tournaments/liveevents")).json()
    assert {"id": "2022-2789-MS027", "status": "InProgress"}.items() <= events[0].items()
