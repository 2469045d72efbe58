"""Settings: found, converted and checked before anything is opened (contract, section 5).

::

    file = load_file(path, feeds=connectors)           # TOML, every key checked
    settings = resolve(connector, file=file, flags=parse_set(options))
    redactor = Redactor(secrets_of(settings))
    settings = refreshed(settings)                     # before each connection

`fields` reads from a feed's settings struct what there is, `values` converts texts, `layers`
decides who wins, `checks` whether it makes sense, `file` and `record` read TOML, `secrecy` knows
what must not be seen, `describe` tells people about it.
"""

from __future__ import annotations

from wsfeeds.addresses import is_loopback
from wsfeeds.config.checks import check_settings, check_transport
from wsfeeds.config.describe import SettingInfo, describe
from wsfeeds.config.fields import HELP, Feed, fields_of, nearest, variable
from wsfeeds.config.file import SettingsFile, default_path, load_file
from wsfeeds.config.layers import parse_set, resolve
from wsfeeds.config.record import RecordSettings, RecordSubscription
from wsfeeds.config.secrecy import masked_url, refreshed, secrets_of, shown_url

__all__ = [
    "HELP",
    "Feed",
    "RecordSettings",
    "RecordSubscription",
    "SettingInfo",
    "SettingsFile",
    "check_settings",
    "check_transport",
    "default_path",
    "describe",
    "fields_of",
    "is_loopback",
    "load_file",
    "masked_url",
    "nearest",
    "parse_set",
    "refreshed",
    "resolve",
    "secrets_of",
    "shown_url",
    "variable",
]
