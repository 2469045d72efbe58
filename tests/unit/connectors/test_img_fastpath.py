"""The client rules of docs/protocols/img_fastpath.md, one by one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds import events
from wsfeeds.connectors.img_fastpath import Connector, FastPathSettings
from wsfeeds.errors import UsageError
from wsfeeds.events import (
    Action,
    ErrorEvent,
    Event,
    FeedStatus,
    Heartbeat,
    Malformed,
    Statistics,
    Unknown,
)
from wsfeeds.protocol import Ack, Control, Finished, Refused, Skipped, Socket, Wanted
from wsfeeds.secrets import Secret

TOKEN = "sample-token-of-support"
SETTINGS = FastPathSettings(token=Secret(TOKEN))
ACCEPTED = b'{"message": "Authorisation accepted", "level": "INFO"}'
DEFAULTS = ("actions", "stream", "details")
SENT = 1716757310000000
HOST = "wss://dde-streams.data.srarena.io"


def connector(
    symbol: str = "soccer/f1",
    channel: str = "actions",
    *,
    accepted: bool = True,
    previous: Connector | None = None,
    **changes: Any,
) -> Connector:
    settings = msgspec.structs.replace(SETTINGS, **changes)
    made = Connector(Socket(Wanted((symbol,), (channel,)), "k"), settings, previous=previous)
    if accepted:
        made.receive(ACCEPTED)
    return made


def action(number: Any = 1, /, **changes: Any) -> dict[str, Any]:
    part = {
        "actionId": f"a{number}",
        "fixtureSeqNum": number,
        "sendTypeId": 5,
        "timestamp": f"2026-01-01T00:00:00.{number:06}Z",
    }
    return {"fixtureAction": part | changes}


def only(items: Any) -> Any:
    assert len(items) == 1, items
    return items[0]


def read(frame: Any, symbol: str = "soccer/f1", channel: str = "actions") -> Any:
    text = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return only(connector(symbol, channel).receive(text))


def planned(*symbols: str, channels: tuple[str, ...] = DEFAULTS) -> dict[str, tuple[str, str]]:
    wanted = Wanted(symbols, channels)
    Connector.check(wanted, SETTINGS)
    return {
        each.key: (only(each.wanted.symbols), only(each.wanted.channels))
        for each in Connector.plan(wanted, SETTINGS)
    }


# --- paths, section 2.2 and 8


@pytest.mark.parametrize(
    ("symbol", "channels", "keys"),
    [
        ("soccer/f1", DEFAULTS, ["soccer/fixtures/f1/actions"]),
        ("soccer/f1", ("statistics",), ["soccer/fixtures/f1/statistics"]),
        ("ice-hockey/f1", ("actions",), ["ice-hockey/fixtures/f1/actions"]),
        ("v2/volleyball/f1", DEFAULTS, ["v2/volleyball/fixtures/f1/actions"]),
        ("media/soccer/f1", DEFAULTS, ["media/soccer/fixtures/f1/actions"]),
        ("/media/soccer/f1", DEFAULTS, ["media/soccer/fixtures/f1/actions"]),
        ("media/v2/volleyball/f1", DEFAULTS, ["media/v2/volleyball/fixtures/f1/actions"]),
        ("tennis/2022-2789-MS027", DEFAULTS, ["tennis/events/2022-2789-MS027/stream"]),
        (
            "tennis/e1",
            ("statistics", "stream"),
            ["tennis/events/e1/stream", "tennis/events/e1/statistics"],
        ),
        ("mma/b1", DEFAULTS, ["mma/fights/b1/details"]),
        ("mma/b1", ("actions",), ["mma/fights/b1/actions"]),
        ("mma/b1", ("details", "actions"), ["mma/fights/b1/details", "mma/fights/b1/actions"]),
        ("media/mma/b1", ("details",), ["media/mma/fight-details/feed/b1"]),
        ("media/mma/b1", ("actions",), ["media/mma/fight-actions/feed/b1"]),
    ],
)
def test_a_symbol_and_a_channel_are_a_path(symbol, channels, keys):
    sockets = planned(symbol, channels=channels)
    assert list(sockets) == keys
    for each in Connector.plan(Wanted((symbol,), channels), SETTINGS):
        url = only(Connector(each, SETTINGS).endpoint(None).urls)
        assert url == f"{HOST}/{each.key}"


def test_every_fixture_and_stream_has_a_socket_of_its_own():
    sockets = planned("soccer/f1", "tennis/e1", channels=("actions", "stream", "statistics"))
    assert list(sockets.values()) == [
        ("soccer/f1", "actions"),
        ("soccer/f1", "statistics"),
        ("tennis/e1", "stream"),
        ("tennis/e1", "statistics"),
    ]


def test_no_choice_of_channels_means_the_default_of_each_sport():
    expected = [("soccer/f1", "actions"), ("tennis/e1", "stream"), ("mma/b1", "details")]
    symbols = tuple(symbol for symbol, _ in expected)
    assert list(planned(*symbols).values()) == expected
    assert list(planned(*symbols, channels=()).values()) == expected
    assert set(Connector.default_channels(symbols)) == set(DEFAULTS)
    assert tuple(each.name for each in Connector.channels if each.default) == DEFAULTS


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "soccer",
        "soccer/",
        "/f1",
        "media/f1",
        "v2/volleyball",
        "soccer/fixtures/f1",
        "a/b/c/d",
        "soccer/f 1",
        "soccer/../f1",
        "soccer/f1?x=1",
        "soccer/f1#x",
        "soccer/f1/",
        "Soccer/f1",
        "soccer/f1\n",
    ],
)
def test_a_malformed_symbol_is_a_usage_error(symbol):
    with pytest.raises(UsageError, match="SPORT/FIXTURE"):
        Connector.check(Wanted((symbol,), DEFAULTS), SETTINGS)


def test_no_symbol_is_a_usage_error():
    with pytest.raises(UsageError, match="needs a SYMBOL"):
        Connector.check(Wanted((), DEFAULTS), SETTINGS)


@pytest.mark.parametrize(
    ("symbols", "channels", "said"),
    [
        (("tennis/e1",), ("actions",), "has stream and statistics"),
        (("mma/b1",), ("statistics",), "has details and actions"),
        (("soccer/f1",), ("stream",), "has actions and statistics"),
        (("soccer/f1",), ("actions", "stream"), "'stream' fits none"),
        (("media/soccer/f1", "/media/soccer/f1"), DEFAULTS, "same stream"),
    ],
)
def test_what_fits_no_stream_is_a_usage_error(symbols, channels, said):
    with pytest.raises(UsageError, match=said):
        Connector.check(Wanted(symbols, channels), SETTINGS)


def test_a_running_subscription_may_leave_a_channel_without_a_symbol():
    wanted = Wanted(("soccer/f1",), ("actions", "stream"))
    Connector.check_symbols(wanted, SETTINGS)
    with pytest.raises(UsageError, match="has actions and statistics"):
        Connector.check_symbols(Wanted(("soccer/f1",), ("stream",)), SETTINGS)


def test_a_negative_start_position_is_a_usage_error():
    settings = msgspec.structs.replace(SETTINGS, start_position=-1)
    with pytest.raises(UsageError, match="start_position"):
        Connector.check(Wanted(("soccer/f1",), DEFAULTS), settings)


# --- the connection, sections 2 and 11


def test_the_accept_header_names_the_version():
    endpoint = connector().endpoint(None)
    assert endpoint.headers == {"Accept": "application/vnd.imggaming.dde.api+json;version=1"}
    assert endpoint.carries_secret


def test_media_paths_carry_the_bearer_as_well():
    endpoint = connector("media/soccer/f1").endpoint(None)
    assert endpoint.headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in "".join((*endpoint.urls, *endpoint.shown))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("wss://dde-streams.data.imgarena.com/", "wss://dde-streams.data.imgarena.com/soccer"),
        ("ws://127.0.0.1:4000/base", "ws://127.0.0.1:4000/base/soccer"),
    ],
)
def test_the_host_is_a_setting(base, url):
    assert connector(url=base).endpoint(None).urls == (f"{url}/fixtures/f1/actions",)


def test_a_query_of_the_url_is_kept():
    made = connector(url="wss://h/?a=b", start_position=3)
    assert made.endpoint(None).urls == ("wss://h/soccer/fixtures/f1/actions?a=b&startPosition=3",)


def test_speed_and_start_position_are_settings():
    made = connector(speed="fast", start_position=5)
    assert only(made.endpoint(None).urls).endswith("/actions?speed=fast&startPosition=5")


def test_tennis_statistics_take_no_parameters():
    made = connector("tennis/e1", "statistics", speed="fast", start_position=5)
    assert only(made.endpoint(None).urls).endswith("/tennis/events/e1/statistics")


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (204, "absent"),
        (404, "absent"),
        (401, "credentials"),
        (403, "credentials"),
        (400, "retry"),
        (503, "retry"),
    ],
)
def test_a_refused_upgrade_says_whether_to_come_again(status, means):
    assert connector().refusal(status) == means


def test_the_feeds_limits_and_defaults_are_those_of_the_contract():
    assert Connector.connects_per_second == 5
    assert Connector.absent_retry == 30
    assert Connector.required == ("token",)
    assert SETTINGS.idle_timeout == 30
    assert not SETTINGS.compression
    assert SETTINGS.api_url == "https://dde-api.data.srarena.io"
    assert connector().keepalive() is None


# --- the token, section 3


def test_the_token_is_the_first_frame_and_is_shown_masked():
    request = only(only(connector(accepted=False).opening()))
    assert request.frame == f'{{"authToken":"{TOKEN}"}}'
    assert request.shown == '{"authToken":"***"}'
    assert request.key == "auth"
    assert request.symbols == ("soccer/f1",)
    assert TOKEN not in repr(msgspec.structs.replace(request, frame=None))


def first(frame: bytes, channel: str = "actions") -> list[Any]:
    return list(connector(channel=channel, accepted=False).receive(frame))


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (ACCEPTED, None),
        (b'{"message":"whatever it says","level":"info"}', None),
        (b'{"message":"Authorised"}', None),
        (b'{"message":"Heartbeat sent at 2024-05-26T21:01:50.000Z","level":"INFO"}', Heartbeat),
        (json.dumps(action()).encode(), Action),
        (b'{"eventElementType":"ConnectionStateChanged","state":"Connected"}', FeedStatus),
        (b'{"hello":1}', Unknown),
        (b'{"message":"mind the gap","level":"WARN"}', ErrorEvent),
    ],
)
def test_the_first_frame_that_is_no_error_accepts_the_token(frame, event):
    ack, *rest = first(frame)
    assert (ack.key, ack.ok) == ("auth", True)
    assert [type(each) for each in rest] == ([] if event is None else [event])


def test_statistics_accept_the_token_too():
    ack, event = first(b'{"seqNum":1}', "statistics")
    assert isinstance(ack, Ack)
    assert isinstance(event, Statistics)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b'{"message":"Authentication message had incorrect format","level":"ERROR"}', "incorrect"),
        (b'{"errorMessage":"Supplied token could not be authenticated"}', "Supplied token"),
        (b"{The supplied authentication is invalid}", "supplied authentication"),
        (b"The supplied authentication is invalid", "supplied authentication"),
        (b'"The supplied authentication is invalid"', "supplied authentication"),
        (b"Request is missing required HTTP header 'Accept'", "missing"),
        (b'{"error":"no such token","status":401}', "no such token"),
        (b'{"message":"Forbidden","requestId":"x"}', "Forbidden"),
        (b'{"level":"error"}', "error"),
        (b'{"message":"Authorisation acc', "Authorisation"),
    ],
)
def test_every_shape_of_a_refusal_refuses_the_token(frame, said):
    refused = only(first(frame))
    assert isinstance(refused, Refused)
    assert said in refused.message


def test_the_status_of_a_refusal_is_its_code():
    assert only(first(b'{"error":"no such token","status":401}')).code == 401


@pytest.mark.parametrize("code", [1000, 1008, 4001])
def test_a_close_in_place_of_an_answer_refuses_the_token(code):
    refused = connector(accepted=False).closed(code, "bye")
    assert isinstance(refused, Refused)
    assert str(code) in refused.message


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013])
def test_a_close_for_the_venues_own_trouble_refuses_nothing(code):
    assert connector(accepted=False).closed(code, "") is None


def test_a_close_after_the_answer_is_only_a_close():
    assert connector().closed(1008, "") is None
    assert connector().closed(1000, "") is None


def test_heartbeats_alone_do_not_prove_the_token():
    made = connector(accepted=False)
    made.receive(b'{"message":"Heartbeat sent","level":"INFO"}')
    assert isinstance(made.closed(1008, ""), Refused)
    assert made.closed(1000, "") is None
    assert isinstance(only(made.receive(b'{"errorMessage":"no"}')), Refused)


def test_an_error_after_the_answer_is_an_event():
    event = read(b'{"message":"something broke","level":"ERROR","code":"E7"}')
    assert isinstance(event, ErrorEvent)
    assert (event.message, event.code, event.fatal) == ("something broke", "E7", False)


def test_a_second_yes_is_counted():
    assert read(ACCEPTED) == Skipped(reason="acks without a request")


# --- heartbeats and status, sections 4 and 6


@pytest.mark.parametrize(
    ("frame", "ts"),
    [
        (b'{"message":"Heartbeat sent at 2024-05-26T21:01:50Z","level":"INFO"}', SENT),
        (b'{"timestamp":"2024-05-26T21:01:50.000Z","eventelementType":"heartbeat"}', SENT),
        (b'{"eventElementType":"HEARTBEAT"}', None),
        (b'{"EVENTELEMENTTYPE":"Heartbeat","timestamp":null}', None),
        (b'{"message":"Heartbeat"}', None),
    ],
)
def test_every_shape_of_a_heartbeat_is_one(frame, ts):
    event = read(frame)
    assert isinstance(event, Heartbeat)
    assert (event.ts, event.symbol, bytes(event.data)) == (ts, "soccer/f1", frame)


def test_statistics_sockets_have_heartbeats_too():
    frame = b'{"message":"Heartbeat sent","level":"INFO"}'
    assert isinstance(read(frame, "tennis/e1", "statistics"), Heartbeat)


@pytest.mark.parametrize(
    ("state", "said"),
    [("Disconnected", "disconnected"), ("Connected", "connected"), ("Market open", "market open")],
)
def test_the_health_of_the_upstream_is_a_feed_status(state, said):
    frame = {"eventElementType": "ConnectionStateChanged", "state": state}
    event = read(frame | {"timestamp": "2025-09-04T11:19:45.700Z"})
    assert isinstance(event, FeedStatus)
    assert (event.state, event.ts, event.channel) == (said, 1756984785700000, "session")


def test_an_upstream_that_is_lost_is_no_reason_to_leave():
    made = connector()
    made.wake(0.0)
    made.receive(b'{"eventElementType":"ConnectionStateChanged","state":"Disconnected"}')
    assert list(made.wake(1.0)) == list(made.wake(2.0)) == []


# --- data, sections 5 to 9


def test_scores_and_clock_come_from_the_summary_of_a_status_update():
    summary = {"homeTeamScore": 2, "awayTeamScore": "1", "currentClockTime": "28:38"}
    status = {"fixtureActionType": "Status Updated", "fixtureActionTypeId": 22, "clockTime": "0"}
    event = read(action(**status) | {"fixtureSummary": summary})
    assert (event.home_score, event.away_score, event.clock) == (2, 1, "28:38")


def test_a_steal_with_the_id_of_a_status_update_keeps_its_own_clock():
    steal = {"fixtureActionType": "Steal", "fixtureActionTypeId": 22, "clockTime": "00:39"}
    event = read(action(**steal) | {"fixtureSummary": {"currentClockTime": "00:02"}})
    assert event.clock == "00:39"


@pytest.mark.parametrize(
    ("send", "state"),
    [
        ({"sendType": "Pending", "sendTypeId": 1}, "pending"),
        ({"sendType": "Updated", "sendTypeId": 2}, "updated"),
        ({"sendType": "Cancelled", "sendTypeId": 3}, "cancelled"),
        ({"sendType": "Deleted", "sendTypeId": 4}, "deleted"),
        ({"sendType": "Confirmed", "sendTypeId": 5}, "confirmed"),
        ({"sendType": "Restored", "sendTypeId": 6}, "restored"),
        ({"sendTypeId": "3"}, "cancelled"),
        ({"sendType": "Revised", "sendTypeId": 9}, "revised"),
        ({"sendTypeId": 9}, None),
    ],
)
def test_the_send_type_is_the_state(send, state):
    assert read(action(**send)).state == state


@pytest.mark.parametrize(
    ("top", "inner", "finished"),
    [
        (None, None, None),
        (False, None, False),
        (None, True, True),
        (True, False, True),
        (False, True, True),
    ],
)
def test_finished_is_at_the_top_or_in_the_summary(top, inner, finished):
    frame: dict[str, Any] = action() | {"fixtureSummary": {"finished": inner}, "finished": top}
    made = connector()
    event, *end = made.receive(json.dumps(frame).encode())
    assert isinstance(event, Action)
    assert event.finished is finished
    assert list(end) == ([Finished(linger=2.0)] if finished else [])


def test_finished_is_said_once_a_connection_even_if_it_is_known():
    frame = json.dumps(action() | {"finished": True}).encode()
    made = connector()
    assert [type(each) for each in made.receive(frame)] == [Action, Finished]
    assert [type(each) for each in made.receive(frame)] == [Skipped]
    again = connector(previous=made, accepted=False)
    kinds = [type(each) for each in again.receive(frame)]
    assert kinds == [Ack, Finished, Skipped, Finished], "the time runs from this connection's frame"
    assert [type(each) for each in again.receive(frame)] == [Skipped]


def test_a_close_after_the_end_is_the_end():
    made = connector()
    made.receive(json.dumps(action() | {"finished": True}).encode())
    assert made.closed(1000, "") == Finished()


def test_statistics_finish_as_well():
    made = connector(channel="statistics")
    frame = b'{"seqNum":610,"finished":true,"timestamp":"2022-11-06T13:48:41.518764100Z"}'
    event, end = made.receive(frame)
    assert isinstance(event, Statistics)
    assert (event.venue_seq, event.ts, event.finished) == (610, 1667742521518764, True)
    assert end == Finished(linger=2.0)


def test_statistics_are_told_apart_by_their_number():
    made = connector(channel="statistics")
    assert isinstance(only(made.receive(b'{"seqNum":1,"timestamp":"2022-01-01"}')), Statistics)
    assert only(made.receive(b'{"seqNum":1}')) == Skipped(reason="duplicates")


def test_tennis_statistics_of_any_shape_are_statistics():
    for frame in (
        b'{"teamA":"x","teamB":"y"}',
        b'{"match":{},"set1":{}}',
        b'{"match":{},"set1":{}}',
    ):
        assert isinstance(read(frame, "tennis/e1", "statistics"), Statistics)


def test_tennis_statistics_cannot_be_resumed_so_a_reconnect_is_a_gap():
    assert not connector("tennis/e1", "statistics").resumes
    assert connector("tennis/e1", "stream").resumes


def test_the_dummy_of_a_match_that_did_not_start_is_an_action_outside_of_the_count():
    made = connector("tennis/e1", "stream")
    dummy = (
        b'{"seqNum":0,"eventElementType":"MatchStatusUpdate","matchTime":"00:00:00",'
        b'"timestamp":"1970-01-01T00:00:00.000Z",'
        b'"matchStatus":{"matchState":{"state":"NotStarted"}}}'
    )
    event = only(made.receive(dummy))
    assert (event.venue_seq, event.ts, event.fixture_status) == (0, 0, "NotStarted")
    assert only(made.receive(dummy)) == Skipped(reason="duplicates")
    made.receive(b'{"seqNum":50,"eventElementType":"PointScored"}')
    made.wake(0.0)
    assert [*made.wake(1.0), *made.wake(2.0)] == []


@pytest.mark.parametrize("symbol", ["mma/b1", "tennis/e1"])
def test_flat_frames_fill_what_they_have(symbol):
    frame = (
        b'{"seqNum":13,"timestamp":"2022-06-27T15:11:19.582Z","eventElementType":"Alarm",'
        b'"delayStatus":"DELAYED","matchTime":"00:01:21"}'
    )
    event = read(frame, symbol, "stream")
    assert isinstance(event, Action)
    assert (event.venue_seq, event.action_type, event.clock) == (13, "Alarm", "00:01:21")
    assert bytes(event.data) == frame
    assert event.action_id is None
    assert event.state is None


def test_numbers_may_be_quoted():
    quoted = {"fixtureSeqNum": "7", "period": "2", "fixtureActionTypeId": "106"}
    event = read(action(**quoted))
    assert (event.venue_seq, event.period, event.action_type_id) == (7, 2, 106)


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("zone", ["", "Z"])
def test_fractions_of_a_second_have_up_to_nine_digits(digits, zone):
    fraction = f".{'518764123'[:digits]}" if digits else ""
    event = read(action(timestamp=f"2022-11-06T13:48:41{fraction}{zone}"))
    assert event.ts == 1667742521000000 + int("518764123"[:digits].ljust(6, "0")[:6])


@pytest.mark.parametrize(
    ("sent", "ts"),
    [
        (1667742521, 1667742521000000),
        ("1667742521.5187649", 1667742521518764),
        (1667742521518, 1667742521518000),
        (1667742521518764, 1667742521518764),
        (1667742521518764123, 1667742521518764),
        ("", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_time_may_be_a_number_in_any_unit(sent, ts):
    assert read(action(timestamp=sent)).ts == ts


def test_the_team_is_as_sent():
    event = read(b'{"fixtureAction":{"team":{"id":"x", "name":"N\\u00fc", "rank":1.10}}}')
    assert bytes(event.team) == '{"id":"x","name":"Nü","rank":1.10}'.encode()


@pytest.mark.parametrize(
    "frame",
    [
        {"fixtureAction": 5},
        {"fixtureAction": None},
        action(fixtureSeqNum=True),
        action(fixtureSeqNum="x"),
        action(fixtureSeqNum=1.5),
        action(fixtureSeqNum=2**60),
        action(period=[]),
        action(team="home"),
        action(actionId=5),
        action(timestamp=10**30),
        action() | {"finished": "no"},
        action() | {"fixtureSummary": {"homeTeamScore": "two"}},
        {"eventElementType": "Alarm", "seqNum": {}},
        {"eventElementType": 5},
        {"eventElementType": "ConnectionStateChanged"},
    ],
)
def test_wrong_types_in_a_known_kind_are_malformed(frame):
    event = read(frame)
    assert isinstance(event, Malformed)
    assert event.frame == json.dumps(frame)
    assert event.symbol == "soccer/f1"


@pytest.mark.parametrize(
    "frame", [b"garbage", b'{"fixtureAction":', b"\xff\xfe", b"", b"[" * 99999]
)
def test_what_is_no_json_is_malformed_once_the_token_is_accepted(frame):
    assert isinstance(read(frame), Malformed)


def test_a_malformed_statistic_is_malformed():
    frame = {"seqNum": 1, "teamActionAggregates": "none"}
    assert isinstance(read(frame, channel="statistics"), Malformed)


@pytest.mark.parametrize("channel", ["actions", "statistics"])
@pytest.mark.parametrize("frame", [b'{"hello":1.50}', b"[1]", b"5", b'"text"', b"null", b"{}"])
def test_what_nobody_documented_is_unknown_and_whole(frame, channel):
    event = read(frame, channel=channel)
    assert isinstance(event, Unknown)
    assert bytes(event.data) == frame


def test_an_action_on_a_statistics_socket_is_unknown():
    assert isinstance(read(action(), channel="statistics"), Unknown)


# --- properties


@given(
    st.binary() | st.text().map(str.encode),
    st.booleans(),
    st.sampled_from(["actions", "statistics"]),
)
def test_any_bytes_give_events_and_never_an_exception(frame, accepted, channel):
    result = connector(channel=channel, accepted=accepted).receive(frame)
    assert result
    assert all(isinstance(each, (Event, Control)) for each in result)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("fixtureAction", "fixtureSummary", "finished", "eventElementType", "state", "timestamp"),
        *("seqNum", "message", "level", "errorMessage", "error", "status", "matchStatus", "team"),
        *("matchState", "fixtureSeqNum", "sendType", "clockTime", "teamActionAggregates"),
    ]
)
VALUES = (
    JSON
    | st.dictionaries(KEYS, JSON, max_size=4)
    | st.sampled_from(
        ["Alarm", "heartbeat", "ConnectionStateChanged", "INFO", "ERROR", "2022-01-01T00:00:00Z"]
    )
)


@given(
    st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=4),
    st.booleans(),
    st.sampled_from(
        [
            ("soccer/f1", "actions"),
            ("soccer/f1", "statistics"),
            ("tennis/e1", "stream"),
            ("tennis/e1", "statistics"),
        ]
    ),
)
def test_any_mixture_of_known_members_gives_lines_and_never_an_exception(frames, accepted, where):
    made = connector(*where, accepted=accepted)
    for frame in frames:
        result = made.receive(json.dumps(frame).encode())
        assert result
        for each in result:
            if isinstance(each, Event):
                events.decode(events.encode(each))


DIGITS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\Z")


@given(DIGITS)
def test_the_digits_of_bare_numbers_survive_in_data(digits):
    sequence = f'{{"fixtureAction":{{"timelineSequence":{digits},"metadata":[{digits}]}}}}'
    for symbol, channel, frame in (
        ("soccer/f1", "actions", sequence),
        ("soccer/f1", "statistics", f'{{"seqNum":1,"x":{digits}}}'),
        ("tennis/e1", "stream", f'{{"eventElementType":"A","x":{digits}}}'),
        ("soccer/f1", "actions", f'{{"hello":{digits}}}'),
    ):
        assert bytes(read(frame.encode(), symbol, channel).data) == frame.encode()
