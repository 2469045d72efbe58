"""What `verify` takes amiss in lines that can be read, and what it knows that a crash leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsfeeds.recordings.verify import verify

from .conftest import segments
from .test_verify import causes, edit


@pytest.mark.parametrize("size", [3, 12, 60, 150])
def test_a_torn_last_manifest_line_is_reported_like_an_open_segment(
    simple: Path, size: int
) -> None:
    """A kill -9 left it, and the next start lists the segment that it was about."""
    path = simple / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[-1][:size]]))
    report = verify([simple])
    assert report.ok, report.damage
    assert report.open == [str(segments(simple)[-1]), str(path)]
    assert verify([simple, segments(simple)[-1]]) == report
    path.write_bytes(b"".join([*lines[:-2], lines[-1][:size]]))  # here one more is not listed
    assert causes(simple) == ["is not in the manifest"]


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


def test_a_recording_that_is_named_twice_is_checked_once(simple: Path) -> None:
    segments(simple)[0].unlink()
    once, part = verify([simple]), next(iter(simple.glob("feed=*")))
    twice = verify([simple, str(simple) + "/.", part, segments(simple)[0]])
    assert (twice.files, twice.lines, twice.damaged) == (once.files, once.lines, once.damaged)
