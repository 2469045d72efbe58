"""What settings a feed has and where each one is set, for `wsfeeds feeds` and the docs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from wsfeeds.config.fields import HELP, Feed, Field, Kind, fields_of, variable
from wsfeeds.config.file import SettingsFile
from wsfeeds.config.layers import layered
from wsfeeds.config.secrecy import masked_url
from wsfeeds.config.values import Given, convert
from wsfeeds.errors import UsageError

Source = Literal["flag", "env", "file", "default", "unset"]


class SettingInfo(msgspec.Struct, frozen=True):
    """One setting of a feed: what it takes, and where it is set right now.

    `value` is null for secrets and what is not set; `problem` says why a value that is set cannot
    be used, so that a credential is present where `source` is neither `unset` nor `default` and
    `problem` is null.
    """

    key: str
    kind: Kind
    choices: tuple[str, ...]
    default: str
    required: bool
    secret: bool
    env: str
    source: Source
    value: str | None
    problem: str | None
    help: str


def describe(
    feed: Feed,
    *,
    file: SettingsFile | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    mapping: Mapping[str, Any] | None = None,
) -> list[SettingInfo]:
    """Return every setting of a feed in the order of its settings struct.

    Raises:
        UsageError: A key is unknown; wrong values are told in `problem`.
    """
    env = os.environ if env is None else env
    file = SettingsFile() if file is None else file
    given = layered(feed, file=file, env=env, flags=flags or {}, mapping=mapping or {})
    fields = fields_of(feed.settings_type).values()
    return [_describe(feed, field, given.get(field.key)) for field in fields]


def _describe(feed: Feed, field: Field, given: Given | None) -> SettingInfo:
    required = field.key in feed.required or field.default is msgspec.NODEFAULT
    source, value, problem = _state(field, given)
    if field.key in feed.required and field.key != "url":
        value = None  # a credential, whether secret or not, is only said to be there
    return SettingInfo(
        key=field.key,
        kind=field.kind,
        choices=field.choices,
        default="required" if required else field.default_text(),
        required=required,
        secret=field.secret,
        env=variable(feed, field.key),
        source=source,
        value=value,
        problem=problem,
        help=HELP.get(field.key, ""),
    )


def _state(field: Field, given: Given | None) -> tuple[Source, str | None, str | None]:
    """Return source, value and problem; what a variable or file gave is not shown for secrets."""
    if given is None:
        has_default = field.default is not msgspec.NODEFAULT and field.default is not None
        shown = field.text(field.default) if has_default and not field.secret else None
        return ("default" if has_default else "unset"), shown, None
    try:
        value = convert(field, given)
    except UsageError as error:
        return given.source, None, error.message
    if value is None or field.secret:
        return given.source, None, None
    text = field.text(value)
    return given.source, masked_url(text) if "://" in text else text, None
