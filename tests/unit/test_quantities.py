"""Durations, sizes and rotations as people write them."""

from __future__ import annotations

import math

import pytest

from wsfeeds.errors import UsageError
from wsfeeds.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_rotation,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("300ms", 0.3),
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        (" 30 s ", 30.0),
        (45, 45.0),
        (0.25, 0.25),
    ],
)
def test_durations_become_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "bad",
    [
        *("", "s", "30", "30x", "-5s", "1e3s", "5M", "nan", "inf", "9" * 400 + "h"),
        *(-1, True, None, -math.inf, [1]),
    ],
)
def test_what_is_no_duration_is_refused(bad):
    with pytest.raises(UsageError):
        parse_duration(bad)


def test_numbers_that_are_not_finite_are_refused():
    for bad in (math.nan, math.inf, 10**400):
        with pytest.raises(UsageError):
            parse_duration(bad)
        with pytest.raises(UsageError):
            parse_size(bad)


def test_a_duration_without_a_unit_is_told_to_have_one():
    with pytest.raises(UsageError, match="'30' has no unit: write a duration such as 500ms, 30s"):
        parse_duration("30")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KB", 64_000),
        ("64kb", 64_000),
        ("16MB", 16_000_000),
        ("64KiB", 65_536),
        ("2GB", 2_000_000_000),
        ("1GiB", 2**30),
        ("1TiB", 2**40),
        ("1.5KB", 1_500),
        ("12B", 12),
        (4096, 4096),
        (4096.0, 4096),
    ],
)
def test_sizes_become_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "bad", ["", "MB", "16", "16XB", "-1MB", "0.5B", "1h", -1, 1.5, True, None, math.inf, [1]]
)
def test_what_is_no_size_is_refused(bad):
    with pytest.raises(UsageError):
        parse_size(bad)


@pytest.mark.parametrize(
    ("texts", "rotation"),
    [
        ([], (None, None)),
        (["1h"], (3600.0, None)),
        (["256MB"], (None, 256_000_000)),
        (["1h", "256MB"], (3600.0, 256_000_000)),
        (["64KiB", "5m"], (300.0, 65_536)),
    ],
)
def test_a_rotation_is_a_time_and_or_a_size(texts, rotation):
    assert parse_rotation(texts) == rotation


@pytest.mark.parametrize("bad", [["1h", "5m"], ["1MB", "2MB"], ["x"], ["1"], ["0s"], ["0MB"]])
def test_a_rotation_of_another_kind_or_twice_is_refused(bad):
    with pytest.raises(UsageError):
        parse_rotation(bad)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (45.0, "45s"),
        (0.5, "500ms"),
        (3000.0, "50m"),
        (7200.0, "2h"),
        (60.0, "60s"),
        (90.0, "90s"),
        (120.0, "2m"),
        (0.0, "0s"),
        (1.5, "1.5s"),
        (0.0005, "0.5ms"),
    ],
)
def test_durations_are_shown_as_they_are_read(seconds, text):
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("size", "text"),
    [(16_000_000, "16MB"), (65_536, "64KiB"), (2**30, "1GiB"), (1001, "1001B"), (0, "0B")],
)
def test_sizes_are_shown_as_they_are_read(size, text):
    assert format_size(size) == text
    assert parse_size(text) == size


def test_messages_do_not_repeat_endless_input():
    with pytest.raises(UsageError) as caught:
        parse_duration("x" * 10_000)
    assert len(caught.value.message) < 200
