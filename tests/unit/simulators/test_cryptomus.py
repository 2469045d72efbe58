"""The simulated Cryptomus as docs/protocols/cryptomus.md documents it: tokens, requests, REST."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest
import websockets

TOKEN = "/v2/user-api/exchange/account/web-socket/token"
SUCCESS = {"status": "success"}
CHANNELS = ("lastprice", "depth", "ticker", "trade", "order", "balance", "deal")


def symbol(channel: str) -> str:
    return {"depth": "BTC_USDT:0", "balance": "BTC"}.get(channel, "BTC_USDT")


async def refused(venue: Any, token: str) -> int:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with venue.open(token):
            pass
    return refusal.value.response.status_code


async def test_a_token_is_a_bare_object_of_64_hex_digits(serve):
    async with serve() as venue:
        answer = await venue.http.get(TOKEN, headers=venue.signed())
        assert answer.status_code == 200
        assert list(answer.json()) == ["token"]
        assert re.fullmatch("[0-9a-f]{64}", answer.json()["token"])


async def test_a_wrong_signature_gets_401(serve):
    async with serve() as venue:
        answer = await venue.http.get(TOKEN, headers=venue.signed(sign="0" * 32))
        assert (answer.status_code, answer.json()) == (401, {"state": 1, "message": "Unauthorized"})


@pytest.mark.parametrize("headers", [{"userId": "nobody"}, {"userId": ""}])
async def test_an_unknown_user_gets_404(serve, headers):
    async with serve() as venue:
        answer = await venue.http.get(TOKEN, headers=venue.signed(**headers))
        assert answer.status_code == 404


@pytest.mark.parametrize("status", ["403", "422"])
async def test_the_status_of_a_wrong_signature_can_be_chosen(serve, status):
    async with serve(bad_sign=status) as venue:
        answer = await venue.http.get(TOKEN, headers=venue.signed(sign=""))
        assert answer.status_code == int(status)


async def test_a_token_serves_once(serve):
    async with serve() as venue:
        token = await venue.token()
        async with venue.open(token) as peer:
            assert (await peer.ask("ping"))["method"] == "pong"
            assert await refused(venue, token) == 401


async def test_unknown_and_missing_tokens_get_401(serve):
    async with serve() as venue:
        assert await refused(venue, "0" * 64) == 401
        with pytest.raises(websockets.InvalidStatus, match="401"):
            await websockets.connect(venue.listening.url, proxy=None)


async def test_an_expired_token_gets_401(serve):
    async with serve(token_ttl="0s") as venue:
        assert await refused(venue, await venue.token()) == 401


@pytest.mark.parametrize(("one_token", "status"), [(False, 101), (True, 401)])
async def test_several_tokens_may_live_unless_only_one_may(serve, one_token, status):
    async with serve(one_token=one_token) as venue:
        older, newer = await venue.token(), await venue.token()
        async with venue.open(newer):
            pass
        if status == 401:
            assert await refused(venue, older) == 401
        else:
            async with venue.open(older):
                pass


async def test_a_bad_token_can_be_accepted_and_closed(serve):
    async with serve(bad_token="close") as venue, venue.open("stale") as peer:
        assert await peer.closed() == 1008


async def test_another_path_is_not_found(serve):
    async with serve() as venue:
        with pytest.raises(websockets.InvalidStatus, match="404"):
            await websockets.connect(venue.listening.url + "2", proxy=None)


async def test_token_errors_come_as_often_as_asked(serve):
    async with serve("token-error=0.5") as venue:
        answers = [await venue.http.get(TOKEN, headers=venue.signed()) for _ in range(40)]
        failed = [answer for answer in answers if answer.status_code == 500]
        assert 5 < len(failed) < 35
        assert failed[0].json() == {"code": 500, "message": "Server error."}


async def test_a_ping_gets_the_documented_pong(serve):
    async with serve() as venue, venue.open() as peer:
        await peer.socket.send('{"id":0,"method":"ping","params":[]}')
        assert await peer.socket.recv() == '{"id":0,"method":"pong","data":null,"error":null}'


async def test_pongs_can_be_lost(serve):
    async with serve(mute_pong=True) as venue, venue.open() as peer:
        await peer.send("ping")
        await peer.ask("nonsense")
        assert not [frame for frame in peer.frames if frame.get("method") == "pong"]


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ("[]", {"id": 0}),
        ("5", {"id": 0}),
        ('{"id":7,"method":"depth_subscribe"}', {"id": 7, "method": "depth_subscribe"}),
        ('{"id":"7","method":"ping","params":[]}', {"id": 0, "method": "ping"}),
        ('{"id":true,"method":"ping","params":[]}', {"id": 0, "method": "ping"}),
        ('{"id":1,"method":3,"params":[]}', {"id": 1}),
        ('{"id":1,"method":"ping","params":{}}', {"id": 1, "method": "ping"}),
    ],
)
async def test_a_wrongly_shaped_request_gets_code_1_and_the_socket_stays(serve, frame, reply):
    async with serve() as venue, venue.open() as peer:
        await peer.socket.send(frame)
        error = {"code": 1, "message": "Invalid message format"}
        assert await peer.next() == reply | {"data": None, "error": error}
        assert (await peer.ask("ping"))["error"] is None


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("candles_subscribe", ["BTC_USDT"]),
        ("trade_resubscribe", ["BTC_USDT"]),
        ("trade_subscribe", ["NO_SUCH"]),
        ("trade_subscribe", ["BTC_USDT", "NO_SUCH"]),
        ("trade_subscribe", ["all", "BTC_USDT"]),
        ("trade_subscribe", []),
        ("trade_unsubscribe", []),
        ("depth_subscribe", ["BTC_USDT"]),
        ("depth_subscribe", ["BTC_USDT:9"]),
        ("depth_subscribe", ["BTC_USDT:x"]),
        ("balance_subscribe", ["BTC_USDT"]),
    ],
)
async def test_what_is_unknown_gets_code_2_without_a_method(serve, method, params):
    async with serve() as venue, venue.open() as peer:
        reply = await peer.ask(method, *params)
        assert list(reply) == ["id", "data", "error"]
        assert (reply["data"], reply["error"]["code"]) == (None, 2)


async def test_a_refused_list_changes_nothing(serve):
    async with serve(rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("lastprice_subscribe", "BTC_USDT")
        assert (await peer.ask("lastprice_subscribe", "ETH_USDT", "NOPE"))["error"]["code"] == 2
        assert (await peer.update("lastprice"))["symbol"] == "BTC_USDT"


async def test_a_refused_list_can_be_applied_in_part(serve):
    async with serve(rate=5_000.0, partial_apply=True) as venue, venue.open() as peer:
        assert (await peer.ask("trade_subscribe", "ETH_USDT", "NOPE"))["error"]["code"] == 2
        assert (await peer.update("trade"))["symbol"] == "ETH_USDT"


async def test_what_is_not_json_ends_the_connection(serve):
    async with serve() as venue, venue.open() as peer:
        await peer.socket.send("{'id':1}")
        assert await peer.closed() == 1007
        assert not peer.frames


async def test_an_error_can_precede_that_end(serve):
    async with serve(bad_json="error") as venue, venue.open() as peer:
        await peer.socket.send("nonsense")
        assert (await peer.next())["error"]["code"] == 1
        assert await peer.closed() == 1007


async def test_a_wrongly_shaped_request_can_end_the_connection(serve):
    async with serve(bad_request="close") as venue, venue.open() as peer:
        await peer.socket.send("[]")
        assert await peer.closed() == 1007


async def test_replies_can_be_late(serve):
    async with serve(reply_delay="150ms") as venue, venue.open() as peer:
        started = asyncio.get_running_loop().time()
        await peer.ask("ping")
        assert asyncio.get_running_loop().time() - started >= 0.15


@pytest.mark.parametrize("channel", CHANNELS)
async def test_acks_carry_their_method_just_where_the_documents_show_it(serve, channel):
    async with serve() as venue, venue.open() as peer:
        ack = await peer.ask(f"{channel}_subscribe", symbol(channel))
        method = {} if channel == "deal" else {"method": f"{channel}_subscribe"}
        assert ack == {"id": 1} | method | {"data": SUCCESS, "error": None}
        ack = await peer.ask(f"{channel}_unsubscribe", symbol(channel))
        assert ack == {"id": 2, "data": SUCCESS, "error": None}


@pytest.mark.parametrize(("when", "present"), [("always", True), ("never", False)])
async def test_acks_can_always_or_never_carry_their_method(serve, when, present):
    async with serve(ack_method=when) as venue, venue.open() as peer:
        for method in ("trade_subscribe", "deal_subscribe", "deal_unsubscribe"):
            assert ("method" in await peer.ask(method, "BTC_USDT")) is present


async def test_the_present_state_follows_the_ack(serve):
    async with serve() as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0", "BTC_USDT:1", "BTC_USDT:0")
        first, second = await peer.next(), await peer.next()
        assert [first["data"]["scale_index"], second["data"]["scale_index"]] == [0, 1]
        assert first["data"]["full_reload"]
        assert second["data"]["full_reload"]
        await peer.ask("ticker_subscribe", "ETH_USDT")
        await peer.ask("lastprice_subscribe", "TRX_USDT")
        assert (await peer.update("lastprice"))["price"] == "0.272696"


async def test_the_present_state_can_come_first_or_never(serve):
    async with serve(push_before_ack=True) as venue, venue.open() as peer:
        await peer.send("lastprice_subscribe", "BTC_USDT")
        assert (await peer.next())["method"] == "lastprice_update"
        assert (await peer.next())["method"] == "lastprice_subscribe"
    async with serve(initial_push="none", full_reload="never") as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        assert not (await peer.update("depth"))["full_reload"]


async def test_past_trades_can_come_first_newest_first(serve):
    async with serve(initial_push="trades") as venue, venue.open() as peer:
        await peer.ask("trade_subscribe", "BTC_USDT")
        times = [trade["timestamp"] for trade in (await peer.update("trade"))["trades"]]
        assert len(times) == 20
        assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("reading", "accepted", "streams"),
    [
        ("replace", True, {"ETH_USDT"}),
        ("merge", True, {"BTC_USDT", "ETH_USDT"}),
        ("reject", False, {"BTC_USDT"}),
    ],
)
async def test_a_second_subscribe_follows_the_chosen_reading(serve, reading, accepted, streams):
    async with serve(resubscribe=reading, rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("trade_subscribe", "BTC_USDT")
        reply = await peer.ask("trade_subscribe", "ETH_USDT")
        assert (reply["error"] is None) is accepted
        assert {(await peer.update("trade"))["symbol"] for _ in range(60)} == streams


async def test_channels_do_not_touch_each_other(serve):
    async with serve(rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("lastprice_subscribe", "BTC_USDT")
        await peer.ask("ticker_subscribe", "ETH_USDT")
        assert (await peer.update("lastprice"))["symbol"] == "BTC_USDT"


async def test_an_idle_client_is_closed_with_1000_whatever_it_hears(serve):
    async with serve(idle="150ms") as venue, venue.open(ping_interval=0.02) as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        with pytest.raises(websockets.ConnectionClosedOK):
            await peer.until(lambda _: False)
        assert peer.socket.close_code == 1000


async def test_requests_keep_a_client_alive(serve):
    """The silent one connects later and is closed first."""
    async with serve(idle="1s") as venue, venue.open() as peer, venue.open() as silent:
        while silent.socket.state is websockets.State.OPEN:
            await peer.ask("ping")
        assert await silent.closed() == 1000
        assert (await peer.ask("ping"))["method"] == "pong"


@pytest.mark.parametrize(("how", "code"), [("1001", 1001), ("abort", 1006)])
async def test_the_idle_close_can_be_another(serve, how, code):
    async with serve(idle="20ms", idle_close=how) as venue, venue.open() as peer:
        assert await peer.closed() == code


async def test_websocket_pings_count_where_chosen(serve):
    """The silent one connects later and is closed first."""
    async with (
        serve(idle="1s", ws_pings_count=True) as venue,
        venue.open(ping_interval=0.02) as peer,
        venue.open(ping_interval=None) as silent,
    ):
        assert await silent.closed() == 1000
        assert (await peer.ask("ping"))["method"] == "pong"


async def test_the_market_lists_have_the_documented_shapes(serve):
    async with serve() as venue:
        full = (await venue.http.get("/v1/exchange/market")).json()["result"]
        short = (await venue.http.get("/v2/user-api/exchange/markets")).json()["result"]
    assert len(full) == len(short) == 11
    assert list(full[0]) == [
        *("id", "symbol", "baseCurrency", "quoteCurrency", "baseMinSize", "quoteMinSize"),
        *("baseMaxSize", "quoteMaxSize", "basePrec", "quotePrec"),
        *("baseCurrencyFullName", "quoteCurrencyFullName"),
    ]
    assert list(short[0]) == list(full[0])[:10]
    assert short[0]["baseMaxSize"] == "10000000000.00000000"
    assert all(isinstance(value, str) for row in full for value in row.values())
    shib = next(row for row in short if row["symbol"] == "SHIB_USDT")
    assert (shib["basePrec"], shib["quotePrec"]) == ("0", "8")


async def test_the_scales_of_a_market(serve):
    async with serve() as venue:
        path = "/api/v2/symbol-scales"
        answer = await venue.http.get(path, params={"symbol": "BTC_USDT"})
        document = answer.json()
        assert (document["status"], document["data"][0]) == (
            "success",
            {"scale": "0.01", "index": 0},
        )
        assert [row["index"] for row in document["data"]] == [0, 1, 2, 3]
        assert (await venue.http.get(path, params={"symbol": "NOPE"})).status_code == 404


async def test_rest_and_socket_show_the_same_market(serve):
    async with serve(rate=0.001) as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        book = await peer.update("depth")
        rest = (await venue.http.get("/v1/exchange/market/order-book/BTC_USDT")).json()
        assert rest["state"] == 0
        for side in ("bids", "asks"):
            levels = {(float(row["price"]), float(row["quantity"])) for row in rest["result"][side]}
            assert levels == {(float(price), float(quantity)) for price, quantity in book[side]}
        trades = (await venue.http.get("/v1/exchange/market/trades/BTC_USDT")).json()["result"]
        await peer.ask("lastprice_subscribe", "BTC_USDT")
        assert trades[0]["price"] == (await peer.update("lastprice"))["price"]
        tickers = (await venue.http.get("/v1/exchange/market/tickers")).json()["result"]
        assert tickers[0]["last_price"] == trades[0]["price"]


async def test_other_requests_are_refused(serve):
    async with serve() as venue:
        assert (await venue.http.get("/nothing")).status_code == 404
        assert (await venue.http.get("/v1/exchange/market/trades/NOPE")).status_code == 404
        assert (await venue.http.post(TOKEN, headers=venue.signed())).status_code == 405


@pytest.mark.parametrize("toggle", [{"whitespace": True}, {"unknown_fields": True}])
async def test_frames_can_be_spread_out_or_carry_more(serve, toggle):
    async with serve(**toggle) as venue, venue.open() as peer:
        await peer.ask("lastprice_subscribe", "BTC_USDT")
        text = await peer.socket.recv()
        frame = orjson.loads(text)
        assert frame["data"]["price"] == "107152.55"
        assert ("\n" in text) is ("whitespace" in toggle)
        assert ("extra" in frame["data"] and "traceId" in frame) is ("unknown_fields" in toggle)


async def test_event_ids_can_echo_the_request(serve):
    async with serve(event_id="echo", rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("ping")
        lastprice = await peer.send("lastprice_subscribe", "BTC_USDT")
        order = await peer.send("order_subscribe", "BTC_USDT")
        for channel, wanted in (("lastprice", lastprice), ("order", str(order))):
            await peer.update(channel)
            assert peer.frames[-1]["id"] == wanted
