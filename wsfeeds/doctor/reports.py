"""What `doctor --json` prints: the shapes, and their JSON Schema's source."""

from __future__ import annotations

from typing import Literal

import msgspec

Name = Literal["settings", "dns", "connect", "tls", "clock", "token", "upgrade", "first_event"]
Status = Literal["ok", "warning", "failed", "skipped"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was found, and where something is wrong, what to do about it.

    `code` is the exit code that a failed check stands for; `ms` is how long it took.
    """

    name: Name
    status: Status
    detail: str
    mend: str | None = None
    code: int | None = None
    ms: int | None = None
    more: list[str] = []


class FeedChecked(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of one feed, in the order in which they depend on each other."""

    feed: str
    ok: bool
    checks: list[Check]


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A feed that was not checked, and why."""

    feed: str
    reason: str


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `wsfeeds doctor`: `exit_code` is that of the first failed check."""

    ok: bool
    exit_code: int
    feeds: list[FeedChecked]
    left_out: list[LeftOut]
