"""Answers that are missing, late or refusals: every symbol gets a verdict."""

from __future__ import annotations

import pytest

from tests.faults.scripted import Peer
from wsfeeds.errors import SubscriptionRefused


async def test_a_missing_ack_is_reported_and_what_comes_is_delivered(venue, connect, hurry):
    async def ignores_tickers(peer):
        peer_answers = peer.answer

        async def answer(request):
            if request["method"] != "ticker_subscribe":
                await peer_answers(request)

        peer.answer = answer
        await peer.trade("1")
        await peer.serve()

    venue.script = ignores_tickers
    client = connect("BTC_USDT", "ETH_USDT", channels="trade,ticker")
    trade = await client.until("trade")
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == ["BTC_USDT", "ETH_USDT"]
    assert trade["seq"] < subscribed["seq"]
    errors = client.of("error")
    assert {error["symbol"] for error in errors} == {"BTC_USDT", "ETH_USDT"}
    assert all("ticker" in error["message"] and not error["fatal"] for error in errors)


async def test_acks_have_one_absolute_deadline(venue, connect, hurry):
    """Data that keeps coming does not put the verdict off."""

    async def never_acks(peer):
        await peer.until("trade_subscribe")
        while True:
            await peer.trade()
            await peer.answer(await peer.receive())

    venue.script = never_acks
    client = connect(ping_interval="20ms")
    first = await client.until("trade")
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == []
    assert subscribed["recv_ts"] - first["recv_ts"] < 2_000_000
    assert len(client.of("trade")) >= 5


async def answers_pings_alone(peer: Peer) -> None:
    while True:
        request = await peer.receive()
        if request["method"] == "ping":
            await peer.answer(request)


async def test_a_connection_without_any_answer_is_tried_again_with_a_new_token(
    venue, connect, hurry
):
    async def deaf_at_first(peer):
        await (answers_pings_alone(peer) if peer.number == 1 else peer.serve())

    venue.script = deaf_at_first
    client = connect(ping_interval="20ms")
    again = await client.until("session", state="subscribed", conn=2)
    assert again["symbols"] == ["BTC_USDT"]
    assert venue.token_requests == 2
    facts = [(event["type"], event.get("state")) for event in client.events]
    assert facts[2:6] == [
        ("error", None),
        ("session", "subscribed"),
        ("session", "disconnected"),
        ("session", "reconnecting"),
    ]
    assert client.of("session", state="subscribed")[0]["symbols"] == []
    assert "answered no subscription" in client.events[4]["reason"]
    assert not client.of("gap")


async def test_pings_that_are_answered_are_no_health_of_a_venue_that_answers_nothing_else(
    venue, connect, hurry, monkeypatch
):
    monkeypatch.setattr("wsfeeds.session.retries._HEALTHY_AFTER", 0.0)
    venue.script = answers_pings_alone
    client = connect(ping_interval="20ms", max_retries=1)
    assert await client.end() == 4
    assert len(venue.peers) == 2


