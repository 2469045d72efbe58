"""What is said of a recording's damage by commands that read on behind it."""

from __future__ import annotations

from wsfeeds.cli.console import logger
from wsfeeds.errors import RecordingDamaged

_MOST = 10


class Damage:
    """Names the first bad lines on stderr, and at the end how many there were.

    Nobody asked `replay` or `stats` for an audit, so damage is no failure of theirs; `verify`
    finds all of it and exits with 5.
    """

    def __init__(self) -> None:
        """Have seen none."""
        self.count = 0
        self.rests = 0

    def __call__(self, damage: RecordingDamaged) -> None:
        """Take one piece of damage into account."""
        self.count += 1
        self.rests += damage.rest
        if self.count <= _MOST:
            logger.warning("left out: %s", damage.message)

    def summarise(self) -> None:
        """Say how much was left out, if anything was."""
        if self.count:
            parts = [
                _counted(self.count - self.rests, "one line", "lines"),
                _counted(self.rests, "the rest of one file", "rests of files"),
            ]
            what = " and ".join(part for part in parts if part)
            verb = "was" if self.count == 1 else "were"
            logger.warning(
                "%s %s left out of the recording; `wsfeeds verify` tells more", what, verb
            )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {many}" if number > 1 else one * number
