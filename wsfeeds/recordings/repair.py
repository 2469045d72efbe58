"""`wsfeeds verify --repair`: damaged segments are moved aside, the manifest is written anew.

Nothing is deleted: segments go below `damaged/`, the old manifest gets another name, and the
numbers that are missing from then on are noted in `repairs.jsonl`, so that `verify` knows them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from wsfeeds.clock import Clock
from wsfeeds.errors import OutputFailed, UsageError
from wsfeeds.outputs.recorder import new_run
from wsfeeds.outputs.recorder_adoption import Adoption
from wsfeeds.outputs.recorder_closing import Finished, manifest_line
from wsfeeds.outputs.recorder_codec import digest_of
from wsfeeds.outputs.recorder_files import (
    MANIFEST,
    SegmentFile,
    parse_name,
    root_of,
    stamp,
    sync_folder,
)
from wsfeeds.outputs.recorder_lock import FeedLock
from wsfeeds.outputs.recorder_manifest import Manifest, ManifestLine
from wsfeeds.outputs.recorder_scan import scan
from wsfeeds.recordings.chain import REPAIRS, holes, known_holes
from wsfeeds.recordings.reports import Problem
from wsfeeds.recordings.sources import live_segments
from wsfeeds.recordings.targets import relative
from wsfeeds.recordings.verify import EMPTY, Audit

DAMAGED = "damaged"
Say = Callable[[str], None]


def repair(paths: Sequence[str | os.PathLike[str]], say: Say) -> None:
    """Bring recordings into a state that verifies; each path must be a recording's folder.

    Raises:
        UsageError: A path is no recording, or a recorder is writing there.
        OutputFailed: Something could not be written.
    """
    roots = dict.fromkeys(_root(Path(path)) for path in paths)
    for root in roots:
        try:
            with _locked(root) as feeds:
                _Repair(root, feeds, say).run()
        except OSError as error:
            raise OutputFailed(f"cannot repair {root}: {error.strerror or error}") from error


def _root(path: Path) -> Path:
    root = root_of(path) if path.is_dir() else None
    if root is None:
        raise UsageError(f"--repair takes the folder of a recording, which {path} is not")
    return root


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[dict[str, FeedLock]]:
    """Keep recorders away from every feed meanwhile."""
    with contextlib.ExitStack() as stack:
        locks = {}
        for folder in sorted(root.glob("feed=*")):
            feed = folder.name.removeprefix("feed=")
            lock = locks[feed] = FeedLock(root, feed)
            lock.acquire()
            stack.callback(lock.release)
        yield locks


class _Repair:
    def __init__(self, root: Path, feeds: dict[str, FeedLock], say: Say) -> None:
        self._root = root
        self._feeds = feeds
        self._say = say
        self._manifest = Manifest(root)
        self._stamp = stamp(Clock().now())

    def run(self) -> None:
        """Move aside what is damaged, close and list the rest, write the manifest anew."""
        audit = Audit([self._root])
        report = audit.run()
        if report.ok and not report.open:
            return
        bad = self._damaged(audit.problems)
        for path in bad:
            self._move_aside(path)
        self._rebuild()
        for feed, lock in self._feeds.items():
            self._adopt(feed, lock)
        self._note_holes()

    def _damaged(self, problems: list[Problem]) -> list[Path]:
        """Return the segments whose lines or bytes are not what was written."""
        closed = {str(segment.path): segment for segment in live_segments(self._root)}
        listed = {str(self._root / line.path): line for line in self._manifest.lines()}
        bad = []
        for path in dict.fromkeys(problem.path for problem in problems):
            if path not in closed:
                continue
            causes = [problem for problem in problems if problem.path == path]
            line = listed.get(path)
            lines_are_bad = any(problem.line is not None for problem in causes)
            changed = line is not None and (line.bytes, line.sha256) != digest_of(Path(path))
            misplaced = any(
                "folder of" in each.cause or "its name" in each.cause for each in causes
            )
            useless = any("cannot be read" in each.cause or each.cause == EMPTY for each in causes)
            if lines_are_bad or changed or misplaced or useless:
                bad.append(Path(path))
        return bad

    def _move_aside(self, path: Path) -> None:
        target = self._root / DAMAGED / f"{path.relative_to(self._root)}.{self._stamp}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        sync_folder(target.parent)
        sync_folder(path.parent)
        self._say(f"moved {path.name} to {target}")

    def _rebuild(self) -> None:
        """Keep the lines whose files are there, with members that are true."""
        kept: dict[str, ManifestLine] = {}
        for line in self._manifest.lines():
            name = relative(self._root / line.path, self._root)
            path = self._root / (name or "")
            inside = path.resolve().is_relative_to(self._root.resolve())
            segment = parse_name(path)
            if name is None or segment is None or segment.state != "closed":
                continue
            if inside and path.exists() and name not in kept:
                kept[name] = self._true_line(segment, line)
        if self._manifest.path.exists():
            old = self._manifest.path.with_name(f"{MANIFEST}.{self._stamp}")
            self._manifest.replace(list(kept.values()), keep_as=old)
            self._say(f"wrote the manifest anew; the old one is {old.name}")

    def _true_line(self, segment: SegmentFile, line: ManifestLine) -> ManifestLine:
        path = segment.path
        content = scan(path, segment.kind)
        size, digest = digest_of(path)
        return manifest_line(
            Finished(
                part=path,
                kind=segment.kind,
                feed=segment.feed or line.feed,
                run=content.run or line.run or new_run(content.first_recv_ts),
                lines=content.lines,
                first_seq=content.first_seq,
                last_seq=content.last_seq,
                first_recv_ts=content.first_recv_ts,
                last_recv_ts=content.last_recv_ts,
                gaps=content.gaps,
                closed=line.closed,
            ),
            path,
            size,
            digest,
            root=self._root,
        )

    def _adopt(self, feed: str, lock: FeedLock) -> None:
        Adoption(
            self._root,
            feed,
            compression="none",
            last_run=lock.last_run(),
            new_run=new_run,
            say=self._say,
            step=lambda _: None,
        ).adopt()

    def _note_holes(self) -> None:
        known = known_holes(self._root)
        fresh = [hole for hole in holes(self._manifest.lines()) if hole not in known]
        if not fresh:
            return
        path = self._root / REPAIRS
        with path.open("ab") as file:
            file.writelines(msgspec.json.encode(hole) + b"\n" for hole in fresh)
            file.flush()
            os.fsync(file.fileno())
        for hole in fresh:
            self._say(f"{hole} are not there any more")
