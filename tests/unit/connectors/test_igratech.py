"""The client rules of docs/protocols/igratech.md that no golden line can show."""

from __future__ import annotations

import json

import pytest

from wsfeeds import connectors
from wsfeeds.connectors._igratech_envelope import ReplyStyle, encode
from wsfeeds.connectors.igratech import Connector, IgratechSettings
from wsfeeds.errors import UsageError
from wsfeeds.events import Bet, ErrorEvent
from wsfeeds.protocol import Ack, Evicted, Keepalive, Pong, Request, Skipped, Socket, Wanted
from wsfeeds.secrets import Secret

CHANNELS = tuple(channel.name for channel in Connector.channels)
DEFAULT_PING = {"event": "ping-pong"}
DEFAULT_SETTINGS: dict[str, object] = {"event": "settings", "data": {}}
CONNECTED = b'{"event":"connected","data":{}}'


def connector(*symbols: str, channels: tuple[str, ...] = CHANNELS, **settings) -> Connector:
    return Connector(Socket(Wanted(symbols, channels)), IgratechSettings(**settings))


def requests(items) -> list[str | None]:
    return [item.frame for item in items if isinstance(item, Request)]


# --- section 2: the URL


def test_without_a_path_both_documented_paths_are_tried_in_order():
    assert connector().endpoint(None).urls == (
        "ws://ws.igratech.webspark.dev/",
        "ws://ws.igratech.webspark.dev/wspublic",
    )
    urls = connector(url="wss://example.test:8443").endpoint(None).urls
    assert urls == ("wss://example.test:8443/", "wss://example.test:8443/wspublic")


def test_a_configured_path_is_the_only_one():
    assert connector(url="ws://h/feed?a=1").endpoint(None).urls == ("ws://h/feed?a=1",)


@pytest.mark.parametrize("status", [400, 404, 426])
def test_an_http_refusal_of_the_path_goes_on_to_the_next(status):
    assert connector().refusal(status) == "elsewhere"


def test_other_refusals_do_not_go_on_to_the_next_path():
    assert connector().refusal(401) == "credentials"
    assert connector().refusal(403) == "credentials"
    assert connector().refusal(503) == "retry"


def test_a_query_is_added_and_never_shown():
    endpoint = connector(url="ws://h?a=1", query=Secret("?user=u 1&key=s%20x")).endpoint(None)
    assert endpoint.urls == (
        "ws://h/?a=1&user=u%201&key=s%20x",
        "ws://h/wspublic?a=1&user=u%201&key=s%20x",
    )
    assert endpoint.shown == ("ws://h/?a=1&***", "ws://h/wspublic?a=1&***")
    assert endpoint.carries_secret


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({}, False),
        ({"query": Secret("a=b")}, True),
        ({"headers": {"X-Key": Secret("k")}}, True),
        ({"first_message": Secret("{}")}, True),
    ],
)
def test_only_what_the_operator_configures_is_a_credential(settings, secret):
    assert connector(**settings).endpoint(None).carries_secret is secret


def test_no_symbol_is_needed_and_a_blank_one_is_refused():
    Connector.check(Wanted((), CHANNELS), IgratechSettings())
    with pytest.raises(UsageError, match="malformed symbol ' '"):
        Connector.check(Wanted((" ",), CHANNELS), IgratechSettings())


def test_the_feed_is_found_by_its_name():
    assert connectors.load("igratech") is Connector


# --- section 6.1: greeting and settings


def test_nothing_is_sent_by_default_and_the_greeting_is_waited_for():
    assert connector("g1").opening() == [
        (Request(key="greeting", action="subscribe", names={"g1": ("g1",)}),)
    ]


def test_a_first_message_is_sent_at_once_and_never_shown():
    first, greeting = connector(first_message=Secret('{"login":"x"}')).opening()
    assert first == (Request(frame='{"login":"x"}', shown="***"),)
    assert greeting[0].frame is None


def test_a_missing_greeting_is_reported_once_and_the_connection_kept():
    one = connector()
    assert list(one.wake(100.0)) == []
    assert one.wake_at == pytest.approx(110.0, abs=0.2)
    error, ack = one.wake(110.0)
    assert isinstance(error, ErrorEvent)
    assert (error.code, error.fatal) == ("no_greeting", False)
    assert ack == Ack(key="greeting")
    assert list(one.wake(111.0)) == []
    assert one.wake_at is None
    assert one.receive(CONNECTED) == (Skipped(reason="acks without a request"),)


