"""Cutting frames out of reads: any split of the bytes gives the same messages."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri

from wsfeeds.transport.base import Dial
from wsfeeds.transport.connection import WebSocket
from wsfeeds.transport.framing import MAX_LENGTH, size_of_other, take_texts

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Wire(asyncio.Transport):
    """The far end: keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written += b"".join(list_of_data)

    def is_reading(self) -> bool:
        return self.reading

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Notes:
    """A listener that writes everything down."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.data = self.reads = 0

    def on_open(self, connection) -> None:
        self.connection = connection
        self.said.append("open")

    def on_data(self) -> None:
        self.data += 1

    def on_frame(self, frame: bytes, binary: bool) -> None:
        assert type(frame) is bytes
        self.said.append((frame, binary))

    def on_read(self) -> None:
        self.reads += 1

    def on_pong(self) -> None:
        self.said.append("pong")

    def on_close(self, code: int, reason: str) -> None:
        self.said.append((code, reason))


async def timers() -> None:
    """Let the loop run what is due."""
    for _ in range(3):
        await asyncio.sleep(0)


def opened(
    max_frame: int = 1_000_000,
    coalesce: float | None = None,
    *,
    deflate: bool = False,
    notes: Notes | None = None,
) -> tuple[WebSocket, Notes, Wire, bytes]:
    """Return a connection that waits for the answer to its upgrade, and that answer."""
    offers = [ClientPerMessageDeflateFactory()] if deflate else None
    protocol = ClientProtocol(parse_uri("ws://localhost/"), max_size=max_frame, extensions=offers)
    notes, wire = notes or Notes(), Wire()
    dial = Dial(url="ws://localhost/", coalesce=coalesce)
    socket = WebSocket(protocol, notes, dial, ping_interval=None)
    socket.connection_made(wire)
    protocol.send_request(protocol.connect())
    accept = base64.b64encode(hashlib.sha1(protocol.key.encode() + GUID).digest())
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n"
    )
    answer += b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" if deflate else b"\r\n"
    return socket, notes, wire, answer


def codes(notes: Notes) -> list[object]:
    """Return the close codes told; nothing may follow them."""
    assert len(notes.said) < 4
    return [each[0] for each in notes.said if isinstance(each, tuple) and type(each[0]) is int]


def text(payload: bytes) -> bytes:
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=False)


payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([0, 1, 125, 126, 127, 300, 65_535, 65_536, 70_000]).map(lambda n: b"x" * n),
)


@st.composite
def messages(draw) -> tuple[bytes, list[object]]:
    """One message on the wire, control frames between its fragments, and what it says."""
    payload = draw(payloads)
    kind = draw(st.sampled_from(["text", "text", "text", "binary", "pong", "ping", "fragments"]))
    if kind == "pong":
        return frame(Opcode.PONG, payload[:125]), ["pong"]
    if kind == "ping":
        return frame(Opcode.PING, payload[:125]), []
    if kind != "fragments":
        opcode = Opcode.TEXT if kind == "text" else Opcode.BINARY
        return frame(opcode, payload), [(payload, kind == "binary")]
    cut = draw(st.integers(0, len(payload)))
    wire = frame(Opcode.TEXT, payload[:cut], fin=False)
    said: list[object] = [(payload, False)]
    if draw(st.booleans()):
        wire += frame(Opcode.PONG, b"")
        said.insert(0, "pong")
    return wire + frame(Opcode.CONT, payload[cut:]), said


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        if stop > start:
            yield data[start:stop]


@settings(deadline=None)
@given(st.lists(messages(), max_size=8), st.lists(st.integers(0, 10**6), max_size=12))
async def test_any_split_of_the_bytes_gives_the_same_messages(sent, cuts):
    socket, notes, _, answer = opened()
    data = answer + b"".join(wire for wire, _ in sent)
    for piece in pieces(data, cuts):
        socket.data_received(piece)
    assert notes.said == ["open", *(said for _, each in sent for said in each)]


@settings(deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=6))
async def test_any_bytes_say_the_same_as_in_one_piece(data, cuts):
    whole, split = opened(), opened()
    whole[0].data_received(whole[3] + data)
    for piece in pieces(split[3] + data, cuts):
        split[0].data_received(piece)
    for socket in (whole[0], split[0]):
        socket.connection_lost(None)
    assert whole[1].said == split[1].said


@settings(deadline=None)
@given(st.lists(st.tuples(payloads, st.booleans())), st.lists(st.integers(0, 10**6), max_size=6))
async def test_compressed_and_plain_messages_keep_their_order(sent, cuts):
    socket, notes, _, data = opened(deflate=True)
    extension = PerMessageDeflate(False, False, 15, 15)
    for payload, compressed in sent:
        one = Frame(Opcode.TEXT, payload)
        data += one.serialize(mask=False, extensions=[extension] if compressed else [])
    for piece in pieces(data, cuts):
        socket.data_received(piece)
    assert notes.said == ["open", *((payload, False) for payload, _ in sent)]


async def test_bytes_one_by_one_are_as_many_reads():
    socket, notes, _, answer = opened()
    socket.data_received(answer)
    for byte in text(b"hello") + text(b"x" * 200):
        socket.data_received(bytes([byte]))
    assert notes.said == ["open", (b"hello", False), (b"x" * 200, False)]
    assert notes.reads == notes.data == 1 + 7 + 204


async def test_a_ping_between_texts_is_answered():
    socket, notes, wire, answer = opened()
    socket.data_received(answer + text(b"a") + frame(Opcode.PING, b"are you there") + text(b"b"))
    assert notes.said == ["open", (b"a", False), (b"b", False)]
    assert wire.written[-19] == 0x8A
    assert wire.written[-18] == 0x80 | 13


@pytest.mark.parametrize("split", [True, False])
async def test_a_text_inside_a_fragmented_message_is_a_protocol_error(split):
    socket, notes, _, answer = opened()
    data = [answer, frame(Opcode.TEXT, b"a", fin=False), text(b"b"), text(b"c")]
    for piece in data if split else [b"".join(data)]:
        socket.data_received(piece)
    socket.connection_lost(None)
    assert notes.said[0] == "open"
    assert codes(notes) == [1002]


@pytest.mark.parametrize("size", [101, 60_000, 200_000])
async def test_a_frame_beyond_the_limit_closes_with_1009(size):
    socket, notes, _, answer = opened(max_frame=100)
    socket.data_received(answer + text(b"x" * 100) + text(b"x" * size) + text(b"after"))
    socket.connection_lost(None)
    assert notes.said[:2] == ["open", (b"x" * 100, False)]
    assert codes(notes) == [1009]


@pytest.mark.parametrize(
    "bad",
    [b"\x81\x85\0\0\0\0hello", b"\xc1\x05hello", b"\xf1\x05hello", b"\x83\x00", b"\x09\x00"],
    ids=["masked", "rsv1", "rsv", "opcode", "fragmented ping"],
)
async def test_a_frame_against_the_rules_is_a_protocol_error(bad):
    socket, notes, _, answer = opened()
    socket.data_received(answer + text(b"good") + bad + text(b"after"))
    socket.connection_lost(None)
    assert notes.said[:2] == ["open", (b"good", False)]
    assert codes(notes) == [1002]


async def test_nothing_after_a_close_frame_is_heard():
    socket, notes, _, answer = opened()
    close = frame(Opcode.CLOSE, Close(4001, "bye").serialize())
    socket.data_received(answer + text(b"a") + close + text(b"b"))
    socket.connection_lost(None)
    assert notes.said == ["open", (b"a", False), (4001, "bye")]


async def test_a_close_in_the_read_of_the_upgrade_is_told():
    socket, notes, _, answer = opened()
    for byte in answer + frame(Opcode.CLOSE, Close(1008, "no").serialize()):
        socket.data_received(bytes([byte]))
    socket.connection_lost(None)
    assert notes.said == ["open", (1008, "no")]


async def test_a_refusal_opens_nothing():
    socket, notes, _, _ = opened()
    body = b"<html>\n<p>busy</p>\n</html>\n"
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n" % len(body)
    for piece in pieces(head + body, [3, 40, 70]):
        socket.data_received(piece)
    socket.connection_lost(None)
    assert notes.said == []
    assert socket.response is not None
    assert socket.response.status_code == 503
    assert socket.response.body == body


async def test_an_unfinished_frame_is_no_message():
    socket, notes, _, answer = opened()
    socket.data_received(answer + text(b"whole") + text(b"half of it")[:6])
    socket.eof_received()
    socket.connection_lost(None)
    assert notes.said == ["open", (b"whole", False), (1006, "")]


async def test_reading_rests_after_each_read_and_no_longer():
    socket, notes, wire, answer = opened(coalesce=0.0)
    socket.data_received(answer)
    assert not wire.is_reading()
    notes.connection.resume_reading()
    assert not wire.is_reading(), "a gate that opens does not end the rest"
    await timers()
    assert wire.is_reading()
    socket.data_received(text(b"a"))
    notes.connection.pause_reading()
    await timers()
    assert not wire.is_reading(), "the end of the rest does not open a gate"
    notes.connection.resume_reading()
    assert wire.is_reading()


def test_texts_are_taken_up_to_the_first_other_frame():
    taken: list[bytes] = []
    data = text(b"a") + text(b"b" * 200) + frame(Opcode.BINARY, b"c") + text(b"d")
    at = take_texts(data, 0, MAX_LENGTH, lambda payload, _: taken.append(payload))
    assert taken == [b"a", b"b" * 200]
    assert data[at:] == frame(Opcode.BINARY, b"c") + text(b"d")
    assert size_of_other(data, at, MAX_LENGTH) == 3


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
def test_a_plain_text_is_waited_for(size):
    data = text(b"x" * size)
    assert all(size_of_other(data[:cut], 0, MAX_LENGTH) == 0 for cut in {0, 1, 2, 3, size})
    assert size_of_other(data, 0, -1) == len(data)


@pytest.mark.parametrize("size", [65_536, 100_000])
def test_a_long_text_is_left_to_the_library(size):
    data = text(b"x" * size)
    assert take_texts(data, 0, MAX_LENGTH, lambda *_: pytest.fail("taken")) == 0
    assert size_of_other(data[:9], 0, MAX_LENGTH) == 0
    assert size_of_other(data[:10], 0, MAX_LENGTH) == len(data)


async def test_what_comes_with_the_answer_to_the_upgrade_waits_for_a_paused_listener():
    """It is read before what the socket has got meanwhile."""

    class Pausing(Notes):
        def on_open(self, connection) -> None:
            super().on_open(connection)
            connection.pause_reading()

    socket, notes, _, answer = opened(notes=Pausing())
    first, second = (Frame(Opcode.TEXT, text).serialize(mask=False) for text in (b"1", b"2"))
    socket.data_received(answer + first)
    heard = list(notes.said)
    await timers()
    assert notes.said == heard
    socket.resume_reading()
    await timers()
    socket.data_received(second)
    assert notes.said[len(heard) :] == [(b"1", False), (b"2", False)]
