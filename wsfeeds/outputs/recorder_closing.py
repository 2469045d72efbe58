"""How a segment is closed: step by step, each of which may be the last one before a crash.

Sync, (compress, sync,) rename, sync of the folder, manifest line: contract, section 6. Wherever a
crash comes in between, the next start finds either the open segment or the closed one, whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from wsfeeds.outputs.recorder_codec import compress, digest_of
from wsfeeds.outputs.recorder_files import (
    UNFINISHED,
    Compression,
    Kind,
    final_path,
    sync_folder,
)
from wsfeeds.outputs.recorder_manifest import Closed, Manifest, ManifestLine

Step = Callable[[str], None]
"""Told the name of each step before it is taken: tests stop the process there."""


class Finished(msgspec.Struct, kw_only=True):
    """A segment that is written to its end and synced, under its open name."""

    part: Path
    kind: Kind
    feed: str
    run: str
    lines: int
    first_seq: int | None
    last_seq: int | None
    first_recv_ts: int
    last_recv_ts: int
    gaps: int
    closed: Closed
    stored: tuple[int, str] | None = None
    """Size and sha256 where they are known from writing."""


def close_segment(
    segment: Finished, manifest: Manifest, compression: Compression, step: Step
) -> Path:
    """Give a finished segment its final form, name and manifest line; return its path.

    Raises:
        OSError: It could not be done; the segment is still there under its open name.
    """
    final = final_path(segment.part, compression)
    if compression == "none":
        stored = segment.stored or digest_of(segment.part)
        step("rename")
        segment.part.rename(final)
    else:
        stored = _compress(segment.part, final, compression, step)
    try:
        step("sync the folder")
        sync_folder(final.parent)
        step("manifest")
        manifest.append(manifest_line(segment, final, *stored, root=manifest.path.parent))
    except OSError:
        _undo(segment.part, final)
        raise
    if compression != "none":
        step("remove the plain one")
        segment.part.unlink()
        sync_folder(final.parent)
    step("done")
    return final


def _compress(part: Path, final: Path, compression: Compression, step: Step) -> tuple[int, str]:
    step("compress")
    fresh = final.with_name(final.name + UNFINISHED)
    try:
        stored = compress(part, fresh, compression)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    step("rename")
    fresh.rename(final)
    return stored


def _undo(part: Path, final: Path) -> None:
    """Leave the segment open rather than closed without a manifest line."""
    with contextlib.suppress(OSError):
        if part.exists():
            final.unlink()
        else:
            final.rename(part)


def manifest_line(
    segment: Finished, final: Path, size: int, digest: str, *, root: Path
) -> ManifestLine:
    """Return what the manifest says of a closed segment."""
    return ManifestLine(
        path=final.relative_to(root).as_posix(),
        kind=segment.kind,
        feed=segment.feed,
        run=segment.run,
        lines=segment.lines,
        bytes=size,
        sha256=digest,
        first_seq=segment.first_seq,
        last_seq=segment.last_seq,
        first_recv_ts=segment.first_recv_ts,
        last_recv_ts=segment.last_recv_ts,
        gaps=segment.gaps,
        closed=segment.closed,
    )


def sync_and_close(fd: int) -> None:
    """Bring an open segment to the disk and close it.

    Raises:
        OSError: The disk did not take it.
    """
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