def test_settings_are_asked_for_once_after_the_greeting():
    one = connector(request_settings=True)
    assert list(one.wake(0.0)) == []
    one.receive(CONNECTED)
    assert requests(one.wake(0.1)) == ['{"event":"settings","data":{}}']
    assert list(one.wake(0.2)) == []
    one.receive(b'{"event":"settings","data":{"n":1}}')
    assert list(one.wake(10.2)) == []
    assert one.wake_at is None


def test_a_request_for_settings_has_one_retry_after_10_s():
    one = connector(request_settings=True)
    one.wake(0.0)
    one.receive(CONNECTED)
    assert len(requests(one.wake(1.0))) == 1
    assert one.wake_at == 11.0
    assert len(requests(one.wake(11.0))) == 1
    assert one.wake_at == 21.0
    (error,) = one.wake(21.0)
    assert isinstance(error, ErrorEvent)
    assert error.code == "no_settings"
    assert list(one.wake(99.0)) == []


def test_a_pushed_settings_frame_is_no_answer_to_a_request_yet_to_be_made():
    one = connector(request_settings=True)
    one.wake(0.0)
    one.receive(b'{"event":"settings","data":{}}')
    assert list(one.wake(0.1)) == []
    assert requests(one.wake(2.0)) == ['{"event":"settings","data":{}}']


def test_settings_are_not_asked_for_unless_wanted():
    one = connector()
    one.wake(0.0)
    one.receive(CONNECTED)
    assert list(one.wake(5.0)) == []
    assert one.wake_at is None


# --- section 5.3: the style of what is sent


@pytest.mark.parametrize(
    ("greeting", "ping", "settings"),
    [
        ({"event": "connected", "data": 1}, DEFAULT_PING, DEFAULT_SETTINGS),
        (
            {"type": "connected", "payload": 1},
            {"type": "ping-pong"},
            {"type": "settings", "payload": {}},
        ),
        ({"cmd": "connect", "x": 1}, {"cmd": "ping-pong"}, {"cmd": "settings", "data": {}}),
        (
            {"event": "publish-connected", "body": {}},
            {"event": "subscribe-ping"},
            {"event": "subscribe-settings", "body": {}},
        ),
        ({"connected": {}}, DEFAULT_PING, DEFAULT_SETTINGS),
        (
            ["publish_connected", {}],
            {"event": "subscribe-ping"},
            {"event": "subscribe-settings", "data": {}},
        ),
    ],
)
def test_the_greeting_teaches_how_to_write(greeting, ping, settings):
    one = connector(request_settings=True)
    one.wake(0.0)
    one.receive(json.dumps(greeting).encode())
    assert json.loads(one.ping()) == ping
    (frame,) = requests(one.wake(0.1))
    assert frame is not None
    assert json.loads(frame) == settings


def test_without_a_lesson_the_defaults_hold_after_2_s():
    one = connector(request_settings=True)
    one.wake(0.0)
    one.receive(b'{"type":"stats","payload":{}}')
    assert list(one.wake(0.1)) == []
    assert one.wake_at == 2.0
    assert requests(one.wake(2.0)) == ['{"event":"settings","data":{}}']


def test_a_style_is_learned_anew_on_each_connection():
    first = connector()
    first.receive(b'{"type":"connected"}')
    second = Connector(first.socket, first.settings, previous=first)
    assert (first.ping(), second.ping()) == ('{"type":"ping-pong"}', '{"event":"ping-pong"}')


def test_only_the_two_documented_operations_can_be_sent():
    with pytest.raises(UsageError, match="takes no 'bet'"):
        encode("bet", ReplyStyle())


# --- section 6.2: keepalive


def test_the_second_unanswered_ping_is_fatal():
    assert connector().keepalive() == Keepalive(every=25.0, tolerated=1)
    assert connector(ping_interval=1.0).keepalive() == Keepalive(every=1.0, tolerated=1)
    assert connector().settings.pong_timeout == 10.0


