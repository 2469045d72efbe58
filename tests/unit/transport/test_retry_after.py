"""What a server may ask for with `Retry-After`."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from wsfeeds.clock import wall_seconds
from wsfeeds.transport import retry_after


@pytest.mark.parametrize("ahead", [-500, 0, 40])
def test_a_date_is_as_good_as_seconds(ahead):
    waits = retry_after.seconds(formatdate(wall_seconds() + ahead, usegmt=True))
    assert waits is not None
    assert max(ahead - 10.0, 0.0) <= waits <= max(ahead, 0.0)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("3601", 3600.0),
        ("1" + "0" * 20, 3600.0),
        ("9" * 5000, 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
    ],
)
def test_nobody_waits_longer_than_an_hour(value, wait):
    assert retry_after.seconds(value) == wait


@pytest.mark.parametrize("value", [None, "", "-5", "1.5", "soon", "Wed, 99 Oct 2026 07:28:00 GMT"])
def test_what_makes_no_sense_is_no_wish(value):
    assert retry_after.seconds(value) is None
