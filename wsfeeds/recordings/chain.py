"""Do the segments of a run follow one another without a hole? Told from the manifest alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec

from wsfeeds.outputs.recorder_files import MANIFEST
from wsfeeds.outputs.recorder_manifest import ManifestLine
from wsfeeds.recordings.reports import Problem

REPAIRS = "repairs.jsonl"
"""Beside the manifest: numbers that a repair has put out of the recording, knowingly."""


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """Sequence numbers of one run that are not there any more, inclusive."""

    feed: str
    run: str
    from_seq: int
    to_seq: int

    def __str__(self) -> str:
        return f"{self.feed}: seq {self.from_seq} to {self.to_seq} of run {self.run}"


def known_holes(root: Path) -> list[Hole]:
    """Return the holes that repairs have left in a recording."""
    try:
        content = (root / REPAIRS).read_bytes()
        return msgspec.json.Decoder(Hole).decode_lines(content)
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


def broken_chains(root: Path, lines: list[ManifestLine]) -> tuple[list[Problem], list[str]]:
    """Return what is wrong with the order of a recording's event segments.

    Holes that a repair has left are returned apart, in words.
    """
    problems: list[Problem] = []
    known: list[str] = []
    left = {*known_holes(root)}
    for hole in holes(lines):
        if hole in left:
            known.append(f"{hole}: put aside by a repair")
        else:
            cause = f"{hole} are not there"
            problems.append(Problem(path=str(root / MANIFEST), line=None, cause=cause))
    for run in runs(lines):
        for before, after in itertools.pairwise(run):
            path = str(root / after.path)
            if (after.first_seq or 0) <= (before.last_seq or 0):
                cause = f"begins with seq {after.first_seq}, after {before.last_seq}"
                problems.append(Problem(path=path, line=None, cause=cause))
            if after.first_recv_ts < before.last_recv_ts:
                cause = "its recv_ts begins before that of the segment before it ends"
                problems.append(Problem(path=path, line=None, cause=cause))
    return problems, known


def runs(lines: list[ManifestLine]) -> list[list[ManifestLine]]:
    """Return the event segments of each run in the order of their numbers."""
    groups: dict[tuple[str, str], list[ManifestLine]] = {}
    for line in lines:
        if line.kind == "events":
            groups.setdefault((line.feed, line.run), []).append(line)
    return [sorted(group, key=lambda line: line.first_seq or 0) for group in groups.values()]


def holes(lines: list[ManifestLine]) -> list[Hole]:
    """Return the numbers that are missing before and between the segments of each run."""
    found = []
    for run in runs(lines):
        last = 0
        for line in run:
            first = line.first_seq or 0
            if first > last + 1:
                hole = Hole(feed=line.feed, run=line.run, from_seq=last + 1, to_seq=first - 1)
                found.append(hole)
            last = max(last, line.last_seq or 0)
    return found


def unexpected_start(path: Path, first_seq: int, ends: list[int]) -> Problem | None:
    """Return what is wrong with an unlisted segment that goes on nowhere."""
    if first_seq == 1 or first_seq - 1 in ends:
        return None
    cause = f"begins with seq {first_seq}, and no segment ends with {first_seq - 1}"
    return Problem(path=str(path), line=1, cause=cause)
