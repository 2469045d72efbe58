"""The client rules of docs/protocols/interact_quote.md that no golden line can show."""

from __future__ import annotations

import base64
import json

import pytest

from wsfeeds import connectors
from wsfeeds.connectors._interact_quote_markets import Delivered
from wsfeeds.connectors.interact_quote import Connector, InteractQuoteSettings
from wsfeeds.errors import UsageError
from wsfeeds.events import ErrorEvent, Malformed, Quote
from wsfeeds.protocol import Incoming, Request, Skipped, Socket, Wanted
from wsfeeds.secrets import Secret

CHANNELS = ("chloe-market", "fancy-market")
CHLOE = "40789105-e@219_33753655"
OTHER = "41115853-e@1_31260330"
FANCY = "44914246-e@878_55854706_f"
CLAIMS = {
    "user_id": "00000000-0000-4000-8000-000000000000",
    "issued_at": "2023-02-10T08:57:29.911707415Z",
    "expires_at": "2030-02-10T00:00:00.000000634Z",
}
START = '{"commend":"start"}'
SUBSCRIBE_CHLOE = f'{{"commend":"order-slip-quote@chloe-market#{CHLOE}"}}'
SUBSCRIBE_OTHER = f'{{"commend":"order-slip-quote@chloe-market#{OTHER}"}}'
SUBSCRIBE_FANCY = f'{{"commend":"order-slip-quote@fancy-market#{FANCY}"}}'


def jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{middle}.c2lnbmF0dXJl"


def settings(**changes) -> InteractQuoteSettings:
    values = {"url": "wss://h/dev-f", "token": Secret(jwt(CLAIMS))}
    return InteractQuoteSettings(**{**values, **changes})


def connector(*symbols: str, **changes) -> Connector:
    return Connector(Socket(Wanted(symbols or (CHLOE,), CHANNELS)), settings(**changes))


def opened(*symbols: str, now: float = 0.0, **changes) -> Connector:
    one = connector(*symbols, **changes)
    for request in one.opening()[0]:
        one.sent(str(request.frame))
    one.wake(now)
    return one


def slip(symbol: str, price: str = "1.61", product: str = "1") -> bytes:
    event, _, market = symbol.partition("@")
    item = {"event_id": event, "market_id": market, "product_id": product}
    item |= {"price": price, "status": "1"}
    return json.dumps({"type": "order-slip", "data": [item]}).encode()


def frames(items) -> list[str | None]:
    return [item.frame for item in items if isinstance(item, Request)]


def told(incoming) -> list[str]:
    return [
        item.reason if isinstance(item, Skipped) else str(getattr(item, "back_price", item))
        for item in incoming
    ]


# --- section 2: the URL


@pytest.mark.parametrize(
    "base",
    ["wss://h/dev-f", "wss://h/dev-f/", "wss://h/dev-f/quote/do-not-look-back"],
)
def test_the_path_is_appended_where_it_lacks(base):
    endpoint = connector(url=base, token=Secret("a.b-_.c")).endpoint(None)
    assert endpoint.urls == ("wss://h/dev-f/quote/do-not-look-back?authorization=bearer%20a.b-_.c",)
    assert endpoint.shown == ("wss://h/dev-f/quote/do-not-look-back?authorization=bearer%20***",)
    assert endpoint.carries_secret


def test_a_host_alone_and_a_query_of_its_own_are_fine():
    urls = connector(url="wss://h?lang=en", token=Secret("t")).endpoint(None).urls
    assert urls == ("wss://h/quote/do-not-look-back?lang=en&authorization=bearer%20t",)


def test_a_token_with_blanks_or_bearer_in_front_is_understood():
    urls = connector(token=Secret(" Bearer a.b.c \n")).endpoint(None).urls
    assert urls[0].endswith("?authorization=bearer%20a.b.c")


# --- section 3: the token


@pytest.mark.parametrize(
    ("claims", "expiry"),
    [
        (CLAIMS, 1896912000.0),
        ({"expires_at": "2030-02-10T00:00:00.999999999Z"}, 1896912000.999999),
        ({"expires_at": "2030-02-10T00:00:00", "exp": 1}, 1896912000.0),
        ({"exp": 1896912000}, 1896912000.0),
        ({"exp": 1896912000.5, "expires_at": "soon"}, 1896912000.5),
        ({"exp": True}, None),
        ({"exp": "1896912000"}, None),
        ({"exp": 1e300}, None),
        ({}, None),
        ([1], None),
    ],
)
def test_the_end_is_read_from_the_middle_part(claims, expiry):
    assert connector(token=Secret(jwt(claims))).expires_at() == expiry


