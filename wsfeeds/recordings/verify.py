"""`wsfeeds verify`: does a recording hold what its manifest says, whole and in order?

Damage is what a reader could be misled by: a line that is no event, a hole in `seq`, a file that is
missing, changed or unlisted. Reported gaps and open segments are part of an honest recording.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wsfeeds.errors import UsageError
from wsfeeds.outputs.recorder_files import (
    parse_name,
    root_of,
)
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_manifest import Manifest
from wsfeeds.recordings.chain import broken_chains, unexpected_start
from wsfeeds.recordings.check import MOST_LISTED, Checked, Job, check
from wsfeeds.recordings.compare import about, differences, misplaced
from wsfeeds.recordings.reports import GapFound, Problem, SegmentChecked, VerifyReport
from wsfeeds.recordings.sources import check_readable, head_of, live_segments
from wsfeeds.recordings.targets import Folder, Target, leads_out, relative

_WORTH_PROCESSES = 64_000_000
"""Bytes below which starting processes takes longer than it saves."""

EMPTY = "an empty segment"

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are checked."""


def verify(
    paths: Sequence[str | os.PathLike[str]], progress: Progress | None = None
) -> VerifyReport:
    """Audit recordings, parts of them, or single files.

    Raises:
        UsageError: A path does not exist, or there is no recording in it.
    """
    return Audit(paths).run(progress)


