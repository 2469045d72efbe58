"""Bad frames are kept whole and the stream goes on; a frame too big costs the connection."""

from __future__ import annotations

import base64
from typing import Any

import pytest

JUNK = {
    "garbage": "\x00\x01 no json",
    "truncated": '{"id":0,"method":"trade_update","data":{"symbol":"BTC_U',
    "a lone brace": "{",
    "nothing": "",
    "deep arrays": "[" * 100_000,
    "deep objects": '{"data":' * 50_000,
    "a deep member": '{"id":0,"method":"trade_update","data":'
    + "[" * 100_000
    + "]" * 100_000
    + "}",
    "wrong types": '{"id":0,"method":"trade_update","data":{"symbol":1,"trades":[]},"error":null}',
}


def sends(*frames: Any) -> Any:
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        for frame in frames:
            await peer.send(frame)
        await peer.trade("2")
        await peer.serve()

    return script


@pytest.mark.parametrize("name", JUNK)
async def test_a_bad_frame_is_kept_whole_and_the_stream_goes_on(venue, connect, name):
    venue.script = sends(JUNK[name])
    client = connect()
    await client.until("trade")
    (event,) = client.of("malformed")
    assert (event["frame"], event["encoding"]) == (JUNK[name], "utf8")
    assert event["symbol"] == "BTC_USDT"
    assert event["error"]
    assert "disconnected" not in client.states()


async def test_a_bad_frame_of_all_markets_has_no_symbol(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.send("{")
        await peer.trade("1")

    venue.script = script
    venue.token_answers.extend([(200, {}, ""), (401, {}, '{"message":"Unauthorized"}')])
    client = connect("all")
    assert await client.end() == 3
    assert [event["symbol"] for event in client.of("malformed")] == [None]
    assert [event["symbol"] for event in client.of("error", fatal=True)] == [None]
    assert [event["symbol"] for event in client.of("trade")] == ["BTC_USDT"]


async def test_bytes_that_are_no_utf_8_are_kept_as_base64(venue, connect):
    frame = b'{"id":0,"method":"trade_update","data":"\xff\xfe"}'
    venue.script = sends(frame)
    client = connect()
    await client.until("trade")
    (event,) = client.of("malformed")
    assert base64.b64decode(event["frame"]) == frame
    assert event["encoding"] == "base64"


async def test_text_frames_that_are_no_utf_8_do_not_end_the_stream(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.send(b'{"a":"\xff"}', text=True)
        await peer.trade("2")
        await peer.serve()

    venue.script = script
    client = connect()
    await client.until("trade")
    assert client.of("malformed")[0]["encoding"] == "base64"
    assert "disconnected" not in client.states()


@pytest.mark.parametrize("frame", ['{"a":[1.10,-0]}', "[1.0]", "12.50", '"hello"', "null"])
async def test_an_unknown_frame_is_kept_whole(venue, connect, frame):
    venue.script = sends(frame)
    client = connect()
    await client.until("trade")
    assert len(client.of("unknown")) == 1


async def test_binary_json_is_read_like_text(venue, connect):
    trade = b'{"id":0,"method":"trade_update","data":{"symbol":"BTC_USDT","timestamp":1,"trades":'
    trade += b'[{"price":7.70,"quantity":1,"timestamp":1,"direction":"sell"}]},"error":null}'
    venue.script = sends(trade)
    client = connect()
    await client.until("trade", count=2)
    assert client.of("trade")[0]["price"] == "7.70"


async def test_fragments_are_put_together(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.send(['{"id":0,"method":"tra', 'de_update","data":[],', '"error":null}'])
        await peer.socket.send([b'{"id":0,"method":"po', b'ng"}'])
        await peer.trade()
        await peer.serve()

    venue.script = script
    client = connect()
    await client.until("trade")
    assert client.stream.skipped["empty updates"] == 1
    assert client.stream.skipped["pongs"] == 1


async def test_duplicates_are_delivered_since_the_venue_has_no_numbers(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        one = {"price": 1, "quantity": 1, "timestamp": 1, "direction": "buy"}
        for _ in range(2):
            await peer.update("trade", symbol="BTC_USDT", timestamp=1, trades=[one])
        await peer.serve()

    venue.script = script
    client = connect()
    await client.until("trade", count=2)


async def test_a_frame_above_max_frame_is_an_error_and_a_reconnect(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        if peer.number == 1:
            await peer.trade("1")
            await peer.send('{"pad":"' + "x" * 20_000 + '"}')
        await peer.trade("2")
        await peer.serve()

    venue.script = script
    client = connect(max_frame="10KB")
    await client.until("session", count=2, state="subscribed")
    (error,) = client.of("error")
    assert "max_frame" in error["message"]
    assert not error["fatal"]
    assert client.of("session", state="disconnected")[0]["code"] == "1009"
    (gap,) = client.of("gap")
    assert gap["reason"] == "disconnect"
    assert (await client.until("trade", count=2))["price"] == "2"


async def test_a_compressed_frame_is_measured_unpacked(venue, connect):
    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.send('{"pad":"' + "x" * 1_000_000 + '"}')
        await peer.serve()

    venue.script = script
    client = connect(max_frame="100KB", compression=True)
    await client.until("error")


async def test_an_error_that_answers_nothing_is_an_event(venue, connect):
    venue.script = sends({"id": 77, "data": None, "error": {"code": 2, "message": "other"}})
    client = connect()
    await client.until("trade")
    (error,) = client.of("error")
    assert (error["code"], error["message"], error["fatal"]) == (2, "other", False)


async def test_events_with_the_ids_of_pending_requests_settle_nothing(venue, connect):
    async def script(peer):
        request = await peer.until("trade_subscribe")
        await peer.send(
            {"id": request["id"], "method": "lastprice_update", "data": [], "error": None}
        )
        await peer.send({"id": str(request["id"]), "method": "trade_update", "data": []})
        await peer.ack(request, named=False)
        await peer.trade()
        await peer.serve()

    venue.script = script
    client = connect()
    await client.until("trade")
    assert client.of("session", state="subscribed")[0]["symbols"] == ["BTC_USDT"]
    assert client.stream.skipped["empty updates"] == 2