@pytest.mark.parametrize(
    "token", ["opaque", "a.b", "a.!!!.c", "a.YQ.c", "a..c", "a.é.c", "a.b.c.d"]
)
def test_a_token_that_is_no_jwt_is_opaque(token):
    assert connector(token=Secret(token)).expires_at() is None


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_tried_again(status):
    assert connector().refusal(status) == "credentials"
    assert not Connector.single_use_token


# --- what can be asked for


@pytest.mark.parametrize(
    "symbol",
    ["40789105-e", "@1_2", "1-e@", "1-e@1_2@3", "1 e@1_2", "1-e@1_2 ", "1-e#@1_2", "a@b#c", "@"],
)
def test_a_malformed_symbol_is_refused_with_an_example(symbol):
    with pytest.raises(UsageError, match=r"malformed symbol .* EVENT@MARKET such as"):
        Connector.check(Wanted((symbol,), CHANNELS), settings())


def test_ids_are_opaque_beyond_their_separator():
    Connector.check(Wanted(("any-thing@x:y", CHLOE, FANCY), CHANNELS), settings())


def test_a_symbol_of_a_channel_that_was_not_chosen_is_refused():
    with pytest.raises(UsageError, match="is of channel 'fancy-market'"):
        Connector.check(Wanted((CHLOE, FANCY), ("chloe-market",)), settings())
    Connector.check(Wanted((FANCY,), ("fancy-market",)), settings())


def test_a_symbol_url_and_token_are_required():
    with pytest.raises(UsageError, match="needs a SYMBOL"):
        Connector.check(Wanted((), CHANNELS), settings())
    assert Connector.required == ("url", "token")
    assert connectors.load("interact") is connectors.load("interact-quote") is Connector


def test_a_connection_carries_200_markets_at_most():
    symbols = tuple(f"{number}-e@1_{number}" for number in range(401))
    plan = Connector.plan(Wanted(symbols, CHANNELS), settings())
    assert [len(socket.wanted.symbols) for socket in plan] == [200, 200, 1]
    assert [socket.key for socket in plan] == ["", "2", "3"]
    assert sum((socket.wanted.symbols for socket in plan), ()) == symbols
    assert len(Connector.plan(Wanted(symbols[:200], CHANNELS), settings())) == 1


# --- sections 4 and 6: commands


def test_start_comes_first_then_one_subscribe_for_each_market():
    (chain,) = connector(CHLOE, FANCY).opening()
    assert frames(chain) == [START, SUBSCRIBE_CHLOE, SUBSCRIBE_FANCY]
    assert all(request.key is None and request.shown is None for request in chain)
    assert [request.symbols for request in chain] == [(), (CHLOE,), (FANCY,)]
    assert [request.channel for request in chain[1:]] == ["chloe-market", "fancy-market"]
    assert Connector.requests_per_second == 19.5


def test_a_change_unsubscribes_what_is_gone_and_subscribes_what_is_new():
    one = opened(CHLOE, FANCY)
    gone, new = one.change(Wanted((CHLOE, OTHER), CHANNELS))
    assert frames(gone) == [f'{{"commend":"unsubscribe-order-slip-quote#{FANCY}"}}']
    assert frames(new) == [SUBSCRIBE_OTHER]
    assert (gone[0].action, new[0].action) == ("unsubscribe", "subscribe")
    assert one.change(Wanted((CHLOE, OTHER), CHANNELS)) == []


def test_pause_and_resume_use_the_venues_own_words():
    one = opened()
    assert [frames(chain) for chain in one.pause() or ()] == [['{"commend":"stop"}']]
    assert [frames(chain) for chain in one.resume()] == [[START]]


def test_websocket_pongs_prove_the_peer_and_nothing_is_sent_to_keep_alive():
    assert Connector.websocket_pongs_count
    assert connector().keepalive() is None
    assert (connector().settings.idle_timeout, connector().settings.renew_interval) == (60, 3000)


# --- renewal


def renewals(one: Connector, until: float, step: float = 1.0) -> dict[str, list[float]]:
    """Return when each frame was sent by the connector's own timer."""
    found: dict[str, list[float]] = {}
    now = 0.0
    while now < until:
        now += step
        assert one.wake_at is not None
        for frame in frames(one.wake(now)):
            assert frame is not None
            one.sent(frame)
            found.setdefault(frame, []).append(now)
    return found


