"""No connection, a refused one, one that does not last: tried again, but never hammered."""

from __future__ import annotations

import asyncio
import socket

import pytest

from wsfeeds.errors import CredentialsRefused, RetriesExhausted


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def delays(client) -> list[int]:
    return [event["delay_ms"] for event in client.of("session", state="reconnecting")]


async def test_a_refused_connection_is_tried_again_up_to_max_retries(venue, connect):
    nobody = f"http://127.0.0.1:{unused_port()}"
    client = connect(api_url=nobody, max_retries=3)
    assert await client.end() == 4
    assert isinstance(client.run.error, RetriesExhausted)
    assert [event["attempt"] for event in client.of("session", state="connecting")] == [1, 2, 3, 4]
    assert [event["attempt"] for event in client.of("session", state="reconnecting")] == [1, 2, 3]
    (last,) = client.of("error")
    assert last["fatal"]
    assert "3 retries" in last["message"]


async def test_waits_double_up_to_the_cap_and_are_drawn_between_half_and_all(venue, connect):
    client = connect(api_url=f"http://127.0.0.1:{unused_port()}", max_retries=5)
    await client.end()
    for delay, whole in zip(delays(client), (10, 20, 40, 40, 40), strict=True):
        assert whole / 2 <= delay <= whole


async def test_a_refused_upgrade_port_is_tried_again_with_a_new_token(venue, connect):
    client = connect(url=f"ws://127.0.0.1:{unused_port()}/ws", max_retries=2)
    assert await client.end() == 4
    assert venue.token_requests == 3
    assert venue.upgrades == []


async def test_no_reconnect_means_one_attempt(venue, connect):
    venue.upgrade_answers.extend([(503, {})] * 2)
    client = connect(max_retries=0)
    assert await client.end() == 4
    assert len(venue.upgrades) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_failing_token_server_is_tried_again(venue, connect, status):
    venue.token_answers.append((status, {}, "busy"))
    client = connect()
    await client.until("session", state="subscribed")
    assert venue.token_requests == 2


async def test_a_token_server_that_redirects_to_no_name_is_tried_again(venue, connect):
    venue.token_answers.append((302, {"Location": "http://xn--a/"}, ""))
    client = connect()
    await client.until("session", state="subscribed")
    assert venue.token_requests == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_the_token_server_is_honoured(venue, connect, status):
    venue.token_answers.append((status, {"Retry-After": "7"}, "busy"))
    client = connect()
    again = await client.until("session", state="reconnecting")
    assert again["delay_ms"] >= 7000
    assert str(status) in again["reason"]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_the_upgrade_is_honoured(venue, connect, status):
    venue.upgrade_answers.append((status, {"Retry-After": "7"}))
    client = connect()
    again = await client.until("session", state="reconnecting")
    assert again["delay_ms"] >= 7000
    assert again["code"] == str(status)


@pytest.mark.parametrize("status", [408, 429, 500, 503, 404])
async def test_an_upgrade_refused_for_a_while_is_tried_again(venue, connect, status):
    venue.upgrade_answers.append((status, {}))
    client = connect()
    await client.until("session", state="subscribed")
    assert len(venue.upgrades) == 2


@pytest.mark.parametrize("body", ["", "{}", "[]", "not json", '{"token":""}', '{"token":5}'])
async def test_a_token_answer_without_a_token_is_tried_again(venue, connect, body):
    venue.token_answers.append((200, {}, body or " "))
    client = connect()
    await client.until("session", state="subscribed")
    assert venue.token_requests == 2


@pytest.mark.parametrize("place", ["result", "data"])
async def test_a_token_is_found_in_every_envelope(venue, connect, place):
    venue.token_answers.append((200, {}, f'{{"state":0,"{place}":{{"token":"t-1/ü&="}}}}'))
    venue.unused.add("t-1/ü&=")
    client = connect()
    await client.until("session", state="subscribed")
    assert venue.token_requests == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_token_endpoint_that_refuses_ends_the_run_at_once(venue, connect, status):
    venue.token_answers.append((status, {}, '{"state":1,"message":"Unauthorized"}'))
    client = connect()
    assert await client.end() == 3
    assert venue.token_requests == 1
    assert venue.upgrades == []
    (error,) = client.of("error", fatal=True)
    assert error["code"] == status
    assert "user_id and api_key" in error["message"]


async def test_a_wrong_signature_ends_the_run_at_once(venue, connect):
    client = connect(api_key="some-other-key-000")
    assert await client.end() == 3
    assert venue.token_requests == 1


async def test_a_user_id_that_is_not_ascii_is_refused_by_the_venue_not_by_us(venue, connect):
    client = connect(user_id="ünï")
    assert await client.end() == 3
    assert venue.token_requests == 1


async def test_a_401_at_the_upgrade_gets_one_retry_with_a_new_token(venue, connect):
    venue.upgrade_answers.append((401, {}))
    client = connect()
    await client.until("session", state="subscribed")
    assert (venue.token_requests, len(venue.upgrades)) == (2, 2)


