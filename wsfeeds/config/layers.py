"""Who says what: command line, then environment, then settings file, then default.

The first of them that says something about a key wins, whole (a `headers` table is not merged with
another one), and only the winner is read: an unset `${NAME}` in the file does not matter where the
environment gives the value. A mapping from the Python API counts as the command line. An empty
environment variable counts as not set.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wsfeeds import connectors
from wsfeeds.config.checks import check_settings
from wsfeeds.config.fields import Feed, Field, fields_of, nearest, variable
from wsfeeds.config.file import SettingsFile, default_path
from wsfeeds.config.run import RunFeed
from wsfeeds.config.secrecy import SECRET_KEYS, has_password
from wsfeeds.config.values import Given, convert
from wsfeeds.errors import UsageError
from wsfeeds.protocol import FeedSettings
from wsfeeds.secrets import Secret

_PREFIX = "WSFEEDS_"
_ALIKE = 0.75
"""How much a name must resemble a feed's to count as a slip of the fingers."""


def parse_set(items: Iterable[str]) -> dict[str, str]:
    """Return `--set KEY=VALUE` options as flags; of two for one key the later one wins.

    Raises:
        UsageError: One has no `=`, or gives a secret.
    """
    flags = {}
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or not key:
            shown = f" {key!r}" if key.isidentifier() and key.islower() else ""
            raise UsageError(f"--set{shown} takes KEY=VALUE, idle_timeout=30s for example")
        _refuse_secret(key, value, secret=False)
        flags[key] = value
    return flags


def resolve(
    feed: Feed,
    *,
    file: SettingsFile | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    mapping: Mapping[str, Any] | None = None,
    require: bool = True,
) -> FeedSettings:
    """Return the settings of a feed, an instance of its `settings_type`, converted and checked.

    Args:
        feed: The connector class.
        file: What `load_file` returned.
        env: Environment variables, by default those of the process.
        flags: Texts from the command line by key; secrets are refused.
        mapping: Values from the Python API by key, typed or as text; they may be secret.
        require: Whether required settings must be there.

    Raises:
        UsageError: A key is unknown, a value is wrong, or required settings are missing.
    """
    env = os.environ if env is None else env
    file = SettingsFile() if file is None else file
    given = layered(feed, file=file, env=env, flags=flags or {}, mapping=mapping or {})
    _check_variables_of_others(feed, env)
    fields = fields_of(feed.settings_type)
    values = {key: convert(fields[key], each) for key, each in given.items()}
    if require:
        _require(feed, values, file, env)
    for key, field in fields.items():
        if field.default is msgspec.NODEFAULT:
            values.setdefault(key, Secret("") if field.secret else "")
    _fit_backoff(values, fields)
    settings = feed.settings_type(**values)
    check_settings(settings, {key: each.place for key, each in given.items()})
    return settings


def layered(
    feed: Feed,
    *,
    file: SettingsFile,
    env: Mapping[str, str],
    flags: Mapping[str, str],
    mapping: Mapping[str, Any],
) -> dict[str, Given]:
    """Return who wins about each key.

    Raises:
        UsageError: A key is unknown, or a flag gives a secret.
    """
    fields = fields_of(feed.settings_type)
    for key, value in flags.items():
        _refuse_secret(key, value, secret=key in fields and fields[key].secret and key != "proxy")
    given = file.given(feed, env) | _from_environment(feed, env)
    for origin, values in (("command line", flags), ("settings", mapping)):
        for key, value in values.items():
            if key not in fields:
                known = nearest(key, fields)
                raise UsageError(f"{origin}: {feed.name} has no setting {key!r}{known}")
            given[key] = Given(value, f"{origin}: {key}", env)
    return given


def _fit_backoff(values: dict[str, Any], fields: Mapping[str, Field]) -> None:
    """Let the default of one bound give way to the other one, where only that was set."""
    lowest, highest = "backoff_initial", "backoff_max"
    if highest in values and lowest not in values:
        # A bound of zero is refused later, under its own name.
        values[lowest] = min(fields[lowest].default, values[highest]) or fields[lowest].default
    elif lowest in values and highest not in values:
        values[highest] = max(fields[highest].default, values[lowest])