def test_each_market_is_renewed_about_every_50_minutes_and_not_all_at_once():
    symbols = [f"{number}-e@1_{number}" for number in range(50)]
    times = renewals(opened(*symbols), 3200.0, 10.0)
    assert len(times) == 50
    first = [each[0] for each in times.values()]
    assert min(first) >= 2880
    assert max(first) <= 3130
    assert len(set(first)) > 10


def test_the_spread_is_the_same_in_every_run():
    assert renewals(opened(CHLOE, FANCY), 7000.0, 5.0) == renewals(
        opened(CHLOE, FANCY), 7000.0, 5.0
    )


def test_a_short_interval_is_kept_closely():
    times = renewals(opened(renew_interval=2.0), 20.0, 0.1)
    assert 9 <= len(times[SUBSCRIBE_CHLOE]) <= 10
    one = opened(renew_interval=2.0)
    assert one.wake_at == pytest.approx(0.2)


def test_renewal_goes_on_while_paused():
    one = opened(renew_interval=10.0)
    one.sent('{"commend":"stop"}')
    assert SUBSCRIBE_CHLOE in renewals(one, 12.0)


def test_a_removed_market_is_not_renewed_and_an_added_one_is():
    one = opened(CHLOE, renew_interval=10.0)
    for chain in one.change(Wanted((OTHER,), CHANNELS)):
        for request in chain:
            one.sent(str(request.frame))
    assert set(renewals(one, 12.0)) == {SUBSCRIBE_OTHER}


def test_a_renewal_is_no_subscription_that_waits_for_a_verdict():
    one = opened(renew_interval=10.0)
    (request,) = one.wake(12.0)
    assert request == Request(frame=SUBSCRIBE_CHLOE)


# --- silence


def test_a_market_silent_for_an_hour_while_others_deliver_is_asked_for_once_more():
    one = opened(CHLOE, OTHER, renew_interval=1e6)
    one.receive(slip(CHLOE))
    one.receive(slip(OTHER))
    one.wake(100.0)
    one.receive(slip(OTHER))
    assert list(one.wake(3599.0)) == []
    assert frames(one.wake(3601.0)) == [SUBSCRIBE_CHLOE]
    assert list(one.wake(3700.0)) == []
    one.receive(slip(CHLOE))
    one.wake(4000.0)
    one.receive(slip(OTHER))
    assert frames(one.wake(7301.0)) == [SUBSCRIBE_CHLOE]


def test_when_all_are_silent_none_is_asked_for():
    one = opened(CHLOE, OTHER, renew_interval=1e6)
    one.receive(slip(CHLOE))
    one.receive(slip(OTHER))
    assert list(one.wake(9000.0)) == []


def test_a_market_that_never_delivered_is_left_to_its_renewal():
    one = opened(CHLOE, OTHER, renew_interval=1e6)
    one.receive(slip(OTHER))
    one.wake(3000.0)
    one.receive(slip(OTHER))
    assert list(one.wake(5000.0)) == []


# --- errors


def blamed(incoming) -> list[str | None]:
    return [item.symbol for item in incoming if isinstance(item, ErrorEvent)]


ERROR = b'{"type":"error","error":"invalid command"}'


def test_an_error_is_about_a_subscribe_younger_than_5_s():
    one = opened(CHLOE, FANCY)
    one.wake(4.0)
    assert blamed(one.receive(ERROR)) == [FANCY]
    one.wake(5.0)
    assert blamed(one.receive(ERROR)) == [None]


def test_an_answered_subscribe_is_not_blamed():
    one = opened(CHLOE, OTHER)
    one.receive(slip(OTHER))
    assert blamed(one.receive(ERROR)) == [CHLOE]
    assert blamed(one.receive(ERROR)) == [None]


# --- the hand-over


def test_a_connection_has_caught_up_once_each_market_has_delivered():
    one = opened(CHLOE, OTHER)
    assert not one.caught_up()
    one.receive(slip(CHLOE))
    assert not one.caught_up()
    one.receive(slip(OTHER))
    assert one.caught_up()


def test_a_market_that_the_venue_does_not_know_is_not_waited_for():
    one = opened(CHLOE)
    one.receive(b'{"type":"error","error":"unknown market"}')
    assert one.caught_up()


