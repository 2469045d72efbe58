"""The venue's digits in plain notation, and times in microseconds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wsfeeds import decimals
from wsfeeds.decimals import Unrepresentable


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("107100.01", "107100.01"),
        ("1e-8", "0.00000001"),
        ("1E-8", "0.00000001"),
        ("12345678901234567.12345678", "12345678901234567.12345678"),
        ("0.10000000000000000000000001", "0.10000000000000000000000001"),
        ("1.500", "1.500"),
        ("1.50e1", "15.0"),
        ("-0", "-0"),
        ("-0.00", "-0.00"),
        ("+5", "5"),
        (".5", "0.5"),
        (" 7 ", "7"),
        ("2e3", "2000"),
        ("", None),
        ("abc", None),
        ("1,5", None),
        ("NaN", None),
        ("Infinity", None),
        ("0x10", None),
        ("1_000", None),
        ("٣", None),
        ("--1", None),
        ("1e", None),
    ],
)
def test_numbers_keep_their_digits(text, plain):
    assert decimals.from_text(text) == plain


@pytest.mark.parametrize("text", ["1e401", "1e-401", "1e999999999999", "0e500", "-1E+401"])
def test_exponents_beyond_400_cannot_be_represented(text):
    with pytest.raises(Unrepresentable):
        decimals.from_text(text)


def test_exponents_of_400_can():
    assert decimals.from_text("1e400") == "1" + "0" * 400
    assert decimals.from_text("1e-400") == "0." + "0" * 399 + "1"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [(b"1.50", "1.50"), (b'"1.50"', "1.50"), (b'"\\u0031"', "1"), (b"null", None), (b'""', None)],
)
def test_numbers_and_strings_are_both_taken(raw, plain):
    assert decimals.from_raw(msgspec.Raw(raw)) == plain


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1750953177", 1750953177000000),
        ("1750953177.0", 1750953177000000),
        ("1750953177.1234567", 1750953177123456),
        ("1.750953177e9", 1750953177000000),
        ("0.0000009", 0),
        ("-1.5", -1500000),
        ("soon", None),
    ],
)
def test_seconds_become_microseconds_and_finer_digits_are_cut(text, micros):
    assert decimals.seconds_to_micros(text) == micros


@pytest.mark.parametrize("text", ["9007199255", "1750953177000", "9" * 5000, "-9007199255"])
def test_times_that_javascript_cannot_keep_exact_are_refused(text):
    with pytest.raises(Unrepresentable):
        decimals.seconds_to_micros(text)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2025-06-26T15:52:57Z", 1750953177000000),
        ("2025-06-26T15:52:57.123456789Z", 1750953177123456),
        ("2025-06-26T17:52:57+02:00", 1750953177000000),
        ("2025-06-26 15:52:57", 1750953177000000),
        ("yesterday", None),
    ],
)
def test_iso_times_are_utc_unless_they_say_otherwise(text: Any, micros):
    assert decimals.iso_to_micros(text) == micros
