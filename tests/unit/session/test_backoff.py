"""Waits between attempts."""

from __future__ import annotations

import random

import pytest

from wsfeeds.session.backoff import Backoff
from wsfeeds.session.pacing import Pace


class Ends(random.Random):
    """Draws the end of the range."""

    def __init__(self, end: int) -> None:
        super().__init__(0)
        self.end = end

    def uniform(self, a, b):
        return (a, b)[self.end]


@pytest.mark.parametrize(("end", "share"), [(0, 0.5), (1, 1.0)])
def test_waits_double_up_to_the_cap_between_half_and_all(end, share):
    backoff = Backoff(0.5, 30.0, draw=Ends(end))
    waits = [backoff.next() for _ in range(9)]
    assert waits == [share * whole for whole in (0.5, 1, 2, 4, 8, 16, 30, 30, 30)]


def test_a_venues_wish_is_a_lower_bound():
    backoff = Backoff(0.5, 30.0)
    assert backoff.next(at_least=100.0) == 100.0
    assert backoff.next(at_least=0.001) > 0.001


def test_a_reset_goes_back_to_the_start():
    backoff = Backoff(0.5, 30.0, draw=Ends(1))
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert (backoff.failures, backoff.next()) == (0, 0.5)


def test_years_of_outage_do_not_overflow():
    backoff = Backoff(0.5, 30.0)
    backoff.failures = 100_000
    assert backoff.next() <= 30.0


def test_a_pace_spaces_evenly_and_forgives_idleness():
    pace = Pace(10.0)
    assert [pace.take(5.0) for _ in range(3)] == pytest.approx([5.0, 5.1, 5.2])
    assert pace.take(9.0) == 9.0
    assert [Pace(None).take(5.0) for _ in range(3)] == [5.0, 5.0, 5.0]