def pair() -> tuple[Connector, Connector]:
    old = opened(CHLOE)
    new = Connector(old.socket, old.settings, previous=old, overlaps=True)
    for request in new.opening()[0]:
        new.sent(str(request.frame))
    return old, new


def test_during_a_hand_over_equal_items_of_the_other_connection_are_dropped_once():
    old, new = pair()
    assert told(old.receive(slip(CHLOE, "1.5"))) == ["1.5"]
    assert told(new.receive(slip(CHLOE, "1.5"))) == ["duplicates"]
    assert told(new.receive(slip(CHLOE, "1.5"))) == ["1.5"]
    assert told(old.receive(slip(CHLOE, "1.5"))) == ["duplicates"]
    assert told(new.receive(slip(CHLOE, "1.6"))) == ["1.6"]
    assert told(old.receive(slip(CHLOE, "1.6"))) == ["duplicates"]
    assert told(old.receive(slip(CHLOE, "1.60"))) == ["1.60"]
    assert told(new.receive(slip(CHLOE, "1.60", product="2"))) == ["1.60"]


def test_what_the_old_connection_delivered_before_is_known_to_the_new_one():
    old = opened(CHLOE)
    old.receive(slip(CHLOE, "1.5"))
    new = Connector(old.socket, old.settings, previous=old, overlaps=True)
    assert told(new.receive(slip(CHLOE, "1.5"))) == ["duplicates"]


def test_after_a_plain_reconnect_nothing_is_a_duplicate():
    old = opened(CHLOE)
    old.receive(slip(CHLOE, "1.5"))
    new = Connector(old.socket, old.settings, previous=old)
    assert told(new.receive(slip(CHLOE, "1.5"))) == ["1.5"]
    assert new.previous is None


def test_what_is_remembered_goes_with_the_market():
    old, new = pair()
    old.receive(slip(CHLOE, "1.5"))
    old.sent(f'{{"commend":"unsubscribe-order-slip-quote#{CHLOE}"}}')
    assert told(new.receive(slip(CHLOE, "1.5"))) == ["1.5"]


def test_an_item_of_either_form_counts_as_the_same():
    old, new = pair()
    old.receive(slip(CHLOE, "1.5"))
    loose = json.loads(slip(CHLOE, "1.5"))
    loose["data"][0]["price"] = 1.5
    assert told(new.receive(json.dumps(loose).encode())) == ["duplicates"]


def test_the_same_frames_give_the_same_events_again():
    def run() -> list[Incoming]:
        old, new = pair()
        out: list[Incoming] = []
        for one, price in [(old, "1"), (new, "1"), (new, "2"), (old, "1"), (old, "2"), (new, "2")]:
            out += one.receive(slip(CHLOE, price))
        return out

    assert run() == run()
    assert sum(isinstance(item, Quote) for item in run()) == 4


def test_memory_is_bounded_whatever_the_venue_sends():
    delivered = Delivered(limit=2)
    quotes = [
        Quote(
            feed="interact_quote",
            channel="chloe-market",
            event_id="1-e",
            market_id="1_2",
            selection_id=str(number),
            book="sportsbook",
        )
        for number in range(3)
    ]
    for quote in quotes[:2]:
        assert not delivered.repeats(quote, "old")
    assert delivered.repeats(quotes[0], "new")
    assert not delivered.repeats(quotes[2], "old")
    assert not delivered.repeats(quotes[1], "new")
    delivered.forget(None)


# --- items that do not say everything


def bare(**members: object) -> bytes:
    item = {"mid": "878_55854706_f", "pid": "1", **members}
    return json.dumps({"type": "order-slip-fancy", "data": [item]}).encode()


def test_a_missing_event_is_clear_again_once_one_of_two_is_removed():
    one = opened(FANCY, "1-e@878_55854706_f", OTHER)
    (quote,) = one.receive(bare())
    assert isinstance(quote, Quote)
    assert (quote.event_id, quote.symbol) == (None, None)
    for _ in range(2):
        one.sent('{"commend":"unsubscribe-order-slip-quote#1-e@878_55854706_f"}')
    (quote,) = one.receive(bare())
    assert isinstance(quote, Quote)
    assert (quote.event_id, quote.symbol) == ("44914246-e", FANCY)
    one.sent(f'{{"commend":"unsubscribe-order-slip-quote#{FANCY}"}}')
    assert told(one.receive(bare())) == ["not asked for"]


