"""The settings of `wsfeeds run`: those of every feed, named `run` (contract, section 5)."""

from __future__ import annotations

from typing import ClassVar

from wsfeeds.protocol import Duration, FeedSettings


class RunSettings(FeedSettings, kw_only=True, frozen=True):
    """What `[feeds.run]`, `WSFEEDS_RUN_…` and `--set` may say; the document's params win.

    `idle_timeout` is off by default: each variant has its protocol's own proof of life, and a quiet
    server of which nobody documents a rhythm is not a dead one.
    """

    idle_timeout: Duration | None = None  # type: ignore[assignment]  # off is for `run` alone


class RunFeed:
    """What `wsfeeds.config` asks of a feed, for the executor."""

    name: ClassVar[str] = "run"
    aliases: ClassVar[tuple[str, ...]] = ()
    settings_type: ClassVar[type[FeedSettings]] = RunSettings
    required: ClassVar[tuple[str, ...]] = ()
