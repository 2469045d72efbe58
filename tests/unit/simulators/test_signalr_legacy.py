"""The simulated ASP.NET SignalR 2.x server, seen by plain httpx and websockets."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
import websockets

from wsfeeds.simulators.base import Listening
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator

HUBS = '[{"name":"oddshub"}]'
DEADLINE = 5.0


class Venue:
    def __init__(
        self, simulator: SignalRLegacySimulator, listening: Listening, http: httpx.AsyncClient
    ) -> None:
        self.simulator = simulator
        self.http = http
        self.token = ""
        self._base = listening.url.removesuffix("/signalr")

    async def negotiate(self, path: str = "/signalr", **query: str) -> dict[str, Any]:
        query = {"clientProtocol": "1.5", "connectionData": HUBS} | query
        answer = await self.http.get(f"{path}/negotiate", params=query)
        assert answer.status_code == 200
        terms: dict[str, Any] = orjson.loads(answer.content)
        self.token = terms.get("ConnectionToken", "")
        return terms

    def query(self, transport: str, **more: str) -> dict[str, str]:
        return {"transport": transport, "connectionToken": self.token, **more}

    def socket(self, action: str = "connect", **more: str) -> websockets.connect:
        query = httpx.QueryParams(self.query("webSockets", **more))
        url = f"{self._base}/signalr/{action}?{query}"
        return websockets.connect(url, proxy=None, max_queue=None, close_timeout=1)

    async def ask(self, method: str, action: str, transport: str, **form: str) -> httpx.Response:
        url = f"/signalr/{action}"
        query = self.query(transport)
        data = form or None
        return await self.http.request(method, url, params=query, data=data)

    async def poll(self, **form: str) -> dict[str, Any]:
        answer = await self.ask("POST", "poll", "longPolling", **form)
        assert answer.status_code == 200
        return orjson.loads(answer.content)  # type: ignore[no-any-return]


@pytest.fixture
def serve(serve_hub):
    return partial(serve_hub, "signalr_legacy", venue=Venue)


async def frame(socket: websockets.ClientConnection) -> dict[str, Any]:
    return orjson.loads(await socket.recv())  # type: ignore[no-any-return]


async def ids(socket: websockets.ClientConnection, count: int) -> tuple[list[int], str]:
    """Take so many calls; return their ids and the last cursor."""
    found: list[int] = []
    cursor = ""
    while len(found) < count:
        message = await frame(socket)
        cursor = message.get("C", cursor)
        found += [call["A"][0]["id"] for call in message.get("M", [])]
    return found, cursor


async def test_negotiate_answers_in_seconds_with_an_unguessable_token(serve):
    async with serve() as venue:
        terms, again = await venue.negotiate(), await venue.negotiate()
    assert terms["ConnectionToken"] != again["ConnectionToken"]
    assert set("+/") & set(terms["ConnectionToken"])
    assert {key: terms[key] for key in ("Url", "KeepAliveTimeout", "DisconnectTimeout")} == {
        "Url": "/signalr",
        "KeepAliveTimeout": 20.0,
        "DisconnectTimeout": 30.0,
    }
    assert (terms["ConnectionTimeout"], terms["LongPollDelay"]) == (110.0, 0.0)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("1.5", "1.5"), ("2.1", "2.0"), ("0.9", "1.2"), ("2.0", "2.0"), ("x", "1.2")],
)
async def test_the_protocol_version_is_clamped(serve, asked, answered):
    async with serve() as venue:
        assert (await venue.negotiate(clientProtocol=asked))["ProtocolVersion"] == answered


async def test_an_unknown_hub_is_an_error_and_keepalives_may_be_off(serve):
    async with serve(keepalive_timeout="0s") as venue:
        query = {"clientProtocol": "1.5", "connectionData": '[{"name":"nope"}]'}
        assert (await venue.http.get("/signalr/negotiate", params=query)).status_code == 500
        assert (await venue.negotiate())["KeepAliveTimeout"] is None
        assert (await venue.http.get("/signalr/ping")).json() == {"Response": "pong"}
        assert (await venue.http.get("/elsewhere")).status_code == 404


async def test_a_websocket_begins_with_init_answers_calls_and_pushes(serve):
    async with serve(rate=200) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            init = await frame(socket)
            assert (init["S"], init["M"]) == (1, [])
            started = await venue.ask("GET", "start", "webSockets")
            assert started.text == '{ "Response": "started" }'
            await socket.send('{"H":"oddshub","M":"sub","A":["x",1],"I":0}')
            message = await frame(socket)
            seen: list[int] = []
            while "I" not in message:
                seen += [call["A"][0]["id"] for call in message["M"]]
                assert message["G"]
                message = await frame(socket)
            assert message == {"I": "0", "R": "ok"}
            more, _ = await ids(socket, 10)
            assert seen + more == list(range(1, len(seen + more) + 1))


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ('{"H":"OddsHub","M":"Nope","I":3}', {"I": "3", "E": "Method does not exist: Nope"}),
        ('{"H":"other","M":"Sub","I":4}', {"I": "4", "E": "'other' Hub could not be resolved."}),
        ('{"H":"oddshub","M":"Echo","A":[1.5],"I":5}', {"I": "5", "R": 1.5}),
    ],
)
async def test_calls_are_answered_in_the_body_of_a_post(serve, call, answer):
    async with serve(subscribe_first=True) as venue:
        await venue.negotiate()
        await venue.ask("POST", "connect", "longPolling")
        assert (await venue.ask("POST", "send", "longPolling", data=call)).json() == answer


async def test_progress_comes_before_the_result(serve):
    async with serve(subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await frame(socket)
            await socket.send('{"H":"oddshub","M":"Count","A":[],"I":1}')
            found = [await frame(socket) for _ in range(4)]
    assert [each["P"]["D"] for each in found[:3]] == [0, 1, 2]
    assert found[3] == {"I": "1", "R": 3}


async def test_keepalives_are_empty_objects(serve):
    async with serve(keepalive="10ms", subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await frame(socket)
            assert await frame(socket) == {}
        url, query = "/signalr/connect", venue.query("serverSentEvents")
        async with venue.http.stream("GET", url, params=query) as answer:
            text = ""
            async for chunk in answer.aiter_text():
                text += chunk
                if "data: {}\n\n" in text:
                    break
    assert text.startswith("data: initialized\n\ndata: {")


async def test_polls_begin_with_init_then_go_on_from_the_cursor(serve):
    async with serve(rate=200) as venue:
        await venue.negotiate()
        init = (await venue.ask("POST", "connect", "longPolling")).json()
        assert init["S"] == 1
        first = await venue.poll(messageId=init["C"])
        again = await venue.poll(messageId=init["C"])
        later = await venue.poll(messageId=first["C"], groupsToken=first["G"])
    assert first["M"][0] == again["M"][0]  # the same cursor gives the same calls
    assert later["M"][0]["A"][0]["id"] == first["M"][-1]["A"][0]["id"] + 1


async def polled(serve: Any, fault: str) -> tuple[list[int], int]:
    """Poll as a client does that goes on from what it could read; count what it could not."""
    found: list[int] = []
    unread = 0
    async with serve(fault, rate=500) as venue:
        await venue.negotiate()
        cursor = (await venue.ask("POST", "connect", "longPolling")).json()["C"]
        while len(found) < 200:
            answer = await venue.ask("POST", "poll", "longPolling", messageId=cursor)
            try:
                message = orjson.loads(answer.content)
                calls = [call["A"][0]["id"] for call in message["M"]]
            except (ValueError, TypeError):
                unread += 1
            else:
                cursor = message["C"]
                found += calls
    return found, unread


async def test_what_is_dropped_from_polls_is_lost(serve):
    found, unread = await polled(serve, "drop=0.3")
    assert (found, unread) == (sorted(set(found)), 0)
    assert found[-1] > len(found)


async def test_what_is_sent_twice_to_polls_comes_twice(serve):
    found, unread = await polled(serve, "duplicate=0.3")
    assert unread == 0
    assert set(found) == set(range(1, max(found) + 1))
    assert len(found) > max(found)


async def test_polls_may_come_in_another_order(serve):
    found, unread = await polled(serve, "reorder=0.5")
    assert unread == 0
    assert found != sorted(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("fault", ["garbage=0.5", "truncate=0.5"])
async def test_a_poll_that_cannot_be_read_costs_nothing(serve, fault):
    found, unread = await polled(serve, fault)
    assert found == list(range(1, len(found) + 1))
    assert unread > 0


@pytest.mark.parametrize("action", ["start", "send", "poll", "reconnect"])
async def test_what_comes_before_connect_is_refused(serve, action):
    async with serve(subscribe_first=True) as venue:
        await venue.negotiate()
        for transport in ("serverSentEvents", "longPolling"):
            answer = await venue.ask("POST", action, transport, messageId="d-1,0", data="{}")
            assert (answer.status_code, "not connected" in answer.text) == (400, True)
        if action == "reconnect":
            with pytest.raises(websockets.InvalidStatus):
                await venue.socket("reconnect")
        await venue.ask("POST", "connect", "longPolling")
        assert (await venue.ask("GET", "start", "longPolling")).status_code == 200


async def test_a_poll_without_news_begins_with_a_blank(serve):
    async with serve(
        keepalive="10ms", connection_timeout="30ms", long_poll_delay="40ms", subscribe_first=True
    ) as venue:
        await venue.negotiate()
        init = (await venue.ask("POST", "connect", "longPolling")).json()
        answer = await venue.ask("POST", "poll", "longPolling", messageId=init["C"])
    assert answer.text.startswith(" {")
    assert answer.json() == {"C": init["C"], "M": [], "L": 40}


@pytest.mark.parametrize("end", ["drop", "clean", "reconnect", "silence"])
async def test_a_reconnect_replays_what_was_missed(serve, end):
    async with serve(rate=300, end=end, end_after="30ms", keepalive="10ms") as venue:
        await venue.negotiate()
        found: list[int] = []
        cursor = ""
        async with venue.socket() as socket:
            with contextlib.suppress(websockets.ConnectionClosed, TimeoutError):
                while True:
                    async with asyncio.timeout(0.3):
                        message = await frame(socket)
                    cursor = message.get("C", cursor)
                    found += [call["A"][0]["id"] for call in message.get("M", [])]
                    if "T" in message:
                        break
        async with venue.socket("reconnect", messageId=cursor, groupsToken="g") as socket:
            more, _ = await ids(socket, 20)
    assert found + more == list(range(1, len(found + more) + 1))


@pytest.mark.parametrize(
    ("end", "last"), [("error", {"E": "The server had to stop."}), ("disconnect", {"D": 1})]
)
async def test_a_last_word_ends_the_connection_for_good(serve, end, last):
    async with serve(end=end, end_after="20ms", subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await frame(socket)
            message = await frame(socket)
            assert {key: message[key] for key in last} == last
            await socket.wait_closed()
        with pytest.raises(websockets.InvalidStatus):
            await venue.socket("reconnect")


async def test_a_client_without_transport_is_forgotten(serve):
    async with serve(disconnect_timeout="50ms", subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await frame(socket)
        while venue.simulator.connections:  # until it is forgotten
            await venue.http.get("/signalr/ping")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await venue.socket("reconnect")
    assert refused.value.response.status_code == 400


async def test_abort_forgets_the_connection(serve):
    async with serve(subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await frame(socket)
            assert (await venue.ask("POST", "abort", "webSockets")).status_code == 200
            await socket.wait_closed()
        assert (await venue.ask("GET", "start", "webSockets")).status_code == 400


async def test_what_is_missing_or_wrong_is_400(serve):
    async with serve() as venue:
        await venue.negotiate()
        token = venue.token
        for query in (
            {"connectionToken": token},
            {"connectionToken": token, "transport": "pigeon"},
            {"transport": "longPolling"},
            {"transport": "longPolling", "connectionToken": "guess"},
        ):
            answer = await venue.http.post("/signalr/connect", params=query)
            assert answer.status_code == 400


async def test_only_new_clients_are_redirected_unless_all_are(serve):
    async with serve(redirect="new") as venue:
        assert "RedirectUrl" not in await venue.negotiate()
        assert "RedirectUrl" in await venue.negotiate(clientProtocol="2.1")
    async with serve(redirect="all") as venue:
        terms = await venue.negotiate()
        url = httpx.URL(terms["RedirectUrl"])
        there = f"{url.path}/negotiate"
        headers = {"Authorization": f"Bearer {terms['AccessToken']}"}
        query = {**url.params, "clientProtocol": "1.5", "connectionData": HUBS}
        assert (await venue.http.get(there, params=query)).status_code == 401
        bare = {"clientProtocol": "1.5", "connectionData": HUBS}
        assert (await venue.http.get(there, params=bare, headers=headers)).status_code == 400
        answer = await venue.http.get(there, params=query, headers=headers)
        assert answer.json()["Url"] == url.path


async def test_the_url_of_negotiate_is_where_streams_are(serve):
    async with serve(url_path="/app/signalr", rate=200) as venue:
        assert (await venue.negotiate())["Url"] == "/app/signalr"
        assert (await venue.ask("POST", "connect", "longPolling")).status_code == 404
        query = venue.query("longPolling")
        answer = await venue.http.post("/app/signalr/connect", params=query)
        assert answer.json()["S"] == 1
        assert (await venue.ask("GET", "start", "longPolling")).status_code == 200


async def test_token_and_cookie_are_asked_for(serve):
    async with serve(token="s3cret", sticky=True) as venue:
        assert (await venue.http.get("/signalr/negotiate")).status_code == 401
        venue.http.headers["Authorization"] = "Bearer s3cret"
        await venue.negotiate()
        assert (await venue.ask("POST", "connect", "longPolling")).status_code == 200
        venue.http.cookies.clear()
        assert (await venue.ask("POST", "poll", "longPolling")).status_code == 404


async def test_a_lost_stream_is_a_fault_of_every_transport(serve):
    async with serve("disconnect=30ms", subscribe_first=True) as venue:
        await venue.negotiate()
        async with venue.socket() as socket:
            await socket.wait_closed()
            assert socket.close_code == 1006
        await venue.negotiate()
        with pytest.raises(httpx.RemoteProtocolError):
            await venue.http.get("/signalr/connect", params=venue.query("serverSentEvents"))


async def test_the_same_seed_gives_the_same_odds(serve):
    runs = []
    for seed in (1, 1, 2):
        async with serve(rate=500, seed=seed) as venue:
            await venue.negotiate()
            async with venue.socket() as socket:
                await frame(socket)
                calls: list[Any] = []
                while len(calls) < 50:
                    calls += (await frame(socket)).get("M", [])
        runs.append([(each["M"], {**each["A"][0], "ts": 0}) for each in calls[:50]])
    assert runs[0] == runs[1] != runs[2]
