"""What an earlier run left behind: open segments are closed, unlisted ones are listed.

Nothing that can be read is ever cut: only what follows the last readable line of an open segment
goes, which a crash tore off (half a line, or the zeros of a file system that lost its power).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from wsfeeds.outputs.recorder_closing import Finished, Step, close_segment, manifest_line
from wsfeeds.outputs.recorder_codec import digest_of, open_plain, read_errors
from wsfeeds.outputs.recorder_files import (
    ENDINGS,
    Compression,
    SegmentFile,
    feed_folder,
    final_path,
    segments_below,
)
from wsfeeds.outputs.recorder_manifest import Manifest, ManifestLine
from wsfeeds.outputs.recorder_scan import Scan, last_heard, scan

_CHUNK = 1 << 20
_ASIDE = ".aside"
Say = Callable[[str], None]


class Adoption:
    """Puts one feed's folder in order before a new run writes there."""

    def __init__(
        self,
        root: Path,
        feed: str,
        *,
        compression: Compression,
        last_run: str | None,
        new_run: Callable[[int], str],
        say: Say,
        step: Step,
    ) -> None:
        """Prepare; `last_run` is whose open segments are to be expected."""
        self._root = root
        self._feed = feed
        self._compression = compression
        self._last_run = last_run
        self._new_run = new_run
        self._say = say
        self._step = step
        self._manifest = Manifest(root)

    def adopt(self) -> int | None:
        """Put everything in order and return when the last frame came, None in a new recording.

        Raises:
            OSError: Something cannot be read or written.
        """
        self._manifest.heal()
        known = [line for line in self._manifest.lines() if line.feed == self._feed]
        listed = {line.path for line in known}
        found = sorted(
            segments_below(feed_folder(self._root, self._feed)), key=lambda each: each.first
        )
        parts = [segment for segment in found if segment.state == "part"]
        half_closed = {(part.path.parent, part.stem) for part in parts}
        for segment in found:
            if segment.state == "unfinished":
                segment.path.unlink()
            elif segment.state == "closed" and (
                (segment.path.parent, segment.stem) not in half_closed
                and segment.path.relative_to(self._root).as_posix() not in listed
            ):
                known += self._list(segment, known)
        for part in parts:
            known += self._adopt_part(part, listed, known)
        return self._last_heard(known)

    def _last_heard(self, known: list[ManifestLine]) -> int | None:
        """Return when any run received its last frame; where none did, when the first one began.

        Runs that never got as far as a subscription have segments too, but lost what they missed.
        """
        last: int | None = None
        for line in sorted(known, key=lambda each: each.last_recv_ts, reverse=True):
            if last is not None and line.last_recv_ts <= last:
                break
            try:
                found = last_heard(self._root / line.path)
            except OSError:  # moved away: only the manifest knows
                found = line.last_recv_ts
            except read_errors():
                found = line.last_recv_ts
            if found is not None:
                last = found if last is None else max(last, found)
        return min((line.first_recv_ts for line in known), default=None) if last is None else last

    def _adopt_part(
        self, segment: SegmentFile, listed: set[str], known: list[ManifestLine]
    ) -> list[ManifestLine]:
        twin = self._twin(segment)
        if twin is not None and not self._settle_twin(segment, twin, listed):
            return []
        content = scan(segment.path, segment.kind)
        if not content.lines:
            segment.path.unlink()
            return []
        self._cut(segment.path, content)
        finished = self._finished(segment, content, known)
        final = close_segment(finished, self._manifest, self._compression, self._step)
        self._say(f"recovered {final.name}: {content.lines} lines of an earlier run")
        lines = [line for line in self._manifest.lines() if line.feed == self._feed]
        return lines[-1:]

    def _settle_twin(self, segment: SegmentFile, twin: Path, listed: set[str]) -> bool:
        """Decide between the open and the closed form; tell whether the open one is to be closed.

        A closing that was interrupted before its manifest line is done again, whole. Two forms that
        differ are both kept, one of them under a name that no reader takes.
        """
        is_listed = twin.relative_to(self._root).as_posix() in listed
        if _same_content(segment.path, twin):
            (segment.path if is_listed else twin).unlink()
        else:
            self._set_aside(segment.path if is_listed else twin, "differs from its twin")
        return not is_listed

    def _set_aside(self, path: Path, why: str) -> None:
        path.rename(path.with_name(path.name + _ASIDE))
        self._say(f"{path.name} {why} and was set aside ({_ASIDE})")

    def _twin(self, segment: SegmentFile) -> Path | None:
        """Return the closed form of an open segment, left by an interrupted closing."""
        for compression in ENDINGS:
            final = final_path(segment.path, compression)
            if final.exists():
                return final
        return None

    def _cut(self, path: Path, content: Scan) -> None:
        torn = path.stat().st_size - content.size
        with path.open("r+b") as file:
            if torn:
                self._say(f"{path.name}: cutting {torn} bytes of a torn line")
                file.truncate(content.size)
            os.fsync(file.fileno())

    def _list(self, segment: SegmentFile, known: list[ManifestLine]) -> list[ManifestLine]:
        content = scan(segment.path, segment.kind)
        if not content.lines:
            self._set_aside(segment.path, "holds no line")
            return []
        finished = self._finished(segment, content, known)
        size, digest = digest_of(segment.path)
        line = manifest_line(finished, segment.path, size, digest, root=self._root)
        self._manifest.append(line)
        self._say(f"listed {segment.path.name}, which the manifest did not know")
        return [line]

    def _finished(self, segment: SegmentFile, content: Scan, known: list[ManifestLine]) -> Finished:
        return Finished(
            part=segment.path,
            kind=segment.kind,
            feed=self._feed,
            run=self._run_of(segment, content, known),
            lines=content.lines,
            first_seq=content.first_seq,
            last_seq=content.last_seq,
            first_recv_ts=content.first_recv_ts,
            last_recv_ts=content.last_recv_ts,
            gaps=content.gaps,
            closed="recovered",
        )

    def _run_of(self, segment: SegmentFile, content: Scan, known: list[ManifestLine]) -> str:
        """Tell the run: frames name it, events go on where the last segment of the run ended."""
        if content.run is not None:
            return content.run
        return find_run(content, known, self._last_run) or self._new_run(segment.first)


def find_run(content: Scan, known: list[ManifestLine], last_run: str | None) -> str | None:
    """Return the run that events belong to, as far as the manifest and the lock can tell."""
    events = [line for line in known if line.kind == "events"]
    if content.first_seq == 1:
        taken = any(line.run == last_run for line in events)
        return None if taken else last_run
    for line in reversed(events):
        if line.last_seq is not None and line.last_seq + 1 == content.first_seq:
            return line.run
    return last_run


def _same_content(part: Path, closed: Path) -> bool:
    """Tell whether a closed segment holds all of the open one, whatever it is stored as."""
    try:
        with part.open("rb") as one, open_plain(closed) as other:
            while chunk := one.read(_CHUNK):
                if _read(other.read, len(chunk)) != chunk:
                    return False
            return not other.read(1)
    except read_errors():
        return False


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    """Read so many bytes, from a reader that may return fewer at a time."""
    parts = b""
    while len(parts) < size and (more := read(size - len(parts))):
        parts += more
    return parts
