"""Durations and sizes as people write them: `500ms`, `30s`, `5m`, `1h`; `64KB`, `16MB`, `64KiB`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from wsfeeds.errors import UsageError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SPELLED = {"kb": "KB", "mb": "MB", "gb": "GB", "tb": "TB"}
_SPELLED |= {"kib": "KiB", "mib": "MiB", "gib": "GiB", "tib": "TiB"}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+) ?([A-Za-z]*)")
_SHOWN = 40


def parse_duration(value: str | float) -> float:
    """Return seconds; a plain number is seconds already, a text needs its unit.

    Raises:
        UsageError: It is no duration, negative or not finite.
    """
    if isinstance(value, str):
        number, unit = _split(value, "a duration such as 500ms, 30s, 5m or 1h")
        if unit not in _SECONDS:
            raise _wrong(value, "a duration such as 500ms, 30s, 5m or 1h", unit)
        # Dividing is exact where multiplying by 0.001 is not: 300ms is to be 0.3.
        seconds = number / 1000 if unit == "ms" else number * _SECONDS[unit]
    else:
        seconds = _number(value, "a duration such as 30s")
    if not math.isfinite(seconds):
        raise UsageError(f"{_shown(value)} is too long for a duration")
    return seconds


def parse_size(value: str | float) -> int:
    """Return bytes; a plain number is bytes already, a text needs its unit.

    Raises:
        UsageError: It is no size, negative, not finite or no whole number of bytes.
    """
    if isinstance(value, str):
        number, unit = _split(value, "a size such as 64KB, 16MB or 64KiB")
        if unit.lower() not in _BYTES:
            raise _wrong(value, "a size such as 64KB, 16MB or 64KiB", unit)
        size = number * _BYTES[unit.lower()]
    else:
        size = _number(value, "a size such as 16MB")
    if not math.isfinite(size) or not size.is_integer():
        raise UsageError(f"{_shown(value)} is not a whole number of bytes")
    return int(size)


def parse_rotation(values: Iterable[str]) -> tuple[float | None, int | None]:
    """Return seconds and bytes of `1h` and/or `256MB`, None for what is not given.

    Raises:
        UsageError: One is neither, is zero, or there are two of a kind.
    """
    seconds: float | None = None
    size: int | None = None
    for value in values:
        _, unit = _split(value, "a rotation such as 1h or 256MB")
        if unit in _SECONDS and seconds is None:
            seconds = parse_duration(value)
        elif unit.lower() in _BYTES and size is None:
            size = parse_size(value)
        elif unit in _SECONDS or unit.lower() in _BYTES:
            raise UsageError(f"{_shown(value)} is one rotation too many: one time, one size")
        else:
            raise UsageError(f"{_shown(value)} is no rotation such as 1h or 256MB")
        if seconds == 0 or size == 0:
            raise UsageError(f"{_shown(value)} must be more than zero")
    return seconds, size


def format_duration(seconds: float) -> str:
    """Return seconds as a short text that `parse_duration` reads back; one minute is `60s`."""
    for unit, least in (("h", 1), ("m", 2), ("s", 1)):
        number = seconds / _SECONDS[unit]
        if number >= least and number.is_integer():
            return f"{int(number)}{unit}"
    if seconds == 0:
        return "0s"
    milliseconds = round(seconds * 1000, 6)
    return f"{_plain(milliseconds)}ms" if seconds < 1 else f"{_plain(seconds)}s"


def format_size(size: int) -> str:
    """Return bytes as the shortest text that `parse_size` reads back."""
    for unit in sorted(_SPELLED, key=lambda name: _BYTES[name], reverse=True):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{_SPELLED[unit]}"
    return f"{size}B"


def _split(text: str, kind: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{_shown(text)} is not {kind}")
    return float(match[1]), match[2]


def _number(value: float, kind: str) -> float:
    """Return a number as a finite float that is not negative; `True` is no number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{_shown(value)} is not {kind}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise UsageError(f"{_shown(value)} is not {kind}")
    return number


def _wrong(text: str, kind: str, unit: str) -> UsageError:
    why = "is not" if unit else "has no unit: write"
    return UsageError(f"{_shown(text)} {why} {kind}")


def _plain(number: float) -> str:
    text = f"{number:.9f}".rstrip("0").rstrip(".")
    return text or "0"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
