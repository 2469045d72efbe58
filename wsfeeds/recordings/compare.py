"""Does a file agree with its name, its folder and its manifest line?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsfeeds.outputs.recorder_files import SegmentFile, date_of
from wsfeeds.outputs.recorder_manifest import ManifestLine
from wsfeeds.recordings.check import Checked
from wsfeeds.recordings.reports import Problem


def misplaced(path: Path, segment: SegmentFile, checked: Checked) -> Iterator[Problem]:
    """Compare a file's place and name with its lines."""
    assert checked.first_recv_ts is not None
    assert checked.last_recv_ts is not None
    if segment.first != checked.first_recv_ts:
        yield about(path, f"its first recv_ts is {checked.first_recv_ts}, not that of its name")
    dates = {date_of(checked.first_recv_ts), date_of(checked.last_recv_ts)}
    if segment.date is not None and dates != {segment.date}:
        yield about(path, f"holds {' and '.join(sorted(dates))} in a folder of {segment.date}")


def differences(
    path: Path, line: ManifestLine, segment: SegmentFile, checked: Checked
) -> Iterator[Problem]:
    """Compare every member of a manifest line with the file."""
    is_events = line.kind == "events"
    found: dict[str, Any] = {
        "kind": segment.kind,
        "feed": segment.feed,
        "lines": checked.lines,
        "bytes": checked.stored,
        "sha256": checked.sha256,
        "first_seq": checked.first_seq if is_events else None,
        "last_seq": checked.last_seq if is_events else None,
        "first_recv_ts": checked.first_recv_ts,
        "last_recv_ts": checked.last_recv_ts,
        "gaps": checked.gaps,
    }
    if checked.runs:
        found["run"] = ", ".join(checked.runs)
    for name, value in found.items():
        told = getattr(line, name)
        if told != value:
            yield about(path, f"the manifest says {name} {told}, the file {value}")
    for name in ("run", "version"):
        if not getattr(line, name):
            yield about(path, f"the manifest says no {name}")


def about(path: Path, cause: str) -> Problem:
    """Return damage of a whole file."""
    return Problem(path=str(path), line=None, cause=cause)
