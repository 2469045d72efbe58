"""Records and server-sent events arrive whole, however they were cut on the way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.command.signalr_framing import EventStream, RecordSplitter
from wsfeeds.command.signalr_legacy_messages import numbers
from wsfeeds.command.signalr_legacy_messages import outgoing as legacy_outgoing
from wsfeeds.command.signalr_messages import outgoing
from wsfeeds.errors import Transient

RS = "\x1e"
LINES = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))
RECORDS = st.text(st.characters(exclude_characters=RS, codec="utf-8"))


def unnamed(limit: int) -> EventStream:
    """Return a stream whose events have no names."""
    return EventStream(limit, lambda data: pytest.fail(f"named: {data!r}"))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at places anywhere, inside a character too."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


@given(st.lists(RECORDS, max_size=20), st.lists(st.integers(0, 10_000), max_size=30))
def test_records_split_and_merged_at_any_byte_come_out_whole(texts, places):
    wire = "".join(text + RS for text in texts).encode()
    splitter = RecordSplitter(10**6)
    found = [record for part in cut(wire, places) for record in splitter.feed(part)]
    assert [record.decode() for record in found] == texts


@given(
    st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=10),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 10_000), max_size=30),
)
def test_events_cut_at_any_byte_come_out_whole(events, end, places):
    wire = f":{end}"
    for lines in events:
        wire += f"id: 7{end}"
        wire += "".join(f"data: {line}{end}" for line in lines) + end
    stream = unnamed(10**6)
    found = [data for part in cut(wire.encode(), places) for data in stream.feed(part)]
    assert [data.decode() for data in found] == ["\n".join(lines) for lines in events]


def test_only_line_feed_and_return_end_a_line():
    text = f'{{"a":"\u2028\u0085\x0b\x0c\x1c"}}{RS}'
    assert unnamed(1000).feed(f"data:{text}\n\n".encode()) == [text.encode()]


def test_a_byte_order_mark_and_comments_are_passed_over():
    stream = unnamed(1000)
    assert stream.feed("\ufeffdata: a\n\n: data: b\n\nevent: x\n\n".encode()) == [b"a"]


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        ("data: a\ndata: b\n\n", ["a\nb"]),
        ("data: a\r\ndata: b\r\n\r\n", ["a\nb"]),
        ("data: a\rdata: b\r\r", ["a\nb"]),
        ("data:a\n\n", ["a"]),
        ("data:  a\n\n", [" a"]),
        ("data\n\n", [""]),
        ("data:\ndata:\n\n", ["\n"]),
        (": comment\ndata: a\n: another\n\n", ["a"]),
        ("retry: 100\nevent: message\nid: 7\ndata: a\n\n", ["a"]),
        ("event: x\n\ndata: a\n\n", ["a"]),
        ("event: x\nevent:\ndata: a\n\n", ["a"]),
        ("retry: 100\n\n\n\ndata: a\n\n", ["a"]),
        ("datax: b\n data: c\ndata: a\n\n", ["a"]),
        ("\ufeffdata: a\n\n", ["a"]),
        ("data: \ufeffa\n\n", ["\ufeffa"]),
        ("data: a\n\ndata: not finished\n", ["a"]),
    ],
)
def test_an_event_stream_is_read_as_the_standard_says(wire, events):
    data = wire.encode()
    whole = unnamed(1000).feed(data)
    stream = unnamed(1000)
    bytewise = [event for byte in data for event in stream.feed(bytes([byte]))]
    assert [event.decode() for event in whole] == events
    assert bytewise == whole


def test_an_event_with_a_name_of_its_own_is_kept_apart():
    named: list[bytes] = []
    stream = EventStream(1000, named.append)
    assert stream.feed(b"event: x\ndata: a\n\ndata: b\n\ndata: c\nevent:Message\n\n") == [b"b"]
    assert named == [b"a", b"c"]


def test_what_has_not_ended_yet_is_known():
    splitter = RecordSplitter(100)
    splitter.feed(b"a\x1eb")
    splitter.feed(b"c")
    assert splitter.rest == b"bc"
    stream = unnamed(100)
    stream.feed(b"data: a\n\ndata: b\ndata: c")
    assert stream.rest == b"b\ndata: c"
    stream.feed(b"\n\n")
    assert stream.rest == b""


def test_what_is_too_long_is_refused_before_it_is_kept():
    splitter = RecordSplitter(10)
    assert splitter.feed(b"0123456789\x1e") == [b"0123456789"]
    assert splitter.feed(b"012345") == splitter.feed(b"6789") == []
    with pytest.raises(Transient, match="max_frame"):
        splitter.feed(b"x")
    stream = unnamed(10)
    assert stream.feed(b"data: 0123\ndata: 456\n") == []
    with pytest.raises(Transient, match="max_frame"):
        stream.feed(b"data: 7890")
    with pytest.raises(Transient, match="max_frame"):
        unnamed(10).feed(b"data: 01234567890\n\n")


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ('{"target":"Sub","arguments":[1.10]}', '{"type":1,"target":"Sub","arguments":[1.10]}'),
        ('{"type":3,"invocationId":"1"}', '{"type":3,"invocationId":"1"}'),
        ('{"type":6}\x1e', '{"type":6}'),
        ('{"other":1}', '{"other":1}'),
        ("ping", "ping"),
        ("[1]", "[1]"),
    ],
)
def test_what_is_sent_is_a_message_or_goes_as_it_is(text, wire):
    assert outgoing(text) == wire + RS


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ('{"H":"h","M":"m","A":[1.10]}', '{"H":"h","M":"m","A":[1.10],"I":0}'),
        ('{"H":"h","M":"m","A":[],"I":7}', '{"H":"h","M":"m","A":[],"I":7}'),
        ('{"x":1}', '{"x":1}'),
        ("ping", "ping"),
    ],
)
def test_a_legacy_call_gets_a_number_if_it_has_none(text, wire):
    assert legacy_outgoing(text, numbers()) == wire