def test_a_fancy_item_with_a_line_that_is_none_stays_whole():
    members = {"bl": "n/a", "bo": "1.5", "ll": "181", "lo": "", "status": "1"}
    (quote,) = opened(FANCY).receive(bare(**members))
    assert isinstance(quote, Quote)
    assert (quote.back_price, quote.back_line) == ("1.5", None)
    assert (quote.lay_price, quote.lay_line) == (None, "181")
    assert json.loads(bytes(quote.data)) == {"mid": "878_55854706_f", "pid": "1", **members}


def test_a_whole_fancy_item_with_a_time_that_is_none_stays_whole():
    members = {"bl": "1", "bo": "1", "ll": "1", "lo": "1", "status": "1", "ut": "noon"}
    (quote,) = opened(FANCY).receive(bare(**members))
    assert isinstance(quote, Quote)
    assert quote.ts is None
    assert json.loads(bytes(quote.data))["ut"] == "noon"


def test_quotes_before_the_first_look_at_the_clock_count_from_then():
    one = connector(CHLOE, OTHER, renew_interval=1e6)
    one.receive(slip(CHLOE))
    one.wake(50.0)
    one.receive(slip(OTHER))
    one.wake(100.0)
    one.receive(slip(OTHER))
    assert list(one.wake(3649.0)) == []
    assert frames(one.wake(3650.0)) == [SUBSCRIBE_CHLOE]


def test_commands_of_others_change_nothing():
    one = opened(CHLOE)
    one.sent('{"commend":"whatever"}')
    assert told(one.receive(slip(CHLOE))) == ["1.61"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("5", 5),
        ('"E7"', "E7"),
        ("-1", -1),
        ("null", None),
        ("true", None),
        ("1.5", None),
        ("{}", None),
    ],
)
@pytest.mark.parametrize("kind", ["error", "order-slip"])
def test_a_code_beside_an_error_is_the_code_of_the_event(kind, code, told):
    frame = f'{{"type":"{kind}","error":"boom2","code":{code}}}'
    (event,) = opened(CHLOE).receive(frame.encode())
    assert isinstance(event, ErrorEvent)
    assert (event.code, event.message) == (told, "boom2")


# --- good items beside a bad one

SPORTS = {"event_id": "40789105-e", "market_id": "219_33753655", "product_id": "1"}
RUNNER = {"mid": "878_55854706_f", "pid": "1", "bo": "1.5", "status": "1"}


@pytest.mark.parametrize(
    "bad",
    [
        SPORTS | {"price": True},
        SPORTS | {"price": {}},
        SPORTS | {"price": "1e401"},
        SPORTS | {"price": "1e-9999999"},
        SPORTS | {"status": []},
        SPORTS | {"event_id": False},
        1,
        None,
        "text",
        [],
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_item_takes_nothing_from_the_good_ones_beside_it(bad, place):
    data = [SPORTS | {"price": price, "status": "1"} for price in ("1.5", "2.50")]
    data.insert(place, bad)
    frame = json.dumps({"type": "order-slip", "data": [*data, bad]})
    *quotes, malformed = opened(CHLOE).receive(frame.encode())
    assert told(quotes) == ["1.5", "2.50"]
    assert isinstance(malformed, Malformed)
    assert (malformed.frame, malformed.encoding) == (frame, "utf8")
    assert malformed.error


@pytest.mark.parametrize("time", ["9" * 30, True])
def test_a_bad_time_takes_nothing_from_the_good_items_beside_it(time):
    whole = RUNNER | {"bl": "1", "lo": "1", "ll": "1"}
    good, bad = whole | {"ut": "2023-11-07T08:29:39.306Z"}, whole | {"ut": time}
    frame = json.dumps({"type": "order-slip-fancy", "data": [bad, good]})
    quote, malformed = opened(FANCY).receive(frame.encode())
    assert told([quote]) == ["1.5"]
    assert isinstance(malformed, Malformed)


def test_good_items_a_bad_one_and_an_error_all_come_out():
    good = SPORTS | {"price": "1.5", "status": "1"}
    frame = {"type": "order-slip", "data": [good, 1], "error": "partly", "code": 7}
    quote, error, malformed = opened(CHLOE).receive(json.dumps(frame).encode())
    assert told([quote]) == ["1.5"]
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.message) == (7, "partly")
    assert isinstance(malformed, Malformed)
    frame["data"] = [1]
    error, malformed = opened(CHLOE).receive(json.dumps(frame).encode())
    assert isinstance(error, ErrorEvent)
    assert isinstance(malformed, Malformed)
