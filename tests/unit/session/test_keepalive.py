"""When to ping and when to give up, told by a clock that the test holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from wsfeeds.protocol import Keepalive
from wsfeeds.session.keepalive import Liveness


def liveness(
    keepalive: Keepalive | None = None, *, websocket: bool = False, **settings: Any
) -> Liveness:
    values = {"idle_timeout": 60.0, "data_timeout": None, "pong_timeout": 10.0, **settings}
    connector: Any = SimpleNamespace(
        settings=SimpleNamespace(**values),
        keepalive=lambda: keepalive,
        websocket_pongs_count=websocket,
        wants_anything=True,
    )
    return Liveness(connector, 0.0)


def test_a_ping_is_due_every_so_often_and_its_pong_soon():
    watch = liveness(Keepalive(every=20.0))
    assert not watch.ping_due(19.9)
    assert watch.ping_due(20.0)
    assert watch.verdict(29.9) is None
    assert watch.verdict(30.0) == "no pong within 10 s"


def test_a_pong_in_time_settles_it():
    watch = liveness(Keepalive(every=20.0))
    assert watch.ping_due(20.0)
    watch.pong(25.0)
    assert watch.verdict(50.0) is None
    assert watch.ping_due(40.0)


def test_pings_come_at_least_twice_an_idle_timeout():
    watch = liveness(Keepalive(every=45.0), idle_timeout=10.0)
    assert watch.ping_due(5.0)


def test_silence_ends_with_the_idle_timeout():
    watch = liveness(idle_timeout=30.0)
    watch.last_frame = 5.0
    assert watch.verdict(34.9) is None
    assert watch.verdict(35.0) == "nothing received for 30 s"


def test_frames_without_data_end_with_the_data_timeout():
    watch = liveness(data_timeout=20.0)
    watch.last_frame = 19.0
    assert watch.verdict(20.0) == "no data for 20 s"


def test_missed_pongs_may_be_tolerated_and_are_asked_for_again_at_once():
    watch = liveness(Keepalive(every=20.0, tolerated=1))
    assert watch.ping_due(20.0)
    watch.last_frame = 30.0
    assert watch.verdict(30.0) is None
    assert watch.ping_due(30.0)
    assert watch.verdict(40.0) == "no pong within 10 s"


def test_an_unread_socket_is_never_stale_and_starts_anew():
    watch = liveness(Keepalive(every=20.0), idle_timeout=30.0)
    watch.ping_due(20.0)
    watch.sleep()
    assert watch.verdict(1000.0) is None
    assert watch.ping_due(1000.0)  # the venue is still told that we live
    watch.wake(1000.0)
    assert watch.verdict(1009.9) is None
    assert watch.verdict(1010.0) is not None


def test_websocket_pongs_count_only_where_the_feed_says_so():
    counts, not_so = liveness(websocket=True), liveness()
    for watch in (counts, not_so):
        assert watch.websocket_ping_due(20.0)
        watch.websocket_pong(21.0)
    assert (counts.last_frame, not_so.last_frame) == (21.0, 0.0)


def test_a_missing_websocket_pong_is_stale_unless_something_else_came():
    watch = liveness(websocket=True)
    assert watch.websocket_ping_due(20.0)
    assert watch.verdict(30.0) == "no WebSocket pong within 10 s"
    watch = liveness(websocket=True)
    assert watch.websocket_ping_due(20.0)
    watch.last_frame = 25.0
    assert watch.verdict(30.0) is None


def test_the_next_deadline_is_never_past_what_is_due():
    watch = liveness(Keepalive(every=25.0), idle_timeout=60.0, data_timeout=12.0)
    assert watch.next_deadline() == 12.0
    watch.last_data = 20.0
    assert watch.next_deadline() == 20.0  # the WebSocket ping
    watch.websocket_ping_due(20.0)
    assert watch.next_deadline() == 25.0