def test_an_unsolicited_ping_is_not_answered_and_gives_no_event():
    one = connector()
    one.wake(0.0)
    one.receive(CONNECTED)
    assert one.receive(b'{"event":"ping-pong"}') == (Pong(),)
    assert list(one.wake(0.1)) == []


# --- section 6.3: logout


def test_a_logout_is_terminal_and_says_what_the_venue_said():
    one = connector()
    one.receive(CONNECTED)
    (evicted,) = one.receive(b'{"event":"publish-logout","data":{"why":"SCLP"}}')
    assert isinstance(evicted, Evicted)
    assert evicted.message.endswith('another client logged in: {"why":"SCLP"}')
    (evicted,) = one.receive(b'{"logout":{}}')
    assert isinstance(evicted, Evicted)
    assert evicted.message.endswith("another client logged in")


def test_three_quick_closes_look_like_a_takeover():
    assert Connector.takeover_closes == (3, 5.0)


def test_a_close_code_alone_means_nothing():
    assert connector().closed(1000, "bye") is None
    assert connector().closed(4001, "other login") is None


# --- game ids


def test_games_change_on_the_running_connection_without_a_word_to_the_venue():
    one = connector("g1", "g2")
    one.receive(CONNECTED)
    chains = one.change(Wanted(("g2", "g3"), CHANNELS))
    assert chains == [
        (Request(action="unsubscribe", names={"g1": ("g1",)}),),
        (Request(action="subscribe", names={"g3": ("g3",)}),),
    ]
    assert one.receive(b'{"event":"bet","data":{"gameId":"g1"}}') == (
        Skipped(reason="not asked for"),
    )
    (event,) = one.receive(b'{"event":"bet","data":{"gameId":"g3"}}')
    assert isinstance(event, Bet)
    assert event.symbol == "g3"


@pytest.mark.parametrize(
    ("payload", "symbol"),
    [
        ('{"game":"g"}', "g"),
        ('{"GAME_ID":7}', "7"),
        ('{"game":{"name":"x","ID":"g"}}', "g"),
        ('{"bets":[{"game-id":"g"}]}', "g"),
        ('[{"bet":{"gameId":"g"}}]', "g"),
        ('{"gameId":"g","other":{"gameId":"h"}}', "g"),
        ('{"game":{"id":5},"gameId":"G9"}', "G9"),
        ('{"gameId":"G9","game":{"id":5}}', "G9"),
        ('{"game":"x","game_id":"y","GAMEID":"z"}', "z"),
        ('{"game":"x","game-id":"y"}', "y"),
        ('{"game":{"id":5},"gameId":null}', "5"),
        ('{"gameId":"","game":{"gameId":"g"}}', "g"),
        ('[{"gameId":"g","game":1},{"game":"g"}]', "g"),
        ('[{"gameId":"g"},{"gameId":"h"}]', None),
        ('{"gameId":""}', None),
        ('{"gameId":true}', None),
        ('{"gameId":1.5}', None),
        ('{"game":{"name":"x"}}', None),
        ('{"games":2}', None),
        ('{"a":{"b":{"c":{"d":{"gameId":"too deep"}}}}}', None),
        ('"game"', None),
    ],
)
def test_what_is_recognised_as_a_game_id(payload, symbol):
    one = connector()
    one.receive(CONNECTED)
    (event,) = one.receive(f'{{"event":"bet","data":{payload}}}'.encode())
    assert isinstance(event, Bet)
    assert event.symbol == symbol


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        ('{"game":{"id":5},"gameId":"G9"}', False),
        ('{"game":5,"game_id":"G9"}', False),
        ('{"gameId":5,"game":{"id":"G9"}}', True),
        ('[{"gameId":"G9"},{"gameId":"5"}]', True),
        ('[{"gameId":"G9","game":5},{"gameId":"G8"}]', False),
        ('{"nothing":"recognisable"}', True),
    ],
)
def test_a_frame_is_kept_by_the_ids_that_are_believed(payload, kept):
    one = connector("5")
    one.receive(CONNECTED)
    (item,) = one.receive(f'{{"event":"bet","data":{payload}}}'.encode())
    assert isinstance(item, Bet) is kept