def _refuse_secret(key: str, value: str, *, secret: bool) -> None:
    if secret or key in SECRET_KEYS or (key == "proxy" and has_password(value)):
        what = "a proxy with a password" if key == "proxy" else key
        raise UsageError(
            f"--set refuses {what}: it would show in the process list; "
            "use the environment or a settings file"
        )


def _require(
    feed: Feed, values: Mapping[str, Any], file: SettingsFile, env: Mapping[str, str]
) -> None:
    """Name everything that is missing at once, and where to put it."""
    fields = fields_of(feed.settings_type)
    missing = [key for key in fields if _is_missing(fields[key], values, feed.required)]
    if not missing:
        return
    keys = " and ".join(missing)
    variables = " and ".join(variable(feed, key) for key in missing)
    path = file.path or default_path(env) or "a settings file"
    url = ", or --url" if "url" in missing else ""
    raise UsageError(
        f"{feed.name} needs {keys}: set {variables} in the environment, "
        f"or {keys} under [feeds.{feed.name}] in {path}{url}"
    )


def _is_missing(field: Field, values: Mapping[str, Any], required: tuple[str, ...]) -> bool:
    if field.key not in required and field.default is not msgspec.NODEFAULT:
        return False
    default = None if field.default is msgspec.NODEFAULT else field.default
    return values.get(field.key, default) in (None, "", Secret(""))


# --- the environment ----------------------------------------------------------------------------


def _from_environment(feed: Feed, env: Mapping[str, str]) -> dict[str, Given]:
    fields = fields_of(feed.settings_type)
    keys = {variable(feed, key): key for key in fields}
    prefix = variable(feed, "")
    given = {}
    for name in sorted(env):
        if name in keys:
            if env[name]:
                given[keys[name]] = Given(env[name], name, env, source="env")
        elif name.startswith(prefix):
            if not _belongs_to_another(name, feed):
                raise _unknown_variable(name, name, keys)
        elif name.startswith(_PREFIX):
            _refuse_slip(name, feed, keys)
    return given


def _belongs_to_another(name: str, feed: Feed) -> bool:
    """Tell whether a variable is that of a feed whose name begins like this one's."""
    return _owner(name) not in {feed.name, None}


def _check_variables_of_others(feed: Feed, env: Mapping[str, str]) -> None:
    """Refuse unknown variables of feeds that are not in use, as their keys in a file are.

    Only the feeds that variables are set for are loaded.
    """
    for name in sorted(env):
        owner = _owner(name)
        if owner is None or owner == feed.name:
            continue
        other: Feed = RunFeed() if owner == RunFeed.name else connectors.load(owner)
        keys = {variable(other, key): key for key in fields_of(other.settings_type)}
        if name not in keys:
            raise _unknown_variable(name, name, keys)


def _owner(name: str) -> str | None:
    """Return the feed that a variable is meant for, None for any other variable."""
    if not name.startswith(_PREFIX):
        return None
    feeds = (each for each in _feed_names() if name.startswith(f"{_PREFIX}{each}_".upper()))
    return max(feeds, key=len, default=None)


def _refuse_slip(name: str, feed: Feed, keys: Mapping[str, str]) -> None:
    """Refuse a setting of this feed under a name that is nearly the feed's, or is an alias."""
    suffixes = [f"_{key}".upper() for key in keys.values()]
    suffix = max((each for each in suffixes if name.endswith(each)), key=len, default="")
    middle = name.removeprefix(_PREFIX).removesuffix(suffix).lower()
    if not suffix or middle in _feed_names():
        return
    aliases = {alias.replace("-", "_") for alias in feed.aliases}
    alike = difflib.SequenceMatcher(None, middle, feed.name).ratio() >= _ALIKE
    if alike or middle in aliases:
        raise _unknown_variable(name, f"{_PREFIX}{feed.name}{suffix}".upper(), keys)


def _unknown_variable(name: str, like: str, keys: Mapping[str, str]) -> UsageError:
    return UsageError(f"unknown environment variable {name!r}{nearest(like, keys)}")


@functools.cache
def _feed_names() -> frozenset[str]:
    return frozenset((*connectors.names(), RunFeed.name))
