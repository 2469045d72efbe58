"""Segments, their names and ends, the manifest, and what a start puts in order."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from wsfeeds.errors import OutputFailed, UsageError
from wsfeeds.events import Event, Gap, SessionEvent, Trade
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_files import parse_name, segment_end
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.recordings.verify import verify

FEED = "cryptomus"
NOON = 1_795_176_000_000_000
SECOND = 1_000_000
ROOT = Path(__file__).resolve().parents[3]


class Writer:
    """A recorder and the numbers that a stream would give."""

    def __init__(self, root: Path, **policy: Any) -> None:
        self.root = root
        self.errors: list[OutputFailed] = []
        self.closed: list[Path] = []
        self.said: list[str] = []
        self.recorder = Recorder(
            root,
            FEED,
            Policy(**policy),
            on_error=self.errors.append,
            on_closed=self.closed.append,
            say=self.said.append,
        )
        self.seq = 0

    def put(self, recv_ts: int, *events: Event) -> None:
        for event in events or (trade(),):
            self.seq += 1
            event.seq, event.recv_ts, event.conn = self.seq, recv_ts, 1
            self.recorder.emit(event)
        self.recorder.flush()

    def files(self) -> list[str]:
        folder = self.root / f"feed={FEED}"
        return sorted(str(each.relative_to(folder)) for each in folder.rglob("*.jsonl*"))


def trade() -> Trade:
    return Trade(feed=FEED, channel="trade", symbol="BTC_USDT", price="1.50", quantity="2")


def manifest(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Any]:
    made: list[Writer] = []

    def make(**policy: Any) -> Writer:
        made.append(Writer(tmp_path, **policy))
        made[-1].recorder.open()
        return made[-1]

    yield make
    for writer in made:
        if writer.recorder.open_segment is not None:
            writer.recorder.close()


def test_a_read_is_on_its_way_to_disk_when_it_is_through(writers: Any, tmp_path: Path) -> None:
    writer = writers()
    writer.put(NOON, trade(), trade())
    (part,) = writer.files()
    assert part == "date=2026-11-20/20261120T120000.000000Z.events.jsonl.part"
    lines = (tmp_path / f"feed={FEED}" / part).read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]


def test_a_closed_segment_is_described_by_every_member_of_its_manifest_line(
    writers: Any, tmp_path: Path
) -> None:
    writer = writers()
    writer.put(NOON, trade(), Gap(feed=FEED, reason="stale"))
    writer.put(NOON + SECOND)
    writer.recorder.close()
    (line,) = manifest(tmp_path)
    content = (tmp_path / line["path"]).read_bytes()
    assert list(line) == [
        *("path", "kind", "feed", "run", "lines", "bytes", "sha256", "first_seq", "last_seq"),
        *("first_recv_ts", "last_recv_ts", "gaps", "closed", "version"),
    ]
    assert line["path"] == f"feed={FEED}/date=2026-11-20/20261120T120000.000000Z.events.jsonl"
    assert (line["lines"], line["first_seq"], line["last_seq"], line["gaps"]) == (3, 1, 3, 1)
    assert (line["first_recv_ts"], line["last_recv_ts"]) == (NOON, NOON + SECOND)
    assert (line["bytes"], line["sha256"]) == (
        len(content),
        hashlib.sha256(content).hexdigest(),
    )
    assert (line["run"], line["closed"]) == (writer.recorder.run, "stop")


def test_rotation_by_time_is_aligned_on_utc_whenever_the_recorder_started(writers: Any) -> None:
    writer = writers(rotate_seconds=3600.0)
    writer.put(NOON + 3599 * SECOND)
    writer.put(NOON + 3600 * SECOND)
    writer.recorder.close()
    assert writer.files() == [
        "date=2026-11-20/20261120T125959.000000Z.events.jsonl",
        "date=2026-11-20/20261120T130000.000000Z.events.jsonl",
    ]
    assert [line["closed"] for line in manifest(writer.root)] == ["rotate", "stop"]


def test_no_segment_crosses_midnight_whatever_the_rotation_is(writers: Any) -> None:
    writer = writers(rotate_seconds=None, rotate_bytes=10**9)
    writer.put(NOON + 43_199 * SECOND)
    writer.put(NOON + 43_200 * SECOND)
    writer.recorder.close()
    assert writer.files() == [
        "date=2026-11-20/20261120T235959.000000Z.events.jsonl",
        "date=2026-11-21/20261121T000000.000000Z.events.jsonl",
    ]


@pytest.mark.parametrize(
    ("seconds", "end"),
    [(3600.0, 46_800), (25_200.0, 50_400), (60.0, 43_260), (None, 86_400), (200_000.0, 86_400)],
)
def test_a_period_is_counted_from_midnight_and_ends_with_the_day(
    seconds: float | None, end: int
) -> None:
    midnight = NOON - 43_200 * SECOND
    assert segment_end(NOON, seconds) == midnight + end * SECOND


def test_rotation_by_size_counts_bytes_before_compression(writers: Any, tmp_path: Path) -> None:
    writer = writers(rotate_bytes=1_000, compress="zstd")
    for read in range(20):
        writer.put(NOON + read)
    writer.recorder.close()
    sizes = [
        len(zstandard.ZstdDecompressor().decompress((tmp_path / line["path"]).read_bytes()))
        for line in manifest(tmp_path)
    ]
    assert len(sizes) > 2
    assert all(1_000 <= size < 1_300 for size in sizes[:-1])


def test_events_of_one_moment_stay_in_one_segment_so_that_names_differ(writers: Any) -> None:
    writer = writers(rotate_bytes=1)
    for _ in range(3):
        writer.put(NOON)
    writer.put(NOON + 1)
    writer.recorder.close()
    assert [line["lines"] for line in manifest(writer.root)] == [3, 1]


@pytest.mark.parametrize(("compress", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_the_open_segment_is_plain_text_whatever_the_compression(
    writers: Any, tmp_path: Path, compress: str, ending: str
) -> None:
    writer = writers(compress=compress)
    writer.put(NOON)
    (part,) = writer.files()
    plain = (tmp_path / f"feed={FEED}" / part).read_bytes()
    assert json.loads(plain)["price"] == "1.50"
    writer.recorder.close()
    (closed,) = writer.files()
    assert closed.endswith(f".jsonl{ending}")
    stored = (tmp_path / f"feed={FEED}" / closed).read_bytes()
    opened = gzip.decompress(stored) if ending == ".gz" else zstandard.decompress(stored)
    assert opened == plain
    assert manifest(tmp_path)[0]["sha256"] == hashlib.sha256(stored).hexdigest()


def test_a_quiet_segment_ends_when_its_time_is_over(writers: Any) -> None:
    writer = writers(rotate_seconds=60.0)
    writer.put(NOON)
    writer.recorder.tick(NOON + 59 * SECOND)
    assert writer.recorder.open_segment is not None
    writer.recorder.tick(NOON + 60 * SECOND)
    assert writer.recorder.open_segment is None
    writer.recorder.close()
    assert [path.name for path in writer.closed] == ["20261120T120000.000000Z.events.jsonl"]


def test_a_recorder_that_received_nothing_leaves_no_segment(writers: Any, tmp_path: Path) -> None:
    writer = writers()
    writer.recorder.close()
    assert writer.files() == []
    assert not (tmp_path / "manifest.jsonl").exists()


def test_a_second_recorder_of_the_same_feed_and_folder_is_refused(
    writers: Any, tmp_path: Path
) -> None:
    writer = writers()
    writer.put(NOON)
    with pytest.raises(UsageError, match="another recorder writes cryptomus"):
        Writer(tmp_path).recorder.open()
    other = Recorder(tmp_path, "igratech", Policy(), on_error=writer.errors.append)
    other.open()
    other.close()


def test_an_earlier_runs_open_segment_is_closed_with_its_own_run(tmp_path: Path) -> None:
    first = Writer(tmp_path)
    first.recorder.open()
    first.put(NOON)
    first.put(NOON + 1)
    abandon(first)
    (part,) = (tmp_path / f"feed={FEED}").rglob("*.part")
    with part.open("ab") as file:
        file.write(b'{"type":"trade","fe')
    second = Writer(tmp_path)
    second.recorder.open()
    second.recorder.close()
    (line,) = manifest(tmp_path)
    assert (line["run"], line["closed"], line["lines"]) == (first.recorder.run, "recovered", 2)
    assert second.recorder.previous_recv_ts == NOON + 1
    assert verify([tmp_path]).ok
    assert any("torn line" in text for text in second.said)


def session(state: Any) -> SessionEvent:
    return SessionEvent(feed=FEED, state=state)


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_the_last_frame_is_that_of_any_earlier_run_that_received_one(
    writers: Any, tmp_path: Path, compress: str
) -> None:
    """Runs that could not connect say so, but they did not end the hole."""
    first = writers(compress=compress)
    first.put(NOON, session("connecting"))
    first.recorder.close()
    second = writers(compress=compress)
    assert second.recorder.previous_recv_ts == NOON  # nothing came so far: since the beginning
    second.put(NOON + 1, session("subscribed"))
    second.put(NOON + 2)
    second.put(NOON + 3, Gap(feed=FEED, reason="stale"), session("disconnected"))
    second.recorder.close()
    third = writers(compress=compress)
    assert third.recorder.previous_recv_ts == NOON + 2
    third.put(NOON + 7, session("connecting"))
    third.put(NOON + 8, session("reconnecting"))
    third.recorder.close()
    assert writers().recorder.previous_recv_ts == NOON + 2


def test_an_inbound_frame_counts_as_received_and_an_outbound_one_does_not(
    writers: Any, tmp_path: Path
) -> None:
    first = writers(capture="frames")
    tap = first.recorder.tap
    assert tap is not None
    tap.opened(NOON, 1, {"url": None, "symbols": [], "channels": [], "settings": {}}, dict)
    tap.inbound(NOON + 1, 1, b"{}", False)
    tap.outbound(NOON + 2, 1, "{}")
    first.recorder.close()
    second = writers()
    assert second.recorder.previous_recv_ts == NOON + 1
    second.recorder.close()
    for path in tmp_path.rglob("*.frames.jsonl"):
        path.unlink()  # shipped elsewhere
    assert writers().recorder.previous_recv_ts == NOON + 2


@pytest.mark.parametrize("tail", [b"\0" * 4096, b'{"type":"trade"}\n', b"\0" * 10 + b"\n", b"{"])
def test_what_a_power_cut_leaves_at_the_end_is_cut(tmp_path: Path, tail: bytes) -> None:
    first = Writer(tmp_path)
    first.recorder.open()
    first.put(NOON)
    abandon(first)
    (part,) = (tmp_path / f"feed={FEED}").rglob("*.part")
    whole = part.read_bytes()
    part.write_bytes(whole + tail)
    again = Writer(tmp_path)
    again.recorder.open()
    again.recorder.close()
    (line,) = manifest(tmp_path)
    assert (tmp_path / line["path"]).read_bytes() == whole
    assert verify([tmp_path]).ok


def test_an_open_segment_without_one_whole_line_is_not_kept(tmp_path: Path) -> None:
    first = Writer(tmp_path)
    first.recorder.open()
    first.put(NOON)
    abandon(first)
    (part,) = (tmp_path / f"feed={FEED}").rglob("*.part")
    part.write_bytes(b'{"type"')
    again = Writer(tmp_path)
    again.recorder.open()
    again.recorder.close()
    assert again.files() == []


def test_a_closed_segment_that_the_manifest_misses_is_listed(writers: Any, tmp_path: Path) -> None:
    writer = writers(rotate_seconds=60.0)
    for minute in range(3):
        writer.put(NOON + minute * 60 * SECOND)
    writer.recorder.close()
    path = tmp_path / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2][:50])
    assert not verify([tmp_path]).ok
    again = Writer(tmp_path)
    again.recorder.open()
    again.recorder.close()
    assert verify([tmp_path]).ok
    assert [line["closed"] for line in manifest(tmp_path)] == ["rotate", "recovered", "recovered"]
    assert {line["run"] for line in manifest(tmp_path)} == {writer.recorder.run}


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_a_closed_segment_without_a_line_is_set_aside_and_not_listed(
    writers: Any, tmp_path: Path, compress: str
) -> None:
    writer = writers(compress=compress)
    writer.put(NOON)
    writer.recorder.close()
    path = tmp_path / manifest(tmp_path)[0]["path"]
    path.write_bytes(b"")
    (tmp_path / "manifest.jsonl").unlink()
    again = writers()
    assert not (tmp_path / "manifest.jsonl").exists()
    assert again.recorder.previous_recv_ts is None
    assert path.with_name(path.name + ".aside").exists()
    assert any("holds no line" in text for text in again.said)


def test_recorders_of_many_feeds_share_one_manifest(tmp_path: Path) -> None:
    def record(feed: str) -> None:
        recorder = Recorder(tmp_path, feed, Policy(rotate_seconds=1.0), on_error=print)
        recorder.open()
        for number in range(1, 21):
            event = trade()
            event.feed, event.seq, event.conn = feed, number, 1
            event.recv_ts = NOON + number * SECOND
            recorder.emit(event)
            recorder.flush()
        recorder.close()

    feeds = ["cryptomus", "igratech", "interact_quote"]
    threads = [threading.Thread(target=record, args=(feed,)) for feed in feeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(manifest(tmp_path)) == 60
    assert verify([tmp_path]).ok


def test_a_folder_that_vanished_is_noticed(writers: Any, tmp_path: Path) -> None:
    writer = writers()
    writer.put(NOON)
    (part,) = (tmp_path / f"feed={FEED}").rglob("*.part")
    part.unlink()
    with pytest.raises(OutputFailed, match="vanished"):
        writer.recorder.tick(NOON + SECOND)
    with pytest.raises(OutputFailed):
        writer.put(NOON + SECOND)


def test_a_folder_that_cannot_be_made_is_an_output_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="Not a directory"):
        Writer(tmp_path / "file" / "below").recorder.open()


def test_a_file_size_limit_stops_the_recorder_and_leaves_whole_lines(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_recorder import NOON, Writer
        from wsfeeds.errors import OutputFailed
        writer = Writer(Path({str(tmp_path)!r}))
        writer.recorder.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
        try:
            for read in range(100):
                writer.put(NOON + read)
        except OutputFailed as error:
            print(error.message)
        try:
            writer.recorder.close()
        except OutputFailed as error:
            print(error.code)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert "File too large" in done.stdout
    assert "EFBIG" in done.stdout
    report = verify([tmp_path])
    assert report.ok
    assert len(report.open) == 1
    assert report.segments[0].bytes <= 5_000
    again = Writer(tmp_path)
    again.recorder.open()
    again.recorder.close()
    assert verify([tmp_path]).lines == report.lines


@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_a_manifest_that_cannot_be_written_leaves_the_segment_open(
    writers: Any, tmp_path: Path, compress: str
) -> None:
    writer = writers(compress=compress)
    writer.put(NOON)
    (tmp_path / "manifest.jsonl").mkdir()
    with pytest.raises(OutputFailed, match="Is a directory"):
        writer.recorder.close()
    (name,) = writer.files()
    assert name.endswith(".events.jsonl.part")
    assert len(writer.errors) == 1
    (tmp_path / "manifest.jsonl").rmdir()
    again = Writer(tmp_path)
    again.recorder.open()
    again.recorder.close()
    assert verify([tmp_path]).ok


@pytest.mark.parametrize("fsync", ["always", "never", 0.01])
def test_every_fsync_policy_records_the_same(writers: Any, tmp_path: Path, fsync: Any) -> None:
    writer = writers(fsync=fsync)
    for read in range(50):
        writer.put(NOON + read)
    writer.recorder.close()
    assert verify([tmp_path]).lines == 50


def test_names_of_segments_are_read_back() -> None:
    path = Path("feed=igratech/date=2026-11-20/20261120T120000.000001Z.frames.jsonl.zst")
    segment = parse_name(path)
    assert segment is not None
    assert (segment.feed, segment.date, segment.kind) == ("igratech", "2026-11-20", "frames")
    assert (segment.first, segment.ending, segment.state) == (NOON + 1, ".zst", "closed")
    assert parse_name(Path("20269920T120000.000001Z.frames.jsonl")) is None
    assert parse_name(Path("notes.jsonl")) is None


def abandon(writer: Writer) -> None:
    """Let go of everything as a killed process does."""
    recorder = writer.recorder
    recorder._stop_syncing.set()
    recorder._syncing.shutdown()
    recorder._closing.shutdown()
    recorder._lock.release()
