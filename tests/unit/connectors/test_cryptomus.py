"""The client rules of docs/protocols/cryptomus.md that no golden line can show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wsfeeds.connectors._cryptomus_rest import sign
from wsfeeds.connectors.cryptomus import Connector, CryptomusSettings
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.events import Malformed
from wsfeeds.protocol import HttpReply, Pong, Refused, Resync, Socket, Wanted
from wsfeeds.secrets import Secret

KEY = Secret("EXAMPLE-KEY-DO-NOT-USE-0123456789")


def connector(*symbols: str, channels: str = "trade", **settings: Any) -> Any:
    wanted = Wanted(symbols or ("BTC_USDT",), tuple(channels.split(",")))
    return Connector(Socket(wanted), CryptomusSettings(user_id="u", api_key=KEY, **settings))


def converse(exchange: Any, *replies: HttpReply) -> Any:
    """Run an exchange; return its requests and its result."""
    requests = [next(exchange)]
    for reply in replies:
        try:
            requests.append(exchange.send(reply))
        except StopIteration as done:
            return requests, done.value
    raise AssertionError("it asks for more")


def frames(chains: Any) -> list[dict[str, Any]]:
    return [json.loads(request.frame) for chain in chains for request in chain]


def open_depth(one: Any) -> None:
    """Send the opening and let its first request be acked."""
    for chain in one.opening():
        one.sent(chain[0].frame)
        one.receive(b'{"id":%s,"data":{"status":"success"},"error":null}' % chain[0].key.encode())


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        (KEY, b"", "58c3cfe93e8e5f7e41572b3726323596"),
        (KEY, b"{}", "8713d44b13342894f206f3f0ea46d4f2"),
        (KEY, b'{"market":"TRX_USDT","quantity":"20"}', "2404c62697fb43231faf2b6304fdc09b"),
        (
            Secret("fixture-api-key"),
            b'{"market":"TRX_USDT","quantity":"20"}',
            "7a25ed96c474b99df63c8caad23459bc",
        ),
    ],
)
def test_signatures_are_those_of_the_page(key, body, expected):
    assert sign(key, body) == expected


def test_the_token_request_is_signed_with_an_empty_body():
    one = connector()
    (request,), token = converse(
        one.authorize(one.settings), HttpReply(200, b'{"token":"168b34a3"}')
    )
    assert request.method == "GET"
    path = "/v2/user-api/exchange/account/web-socket/token"
    assert request.url == f"https://api.cryptomus.com{path}"
    assert request.headers["userId"] == "u"
    assert request.headers["sign"] == "58c3cfe93e8e5f7e41572b3726323596"
    assert token == "168b34a3"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_token_that_is_refused_ends_the_session(status):
    one = connector()
    with pytest.raises(CredentialsRefused):
        converse(one.authorize(one.settings), HttpReply(status, b'{"state":1,"message":"no"}'))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_token_endpoint_in_trouble_is_tried_again(status):
    one = connector()
    reply = HttpReply(status, b"", retry_after=12.0)
    with pytest.raises(Transient) as error:
        converse(one.authorize(one.settings), reply)
    assert error.value.retry_after == 12


def test_the_token_is_percent_encoded_and_not_shown():
    endpoint = connector(url="wss://h/ws?a=1").endpoint("a/b=&ü")
    assert endpoint.urls == ("wss://h/ws?a=1&token=a%2Fb%3D%26%C3%BC",)
    assert endpoint.shown == ("wss://h/ws?a=1&token=***",)
    assert endpoint.carries_secret


def test_all_is_spelled_out_for_depth_and_stands_alone_elsewhere():
    one = connector("all", "BTC_USDT:1", channels="trade,depth")
    markets = b'{"result":[{"symbol":"BTC_USDT"},{"symbol":"ETH_USDT"}]}'
    (request,), _ = converse(one.prepare(), HttpReply(200, markets))
    assert request.url.endswith("/v2/user-api/exchange/markets")
    assert [frame["params"] for frame in frames(one.opening())] == [
        ["all"],
        ["BTC_USDT:0", "ETH_USDT:0", "BTC_USDT:1"],
    ]


@pytest.mark.parametrize("channels", ["trade,ticker", "order,balance,deal"])
def test_the_market_list_is_asked_for_only_where_it_is_needed(channels):
    assert connector("all", channels=channels).prepare() is None
    assert connector("BTC_USDT", channels="depth").prepare() is None


def test_a_currency_is_for_balance_and_a_market_for_the_rest():
    one = connector("BTC_USDT:1", "USDT", channels="trade,depth,balance")
    asked = {frame["method"]: frame["params"] for frame in frames(one.opening())}
    assert asked == {
        "trade_subscribe": ["BTC_USDT"],
        "depth_subscribe": ["BTC_USDT:1"],
        "balance_subscribe": ["USDT"],
    }
    with pytest.raises(UsageError, match="balance"):
        Connector.check(Wanted(("BTC_USDT",), ("trade", "balance")), one.settings)


def test_ids_rise_and_0_is_kept_for_pings():
    one = connector(channels="trade,ticker,lastprice,depth")
    assert [frame["id"] for frame in frames(one.opening())] == [1, 2, 3, 4]
    assert json.loads(one.ping()) == {"id": 0, "method": "ping", "params": []}
    assert one.keepalive().every == 45.0


def test_adding_resets_the_channel_and_asks_for_the_full_list():
    one = connector("A_B", channels="trade,ticker")
    one.opening()
    chains = one.change(Wanted(("A_B", "C_D"), ("trade", "ticker")))
    assert [[json.loads(r.frame)["params"] for r in chain] for chain in chains] == [
        [["all"], ["A_B", "C_D"]],
        [["all"], ["A_B", "C_D"]],
    ]


def test_removing_only_unsubscribes_what_goes():
    one = connector("A_B", "C_D", channels="trade,depth")
    chains = one.change(Wanted(("A_B",), ("trade", "depth")))
    assert [(f["method"], f["params"]) for f in frames(chains)] == [
        ("trade_unsubscribe", ["C_D"]),
        ("depth_unsubscribe", ["C_D:0"]),
    ]


def test_two_names_of_one_market_are_one_subscription():
    one = connector("BTC_USDT", "BTC_USDT:0", channels="trade,depth")
    (trade,), (depth,) = one.opening()
    assert json.loads(trade.frame)["params"] == ["BTC_USDT"]
    assert json.loads(depth.frame)["params"] == ["BTC_USDT:0"]
    assert trade.symbols == depth.symbols == ("BTC_USDT", "BTC_USDT:0")


def test_a_policy_close_means_the_token_only_before_any_answer():
    one = connector()
    assert isinstance(one.closed(1008, "bad token"), Refused)
    assert one.closed(1000, "") is None
    open_depth(one)
    assert one.closed(1008, "policy") is None


def test_a_missing_full_reload_is_asked_for_10_s_after_the_ack():
    one = connector("A_B", "C_D", channels="depth")
    assert list(one.wake(100.0)) == []
    open_depth(one)
    assert list(one.wake(100.0)) == []
    assert one.wake_at == 110.0
    one.receive(
        b'{"method":"depth_update","data":{"symbol":"A_B","timestamp":1,"full_reload":true,'
        b'"scale_index":0,"asks":[],"bids":[]}}'
    )
    assert list(one.wake(109.9)) == []
    (wanted,) = one.wake(110.0)
    assert wanted == Resync(channel="depth", symbol="C_D", reason="no_snapshot")
    assert one.wake_at is None


def test_an_ack_of_something_else_settles_nothing_of_ours():
    one = connector(channels="depth")
    (chain,) = one.opening()
    one.sent(chain[0].frame)
    one.receive(b'{"id":99,"data":{"status":"success"},"error":null}')
    assert list(one.wake(1.0)) == []
    assert one.wake_at is None


def test_a_pong_is_a_pong_whatever_its_id():
    assert connector().receive(b'{"id":"x","method":"pong","data":null,"error":null}') == (Pong(),)


def test_the_numbers_of_the_lists_are_exact_plain_decimals_however_they_are_sent():
    listing = (
        b'{"result":[{"symbol":"B_U","baseCurrency":"B","quoteCurrency":"U","basePrec":8,'
        b'"quotePrec":"6","baseMinSize":1e-8,"quoteMinSize":0.10000000000000000000000001}]}'
    )
    scales = b'{"data":[{"index":0,"scale":1e-2},{"index":"1","scale":"0.10"},{"index":2.0}]}'
    one = connector()
    _, (market,) = converse(
        one.markets(one.settings, symbols=["B_U"]), HttpReply(200, listing), HttpReply(200, scales)
    )
    assert market == {
        "symbol": "B_U",
        "base": "B",
        "quote": "U",
        "min_quantity": "0.00000001",
        "min_value": "0.10000000000000000000000001",
        "quantity_precision": "8",
        "price_precision": "6",
        "scales": [
            {"index": 0, "scale": "0.01"},
            {"index": 1, "scale": "0.10"},
            {"index": 2, "scale": None},
        ],
    }


@pytest.mark.parametrize("value", ['"many"', '""', "null", "true", "{}", '"1e999"'])
def test_what_is_no_number_in_a_list_is_null(value):
    one = connector()
    listing = b'{"result":[{"symbol":"B_U","baseMinSize":%s}]}' % value.encode()
    _, (market,) = converse(one.markets(one.settings), HttpReply(200, listing))
    assert market["min_quantity"] is None


CUT = b'{"id":0,"method":"depth_update","data":'


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        (CUT + b'{"symbol":"B_U","timestamp":1,"scale_index":0,"asks":[["2', {"B_U:0"}),
        (CUT + b'{ "symbol" : "B_U", "scale_index": "1" , "asks":[["2', {"B_U:1"}),
        (CUT + b'{"symbol":"B_U","timestamp":1,"full_rel', {"B_U:0", "B_U:1"}),
        (CUT + b'{"symbol":"B_U","scale_index":1', {"B_U:0", "B_U:1"}),
        (CUT + b'{"symbol":"B_', {"B_U:0", "B_U:1", "E_U:0"}),
        (CUT + b'{"symbol":"B_U"' + CUT + b'{"symbol":"E_U"}}', {"B_U:0", "B_U:1", "E_U:0"}),
        (CUT + b'{"symbol":"B_U","scale_index":0,"asks":[["x","1"]]}}', {"B_U:0"}),
        (CUT + b'{"symbol":"T_U","asks":[["2', set()),
        (b'{"id":0,"method":"trade_update","data":{"symbol":"B_U","trades":[{"pr', set()),
    ],
)
def test_a_broken_update_spoils_no_book_but_those_it_may_be_about(broken, lost):
    names = ("B_U:0", "B_U:1", "E_U:0")
    one = connector(*names, channels="depth")
    open_depth(one)
    update = (
        '{"method":"depth_update","data":{"symbol":"%s","timestamp":1,"full_reload":%s,'
        '"scale_index":%s,"asks":[["2","1"]],"bids":[]}}'
    )
    for name in names:
        market, _, scale = name.partition(":")
        one.receive((update % (market, "true", scale)).encode())
    malformed, *resyncs = one.receive(broken)
    assert isinstance(malformed, Malformed)
    assert {resync.symbol for resync in resyncs} == {name.partition(":")[0] for name in lost}
    after = {}
    for name in names:
        market, _, scale = name.partition(":")
        (book,) = one.receive((update % (market, "false", scale)).encode())
        after[name] = book.synced
    assert {name for name, synced in after.items() if not synced} == lost
