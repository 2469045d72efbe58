"""Numbering, filters, counting, secrets and back-pressure of a stream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wsfeeds.events import Event, Heartbeat, SessionEvent, Trade, Unknown
from wsfeeds.pipeline import Countdown, Gate, Stream
from wsfeeds.secrets import Redactor


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.flushes = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def emit_all(self, events: Sequence[Event]) -> None:
        self.events += events

    def flush(self) -> None:
        self.flushes += 1


class Valve:
    def __init__(self) -> None:
        self.reading = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


def is_closed(gate: Gate, valve: Valve) -> bool:
    assert gate.closed is not valve.reading
    return gate.closed


def trade() -> Trade:
    return Trade(feed="f", channel="trade", price="1", quantity="2")


def fact(**members) -> SessionEvent:
    return SessionEvent(feed="f", state="connected", **members)


def test_events_and_facts_are_numbered_together_without_a_hole():
    kept = Kept()
    stream = Stream([kept])
    stream.emit_fact(fact(), 10, 1)
    stream.emit([trade()], 20, 1)
    stream.emit([trade()], 30, 2)
    assert [(e.seq, e.recv_ts, e.conn) for e in kept.events] == [(1, 10, 1), (2, 20, 1), (3, 30, 2)]


def test_what_is_filtered_out_takes_no_number():
    kept = Kept()
    stream = Stream([kept], types=["trade"])
    stream.emit_fact(fact(), 1, 1)
    stream.emit([trade()], 2, 1)
    assert [(type(e), e.seq) for e in kept.events] == [(Trade, 1)]


def test_heartbeats_are_left_out_unless_asked_for():
    for options, count in (({}, 0), ({"heartbeats": True}, 1), ({"types": ["heartbeat"]}, 1)):
        kept = Kept()
        stream = Stream([kept], **options)
        stream.emit_fact(Heartbeat(feed="f"), 1, 1)
        assert len(kept.events) == count
        assert stream.facts["heartbeat"] == 1


def test_a_count_takes_data_events_only_and_is_told_once():
    kept, told = Kept(), []
    stream = Stream([kept], countdown=Countdown(2, lambda: told.append(stream.data_events)))
    for _ in range(3):
        stream.emit_fact(fact(), 1, 1)
        stream.emit([trade()], 1, 1)
    assert told == [2]
    assert sum(isinstance(event, Trade) for event in kept.events) == 2
    assert isinstance(kept.events[-1], SessionEvent)


def test_a_count_cuts_what_one_read_has_brought():
    kept, told = Kept(), []
    stream = Stream([kept], countdown=Countdown(3, lambda: told.append(stream.data_events)))
    assert stream.room == 3
    stream.emit([trade(), trade()], 1, 1)
    assert stream.room == 1
    stream.emit([trade(), trade()], 1, 1)
    assert [event.seq for event in kept.events] == [1, 2, 3]
    assert told == [3]


def test_streams_that_share_a_countdown_let_as_many_pass_together():
    kept, told = Kept(), []
    countdown = Countdown(3, lambda: told.append(len(kept.events)))
    one, other = Stream([kept], countdown=countdown), Stream([kept], countdown=countdown)
    one.emit([trade(), trade()], 1, 1)
    other.emit([trade(), trade()], 1, 1)
    one.emit([trade()], 1, 1)
    assert (one.data_events, other.data_events) == (2, 1)
    assert told == [3]


def test_secrets_are_taken_out_of_facts_in_whatever_member_they_are():
    kept = Kept()
    told: list[Event] = []
    stream = Stream([kept], redactor=Redactor(["sesame-77"]), on_fact=told.append)
    stream.emit_fact(fact(reason="bad sesame-77", url="ws://h/?t=sesame-77"), 1, 1)
    stream.emit_fact(Unknown(feed="f", data=msgspec.Raw(b'{"t":"sesame-77"}')), 1, 1)
    session, unknown = kept.events
    assert isinstance(session, SessionEvent)
    assert isinstance(unknown, Unknown)
    assert (session.reason, session.url) == ("bad ***", "ws://h/?t=***")
    assert bytes(unknown.data) == b'{"t":"***"}'
    assert told == kept.events


def test_facts_are_told_even_where_types_leaves_them_out():
    told: list[Event] = []
    stream = Stream([], types=["trade"], on_fact=told.append)
    stream.emit_fact(fact(), 1, 1)
    assert len(told) == 1


def test_a_flush_reaches_every_output():
    one, other = Kept(), Kept()
    Stream([one, other]).flush()
    assert (one.flushes, other.flushes) == (1, 1)


def test_a_gate_is_open_when_nobody_holds_it():
    gate, valve, one, other = Gate(), Valve(), object(), object()
    gate.attach(valve)
    gate.close(one)
    gate.close(one)
    gate.close(other)
    assert is_closed(gate, valve)
    gate.open(one)
    assert is_closed(gate, valve)
    gate.open(other)
    assert not is_closed(gate, valve)
    gate.open(other)
    assert not is_closed(gate, valve)


def test_a_valve_that_comes_to_a_closed_gate_is_closed_too():
    gate, valve, holder = Gate(), Valve(), object()
    gate.close(holder)
    gate.attach(valve)
    assert not valve.reading
    gate.detach(valve)
    gate.detach(valve)
    gate.open(holder)
    assert not valve.reading
