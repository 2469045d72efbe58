"""Damage is found and named; what is only unusual is reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsfeeds.errors import UsageError
from wsfeeds.events import TYPES, Book, encode
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_manifest import Manifest
from wsfeeds.recordings import strict
from wsfeeds.recordings.repair import repair
from wsfeeds.recordings.reports import VerifyReport
from wsfeeds.recordings.verify import verify

from .conftest import FEED, HOUR, NOON, gap, segments, trade

Write = Callable[..., Path]


def causes(root: Path) -> list[str]:
    report = verify([root])
    assert report.ok is not bool(report.damage)
    return [problem.cause for problem in report.damage]


def test_an_intact_recording_is_complete_and_its_gaps_are_told(simple: Path) -> None:
    report = verify([simple])
    assert report.ok
    assert (report.files, report.lines, report.gap_count, report.damaged) == (3, 180, 1, 0)
    (found,) = report.gaps
    assert (found.reason, found.line, found.to_ts) == ("disconnect", 31, NOON + 5)


def edit(path: Path, line: int, change: Callable[[str], str | None]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    changed = change(lines[line - 1])
    lines[line - 1 : line] = [] if changed is None else [changed]
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda line: None, "seq 6 follows 4"),
        (lambda line: line + line, "seq 5 follows 5"),
        (lambda line: line[:40] + "\n", "no event"),
        (lambda line: line.replace('"conn":1', '"conn":"1"'), "no event: Expected `int`"),
        (lambda line: line.replace(',"trade_id":null', ""), "missing required field `trade_id`"),
        (lambda line: line.replace('"4.50"', '"4.5e1"'), "a decimal is not in plain notation"),
        (lambda line: line.replace('"4.50"', "4.5"), "no event: Expected `str | null`"),
        (lambda line: line.replace('"trade"', '"tread"', 1), "no event: Invalid value 'tread'"),
        (lambda line: line.replace('"recv_ts":1', '"recv_ts":0'), "no event: JSON is malformed"),
        (lambda line: line.replace('"recv_ts":17', '"recv_ts":16'), "is less than"),
        (lambda line: "\n", "no event: Input data was truncated"),
        (lambda line: line.replace("BTC", "ETH"), "the manifest says sha256"),
    ],
)
def test_a_changed_line_is_found_and_named(
    simple: Path, change: Callable[[str], str | None], cause: str
) -> None:
    path = segments(simple)[0]
    edit(path, 5, change)
    report = verify([simple])
    assert not report.ok
    assert any(cause in problem.cause for problem in report.damage), report.damage
    assert {problem.path for problem in report.damage} == {str(path)}
    if "sha256" not in cause:
        assert report.damage[0].line in {5, 6}


@pytest.mark.parametrize(
    "member",
    [
        *("kind", "feed", "lines", "bytes", "sha256", "first_seq", "last_seq", "first_recv_ts"),
        *("last_recv_ts", "gaps", "path", "run", "version", "closed"),
    ],
)
def test_a_wrong_member_of_the_manifest_is_found(simple: Path, member: str) -> None:
    path = simple / "manifest.jsonl"

    def change(text: str) -> str:
        line = json.loads(text)
        was = line[member]
        line[member] = was + 1 if isinstance(was, int) else "" if member == "version" else "other"
        return json.dumps(line) + "\n"

    edit(path, 2, change)
    assert causes(simple) != []


def test_a_missing_and_an_unlisted_segment_are_damage(simple: Path) -> None:
    first, _, last = segments(simple)
    first.rename(first.with_name(last.name.replace("14", "20", 1)))
    found = causes(simple)
    assert "is missing, though the manifest lists it" in found
    assert "is not in the manifest" in found


def test_a_segment_in_the_wrong_folder_is_damage(simple: Path) -> None:
    path = segments(simple)[0]
    other = path.parent.with_name("date=2026-11-21")
    other.mkdir()
    path.rename(other / path.name)
    assert any("in a folder of 2026-11-21" in cause for cause in causes(simple))


def test_a_manifest_line_that_was_lost_leaves_a_hole_that_is_named(simple: Path) -> None:
    segments(simple)[1].unlink()
    edit(simple / "manifest.jsonl", 2, lambda _: None)
    assert any("seq 61 to 120 of run" in cause for cause in causes(simple))


def test_a_bad_and_a_doubled_manifest_line_are_damage(simple: Path) -> None:
    path = simple / "manifest.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0], '{"path":"fe\n', lines[0]]))
    found = causes(simple)
    assert any("listed twice" in cause for cause in found)
    assert any("no manifest line" in cause for cause in found)


def test_an_open_segment_with_a_torn_line_is_reported_and_no_damage(simple: Path) -> None:
    path = segments(simple)[-1]
    edit(simple / "manifest.jsonl", 3, lambda _: None)
    part = path.with_name(path.name + ".part")
    path.rename(part)
    with part.open("a") as file:
        file.write('{"type":"tra')
    report = verify([simple])
    assert report.ok
    assert report.open == [str(part)]
    edit(part, 2, lambda _: None)
    assert any("seq 123 follows 121" in cause for cause in causes(simple))


def test_a_segment_that_a_live_recorder_is_closing_is_no_damage(simple: Path) -> None:
    edit(simple / "manifest.jsonl", 3, lambda _: None)
    assert causes(simple) == ["is not in the manifest"]
    lock = FeedLock(simple, FEED)
    lock.acquire()
    try:
        assert verify([simple]).ok
    finally:
        lock.release()


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_a_compressed_segment_that_is_cut_is_damage(write: Write, compress: str) -> None:
    root = write([(NOON + number, [trade(number)]) for number in range(2_000)], compress=compress)
    (path,) = segments(root)
    path.write_bytes(path.read_bytes()[:-20])
    assert causes(root) != []


def test_one_file_and_one_folder_can_be_verified(simple: Path) -> None:
    path = segments(simple)[1]
    assert verify([path]).lines == 60
    assert verify([path.parent]).lines == 180
    assert verify([simple, path]).files == 3


def test_what_subscribe_appended_to_a_file_may_hold_several_runs(tmp_path: Path) -> None:
    path = tmp_path / "trades.jsonl"
    with path.open("wb") as file:
        for _ in range(2):
            for seq in (1, 2, 3):
                event = trade(seq)
                event.seq, event.recv_ts, event.conn = seq, NOON + seq, 1
                file.write(encode(event) + b"\n")
    assert verify([path]).ok


def test_paths_without_a_recording_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        verify([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="no recording"):
        verify([tmp_path])


def test_many_files_are_checked_in_several_processes(
    simple: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = verify([simple])
    monkeypatch.setattr("wsfeeds.recordings.verify._WORTH_PROCESSES", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert verify([simple]) == alone


def test_opaque_parts_may_hold_what_looks_like_a_bad_decimal() -> None:
    event = {"type": "incident", "feed": "igratech", "channel": "incident", "symbol": None}
    event |= {"ts": None, "recv_ts": 1, "seq": 1, "venue_seq": None, "conn": 1}  # type: ignore[dict-item]
    line = json.dumps({**event, "data": {"price": "n/a", "bids": [["x"]]}}).encode() + b"\n"
    assert strict.faulty_decimal(strict.decoder.decode_lines(line)) is None


@pytest.mark.parametrize("levels", [[], [["1.5", "0"]], [["1", "2"], ["3.0", "4"]]])
def test_levels_in_plain_notation_are_accepted(levels: list[Any]) -> None:
    assert strict.faulty_decimal(_books(levels)) is None


@pytest.mark.parametrize("levels", [[["1e5", "0"]], [["1", ""]], ["1"], [["1"]], [["1", 2]], {}])
def test_levels_in_any_other_form_are_faulty(levels: Any) -> None:
    assert "bids or asks" in (strict.faulty_decimal(_books(levels)) or "")


def _books(levels: Any) -> list[Any]:
    book = Book(
        feed=FEED, channel="depth", snapshot=True, synced=True, scale_index=0, bids=levels, asks=[]
    )
    book.seq = book.conn = 1
    return strict.decoder.decode_lines(encode(book) + b"\n")


def test_every_type_of_event_has_its_strict_form() -> None:
    assert {each.__struct_config__.tag for each in strict.STRICT} == set(TYPES)


# --- repair


def mend(root: Path) -> tuple[VerifyReport, list[str]]:
    said: list[str] = []
    repair([root], said.append)
    return verify([root]), said


def test_a_repair_moves_damage_aside_and_leaves_a_recording_that_verifies(simple: Path) -> None:
    path = segments(simple)[1]
    before = path.read_bytes().replace(b'"conn":1', b'"conn":7', 1)
    path.write_bytes(before)
    report, said = mend(simple)
    assert report.ok
    assert report.lines == 120
    assert report.repaired != []
    (aside,) = (simple / "damaged").rglob("*.jsonl.*")
    assert aside.read_bytes() == before
    assert any("seq 61 to 120" in text for text in said)
    assert len(list(simple.glob("manifest.jsonl.*"))) == 1


def test_a_repair_puts_a_wrong_manifest_right_and_keeps_every_segment(simple: Path) -> None:
    path = simple / "manifest.jsonl"
    edit(path, 1, lambda line: line.replace('"lines":60', '"lines":61'))
    edit(path, 3, lambda line: line[:30])
    report, _ = mend(simple)
    assert report.ok
    assert report.lines == 180


def test_a_repair_of_an_intact_recording_changes_nothing(simple: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in simple.rglob("*.jsonl*")}
    report, said = mend(simple)
    assert report.ok
    assert said == []
    assert {path: path.stat().st_mtime_ns for path in simple.rglob("*.jsonl*")} == before


def test_a_repair_waits_for_no_recorder_and_takes_no_single_file(simple: Path) -> None:
    with pytest.raises(UsageError, match="folder of a recording"):
        repair([segments(simple)[0]], print)
    lock = FeedLock(simple, FEED)
    lock.acquire()
    try:
        with pytest.raises(UsageError, match="another recorder"):
            repair([simple], print)
    finally:
        lock.release()


def test_several_runs_in_one_folder_verify(write: Write) -> None:
    root = write([(NOON, [trade(1), trade(2)])])
    write([(NOON + HOUR, [trade(1), gap()])], root=root)
    report = verify([root])
    assert report.ok
    assert len({segment.run for segment in report.segments}) == 2


def test_a_segment_that_cannot_be_unpacked_is_moved_aside(write):
    """Its digest may even be what the manifest says."""
    reads = [(NOON, [trade(1)]), (NOON + HOUR, [trade(2)])]
    folder = write(reads, compress="gzip", rotate_seconds=3600)
    _, path = sorted(folder.glob("feed=*/date=*/*.gz"))
    path.write_bytes(path.read_bytes() + b"junk")
    manifest = folder / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        content = (folder / line["path"]).read_bytes()
        line |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert not verify([folder]).ok
    repair([folder], lambda _: None)
    assert verify([folder]).ok
    assert list((folder / "damaged").rglob("*.gz.*"))


def change_manifest(root: Path, number: int, **members: Any) -> None:
    def change(text: str) -> str:
        return json.dumps(json.loads(text) | members, separators=(",", ":")) + "\n"

    edit(root / "manifest.jsonl", number, change)


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_a_repair_puts_an_empty_segment_aside(write: Write, compress: str) -> None:
    """Whatever the manifest says of it: its digest may even be right."""
    root = write([(NOON + n * HOUR, [trade(n)]) for n in range(3)], compress=compress)
    path = segments(root)[1]
    path.write_bytes(b"")
    change_manifest(root, 2, bytes=0, sha256=hashlib.sha256().hexdigest())
    report, _ = mend(root)
    assert report.ok, report.damage
    assert not path.exists()
    assert [segment.lines for segment in report.segments] == [1, 1]
    assert all(line.first_recv_ts for line in Manifest(root).lines())


@pytest.mark.parametrize(
    "path", ["../recording/{}", "./{}", "feed=cryptomus/../{}", "/{}", "feed=cryptomus//.//../{}"]
)
def test_a_repair_lists_each_segment_once_and_under_its_own_path(simple: Path, path: str) -> None:
    before = Manifest(simple).lines()
    change_manifest(simple, 2, path=path.format(before[1].path))
    assert not verify([simple]).ok
    report, said = mend(simple)
    assert report.ok, report.damage
    after = {line.path: line for line in Manifest(simple).lines()}
    assert len(Manifest(simple).lines()) == 3
    assert {name: line.run for name, line in after.items()} == {
        line.path: line.run for line in before
    }
    assert not list(simple.glob("repairs.jsonl")), said


def test_a_repair_takes_the_kind_from_the_name_of_the_file(simple: Path) -> None:
    before = Manifest(simple).lines()
    change_manifest(simple, 2, kind="frames", first_seq=None, last_seq=None)
    report, _ = mend(simple)
    assert report.ok, report.damage
    assert Manifest(simple).lines() == before


def test_a_manifest_line_about_what_is_no_closed_segment_is_damage_and_repaired(
    simple: Path,
) -> None:
    line = (simple / "manifest.jsonl").read_text().splitlines()[0]
    for number, name in enumerate(("manifest.jsonl", f"feed={FEED}/.lock"), 4):
        with (simple / "manifest.jsonl").open("a") as file:
            file.write(line + "\n")
        change_manifest(simple, number, path=name)
    assert causes(simple) == [
        "manifest.jsonl is no closed segment",
        f"feed={FEED}/.lock is no closed segment",
    ]
    report, _ = mend(simple)
    assert report.ok
    assert len(Manifest(simple).lines()) == 3


def test_a_repair_sees_all_damage_however_much_there_is(
    simple: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports end after a thousand entries."""
    monkeypatch.setattr("wsfeeds.recordings.verify.MOST_LISTED", 1)
    for path in segments(simple)[1:]:
        edit(path, 3, lambda _: "{}\n")
    report, _ = mend(simple)
    assert report.ok
    assert report.files == 1
