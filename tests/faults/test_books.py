"""Losses that show in the stream: gaps with cause and bounds, books that are not to be trusted."""

from __future__ import annotations


async def test_a_reconnect_reports_one_gap_with_its_bounds(venue, connect):
    async def drop_twice(peer):
        request = await peer.until("trade_subscribe")
        if peer.number == 2:
            await peer.socket.close(1001, "restart")  # once more before anything is subscribed
        await peer.ack(request)
        if peer.number == 1:
            await peer.trade("1")
            peer.socket.transport.abort()
        await peer.serve()

    venue.script = drop_twice
    client = connect()
    gap = await client.until("gap")
    assert gap["reason"] == "disconnect"
    assert gap["channel"] == "session"
    assert gap["symbol"] == "BTC_USDT"
    assert gap["from_ts"] == client.of("trade")[0]["recv_ts"]
    subscribed = client.of("session", state="subscribed")[-1]
    assert gap["to_ts"] == subscribed["recv_ts"]
    assert gap["conn"] == subscribed["conn"] == 3
    assert gap["seq"] > subscribed["seq"]
    assert len(client.of("gap")) == 1


async def test_a_failure_before_anything_came_leaves_no_gap(venue, connect):
    async def close_the_first(peer):
        if peer.number > 1:
            await peer.serve()

    venue.script = close_the_first
    client = connect()
    await client.until("session", state="subscribed")
    assert client.of("gap") == []


async def test_a_gap_over_several_symbols_names_none(venue, connect):
    client = connect("BTC_USDT", "ETH_USDT")
    await client.until("session", state="subscribed")
    await venue.peers[0].socket.close()
    assert (await client.until("gap"))["symbol"] is None


