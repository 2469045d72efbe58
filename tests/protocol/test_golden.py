"""Every golden line, one conversation each, gives exactly the events that it says.

A line is a JSON object: `name`, `source` (where the frames are from), `symbols`, `channels`,
`settings`, `sent` (frames the client sent before), `frames` (text, or `{"base64": …}`), `events`
(compared byte for byte less recv_ts, seq and conn) and `controls` (class names in order, a skipped
frame with its reason).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from wsfeeds import connectors
from wsfeeds.events import DATA_EVENTS, Event, encode
from wsfeeds.protocol import Connector, Incoming, Skipped, Socket, Wanted

GOLDEN = Path(__file__).parent.parent / "golden"


class Base64(msgspec.Struct, forbid_unknown_fields=True):
    base64: str


class Case(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    source: str
    symbols: list[str]
    channels: list[str]
    settings: dict[str, msgspec.Raw]
    sent: list[str]
    frames: list[str | Base64]
    events: list[msgspec.Raw]
    controls: list[str]
    feed: str = ""


def cases() -> list[Case]:
    found = []
    for path in sorted(GOLDEN.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            case = msgspec.json.decode(line, type=Case)
            case.feed = path.stem
            found.append(case)
    return found


def frame_bytes(frame: str | Base64) -> bytes:
    return base64.b64decode(frame.base64) if isinstance(frame, Base64) else frame.encode()


def build(case: Case) -> Connector:
    connector_type = connectors.load(case.feed)
    settings = msgspec.convert(
        {name: msgspec.json.decode(value) for name, value in case.settings.items()},
        type=connector_type.settings_type,
    )
    wanted = Wanted(tuple(case.symbols), tuple(case.channels))
    return connector_type(Socket(wanted), settings)


def play(case: Case) -> list[Incoming]:
    connector = build(case)
    for frame in case.sent:
        connector.sent(frame)
    return [item for frame in case.frames for item in connector.receive(frame_bytes(frame))]


def without_envelope(event: Event) -> bytes:
    event.recv_ts = event.seq = event.conn = 0
    line = encode(event)
    return line.replace(b'"recv_ts":0,"seq":0,', b"", 1).replace(b'"conn":0,', b"", 1)


def label(item: Incoming) -> str:
    return f"Skipped: {item.reason}" if isinstance(item, Skipped) else type(item).__name__


def shown(events: Sequence[bytes]) -> str:
    return "\n".join(line.decode() for line in events)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.feed}: {case.name}")
def test_golden_frames_give_exactly_their_events(case):
    items = play(case)
    events = [without_envelope(item) for item in items if isinstance(item, Event)]
    expected = [msgspec.json.format(bytes(event), indent=-1) for event in case.events]
    assert shown(events) == shown(expected)
    assert [label(item) for item in items if not isinstance(item, Event)] == case.controls


@pytest.mark.parametrize("feed", connectors.names())
def test_every_feed_has_golden_lines_with_a_source(feed):
    mine = [case for case in cases() if case.feed == feed]
    assert mine
    assert all(case.source.startswith(("docs/protocols/", "contract")) for case in mine)
    assert len({case.name for case in mine}) == len(mine)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.feed}: {case.name}")
def test_golden_frames_give_the_same_events_when_played_again(case):
    first = [encode(item) for item in play(case) if isinstance(item, Event)]
    again = [encode(item) for item in play(case) if isinstance(item, Event)]
    assert first == again


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.feed}: {case.name}")
def test_a_connector_that_takes_over_goes_on_as_the_first_one_would(case):
    """Recordings are replayed from the middle of a connection by `state` and `restore`."""
    first = build(case)
    for frame in case.sent:
        first.sent(frame)
    for at, frame in enumerate(case.frames):
        second = build(case)
        second.restore(json.loads(json.dumps(first.state())))
        assert data(second, case.frames[at:]) == data(restored(case, at), case.frames[at:])
        first.receive(frame_bytes(frame))


def restored(case: Case, at: int) -> Connector:
    """Return a connector that has been through the frames before."""
    connector = build(case)
    for frame in case.sent:
        connector.sent(frame)
    for earlier in case.frames[:at]:
        connector.receive(frame_bytes(earlier))
    return connector


def data(connector: Connector, frames: Sequence[str | Base64]) -> list[bytes]:
    items = [item for frame in frames for item in connector.receive(frame_bytes(frame))]
    return [encode(item) for item in items if isinstance(item, DATA_EVENTS)]


def test_golden_frames_are_whole():
    for case in cases():
        for frame in case.frames:
            try:
                frame_bytes(frame)
            except binascii.Error:
                pytest.fail(f"{case.feed}: {case.name}: bad base64")
