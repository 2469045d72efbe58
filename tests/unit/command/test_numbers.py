"""If-Else and JSONPath compare numbers by all their digits."""

from __future__ import annotations

import pytest

from wsfeeds.command.comparisons import compare
from wsfeeds.command.exact import loads
from wsfeeds.command.paths import compile_path


@pytest.mark.parametrize(
    ("left", "operation", "right", "holds"),
    [
        ("12345678901234567890.1", ">", "12345678901234567890", True),
        ("12345678901234567890.1", "==", "12345678901234567890", False),
        ("100000000000000000.5", ">", "100000000000000000", True),
        ("100000000000000000", "<", "100000000000000000.5", True),
        ("9007199254740993.0", "===", "9007199254740993", True),
        ("9007199254740993.0", "==", "9007199254740992", False),
        ('"9007199254740993"', "==", "9007199254740992", False),
        ('"0.10"', "==", "0.1", True),
        ("0.1", "===", "0.10", True),
        ("1.0", "==", "true", True),
        ("1e99999999999999999999", ">", "1", True),
    ],
)
def test_if_else_compares_all_digits_of_numbers(left, operation, right, holds) -> None:
    assert compare(loads(left), operation, loads(right)) is holds


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("@.id == 9007199254740993", [9007199254740993]),
        ("@.id == 9007199254740992", []),
        ("@.id > 9007199254740992", [9007199254740993]),
        ("@.p == 12345678901234567.125", [9007199254740993]),
        ("@.p == 12345678901234567.1250000001", []),
        ("@.p > 12345678901234567", [9007199254740993]),
        ("@.p == 1.50", [1]),
        ("@.p == 15e-1", [1]),
        ("@.id == 1e0", [1]),
        ("@.id == 1e400", []),
        (f"@.id == {'9' * 5000}", []),
    ],
)
def test_a_filter_compares_all_digits_of_numbers(condition, found) -> None:
    data = '[{"id":9007199254740993,"p":12345678901234567.125},{"id":1,"p":1.5}]'
    assert compile_path(f"$[?({condition})].id").find(loads(data)) == found