async def test_what_is_added_without_an_answer_does_not_end_what_flows(venue, connect, hurry):
    async def hears_the_first_request_alone(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await answers_pings_alone(peer)

    venue.script = hears_the_first_request_alone
    client = connect(ping_interval="20ms")
    await client.until("session", state="subscribed")
    client.run.subscribe(["ETH_USDT"])
    added = await client.until("session", count=2, state="subscribed")
    assert added["symbols"] == []
    await venue.peers[0].trade(symbol="ETH_USDT")
    await client.until("trade", conn=1, symbol="ETH_USDT")
    assert "disconnected" not in client.states()


async def test_the_market_list_decides_where_a_list_is_refused(venue, connect):
    client = connect("BTC_USDT", "NO_SUCH", "ETH_USDT", channels="trade,ticker")
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == ["BTC_USDT", "ETH_USDT"]
    (error,) = client.of("error")
    assert (error["symbol"], error["code"], error["fatal"]) == ("NO_SUCH", 2, False)
    peer = venue.peers[0]
    for channel in ("trade", "ticker"):
        assert peer.asked(f"{channel}_subscribe")[-1] == ["BTC_USDT", "ETH_USDT"]
        assert peer.asked(f"{channel}_unsubscribe") == [["all"]]


async def test_a_scale_that_does_not_exist_is_refused_alone(venue, connect):
    venue.scales = [0, 1]

    async def refuses_scale_7(peer):
        request = await peer.until("depth_subscribe")
        assert "BTC_USDT:7" in request["params"]
        await peer.refuse(request, "unknown scale")
        await peer.serve()

    venue.script = refuses_scale_7
    client = connect("BTC_USDT:1", "BTC_USDT:7", "BTC_USDT", channels="depth")
    subscribed = await client.until("session", state="subscribed")
    assert subscribed["symbols"] == ["BTC_USDT:1", "BTC_USDT"]
    assert [error["symbol"] for error in client.of("error")] == ["BTC_USDT:7"]


async def test_a_market_list_that_fails_is_a_failure_like_any_other(venue, connect):
    venue.markets_status = 503
    client = connect("BTC_USDT", "NO_SUCH", max_retries=1)
    assert await client.end() == 4


@pytest.mark.parametrize("symbols", [("NO_SUCH",), ("NO_SUCH", "NOR_THIS")])
async def test_everything_refused_at_the_first_subscribe_is_a_usage_error(venue, connect, symbols):
    client = connect(*symbols)
    assert await client.end() == 2
    assert isinstance(client.run.error, SubscriptionRefused)
    assert "wsfeeds markets cryptomus" in client.run.error.message
    assert {error["symbol"] for error in client.of("error", fatal=False)} == set(symbols)
    assert len(venue.peers) == 1


async def test_everything_refused_later_is_tried_again(venue, connect):
    async def refuses_the_second(peer):
        request = await peer.until("trade_subscribe")
        if peer.number == 2:
            await peer.refuse(request, "maintenance")
            await peer.serve()
        await peer.ack(request)
        if peer.number == 1:
            await peer.socket.close()
        await peer.serve()

    venue.script = refuses_the_second
    client = connect()
    await client.until("session", count=2, state="subscribed")
    assert len(venue.peers) == 3


async def test_each_channel_asks_for_its_full_list_in_one_request(venue, connect):
    client = connect("BTC_USDT", "ETH_USDT:1", channels="trade,ticker,lastprice,depth,bbo,order")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    for channel in ("trade", "ticker", "lastprice", "order"):
        assert peer.asked(f"{channel}_subscribe") == [["BTC_USDT", "ETH_USDT"]]
    assert peer.asked("depth_subscribe") == [["BTC_USDT:0", "ETH_USDT:1"]]
    ids = [request["id"] for request in peer.requests]
    assert len(set(ids)) == len(ids)
    assert 0 not in ids


async def test_all_on_depth_is_scale_0_of_every_market(venue, connect):
    client = connect("all", channels="depth,trade")
    await client.until("session", state="subscribed")
    assert venue.peers[0].asked("depth_subscribe") == [[f"{name}:0" for name in venue.known]]
    assert venue.peers[0].asked("trade_subscribe") == [["all"]]


async def test_all_can_be_added_while_running(venue, connect):
    client = connect("BTC_USDT", channels="depth,trade")
    await client.until("session", state="subscribed")
    client.run.subscribe(["all"])
    added = await client.until("session", count=2, state="subscribed")
    assert added["symbols"] == ["all"]
    peer = venue.peers[0]
    assert peer.live == {"depth": ["all"], "trade": ["all"]}
    await peer.trade(symbol="TRX_USDT")
    await client.until("trade", symbol="TRX_USDT")


@pytest.mark.parametrize("reading", ["replace", "reject", "merge"])
async def test_a_change_gives_the_same_under_every_reading_of_the_page(venue, connect, reading):
    venue.reading = reading
    client = connect("BTC_USDT", channels="trade,ticker")
    await client.until("session", state="subscribed")
    client.run.subscribe(["ETH_USDT"])
    added = await client.until("session", count=2, state="subscribed")
    assert added["symbols"] == ["ETH_USDT"]
    peer = venue.peers[0]
    assert peer.live == {c: ["BTC_USDT", "ETH_USDT"] for c in ("trade", "ticker")}
    gaps = client.of("gap")
    assert {(gap["reason"], gap["channel"]) for gap in gaps} == {
        ("resubscribe", "trade"),
        ("resubscribe", "ticker"),
    }
    assert all(gap["from_ts"] <= gap["to_ts"] for gap in gaps)
    client.run.unsubscribe(["BTC_USDT"])
    gone = await client.until("session", state="unsubscribed")
    assert gone["symbols"] == ["BTC_USDT"]
    assert peer.live == {c: ["ETH_USDT"] for c in ("trade", "ticker")}
    assert len(client.of("gap")) == 2
    await peer.trade(symbol="BTC_USDT")
    await peer.trade(symbol="ETH_USDT")
    assert (await client.until("trade"))["symbol"] == "ETH_USDT"
    assert client.stream.skipped["not asked for"] == 1


async def test_the_last_symbol_of_a_channel_can_go_while_another_channel_goes_on(venue, connect):
    """That each channel needs a symbol is a rule of the command line."""
    venue.known = ("BTC_USDT", "ETH", "TRX")
    client = connect("BTC_USDT", "ETH", channels="trade,balance")
    await client.until("session", state="subscribed")
    client.run.unsubscribe(["BTC_USDT"])
    await client.until("session", state="unsubscribed", symbols=["BTC_USDT"])
    client.run.subscribe(["TRX"])
    await client.until("session", state="subscribed", symbols=["TRX"])
    assert venue.peers[0].live == {"trade": [], "balance": ["ETH", "TRX"]}
    await venue.peers[0].socket.close()
    await client.until("session", state="subscribed", symbols=["ETH", "TRX"])


async def test_a_change_survives_a_reconnect(venue, connect):
    client = connect("BTC_USDT")
    await client.until("session", state="subscribed")
    client.run.subscribe(["ETH_USDT"])
    await client.until("session", count=2, state="subscribed")
    await venue.peers[0].socket.close()
    again = await client.until("session", count=3, state="subscribed")
    assert again["symbols"] == ["BTC_USDT", "ETH_USDT"]


async def test_a_symbol_that_is_refused_while_running_is_an_error_event(venue, connect):
    client = connect("BTC_USDT")
    await client.until("session", state="subscribed")
    client.run.subscribe(["NO_SUCH"])
    again = await client.until("session", count=2, state="subscribed")
    assert again["symbols"] == []
    assert [error["symbol"] for error in client.of("error")] == ["NO_SUCH"]
    await venue.until(lambda: venue.peers[0].live.get("trade") == ["BTC_USDT"])


async def test_a_symbol_can_be_asked_for_again_right_after_the_last_one_went(venue, connect):
    client = connect("BTC_USDT")
    client.run.keep_open = True
    await client.until("session", state="subscribed")
    client.run.unsubscribe(["BTC_USDT"])
    client.run.subscribe(["ETH_USDT"])
    again = await client.until("session", count=2, state="subscribed")
    assert again["symbols"] == ["ETH_USDT"]
    assert venue.peers[0].asked("trade_subscribe") == [["BTC_USDT"], ["ETH_USDT"]]


async def test_pausing_unsubscribes_and_resuming_reports_what_was_missed(venue, connect):
    client = connect("BTC_USDT", channels="trade,ticker")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    await peer.trade("1")
    before = await client.until("trade")
    client.run.pause()
    await client.until("session", state="paused")
    assert peer.live == {"trade": [], "ticker": []}
    await peer.trade("2")
    await client.skips("not asked for")
    client.run.resume()
    gap = await client.until("gap")
    assert (gap["reason"], gap["from_ts"]) == ("paused", before["recv_ts"])
    await peer.trade("3")
    assert (await client.until("trade", count=2))["price"] == "3"
    states = client.states()
    assert states[3:] == ["paused", "resumed"]


async def test_pause_and_resume_in_one_breath_leave_the_stream_running(venue, connect):
    client = connect()
    await client.until("session", state="subscribed")
    client.run.pause()
    client.run.resume()
    await client.until("gap", reason="paused")
    await venue.peers[0].trade("5")
    assert (await client.until("trade"))["price"] == "5"


async def test_a_pause_outlives_a_reconnect(venue, connect):
    client = connect()
    await client.until("session", state="subscribed")
    await venue.peers[0].trade("1")
    trade = await client.until("trade")
    client.run.pause()
    await client.until("session", state="paused")
    await venue.peers[0].socket.close()
    await client.until("session", count=2, state="subscribed")
    await venue.until(lambda: venue.peers[1].live.get("trade") == [])
    await venue.peers[1].trade("2")
    await client.skips("not asked for")
    client.run.resume()
    gap = await client.until("gap", reason="paused")
    assert gap["from_ts"] == trade["recv_ts"]
    await venue.peers[1].trade("3")
    assert (await client.until("trade", count=2))["price"] == "3"
    assert [gap["reason"] for gap in client.of("gap")] == ["paused"]


@pytest.mark.parametrize("status", [404, 503])
async def test_without_a_market_list_what_was_accepted_before_goes_on(venue, connect, status):
    client = connect("BTC_USDT", channels="trade")
    await client.until("session", state="subscribed")
    venue.markets_status = status
    client.run.subscribe(["NO_SUCH"])
    error = await client.until("error")
    assert error["symbol"] == "NO_SUCH"
    assert "market list" in error["message"]
    await venue.until(lambda: venue.peers[0].asked("trade_subscribe")[-1] == ["BTC_USDT"])
    await venue.peers[0].trade("7")
    await client.until("trade", price="7")
    assert len(venue.peers) == 1


async def test_a_reconnect_without_a_market_list_brings_back_what_was_accepted(venue, connect):
    client = connect("BTC_USDT", "NO_SUCH", channels="trade")
    await client.until("session", state="subscribed")
    venue.markets_status = 503
    await venue.peers[0].socket.close()
    again = await client.until("session", count=2, state="subscribed")
    assert again["symbols"] == ["BTC_USDT"]
    assert [error["symbol"] for error in client.of("error")] == ["NO_SUCH", "NO_SUCH"]


async def test_a_refusal_that_nothing_can_explain_is_told_all_the_same(venue, connect):
    venue.markets_status = 503
    client = connect("BTC_USDT", "NO_SUCH", max_retries=1)
    assert await client.end() == 4
    error = client.of("error", fatal=False)[0]
    assert "BTC_USDT, NO_SUCH was refused" in error["message"]


async def test_the_holes_of_a_change_and_of_a_pause_begin_where_the_flow_ends(venue, connect):
    async def trades_until_it_answers(peer):
        while True:
            request = await peer.receive()
            if request["method"] == "trade_unsubscribe":
                await peer.trade("5")
            await peer.answer(request)

    venue.script = trades_until_it_answers
    client = connect("BTC_USDT", channels="trade")
    await client.until("session", state="subscribed")
    client.run.subscribe(["ETH_USDT"])
    changed = await client.until("gap", reason="resubscribe")
    assert changed["from_ts"] == client.of("trade")[-1]["recv_ts"]
    client.run.pause()
    await client.until("session", state="paused")
    client.run.resume()
    paused = await client.until("gap", reason="paused")
    assert paused["from_ts"] == client.of("trade")[-1]["recv_ts"]
    assert len(client.of("trade")) == 2


async def test_a_pause_is_told_at_once_also_without_a_connection(venue, connect):
    client = connect("BTC_USDT", channels="trade")
    client.run.pause()
    await client.until("session", state="paused")
    await client.until("session", state="subscribed")
    client.run.resume()
    await client.until("session", state="resumed")
    assert client.states().count("paused") == 1


async def test_a_refused_unsubscribe_names_the_symbol_that_it_was_about(venue, connect):
    async def lets_nobody_go(peer):
        while True:
            request = await peer.receive()
            if request["method"] == "trade_unsubscribe":
                await peer.refuse(request, "no")
            else:
                await peer.answer(request)

    venue.script = lets_nobody_go
    client = connect("BTC_USDT", "ETH_USDT", channels="trade")
    await client.until("session", state="subscribed")
    client.run.unsubscribe(["ETH_USDT"])
    error = await client.until("error")
    assert error["symbol"] == "ETH_USDT"


async def test_without_a_subscription_a_reconnect_has_lost_nothing(venue, connect):
    client = connect("BTC_USDT", channels="trade")
    await client.until("session", state="subscribed")
    client.run.unsubscribe(["BTC_USDT"])
    await client.until("session", state="unsubscribed")
    await venue.peers[0].socket.close()
    await client.until("session", count=2, state="connected")
    client.run.subscribe(["ETH_USDT"])
    await client.until("session", state="subscribed", symbols=["ETH_USDT"])
    assert client.of("gap", reason="disconnect") == []
