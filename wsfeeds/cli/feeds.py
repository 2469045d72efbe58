"""`wsfeeds feeds`: what feeds there are, their channels and settings, which credentials are set."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wsfeeds import config, connectors
from wsfeeds.cli.console import Console
from wsfeeds.cli.table import table
from wsfeeds.config import SettingInfo
from wsfeeds.protocol import Channel


class FeedInfo(msgspec.Struct, kw_only=True):
    """One feed; settings never show the value of a secret."""

    feed: str
    aliases: list[str]
    title: str
    symbols: str
    needs_symbols: bool
    channels: list[Channel]
    credentials: dict[str, bool]
    settings: list[SettingInfo]


def collect(name: str | None, console: Console) -> list[FeedInfo]:
    """Return one feed, or all of them.

    Raises:
        UsageError: There is no such feed, or the settings file is wrong.
    """
    names = connectors.names() if name is None else [connectors.load(name).name]
    path = Path(console.config_file) if console.config_file else None
    file = config.load_file(path, feeds=map(connectors.load, connectors.names()))
    return [_info(feed, file) for feed in names]


def _info(name: str, file: config.SettingsFile) -> FeedInfo:
    connector = connectors.load(name)
    settings = config.describe(connector, file=file)
    return FeedInfo(
        feed=connector.name,
        aliases=list(connector.aliases),
        title=connector.title,
        symbols=connector.symbol_help,
        needs_symbols=connector.needs_symbols,
        channels=list(connector.channels),
        credentials={
            setting.key: setting.source not in {"unset", "default"} and not setting.problem
            for setting in settings
            if setting.required
        },
        settings=settings,
    )


def show(feeds: list[FeedInfo], *, detailed: bool) -> str:
    """Return the feeds as text for people."""
    if not detailed:
        header = ("FEED", "CHANNELS (* by default)", "CREDENTIALS", "SYMBOL")
        return table(header, ((f.feed, _channels(f), _credentials(f), f.symbols) for f in feeds))
    return "\n\n".join(_detail(feed) for feed in feeds)


def _channels(feed: FeedInfo) -> str:
    return " ".join(f"{channel.name}{'*' if channel.default else ''}" for channel in feed.channels)


def _credentials(feed: FeedInfo) -> str:
    if not feed.credentials:
        return "none needed"
    return ", ".join(f"{key} {'set' if ok else 'missing'}" for key, ok in feed.credentials.items())


def _detail(feed: FeedInfo) -> str:
    also = f" (also {', '.join(feed.aliases)})" if feed.aliases else ""
    channels = table(
        ("CHANNEL", "", ""),
        (
            (c.name, "default" if c.default else "private" if c.private else "", c.summary)
            for c in feed.channels
        ),
    )
    settings = table(
        ("SETTING", "SOURCE", "VALUE", "DEFAULT", "ENVIRONMENT", ""),
        (
            (
                s.key,
                s.source,
                "***" if _hidden(s) else s.value,
                s.default,
                s.env,
                s.problem or s.help,
            )
            for s in feed.settings
        ),
    )
    return f"{feed.feed}{also}: {feed.title}\nSYMBOL: {feed.symbols}\n\n{channels}\n\n{settings}"


def _hidden(setting: SettingInfo) -> bool:
    return setting.value is None and setting.source not in {"unset", "default"}
