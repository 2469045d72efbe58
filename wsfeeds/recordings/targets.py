"""What a verification looks at: files, and the folders whose manifests speak of them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import msgspec

from wsfeeds.outputs.recorder_files import SegmentFile
from wsfeeds.outputs.recorder_manifest import ManifestLine
from wsfeeds.recordings.check import Job


class Target(msgspec.Struct):
    """One file to be checked, and what the manifest says of it."""

    path: Path
    job: Job
    segment: SegmentFile | None = None
    listed: ManifestLine | None = None
    closing: bool = False
    """Whether a recorder is about to list it."""


class Folder(msgspec.Struct):
    """A recording, or the part of one that was asked for."""

    root: Path
    lines: dict[str, ManifestLine] = {}


def relative(path: Path, root: Path) -> str | None:
    """Return a path as the manifest in `root` has it, None if it lies elsewhere."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  # symbolic links stay as they were given
    root = Path(os.path.abspath(root))  # noqa: PTH100  # as above
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def leads_out(name: str) -> bool:
    """Tell whether a manifest's path is no path of a file below it."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or not path.parts
