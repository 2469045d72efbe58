"""The settings file: TOML with `[feeds.NAME]` and `[record]`; one file, no merging."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wsfeeds.config.fields import Feed, fields_of, nearest
from wsfeeds.config.record import RecordSettings, read_record
from wsfeeds.config.run import RunFeed
from wsfeeds.config.secrecy import SECRET_KEYS, has_password
from wsfeeds.config.values import Given, is_reference, readable_by_others
from wsfeeds.errors import UsageError

_log = logging.getLogger("wsfeeds")
_TOP = ("feeds", "record")
_PUBLIC_HEADERS = frozenset({"user-agent", "origin", "referer", "accept", "accept-language"})


class SettingsFile(msgspec.Struct, frozen=True):
    """What a settings file says: texts by feed (module name) and key, not yet converted."""

    path: Path | None = None
    feeds: dict[str, dict[str, Any]] = {}
    record: RecordSettings = RecordSettings()

    def given(self, feed: Feed, env: Mapping[str, str]) -> dict[str, Given]:
        """Return what the file says about a feed, by key."""
        if self.path is None:
            return {}
        folder = self.path.parent
        return {
            key: Given(value, f"{self.path}: feeds.{feed.name}.{key}", env, folder, "file")
            for key, value in self.feeds.get(feed.name, {}).items()
        }


def default_path(env: Mapping[str, str] | None = None) -> Path | None:
    """Return `$XDG_CONFIG_HOME/wsfeeds/config.toml`; None where there is no home folder.

    A relative `XDG_CONFIG_HOME` is ignored, as its specification demands.
    """
    env = os.environ if env is None else env
    base = Path(env.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        home = Path(env.get("HOME", ""))
        if not home.is_absolute():
            return None
        base = home / ".config"
    return base / "wsfeeds" / "config.toml"


def load_file(
    path: Path | None = None,
    *,
    feeds: Iterable[Feed],
    env: Mapping[str, str] | None = None,
) -> SettingsFile:
    """Read the settings file and check every key in it.

    Args:
        path: The file that was asked for; None takes the default one, if there is one.
        feeds: All connector classes; iterated only where there is a file.
        env: Environment variables, by default those of the process.

    Raises:
        UsageError: The file is missing though asked for, is no TOML, or has an unknown key.
    """
    env = os.environ if env is None else env
    chosen = default_path(env) if path is None else path
    content = None if chosen is None else _read(chosen, must_exist=path is not None)
    if chosen is None or content is None:
        return SettingsFile()
    known = _Known(feeds)
    document = _parse(chosen, content)
    for key in document:
        if key not in _TOP:
            raise UsageError(f"{chosen}: unknown key {key!r}{nearest(key, _TOP)}")
    sections = _sections(chosen, document.get("feeds", {}), known)
    place = Given(document.get("record", {}), f"{chosen}: record", env, chosen.parent, "file")
    _warn_of_readers(chosen, sections)
    return SettingsFile(chosen, sections, read_record(place, known.canonical))


class _Known:
    """The feeds there are, under all their names."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        every: Iterable[Feed] = (*feeds, RunFeed())
        self.feeds = {feed.name: feed for feed in every}
        self.names = {name: name for name in self.feeds}
        for feed in self.feeds.values():
            self.names |= dict.fromkeys(feed.aliases, feed.name)

    def canonical(self, name: str, place: str) -> str:
        """Return the module name of a feed.

        Raises:
            UsageError: There is no such feed.
        """
        if name not in self.names:
            raise UsageError(f"{place}: unknown feed {name!r}{nearest(name, self.names)}")
        return self.names[name]


def _read(path: Path, *, must_exist: bool) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        if not must_exist and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise UsageError(f"cannot read the settings file {path}: {error.strerror}") from error


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most runs have no settings file

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}: line {line} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: no valid TOML: {error}") from error


def _sections(path: Path, feeds: object, known: _Known) -> dict[str, dict[str, Any]]:
    if not isinstance(feeds, dict):
        raise UsageError(f"{path}: feeds must be tables such as [feeds.{next(iter(known.feeds))}]")
    sections: dict[str, dict[str, Any]] = {}
    for name, section in feeds.items():
        place = f"{path}: feeds.{name}"
        feed = known.canonical(name, f"{path}: feeds")
        if not isinstance(section, dict):
            raise UsageError(f"{place} must be a table")
        if feed in sections:
            raise UsageError(f"{place}: {feed} has two tables, under two of its names")
        keys = fields_of(known.feeds[feed].settings_type)
        for key in section:
            if key not in keys:
                raise UsageError(f"{place}: unknown key {key!r}{nearest(key, keys)}")
        sections[feed] = section
    return sections


def _warn_of_readers(path: Path, sections: dict[str, dict[str, Any]]) -> None:
    """Warn where others can read a file that holds secrets itself."""
    held = [
        f"feeds.{feed}.{key}"
        for feed, section in sections.items()
        for key, value in section.items()
        if _holds_secret(key, value)
    ]
    if held and readable_by_others(path):
        _log.warning("others can read the secrets in %s (%s): chmod 600 it", path, ", ".join(held))


def _holds_secret(key: str, value: object) -> bool:
    if isinstance(value, dict):
        return any(
            name.lower() not in _PUBLIC_HEADERS and not is_reference(each)
            for name, each in value.items()
        )
    if not isinstance(value, str) or is_reference(value):
        return False
    if key in {"url", "api_url", "proxy"}:
        return has_password(value)
    return key in SECRET_KEYS
