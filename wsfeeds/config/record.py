"""The `[record]` table: what `wsfeeds record --config FILE` records, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from wsfeeds.config.fields import nearest
from wsfeeds.config.values import Given, text_of
from wsfeeds.errors import UsageError
from wsfeeds.quantities import parse_duration, parse_rotation

Compress = Literal["none", "gzip", "zstd"]
Capture = Literal["events", "frames", "both"]


class RecordSubscription(msgspec.Struct, frozen=True):
    """One `[[record.subscriptions]]`; `feed` is the module name whatever was written."""

    feed: str
    symbols: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


class RecordSettings(msgspec.Struct, frozen=True):
    """How to record; None leaves it to the command line and its defaults.

    `rotate` holds checked texts for `quantities.parse_rotation`, `fsync` is `always`, `never` or a
    checked duration. `dir` is relative to the current folder, like `--dir`.
    """

    dir: str | None = None
    rotate: tuple[str, ...] | None = None
    compress: Compress | None = None
    fsync: str | None = None
    capture: Capture | None = None
    subscriptions: tuple[RecordSubscription, ...] = ()


Canonical = Callable[[str, str], str]
"""Turns a feed's name as written, and its place, into the module name."""


def read_record(given: Given, canonical: Canonical) -> RecordSettings:
    """Return the `[record]` table, checked.

    Raises:
        UsageError: A key is unknown or a value is none that it takes.
    """
    readers: dict[str, Callable[[Given], Any]] = {
        "dir": _text,
        "rotate": _rotate,
        "compress": lambda each: _word(each, ("none", "gzip", "zstd")),
        "fsync": _fsync,
        "capture": lambda each: _word(each, ("events", "frames", "both")),
        "subscriptions": lambda each: _subscriptions(each, canonical),
    }
    return RecordSettings(**_read(given, readers))


def _read(given: Given, readers: Mapping[str, Callable[[Given], Any]]) -> dict[str, Any]:
    if not isinstance(given.value, dict):
        raise given.wrong("must be a table")
    read = {}
    for key, value in given.value.items():
        if key not in readers:
            raise given.wrong(f"unknown key {key!r}{nearest(key, readers)}")
        read[key] = readers[key](
            msgspec.structs.replace(given, value=value, place=f"{given.place}.{key}")
        )
    return read


def _subscriptions(given: Given, canonical: Canonical) -> tuple[RecordSubscription, ...]:
    if not isinstance(given.value, list):
        raise given.wrong("must be tables: [[record.subscriptions]]")
    found: dict[str, RecordSubscription] = {}
    for number, value in enumerate(given.value):
        each = msgspec.structs.replace(given, value=value, place=f"{given.place}[{number}]")
        readers = {"feed": _text, "symbols": _texts, "channels": _texts}
        read = _read(each, readers)
        if "feed" not in read:
            raise each.wrong("needs a feed")
        read["feed"] = canonical(read["feed"], each.place)
        if read["feed"] in found:
            raise each.wrong(f"{read['feed']} is there already: one subscription a feed")
        found[read["feed"]] = RecordSubscription(**read)
    return tuple(found.values())


def _text(given: Given) -> str:
    if not isinstance(given.value, str) or not given.value:
        raise given.wrong("takes a text")
    return text_of(given)


def _texts(given: Given) -> tuple[str, ...]:
    values = given.value if isinstance(given.value, list) else [given.value]
    return tuple(_text(given.inside(f"item {n}", each)) for n, each in enumerate(values, 1))


def _word(given: Given, words: tuple[str, ...]) -> str:
    text = _text(given)
    if text not in words:
        raise given.wrong(f"takes one of {', '.join(words)}, not {text!r}")
    return text


def _rotate(given: Given) -> tuple[str, ...]:
    texts = _texts(given)
    try:
        parse_rotation(texts)
    except UsageError as error:
        raise given.wrong(error.message) from None
    return texts


def _fsync(given: Given) -> str:
    text = _text(given)
    if text in {"always", "never"}:
        return text
    try:
        seconds = parse_duration(text)
    except UsageError:
        raise given.wrong(f"takes a duration such as 1s, always or never, not {text!r}") from None
    if seconds == 0:
        raise given.wrong("must be more than zero; `always` syncs every write")
    return text
