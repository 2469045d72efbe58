"""What `verify` takes amiss in lines that can be read, and what it knows that a crash leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.recordings.verify import verify

from .conftest import FEED, NOON, gap, segments, trade
from .test_verify import edit


@pytest.mark.parametrize("size", [3, 12, 60, 150])
def test_a_segment_whose_manifest_line_is_torn_is_not_listed(simple: Path, size: int) -> None:
    """A kill -9 left it, and the next start lists the segment that it was about."""
    path = simple / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[-1][:size]]))
    report = verify([simple])
    assert [(each.path, each.cause) for each in report.damage] == [
        (str(segments(simple)[-1]), "is not in the manifest")
    ]
    assert report.open == [str(path)]
    assert verify([simple, segments(simple)[-1]]) == report
    lock = FeedLock(simple, FEED)
    lock.acquire()  # a recorder is about to write the rest
    assert verify([simple]).ok
    lock.release()
    recorder = Recorder(simple, FEED, Policy(), on_error=print)
    recorder.open()
    recorder.close()
    assert verify([simple]).ok


@pytest.mark.parametrize("path", ["../outside.jsonl", "/etc/hostname", "feed=x/../../outside"])
def test_a_manifest_line_that_leads_out_of_the_recording_is_damage(simple: Path, path: str) -> None:
    (simple.parent / "outside.jsonl").write_text("{}")
    manifest = simple / "manifest.jsonl"
    line = json.loads(manifest.read_text().splitlines()[0]) | {"path": path}
    with manifest.open("a") as file:
        file.write(json.dumps(line) + "\n")
    (problem,) = verify([simple]).damage
    assert (problem.path, problem.line) == (str(manifest), 4)
    assert "leads out" in problem.cause


def test_an_event_of_another_feed_is_damage(simple: Path) -> None:
    edit(segments(simple)[1], 5, lambda line: line.replace('"cryptomus"', '"igratech"', 1))
    found = [problem for problem in verify([simple]).damage if problem.line == 5]
    assert [each.cause for each in found] == ["an event of igratech in a folder of cryptomus"]


def test_keys_in_another_order_are_damage(simple: Path) -> None:
    def swap(line: str) -> str:
        members = json.loads(line)
        return json.dumps(dict(sorted(members.items())), separators=(",", ":")) + "\n"

    edit(segments(simple)[0], 7, swap)
    found = [problem for problem in verify([simple]).damage if problem.line == 7]
    assert [problem.cause for problem in found] == ["its keys are not in the documented order"]


def test_a_key_that_nobody_documented_is_damage(simple: Path) -> None:
    edit(segments(simple)[0], 7, lambda line: line.replace("}", ',"mine":1}'))
    found = [problem for problem in verify([simple]).damage if problem.line == 7]
    assert [problem.cause for problem in found] == ["an unknown key 'mine'"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda line: line.replace("\n", "\r\n"), "ends in \\r\\n"),
        (lambda line: line.replace(',"price"', ', "price"'), "not compact"),
        (lambda line: line.replace("}", " }"), "it is not compact"),
        (lambda line: line.replace("}", ',"price":"6.50"}'), "a key twice"),
        (lambda line: line.replace("BTC", "\\u0042TC"), "needs no escape"),
        (lambda line: line.replace('"conn":1', '"conn":0'), "conn 0 is less than one"),
        (lambda line: line.replace('"conn":1', '"conn":-1'), "conn -1 is less than one"),
    ],
)
def test_an_event_that_is_written_otherwise_is_damage(
    simple: Path, change: Callable[[str], str], cause: str
) -> None:
    path = segments(simple)[0]
    lines = path.read_text().splitlines(keepends=True)
    path.write_bytes("".join([*lines[:6], change(lines[6]), *lines[7:]]).encode())
    found = [each.cause for each in verify([simple]).damage if each.line == 7]
    assert len(found) == 1
    assert cause in found[0]


def test_numbers_count_from_one_but_facts_may_precede_the_first_connection(
    write: Callable[..., Path],
) -> None:
    root = write([(NOON, [gap(), trade(1)])])
    (path,) = segments(root)
    edit(path, 1, lambda line: line.replace('"conn":1', '"conn":0').replace('"seq":1', '"seq":0'))
    edit(path, 2, lambda line: line.replace('"seq":2', '"seq":1'))
    found = [each.cause for each in verify([root]).damage if each.line is not None]
    assert found == ["seq 0 is less than one"]


def test_a_recording_that_is_named_twice_is_checked_once(simple: Path) -> None:
    segments(simple)[0].unlink()
    once, part = verify([simple]), next(iter(simple.glob("feed=*")))
    twice = verify([simple, str(simple) + "/.", part, segments(simple)[0]])
    assert (twice.files, twice.lines, twice.damaged) == (once.files, once.lines, once.damaged)


@pytest.fixture
def framed(tmp_path: Path) -> Path:
    """An `open` line, one frame out, a text and a binary frame in."""
    recorder = Recorder(tmp_path, FEED, Policy(capture="frames"), on_error=print)
    recorder.open()
    tap = recorder.tap
    assert tap is not None
    about = {"url": "ws://there", "symbols": ["BTC_USDT"], "channels": [], "settings": {"a": 1}}
    tap.opened(NOON, 1, about, dict)
    tap.outbound(NOON + 1, 1, "{}")
    tap.inbound(NOON + 2, 1, b'{"a":1}', False)
    tap.inbound(NOON + 3, 1, b"\xff", True)
    recorder.close()
    return tmp_path


def without(key: str) -> Callable[[str], str]:
    def change(line: str) -> str:
        members = json.loads(line)
        del members[key]
        return json.dumps(members, separators=(",", ":")) + "\n"

    return change


@pytest.mark.parametrize(
    ("number", "change", "cause"),
    [
        *((1, without(key), f"`{key}`") for key in ("conn", "run", "url", "symbols", "channels")),
        (1, without("settings"), "`settings`"),
        (1, lambda line: line.replace('"url"', '"frame":"","url"'), "unknown field `frame`"),
        *((number, without("frame"), "`frame`") for number in (2, 3, 4)),
        (2, lambda line: line.replace('"frame"', '"run":"x","frame"'), "unknown field `run`"),
        (3, lambda line: line.replace('"frame"', '"zz":1,"frame"'), "unknown field `zz`"),
        (3, lambda line: line.replace('"in"', '"by"'), "Invalid value 'by'"),
        (3, lambda line: line.replace('"conn":1', '"conn":0'), "`int` >= 1"),
        (4, lambda line: line.replace("/w==", "@@"), "no base64"),
        (3, lambda line: line.replace("}\n", "}\r\n"), "ends in \\r\\n"),
    ],
)
def test_a_line_that_has_not_the_shape_of_a_frames_line_is_damage(
    framed: Path, number: int, change: Callable[[str], str], cause: str
) -> None:
    assert verify([framed]).ok
    edit(segments(framed)[0], number, change)
    found = [each.cause for each in verify([framed]).damage if each.line == number]
    assert len(found) == 1
    assert cause in found[0]
