"""Numbers and times as text: the venue's digits, exactly, in plain notation.

A double never touches a price: numbers are taken from the JSON text itself. Plain notation means
an optional minus, digits and at most one point (contract, section 3).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from wsfeeds.errors import WsfeedsError

_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?").fullmatch
_MAX_EXPONENT = 400
_MAX_EXPONENT_DIGITS = 6
_MAX_SECONDS_DIGITS = 20
_MAX_DIGITS = 18
_MICROS = 1_000_000
_EXACT_INTEGERS = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Unrepresentable(WsfeedsError, ValueError):
    """A number that the contract calls `malformed`: exponent or time out of range."""


def from_text(text: str) -> str | None:
    """Return the number in plain notation with its digits, or None where the text is none.

    Raises:
        Unrepresentable: The exponent is beyond ±400.
    """
    if _PLAIN(text):
        return text
    text = text.strip()
    match = _NUMBER(text)
    if match is None:
        return None
    exponent = match[1] or "0"
    if len(exponent) > _MAX_EXPONENT_DIGITS or abs(int(exponent)) > _MAX_EXPONENT:
        raise Unrepresentable(f"exponent beyond ±{_MAX_EXPONENT} in {text[:60]!r}")
    # Decimal keeps every digit of a literal whatever the context's precision is.
    return format(Decimal(text), "f")


def from_raw(raw: msgspec.Raw) -> str | None:
    """Return the decimal in a piece of JSON, a number or a string, or None where there is none.

    Raises:
        Unrepresentable: The exponent is beyond ±400.
        msgspec.DecodeError: The piece is no JSON.
    """
    text = str(raw, "utf-8")  # Raw has the buffer protocol
    if _PLAIN(text):
        return str(text)
    if text[:1] == '"':
        return from_text(msgspec.json.decode(text, type=str))
    return from_text(text)


def whole(text: str | None) -> int | None:
    """Return the integer that a decimal in plain notation is, None where it is none."""
    digits, _, fraction = (text or "").partition(".")
    if not digits.lstrip("-").isdecimal() or fraction.strip("0") or len(digits) > _MAX_DIGITS:
        return None
    return int(digits)


def seconds_to_micros(text: str) -> int | None:
    """Return microseconds for seconds given as decimal text; finer digits are cut.

    Raises:
        Unrepresentable: The time is beyond what a JSON consumer keeps exact (2^53 µs).
    """
    plain = from_text(text)
    if plain is None:
        return None
    whole, _, fraction = plain.partition(".")
    if len(whole) > _MAX_SECONDS_DIGITS:  # int() refuses some thousands of digits
        raise Unrepresentable(f"time {whole[:60]} s is out of range")
    micros = abs(int(whole)) * _MICROS + int(fraction[:6].ljust(6, "0"))
    return in_range(-micros if plain[0] == "-" else micros)


def in_range(micros: int) -> int:
    """Return the time if it is one that jq and JavaScript keep exact.

    Raises:
        Unrepresentable: It is beyond ±2^53 µs.
    """
    if -_EXACT_INTEGERS < micros < _EXACT_INTEGERS:
        return micros
    raise Unrepresentable(f"time {micros} µs is out of range; seconds are expected")


def iso_to_micros(text: str) -> int | None:
    """Return microseconds for an ISO 8601 time, UTC where it names no zone, or None if it is none.

    Any number of fractional digits is accepted; those beyond the sixth are cut, not rounded.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND
