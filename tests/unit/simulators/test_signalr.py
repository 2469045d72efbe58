"""The simulated ASP.NET Core hub, seen by plain httpx and websockets: who is served, and how."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
import websockets

from wsfeeds.simulators import feeds, load

RS = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + RS


@pytest.fixture
def serve(serve_hub):
    return partial(serve_hub, "signalr")


def test_both_generations_are_found_by_name():
    assert {"signalr", "signalr_legacy"} <= set(feeds())
    assert not [name for name in feeds() if name.startswith("signalr_") and "legacy" not in name]
    assert load("signalr-legacy").feed == "signalr_legacy"


async def test_negotiate_offers_three_transports_and_unguessable_ids(serve):
    async with serve() as venue:
        first, second = await venue.negotiate(), await venue.negotiate()
    names = [each["transport"] for each in first["availableTransports"]]
    assert names == ["WebSockets", "ServerSentEvents", "LongPolling"]
    assert first["negotiateVersion"] == 1
    ids = {each[key] for each in (first, second) for key in ("connectionId", "connectionToken")}
    assert len(ids) == 4
    assert all(len(each) >= 20 for each in ids)


async def test_version_0_has_no_token_and_another_method_is_405(serve):
    async with serve() as venue:
        answer = await venue.negotiate(version=0)
        assert answer["negotiateVersion"] == 0
        assert "connectionToken" not in answer
        async with venue.socket(answer["connectionId"]) as socket:
            await socket.send(HANDSHAKE)
            assert await venue.until(socket, None) == {}
        assert (await venue.http.get("/hub/negotiate")).status_code == 405
        assert (await venue.http.get("/elsewhere")).status_code == 404


async def test_a_websocket_shakes_hands_answers_calls_and_pushes(serve):
    async with serve(rate=200) as venue, venue.socket(await venue.token()) as socket:
        await socket.send(HANDSHAKE + '{"type":1,"target":"Sub","arguments":["x",1],')
        await socket.send('"invocationId":"0"}' + RS + '{"type":6}' + RS)
        assert await venue.until(socket, None) == {}
        answer = await venue.until(socket, 3)
        assert answer == {"type": 3, "invocationId": "0", "result": "ok"}
        pushes = await venue.take(socket, 20)
        ids = [each["arguments"][0]["id"] for each in pushes]
        assert ids == list(range(ids[0], ids[0] + 20))
        odds = [each for each in pushes if each["target"] == "ReceiveOdds"]
        assert all(float(each["arguments"][0]["price"]) >= 1.01 for each in odds)


async def test_a_failing_call_and_a_stream_are_answered(serve):
    async with serve(subscribe_first=True) as venue, venue.socket() as socket:
        call = '{"type":1,"target":"Nope","arguments":[],"invocationId":"7"}' + RS
        stream = '{"type":4,"target":"Count","arguments":[2],"invocationId":"8"}' + RS
        await socket.send(HANDSHAKE + call + stream)
        found = []
        async for record in venue.records(socket):
            found.append(record)
            if len(found) == 5:
                break
    assert found[1] == {"type": 3, "invocationId": "7", "error": "Method does not exist: Nope"}
    assert [each.get("item") for each in found[2:]] == [0, 1, None]


async def test_nothing_is_pushed_before_sub_if_it_says_so(serve):
    async with (
        serve(subscribe_first=True, keepalive="50ms", rate=500) as venue,
        venue.socket() as socket,
    ):
        await socket.send(HANDSHAKE)
        assert await venue.until(socket, None) == {}
        assert await venue.until(socket, 6) == {"type": 6}
        await socket.send('{"type":1,"target":"Sub","arguments":[]}' + RS)
        assert (await venue.take(socket, 1))[0]["arguments"][0]["id"] == 1


async def test_a_second_socket_is_409_and_an_unknown_id_404(serve):
    async with serve() as venue:
        token = await venue.token()
        async with venue.socket(token):
            for other, status in ((token, 409), ("guess", 404)):
                with pytest.raises(websockets.InvalidStatus) as refused:
                    await venue.socket(other)
                assert refused.value.response.status_code == status
            assert (await venue.http.post(f"/hub?id={token}")).status_code == 405


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_missing_id_is_400_and_an_unknown_one_404(serve, method):
    async with serve() as venue:
        for query, status in (("", 400), ("?id=guess", 404)):
            answer = await venue.http.request(method, f"/hub{query}")
            assert answer.status_code == status
        token = await venue.token()
        assert (await venue.http.delete(f"/hub?id={token}")).status_code == 400


async def test_what_comes_before_the_handshake_is_refused(serve):
    async with serve() as venue, venue.socket() as socket:
        await socket.send('{"type":1,"target":"Sub","arguments":[]}' + RS)
        assert "error" in await venue.until(socket, None)
        await socket.wait_closed()


@pytest.mark.parametrize(
    "shake", ['{"protocol":"messagepack","version":1}', '{"protocol":"json","version":9}', "hello"]
)
async def test_another_protocol_is_refused(serve, shake):
    async with serve() as venue, venue.socket() as socket:
        await socket.send(shake + RS)
        assert "error" in await venue.until(socket, None)


async def test_a_handshake_that_does_not_come_ends_the_connection(serve):
    async with serve(handshake_timeout="50ms") as venue, venue.socket() as socket:
        assert await venue.until(socket, None) == {"error": "Handshake was canceled."}
        await socket.wait_closed()


async def test_a_silent_client_and_a_long_message_end_the_connection(serve):
    async with serve(client_timeout="100ms", subscribe_first=True) as venue:
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            assert (await venue.until(socket, 7))["error"]
        async with venue.socket() as socket:
            await socket.send(HANDSHAKE)
            await socket.send("x" * 40_000)
            assert (await venue.until(socket, 7))["error"]


@pytest.mark.parametrize(("size", "fits"), [(32_768, True), (32_769, False)])
async def test_a_message_of_a_client_may_have_32_kilobytes(serve, size, fits):
    head, tail = '{"type":1,"target":"Sub","arguments":["', '"],"invocationId":"0"}'
    text = "é" * ((size - len(head) - len(tail)) // 2)
    text += "x" * (size - len((head + text + tail).encode()))
    async with serve(subscribe_first=True) as venue, venue.socket() as socket:
        await socket.send(HANDSHAKE)
        await socket.send(head + text + tail + RS)
        answer = await venue.until(socket, 3 if fits else 7)
        assert answer.get("result") == ("ok" if fits else None)


async def test_events_stream_and_posts_are_answered_there(serve):
    async with serve(rate=200) as venue:
        token = await venue.token()
        accept = {"Accept": "text/event-stream"}
        async with venue.http.stream("GET", f"/hub?id={token}", headers=accept) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            sent = await venue.http.post(f"/hub?id={token}", content=HANDSHAKE)
            assert sent.status_code == 200
            text = ""
            async for chunk in answer.aiter_text():
                text += chunk
                if text.count("ReceiveOdds") >= 3:
                    break
            again = await venue.http.get(f"/hub?id={token}", headers=accept)
            assert again.status_code == 409
        assert "data: {}\x1e\r\n\r\n" in text
        assert text.startswith(":\r\n")


async def test_polls_begin_empty_carry_messages_and_end_with_204(serve):
    async with serve(rate=100, poll_timeout="100ms", subscribe_first=True) as venue:
        token = await venue.token()
        url = f"/hub?id={token}"
        first = await venue.http.get(url)
        assert (first.status_code, first.content) == (200, b"")
        assert (await venue.http.get(url)).content == b""  # after the time-out
        waiting = asyncio.ensure_future(venue.http.get(url))
        await venue.http.post(url, content=HANDSHAKE)
        assert (await waiting).text == "{}" + RS
        waiting = asyncio.ensure_future(venue.http.get(url))
        assert (await venue.http.delete(url)).status_code == 202
        assert (await waiting).status_code in {204, 404}
        assert (await venue.http.get(url)).status_code == 404


async def test_a_later_poll_takes_the_place_of_an_earlier_one(serve):
    async with serve(subscribe_first=True) as venue:
        url = f"/hub?id={await venue.token()}"
        await venue.http.get(url)
        polls = [asyncio.ensure_future(venue.http.get(url))]
        connection = next(iter(venue.simulator.connections.values()))
        while connection.poll is None:  # until the poll has come
            await venue.negotiate()
        polls.append(asyncio.ensure_future(venue.http.get(url)))
        assert (await polls[0]).status_code == 204
        await venue.http.post(url, content=HANDSHAKE)
        assert (await polls[1]).text == "{}" + RS


async def test_redirects_ask_for_the_token_they_gave(serve):
    async with serve(redirects=2) as venue:
        first = await venue.negotiate()
        assert first["url"].endswith("/hub/1")
        refused = await venue.http.post("/hub/1/negotiate?negotiateVersion=1")
        assert refused.status_code == 401
        headers = {"Authorization": f"Bearer {first['accessToken']}"}
        second = await venue.http.post("/hub/1/negotiate?negotiateVersion=1", headers=headers)
        assert second.json()["url"].endswith("/hub/2")
        last = await venue.http.post("/hub/2/negotiate?negotiateVersion=1", headers=headers)
        assert last.json()["connectionToken"]
        assert (await venue.http.post("/hub/3/negotiate")).status_code == 404


async def test_token_cookie_and_error_are_as_asked(serve):
    async with serve(token="s3cret", sticky=True) as venue:
        assert (await venue.http.post("/hub/negotiate")).status_code == 401
        with pytest.raises(websockets.InvalidStatus):
            await venue.socket()
        venue.http.headers["Authorization"] = "Bearer s3cret"
        token = await venue.token()
        assert (await venue.http.get(f"/hub?id={token}")).status_code == 200
        venue.http.cookies.clear()
        assert (await venue.http.get(f"/hub?id={token}")).status_code == 404
    async with serve(negotiate_error="go away") as venue:
        assert await venue.negotiate() == {"error": "go away"}
