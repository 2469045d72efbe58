"""Which feeds are worth checking where nobody named one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wsfeeds import config, connectors
from wsfeeds.errors import UsageError


def left_out(
    feed: str, *, config_file: Path | None, env: Mapping[str, str] | None = None
) -> str | None:
    """Return why a feed that nobody named is not to be checked, None if it is.

    Raises:
        UsageError: The settings file cannot be used.
    """
    connector = connectors.load(feed)
    file = config.load_file(config_file, feeds=map(connectors.load, connectors.names()))
    try:
        settings = config.describe(connector, file=file, env=env)
    except UsageError:
        return None  # something is set, and wrong: that is for the checks to tell
    if any(each.source not in {"unset", "default"} for each in settings):
        return None
    missing = " and ".join(each.key for each in settings if each.required)
    return f"{missing} not set" if missing else "nothing is set for it; name it to check it"