class Audit:
    """One verification: what is to be checked, then what came out of it."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        """Find the files.

        Raises:
            UsageError: A path does not exist, or there is no recording in it.
        """
        self.targets: dict[Path, Target] = {}
        self.folders: dict[Path, Folder] = {}
        self.problems: list[Problem] = []
        self.torn: list[str] = []
        self._told: set[Problem] = set()
        self.known_holes: list[str] = []
        for path in map(Path, paths):
            check_readable(path)
            self._add(path)

    def run(self, progress: Progress | None = None) -> VerifyReport:
        """Check everything and return the report."""
        results = dict(zip(self.targets, self._checked(progress), strict=True))
        for path, checked in results.items():
            self.problems += self._judge(self.targets[path], checked)
        for folder in self.folders.values():
            parts = [
                (target, results[path])
                for path, target in self.targets.items()
                if target.listed is None and target.segment is not None
            ]
            self._judge_order(folder, parts)
        return self._report(results)

    # --- what is there

    def _add(self, path: Path) -> None:
        root = root_of(path)
        folder = None if root is None else self._folder(root)
        if path.is_file():
            self._target(path, folder)
            return
        segments = live_segments(path)
        if folder is None or not (segments or folder.lines):
            raise UsageError(f"there is no recording in {path}")
        for segment in segments:
            self._target(segment.path, folder)
        self._look_for_missing(folder, path)

    def _folder(self, root: Path) -> Folder:
        if root not in self.folders:
            folder = self.folders[root] = Folder(root)
            manifest = Manifest(root)
            if manifest.torn():
                self.torn.append(str(manifest.path))
            for number, (text, line) in enumerate(manifest.readable(), 1):
                if line is None:
                    cause = f"no manifest line: {text[:60].decode(errors='replace')!r}"
                    self._problem(manifest.path, cause, line=number)
                elif leads_out(line.path):
                    self._problem(manifest.path, f"{line.path} leads out of it", line=number)
                elif not _is_closed(root / line.path):
                    self._problem(manifest.path, f"{line.path} is no closed segment", line=number)
                elif line.path in folder.lines:
                    self._problem(manifest.path, f"{line.path} is listed twice", line=number)
                else:
                    folder.lines[line.path] = line
        return self.folders[root]

    def _target(self, path: Path, folder: Folder | None) -> None:
        key = Path(os.path.realpath(path))
        if key in self.targets:  # named twice
            return
        segment = parse_name(path)
        is_open = segment is not None and segment.state == "part"
        listed = None
        closing = False
        if folder is not None and segment is not None and not is_open:
            name = relative(path, folder.root)
            listed = folder.lines.get(name or "")
            if listed is None:
                closing = FeedLock(folder.root, segment.feed or "").is_held()
        kind = segment.kind if segment else "frames" if head_of(path)[2] else "events"
        job = Job(
            str(path),
            kind,
            is_open=is_open,
            digest=listed is not None,
            feed=segment.feed if segment else None,
            restarts=segment is None,
        )
        self.targets[key] = Target(path, job, segment, listed, closing)

    def _look_for_missing(self, folder: Folder, scope: Path) -> None:
        scope = scope.absolute()
        for line in folder.lines.values():
            path = folder.root / line.path
            if path.is_relative_to(scope) and not path.exists():
                self._problem(path, "is missing, though the manifest lists it")

    # --- the work

    def _checked(self, progress: Progress | None) -> list[Checked]:
        jobs = [target.job for target in self.targets.values()]
        sizes = [_size(job.path) for job in jobs]
        total, done, results = sum(sizes), 0, []
        for size, checked in zip(sizes, _run_all(jobs, total), strict=True):
            results.append(checked)
            done += size
            if progress is not None:
                progress(done, total)
        return results

    # --- what came out

    def _judge(self, target: Target, checked: Checked) -> Iterator[Problem]:
        if target.job.is_open and not target.path.exists():
            return  # it was closed while we looked
        yield from checked.problems
        hidden = checked.problem_count - len(checked.problems)
        if hidden > 0:
            yield about(target.path, f"and {hidden} more")
        segment = target.segment
        if segment is None:
            return
        if checked.first_recv_ts is not None:
            yield from misplaced(target.path, segment, checked)
        elif not target.job.is_open:
            yield about(target.path, EMPTY)
        if target.listed is not None:
            yield from differences(target.path, target.listed, segment, checked)
        elif segment.state == "closed" and segment.feed is not None and not target.closing:
            yield about(target.path, "is not in the manifest")

    def _judge_order(self, folder: Folder, parts: list[tuple[Target, Checked]]) -> None:
        feeds = {target.segment.feed for target in self.targets.values() if target.segment}
        lines = [
            line for line in folder.lines.values() if line.feed in feeds and line.kind == "events"
        ]
        broken, known = broken_chains(folder.root, lines)
        self.problems += broken
        self.known_holes += known
        ends: dict[str | None, list[int]] = {}
        for line in lines:
            ends.setdefault(line.feed, []).append(line.last_seq or 0)
        inside = [
            (target, checked)
            for target, checked in parts
            if target.job.kind == "events" and root_of(target.path) == folder.root
        ]
        for target, checked in sorted(inside, key=lambda each: each[0].path.name):
            feed = target.segment.feed if target.segment else None
            if checked.first_seq is not None and checked.last_seq is not None:
                problem = unexpected_start(target.path, checked.first_seq, ends.get(feed, []))
                if problem is not None:
                    self.problems.append(problem)
                ends.setdefault(feed, []).append(checked.last_seq)

    def _problem(self, path: Path, cause: str, *, line: int | None = None) -> None:
        problem = Problem(path=str(path), line=line, cause=cause)
        if problem not in self._told:  # the same folder may have been named twice
            self._told.add(problem)
            self.problems.append(problem)

    def _report(self, results: dict[Path, Checked]) -> VerifyReport:
        gaps: list[GapFound] = []
        for checked in results.values():
            gaps += checked.gaps_found[: MOST_LISTED - len(gaps)]
        targets = self.targets
        return VerifyReport(
            ok=not self.problems,
            files=len(results),
            lines=sum(checked.lines for checked in results.values()),
            bytes=sum(checked.stored for checked in results.values()),
            damaged=len(self.problems),
            gap_count=sum(checked.gaps for checked in results.values()),
            damage=self.problems[:MOST_LISTED],
            gaps=gaps,
            open=[
                *(str(each.path) for each in targets.values() if each.job.is_open or each.closing),
                *self.torn,
            ],
            segments=[_summary(targets[path], checked) for path, checked in results.items()],
            repaired=self.known_holes,
        )


def _run_all(jobs: list[Job], total: int) -> Iterator[Checked]:
    """Check files in order, several at a time where that pays."""
    workers = min(len(jobs), os.cpu_count() or 1)
    if workers < 2 or total < _WORTH_PROCESSES:
        yield from map(check, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(check, jobs)


def _summary(target: Target, checked: Checked) -> SegmentChecked:
    listed = target.listed
    run = listed.run if listed else (checked.runs[0] if checked.runs else None)
    return SegmentChecked(
        path=str(target.path),
        kind=target.job.kind,
        feed=target.segment.feed if target.segment else None,
        run=run,
        state="open" if target.job.is_open else "closed",
        lines=checked.lines,
        bytes=checked.stored,
        first_recv_ts=checked.first_recv_ts,
        last_recv_ts=checked.last_recv_ts,
        first_seq=checked.first_seq,
        last_seq=checked.last_seq,
        gaps=checked.gaps,
    )


def _is_closed(path: Path) -> bool:
    segment = parse_name(path)
    return segment is not None and segment.state == "closed"


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