async def test_a_401_at_every_upgrade_ends_the_run_after_one_retry(venue, connect):
    venue.upgrade_answers.extend([(401, {})] * 10)
    client = connect()
    assert await client.end() == 3
    assert isinstance(client.run.error, CredentialsRefused)
    assert (venue.token_requests, len(venue.upgrades)) == (2, 2)


async def test_refused_credentials_are_no_lack_of_retries(venue, connect):
    venue.upgrade_answers.extend([(401, {})] * 10)
    client = connect(max_retries=0)
    assert await client.end() == 3
    assert len(venue.upgrades) == 1


async def test_the_retry_of_a_401_is_there_again_after_a_success(venue, connect):
    venue.upgrade_answers.extend([(401, {}), (101, {}), (401, {})])

    async def drop_the_first(peer):
        request = await peer.until("trade_subscribe")
        await peer.ack(request)
        if peer.number == 1:
            await peer.socket.close()
        await peer.serve()

    venue.script = drop_the_first
    client = connect()
    await client.until("session", count=2, state="subscribed")
    assert len(venue.upgrades) == 4


async def test_a_policy_close_before_any_ack_is_a_refused_token(venue, connect):
    async def policy(peer):
        await peer.socket.close(1008, "bad token")

    venue.script = policy
    client = connect()
    assert await client.end() == 3
    assert (venue.token_requests, len(venue.upgrades)) == (2, 2)


async def test_a_server_that_accepts_and_closes_is_not_hammered(venue, connect):
    async def close(peer):
        await peer.socket.close()

    venue.script = close
    client = connect(backoff_max="10s", max_retries=5)
    assert await client.end() == 4
    assert len(venue.upgrades) == 6
    for delay, whole in zip(delays(client), (10, 20, 40, 80, 160), strict=True):
        assert whole / 2 <= delay <= whole


async def test_data_alone_does_not_shorten_the_waits(venue, connect):
    """Health lasts 10 s: acks and trades just before every close are no reason to hurry."""

    async def close_after_a_trade(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.trade()
        await peer.socket.close()

    venue.script = close_after_a_trade
    client = connect(backoff_max="10s", max_retries=3)
    assert await client.end() == 4
    assert len(client.of("trade")) == 4
    for delay, whole in zip(delays(client), (10, 20, 40), strict=True):
        assert whole / 2 <= delay <= whole


async def test_health_brings_the_waits_back_to_their_start(venue, connect, monkeypatch):
    monkeypatch.setattr("wsfeeds.session.retries._HEALTHY_AFTER", 0.0)

    async def close_after_a_trade(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.trade()
        await peer.socket.close()

    venue.script = close_after_a_trade
    client = connect(max_retries=1)
    await client.until("session", count=4, state="reconnecting")
    assert {event["attempt"] for event in client.of("session", state="reconnecting")} == {1}


async def test_every_attempt_has_a_token_of_its_own_and_a_new_number(venue, connect):
    async def close(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.close()

    venue.script = close
    client = connect(max_retries=3)
    await client.end()
    assert len(venue.issued) == len(venue.upgrades) == 4
    assert not venue.unused
    assert [event["conn"] for event in client.of("session", state="connected")] == [1, 2, 3, 4]


async def test_an_upgrade_that_is_never_answered_times_out(venue, connect, bare_server):
    async def hold(reader, writer):
        await asyncio.Event().wait()

    async with bare_server(hold) as port:
        client = connect(url=f"ws://127.0.0.1:{port}/ws", connect_timeout="200ms", max_retries=0)
        assert await client.end() == 4
        assert "in time" in client.of("error", fatal=True)[0]["message"]


async def test_a_server_that_speaks_no_http_is_tried_again(venue, connect, bare_server):
    async def gibberish(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await writer.drain()

    async with bare_server(gibberish) as port:
        client = connect(url=f"ws://127.0.0.1:{port}/ws", max_retries=1)
        assert await client.end() == 4
        assert len(client.of("session", state="connecting")) == 2


async def test_a_redirect_is_not_followed_with_the_token(venue, connect):
    venue.upgrade_answers.append((302, {"Location": "ws://127.0.0.1:1/elsewhere"}))
    client = connect(max_retries=0)
    assert await client.end() == 4
    assert "302" in client.of("error", fatal=True)[0]["message"]


async def test_stopping_while_waiting_is_immediate(venue, connect):
    venue.token_answers.append((503, {"Retry-After": "3600"}, ""))
    client = connect()
    await client.until("session", state="reconnecting")
    assert await client.stop() == 0
    assert client.events[-1]["state"] == "stopped"
    assert client.events[-1]["reason"] == "test"


async def test_stopping_before_the_start_opens_nothing(venue, connect):
    client = connect()
    client.run.stop("test")
    assert await client.end() == 0
    assert venue.token_requests == 0