async def test_after_a_reconnect_a_book_is_unsynced_until_a_full_reload(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        if peer.number == 1:
            await peer.book("1", "3")
        await peer.book("1.5", "4", full=False)
        if peer.number == 1:
            await peer.socket.close()
        await peer.book("1", "2")
        await peer.serve()

    venue.script = script
    client = connect(channels="depth,bbo")
    await client.until("book", count=4)
    books = [(book["conn"], book["snapshot"], book["synced"]) for book in client.of("book")]
    assert books == [(1, True, True), (1, False, True), (2, False, False), (2, True, True)]
    assert [(bbo["conn"], bbo["bid_price"]) for bbo in client.of("bbo")] == [
        (1, "1"),
        (1, "1.5"),
        (2, "1"),
    ]


async def test_a_crossed_book_is_a_gap_and_asked_for_again(venue, connect, hurry):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("1", "2")
        await peer.book("3", "4", full=False)
        await peer.ack(await peer.until("depth_unsubscribe"), named=False)
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("3", "4")
        await peer.serve()

    venue.script = script
    client = connect(channels="depth,bbo")
    gap = await client.until("gap")
    assert (gap["reason"], gap["symbol"], gap["channel"]) == ("crossed_book", "BTC_USDT", "depth")
    assert (await client.until("bbo", count=2))["bid_price"] == "3"
    assert [book["synced"] for book in client.of("book")] == [True, False, True]
    assert len(client.of("gap")) == 1
    assert venue.peers[0].asked("depth_unsubscribe") == [["all"]]


async def test_crossed_books_are_asked_for_at_most_once_in_a_while(venue, connect, monkeypatch):
    monkeypatch.setattr("wsfeeds.session.dialogue._RESYNC_EVERY", 3600.0)

    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("3", "2")
        await peer.ack(await peer.until("depth_unsubscribe"), named=False)
        await peer.ack(await peer.until("depth_subscribe"))
        for _ in range(3):
            await peer.book("3", "2")
        await peer.book("1", "9")
        await peer.serve()

    venue.script = script
    client = connect(channels="bbo")
    await client.until("bbo")
    assert len(client.of("gap", reason="crossed_book")) == 2  # once per episode
    assert len(venue.peers[0].asked("depth_subscribe")) == 2


async def test_a_book_without_bbo_is_not_watched_for_crossing(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("3", "2")
        await peer.serve()

    venue.script = script
    client = connect(channels="depth")
    await client.until("book")
    assert client.of("gap") == []


async def test_a_missing_full_reload_is_a_gap_and_asked_for_again(venue, connect, hurry):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("1", "2", symbol="ETH_USDT")
        await peer.book("1", "2", full=False)
        await peer.ack(await peer.until("depth_unsubscribe"), named=False)
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("1", "2")
        await peer.book("1", "2", symbol="ETH_USDT")
        await peer.serve()

    venue.script = script
    client = connect("BTC_USDT", "ETH_USDT", channels="depth")
    gap = await client.until("gap", reason="no_snapshot")
    assert (gap["symbol"], gap["channel"]) == ("BTC_USDT", "depth")
    await client.until("book", count=2, snapshot=True, symbol="ETH_USDT")
    assert [b["synced"] for b in client.of("book", symbol="BTC_USDT")] == [False, True]
    # What the resync cost the other book of the channel is reported too.
    assert len(client.of("gap", reason="resubscribe", channel="depth")) == 1


async def test_a_full_reload_in_time_leaves_nothing_to_ask_for(venue, connect, hurry):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("1", "2")
        await peer.serve()

    venue.script = script
    client = connect(channels="depth", ping_interval="200ms")
    await client.until("book")
    await venue.until(lambda: venue.pings >= 3)
    assert client.of("gap") == []


async def test_scales_of_one_market_are_books_of_their_own(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("depth_subscribe"))
        await peer.book("1", "9")
        await peer.book("2", "8", full=False, scale=1)
        await peer.book("3", "7", scale=1)
        await peer.serve()

    venue.script = script
    client = connect("BTC_USDT", "BTC_USDT:1", channels="depth,bbo")
    await client.until("bbo", count=2)
    books = [(book["scale_index"], book["synced"]) for book in client.of("book")]
    assert books == [(0, True), (1, False), (1, True)]
    assert [bbo["scale_index"] for bbo in client.of("bbo")] == [0, 1]


async def test_numbers_and_receive_times_never_go_back(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        for price in range(20):
            await peer.trade(str(price))
        if peer.number < 3:
            await peer.socket.close()
        await peer.serve()

    venue.script = script
    client = connect()
    await client.until("trade", count=60)
    assert [event["seq"] for event in client.events] == list(range(1, len(client.events) + 1))
    times = [event["recv_ts"] for event in client.events]
    assert times == sorted(times)


async def test_a_book_update_that_nobody_can_read_is_a_gap_and_asked_for_again(venue, connect):
    client = connect("BTC_USDT", channels="depth,bbo")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    await peer.book("1", "2")
    await client.until("bbo")
    await peer.socket.send(
        '{"id":0,"method":"depth_update","data":{"symbol":"BTC_USDT","asks":[["2'
    )
    gap = await client.until("gap", reason="sequence")
    assert (gap["symbol"], gap["channel"]) == ("BTC_USDT", "depth")
    await venue.until(lambda: len(peer.asked("depth_subscribe")) == 2)
    await peer.book("1", "3", full=False)
    await peer.book("1", "4")
    await client.until("book", count=3)
    assert [book["synced"] for book in client.of("book")] == [True, False, True]
    assert [top["ask_price"] for top in client.of("bbo")] == ["2", "4"]
    assert peer.asked("depth_unsubscribe") == [["all"]]


async def test_a_bad_update_of_one_book_leaves_the_others_known(venue, connect):
    client = connect("BTC_USDT", "ETH_USDT", channels="depth,bbo")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    await peer.book("1", "2")
    await peer.book("1", "2", symbol="ETH_USDT")
    await client.until("book", count=2)
    await peer.update(
        "depth", symbol="BTC_USDT", timestamp=1, full_reload=False, scale_index=0, asks=[["x", "1"]]
    )
    await client.until("malformed")
    await peer.book("1", "3", symbol="ETH_USDT", full=False)
    await client.until("book", symbol="ETH_USDT", snapshot=False)
    assert [gap["symbol"] for gap in client.of("gap", reason="sequence")] == ["BTC_USDT"]


async def test_a_cut_update_of_one_book_leaves_the_others_known(venue, connect):
    client = connect("BTC_USDT", "ETH_USDT", channels="depth,bbo")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    await peer.book("1", "2")
    await peer.book("1", "2", symbol="ETH_USDT")
    await client.until("book", count=2)
    await peer.send('{"id":0,"method":"depth_update","data":{"symbol":"BTC_USDT","asks":[["2')
    await client.until("malformed")
    await venue.until(lambda: len(peer.asked("depth_subscribe")) == 2)
    assert [gap["symbol"] for gap in client.of("gap", reason="sequence")] == ["BTC_USDT"]


async def test_a_full_reload_without_sides_is_an_empty_book(venue, connect):
    client = connect("BTC_USDT", channels="depth,bbo")
    await client.until("session", state="subscribed")
    peer = venue.peers[0]
    await peer.book("1", "2")
    await client.until("bbo")
    await peer.update("depth", symbol="BTC_USDT", timestamp=1, full_reload=True, scale_index=0)
    top = await client.until("bbo", count=2)
    assert (top["bid_price"], top["ask_price"]) == (None, None)
