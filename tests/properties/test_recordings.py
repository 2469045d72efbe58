"""Recordings of anything, cut anywhere, changed anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsfeeds.events import Event, Malformed, Trade, encode
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_frames import FrameTap
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.recordings.lines import read_frames
from wsfeeds.recordings.normalize import frame_of
from wsfeeds.recordings.replay import exact_events
from wsfeeds.recordings.sources import live_segments
from wsfeeds.recordings.verify import verify

FEED = "cryptomus"
NOON = 1_795_176_000_000_000
MICROS = st.integers(min_value=1, max_value=8 * 3_600_000_000)
TEXT = st.text(max_size=40)
EVENTS = st.one_of(
    st.builds(
        lambda text, price: Trade(
            feed=FEED, channel="trade", symbol=text, price=f"{price:f}", quantity="1"
        ),
        TEXT,
        st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False),
    ),
    st.builds(lambda text: Malformed(feed=FEED, error="e", frame=text), TEXT),
)
READS = st.lists(st.tuples(MICROS, st.lists(EVENTS, max_size=4)), max_size=12)


def write(root: Path, reads: list[tuple[int, list[Event]]], **policy: object) -> list[bytes]:
    """Record reads, each so long after the one before, and return the lines."""
    errors: list[Exception] = []
    recorder = Recorder(root, FEED, Policy(**policy), on_error=errors.append)  # type: ignore[arg-type]
    recorder.open()
    seq, now, lines = 0, NOON, []
    for after, events in reads:
        now += after
        for event in events:
            seq += 1
            event.seq, event.recv_ts, event.conn = seq, now, 1
            recorder.emit(event)
            lines.append(encode(event))
        recorder.flush()
    recorder.close()
    assert errors == []
    return lines


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


def fresh(place: Path) -> Path:
    shutil.rmtree(place / "recording", ignore_errors=True)
    return place / "recording"


@settings(max_examples=30)
@given(
    reads=READS,
    size=st.sampled_from([None, 1, 500]),
    compress=st.sampled_from(["none", "gzip", "zstd"]),
)
def test_whatever_is_recorded_verifies_and_comes_back(
    place: Path, reads: list[tuple[int, list[Event]]], size: int | None, compress: str
) -> None:
    root = fresh(place)
    lines = write(root, reads, rotate_bytes=size, compress=compress)
    if not lines:
        assert live_segments(root) == []
        return
    assert verify([root]).ok
    assert [encode(event) for event in exact_events([root])] == lines


@settings(max_examples=30)
@given(reads=READS, share=st.floats(min_value=0, max_value=1))
def test_an_open_segment_cut_anywhere_heals_to_its_whole_lines(
    place: Path, reads: list[tuple[int, list[Event]]], share: float
) -> None:
    root = fresh(place)
    lines = write(root, reads, rotate_seconds=None)
    if not lines:
        return
    last = live_segments(root)[-1].path
    whole = last.read_bytes()
    part = last.with_name(f"{last.name}.part")
    last.unlink()
    kept = whole[: round(share * len(whole))]
    part.write_bytes(kept)
    manifest = root / "manifest.jsonl"
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:-1]))
    write(root, [])
    assert verify([root]).ok if live_segments(root) else True
    lost = whole.count(b"\n") - kept.count(b"\n")
    found = [encode(event) for event in exact_events([root])] if live_segments(root) else []
    assert found == lines[: len(lines) - lost]


@settings(max_examples=30)
@given(reads=READS, share=st.floats(min_value=0, max_value=1), flip=st.integers(1, 255))
def test_a_byte_changed_anywhere_is_found(
    place: Path, reads: list[tuple[int, list[Event]]], share: float, flip: int
) -> None:
    root = fresh(place)
    if not write(root, reads):
        return
    path = live_segments(root)[0].path
    content = bytearray(path.read_bytes())
    content[min(len(content) - 1, int(share * len(content)))] ^= flip
    path.write_bytes(content)
    assert not verify([root]).ok


@settings(max_examples=30)
@given(frames=st.lists(st.one_of(st.binary(max_size=60), TEXT), max_size=20))
def test_any_frame_comes_back_as_it_was(place: Path, frames: list[bytes | str]) -> None:
    root = fresh(place)
    errors: list[Exception] = []
    recorder = Recorder(root, FEED, Policy(capture="frames"), on_error=errors.append)
    recorder.open()
    tap = recorder.tap
    assert isinstance(tap, FrameTap)
    tap.opened(NOON, 1, {"url": "u", "symbols": [], "channels": [], "settings": {}}, dict)
    sent = [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]
    for number, frame in enumerate(sent):
        tap.inbound(NOON + number, 1, frame, isinstance(frames[number], bytes))
    recorder.flush()
    recorder.close()
    assert verify([root]).ok
    (segment,) = live_segments(root)
    _, *lines = read_frames(segment.path)
    assert [frame_of(line) for line in lines] == sent
