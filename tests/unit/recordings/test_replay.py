"""Events come back as they were recorded, and frames give the same events again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import wsfeeds
from wsfeeds import app, simulators
from wsfeeds.errors import RecordingDamaged, UsageError
from wsfeeds.events import Event, Incident, SessionEvent, encode, is_data
from wsfeeds.outputs.jsonl import JsonlOutput
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.pipeline import Countdown, Stream
from wsfeeds.recordings.lines import FrameLine, read_exact
from wsfeeds.recordings.normalize import Normalizer
from wsfeeds.recordings.replay import Pace, Player, exact_events, frames
from wsfeeds.recordings.serve import connections
from wsfeeds.recordings.sources import head_of, live_segments
from wsfeeds.recordings.verify import verify
from wsfeeds.simulators.faults import Faults

from .conftest import FEED, HOUR, NOON, gap, segments, trade

Write = Callable[..., Path]
DEADLINE = 20.0
QUICK = {"backoff_initial": "10ms", "backoff_max": "20ms"}
FEEDS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "cryptomus": (("trade", "ticker", "lastprice", "depth", "bbo"), {"crossed-book": "0.01"}),
    "igratech": ((), {}),
    "img_fastpath": ((), {"drop": "0.02"}),
    "interact_quote": ((), {}),
}


def key(event: Event) -> bytes:
    """Return everything of an event but its number."""
    event.seq = 0
    return encode(event)


class Sink:
    """What an output wrote."""

    behind = False

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self.data = b""
        self._told = told

    def write(self, data: bytes | bytearray) -> None:
        self.data += data
        self._told()

    async def close(self) -> None:
        """Nothing is held."""


async def record(feed: str, root: Path, *, events: int = 250) -> None:
    """Record a feed both ways through outages and bad frames, in many small segments."""
    channels, more = FEEDS[feed]
    faults = {"disconnect": "400ms", "duplicate": "0.02", "garbage": "0.01", **more}
    parsed = Faults.parse([f"{name}={value}" for name, value in faults.items()])
    simulator = simulators.create(feed, rate=400, faults=parsed)
    async with simulator.serve() as listening:
        place = {"url": listening.url, "api_url": listening.api_url, **listening.settings, **QUICK}
        known = set(wsfeeds.app.connectors.load(feed).settings_type.__struct_fields__)  # type: ignore[attr-defined]
        wanted = app.Subscription(
            feed=feed,
            symbols=simulator.demo_symbols,
            channels=channels,
            settings={name: value for name, value in place.items() if name in known},
        )
        failures: list[Exception] = []
        policy = Policy(rotate_bytes=8_000, capture="both")
        recorder = Recorder(root, feed, policy, on_error=failures.append)
        recorder.open()
        done = asyncio.Event()
        stream = Stream([recorder], countdown=Countdown(events, done.set))
        run = app.open_feed(wanted, stream, tap=recorder.tap)
        task = asyncio.create_task(run.run())
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait(
                {task, asyncio.create_task(done.wait())}, return_when="FIRST_COMPLETED"
            )
        run.stop("test")
        await task
        recorder.close()
        assert failures == []


@pytest.mark.parametrize("feed", FEEDS)
async def test_frames_give_the_recorded_data_events_again_from_any_segment(
    feed: str, tmp_path: Path
) -> None:
    await record(feed, tmp_path)
    assert verify([tmp_path]).ok
    found = sorted(live_segments(tmp_path), key=lambda segment: segment.first)
    events = [s.path for s in found if s.kind == "events"]
    recorded = [key(e) for path in events for e in read_exact(path) if is_data(e)]
    frame_files = [segment.path for segment in found if segment.kind == "frames"]
    assert len(frame_files) > 3
    assert [key(event) for event in exact_events(frame_files)][: len(recorded)] == recorded
    done = 0
    for path in frame_files:
        again = [key(event) for event in exact_events([path])]
        there = recorded[done : done + len(again)]
        assert again[: len(there)] == there, path
        done += len(there)
    # After the last event that was asked for, frames go on for a moment.
    assert done == len(recorded)
    middle = recv_ts(recorded[len(recorded) // 2])
    since = [key(event) for event in exact_events(frame_files, since=middle)]
    assert since[:50] == [one for one in recorded if recv_ts(one) >= middle][:50]


def recv_ts(line: bytes) -> int:
    return int(msgspec.json.decode(line)["recv_ts"])


def test_events_come_back_byte_for_byte(simple: Path) -> None:
    stored = b"".join(path.read_bytes() for path in segments(simple))
    assert b"".join(encode(event) + b"\n" for event in exact_events([simple])) == stored


def test_opaque_parts_keep_every_digit(write: Write) -> None:
    data = msgspec.Raw(b'{"b":1.10,"a":[0.10000000000000000000000001,null],"s":"\xc3\xa9"}')
    root = write([(NOON, [Incident(feed=FEED, channel="incident", data=data)])])
    (event,) = exact_events([root])
    assert encode(event) + b"\n" == segments(root)[0].read_bytes()


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_read_yields_typed_events_whatever_they_are_stored_as(write: Write, compress: str) -> None:
    root = write(
        [(NOON + number, [trade(number), gap()]) for number in range(10)], compress=compress
    )
    events = list(wsfeeds.read(root))
    assert [type(event) for event in events[:2]] == [wsfeeds.Trade, wsfeeds.Gap]
    assert [event.seq for event in events] == list(range(1, 21))


def test_read_is_lazy(simple: Path) -> None:
    last = segments(simple)[-1]
    last.write_bytes(b"damage\n")
    events = wsfeeds.read(simple)
    assert next(events).seq == 1
    with pytest.raises(RecordingDamaged, match=f"{last.name}, line 1"):
        list(events)


def test_several_recordings_are_merged_by_receive_time(write: Write, tmp_path: Path) -> None:
    one = write([(NOON + 2 * n, [trade(n)]) for n in range(5)], root=tmp_path / "one")
    two = write([(NOON + 2 * n + 1, [trade(n)]) for n in range(5)], root=tmp_path / "two")
    times = [event.recv_ts for event in wsfeeds.read(one, two)]
    assert times == [NOON + number for number in range(10)]


def test_a_range_is_half_open_and_skips_what_lies_before_it(simple: Path) -> None:
    segments(simple)[0].write_bytes(b"never read\n")
    events = list(exact_events([simple], since=NOON + HOUR, until=NOON + 2 * HOUR))
    assert [events[0].recv_ts, events[-1].recv_ts] == [NOON + HOUR, NOON + 2 * HOUR - 60_000_000]


def test_an_open_segment_is_read_up_to_its_torn_line(simple: Path) -> None:
    path = segments(simple)[-1]
    with path.with_name(f"{path.name}.part").open("wb") as part:
        part.write(path.read_bytes()[:-5])
    path.unlink()
    assert len(list(wsfeeds.read(simple))) == 179


def test_a_closed_segment_that_ends_within_a_line_is_damage(simple: Path) -> None:
    path = segments(simple)[0]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RecordingDamaged, match="torn"):
        list(wsfeeds.read(simple))


def test_a_place_without_a_recording_is_a_usage_error(tmp_path: Path, simple: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list(wsfeeds.read(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no recording"):
        list(wsfeeds.read(tmp_path / "empty"))
    with pytest.raises(UsageError, match="--capture frames"):
        list(frames([simple]))


async def test_a_run_recorded_both_ways_is_replayed_from_its_events(tmp_path: Path) -> None:
    await record("igratech", tmp_path, events=20)
    assert any(isinstance(event, SessionEvent) for event in exact_events([tmp_path]))
    leave_frames(tmp_path)
    events = list(exact_events([tmp_path]))
    assert events
    assert all(map(is_data, events))


def leave_frames(root: Path) -> None:
    for path in root.rglob("*.events.jsonl"):
        path.unlink()
    (root / "manifest.jsonl").unlink()


async def test_connections_are_found_for_serving(tmp_path: Path) -> None:
    await record("img_fastpath", tmp_path, events=150)
    found = connections([tmp_path])
    assert found != []
    lines = list(found[0].lines())
    assert [line.dir for line in lines[:2]] == ["out", "in"]
    assert "***" in lines[0].frame


def test_a_frame_of_an_unknown_connection_is_damage() -> None:
    line = FrameLine(recv_ts=1, conn=4, dir="in", frame="{}")
    with pytest.raises(RecordingDamaged, match="connection 4"):
        list(Normalizer("cryptomus").feed(line))


def test_settings_of_another_version_do_not_matter() -> None:
    settings = {"ping_interval": 45.0, "of_the_future": 1}
    opened = FrameLine(
        recv_ts=1, conn=1, dir="open", run="r", symbols=["BTC_USDT"], channels=["trade"]
    )
    opened.settings = settings
    assert list(Normalizer("cryptomus").feed(opened)) == []


# --- in time


def at(times: list[int]) -> Iterator[Event]:
    for number, recv_ts in enumerate(times):
        event = trade(number)
        event.recv_ts, event.conn = NOON + recv_ts, 1
        yield event


async def play(times: list[int], **pace: Any) -> tuple[float, int]:
    sink = Sink()
    stream = Stream([JsonlOutput([sink])])
    begin = time.monotonic()
    await Player(stream, Pace(pace.get("speed"), pace.get("max_wait"))).play(at(times))
    return time.monotonic() - begin, sink.data.count(b"\n")


async def test_events_are_paced_by_speed_and_long_waits_are_cut() -> None:
    spent, lines = await play([0, 100_000, 200_000], speed=2.0)
    assert spent >= 0.1
    assert lines == 3
    spent, lines = await play([0, 3_600_000_000], speed=1.0, max_wait=0.05)
    assert 0.05 <= spent < 600.0
    spent, lines = await play([0, 3_600_000_000])
    assert spent < 600.0


async def test_a_player_ends_at_once_when_it_is_stopped() -> None:
    first = asyncio.Event()
    stream = Stream([JsonlOutput([Sink(first.set)])])
    player = Player(stream, Pace(1.0, None))
    task = asyncio.create_task(player.play(at([0, 3_600_000_000])))
    async with asyncio.timeout(DEADLINE):
        await first.wait()
        player.stop()
        assert await task == 0
    assert stream.seq == 1


async def test_an_output_that_cannot_take_more_holds_the_player() -> None:
    stream = Stream([])
    stream.gate.close("test")
    task = asyncio.create_task(Player(stream, Pace(None, None)).play(at(list(range(1000)))))
    await asyncio.sleep(0)
    assert stream.seq == 0
    stream.gate.open("test")
    async with asyncio.timeout(DEADLINE):
        await task
    assert stream.seq == 1000


def test_a_first_line_of_any_length_says_which_run_its_frames_are_of(tmp_path):
    """Frames beside events are not replayed a second time, however long their `open` line is."""
    path = tmp_path / "frames.jsonl"
    settings = {"state": {"seen": ["x" * 100] * 3_000}}
    line = {"recv_ts": 1, "conn": 1, "dir": "open", "run": "r1", "settings": settings}
    path.write_bytes(msgspec.json.encode(line) + b"\n")
    assert head_of(path) == (None, "r1", True)
