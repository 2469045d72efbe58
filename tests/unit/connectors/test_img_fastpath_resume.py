"""Resuming against a small model of the venue, under every reading of the protocol page."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.connectors._img_fastpath_numbers import Mark, Numbers, Passage
from wsfeeds.connectors.img_fastpath import Connector, FastPathSettings
from wsfeeds.events import Action, Gap, Statistics
from wsfeeds.protocol import Finished, Incoming, Reconnect, Skipped, Socket, Wanted
from wsfeeds.secrets import Secret

SETTINGS = FastPathSettings(token=Secret("sample-token"))
ACCEPTED = b'{"message":"Authorisation accepted","level":"INFO"}'


HELD = Finished(linger=2.0, held=True)


class Venue(msgspec.Struct, frozen=True):
    """A venue that holds `frames` data frames of one stream."""

    frames: int
    skips: bool = True
    """A start position skips so many frames, or starts at the nth."""
    counts_per_fixture: bool = True
    """Numbers belong to the fixture, or start at 1 on each connection."""
    symbol: str = "soccer/f1"
    channel: str = "actions"
    ends: bool = False

    def connection(self, start: int, produced: int) -> list[bytes]:
        """Return what one connection sends when so many frames have been produced."""
        skipped = start if self.skips and self.channel != "stream" else max(0, start - 1)
        sent = range(min(skipped, produced) + 1, produced + 1)
        return [
            self.frame(place, place if self.counts_per_fixture else number)
            for number, place in enumerate(sent, 1)
        ]

    def frame(self, place: int, number: int) -> bytes:
        time = f"2026-01-01T00:{place // 60:02}:{place % 60:02}.{place:06}Z"
        over = self.ends and place == self.frames
        if self.channel == "statistics":
            return json.dumps({"seqNum": number, "timestamp": time, "finished": over}).encode()
        if self.channel == "stream":
            point = {"seqNum": number, "timestamp": time, "eventElementType": "PointScored"}
            return json.dumps(point | {"finished": over}).encode()
        # Three frames share an action and two of them a send type, as an update does.
        action = {
            "actionId": f"a{place // 3}",
            "fixtureSeqNum": number,
            "sendTypeId": 2 if place % 3 else 5,
            "timestamp": time,
        }
        return json.dumps({"fixtureAction": action, "finished": over}).encode()


class Run:
    """A client of the venue over several connections, and what came out."""

    def __init__(self, venue: Venue, connector_settings: FastPathSettings = SETTINGS) -> None:
        self.venue = venue
        self.settings = connector_settings
        self.connector: Connector | None = None
        self.out: list[Incoming] = []
        self.starts: list[int] = []
        self.now = 0.0
        self.received: list[list[bytes]] = []

    def connect(self) -> Connector:
        socket = Socket(Wanted((self.venue.symbol,), (self.venue.channel,)), "k")
        self.connector = Connector(socket, self.settings, previous=self.connector)
        _, _, query = self.connector.endpoint(None).urls[0].partition("startPosition=")
        self.starts.append(int(query or 0))
        self.received.append([])
        self.out.extend(self.connector.receive(ACCEPTED))
        self.connector.wake(self.now)
        return self.connector

    def receive(self, frames: list[bytes]) -> None:
        assert self.connector is not None
        self.received[-1].extend(frames)
        for frame in frames:
            self.out.extend(self.connector.receive(frame))

    def tick(self, times: int = 1) -> bool:
        """Let time pass and tell whether the connector wants a new connection."""
        assert self.connector is not None
        wants = False
        for _ in range(times):
            self.now += 0.5
            said = [each for each in self.connector.wake(self.now) if isinstance(each, Incoming)]
            self.out.extend(said)
            wants = wants or any(isinstance(each, Reconnect) for each in said)
        return wants

    def serve(self, produced: int | None = None, *, drop: tuple[int, ...] = ()) -> bool:
        """Serve one whole connection without the frames at some places of it."""
        self.connect()
        sent = self.venue.connection(self.starts[-1], produced or self.venue.frames)
        self.receive([frame for place, frame in enumerate(sent) if place not in drop])
        return self.tick(4)

    def delivered(self) -> Counter[int]:
        """Count how often each place of the venue's list came out."""
        events = [each for each in self.out if isinstance(each, (Action, Statistics))]
        return Counter(int(str(event.ts)[-6:]) for event in events)

    def missing(self) -> set[int]:
        """Return the places that did not come out, from the first that did."""
        delivered = self.delivered()
        return set(range(min(delivered), self.venue.frames + 1)) - set(delivered)

    def ends(self) -> list[Finished]:
        return [each for each in self.out if isinstance(each, Finished)]

    def gaps(self) -> list[tuple[int | None, int | None]]:
        return [(each.from_seq, each.to_seq) for each in self.out if isinstance(each, Gap)]


VENUES = st.builds(
    Venue,
    frames=st.integers(1, 30),
    skips=st.booleans(),
    counts_per_fixture=st.booleans(),
    channel=st.sampled_from(["actions", "statistics"]),
    ends=st.booleans(),
) | st.builds(
    Venue,
    frames=st.integers(1, 30),
    symbol=st.just("tennis/e1"),
    channel=st.just("stream"),
    ends=st.booleans(),
)


def transit(data: st.DataObject, frames: list[bytes]) -> list[bytes]:
    """Return what arrives of what was sent: some lost, some twice, neighbours swapped."""
    arrived: list[bytes] = []
    for frame in frames:
        arrived.extend([frame] * data.draw(st.sampled_from([1, 1, 1, 1, 0, 2])))
    for index in range(len(arrived) - 1):
        if data.draw(st.sampled_from([False, False, False, True])):
            arrived[index : index + 2] = reversed(arrived[index : index + 2])
    return arrived


def finish(run: Run) -> None:
    """Serve clean connections until the connector is content."""
    for _ in range(8):
        if not run.serve():
            return
    raise AssertionError(f"no end of reconnects: {run.starts}")


def rough(venue: Venue, data: st.DataObject) -> Run:
    """Serve some connections that lose, repeat and swap frames and break anywhere."""
    run = Run(venue)
    for _ in range(data.draw(st.integers(0, 4))):
        run.connect()
        produced = data.draw(st.integers(0, venue.frames))
        sent = transit(data, venue.connection(run.starts[-1], produced))
        cut = data.draw(st.integers(0, len(sent)))
        run.receive(sent[:cut])
        if run.tick(data.draw(st.integers(0, 3))):
            continue
        run.receive(sent[cut:])
        run.tick(data.draw(st.integers(0, 3)))
    return run


@given(venue=VENUES, data=st.data())
def test_every_frame_comes_out_once_or_a_gap_says_so(venue: Venue, data: st.DataObject) -> None:
    run = rough(venue, data)
    finish(run)
    assert max(run.delivered().values()) == 1
    covered = {
        place
        for first, last in run.gaps()
        if first is not None and last is not None
        for place in range(first, last + 1)
    }
    assert run.missing() <= covered
    assert not venue.ends or any(isinstance(each, Finished) for each in run.out)


@given(venue=VENUES, data=st.data())
def test_what_one_connection_lost_a_resume_brings_without_a_gap(
    venue: Venue, data: st.DataObject
) -> None:
    run = Run(venue)
    run.connect()
    produced = data.draw(st.integers(0, venue.frames))
    run.receive(transit(data, venue.connection(0, produced)))
    run.tick(data.draw(st.integers(0, 4)))
    finish(run)
    assert max(run.delivered().values()) == 1
    assert run.missing() == set()
    assert run.gaps() == []


@given(venue=VENUES, data=st.data())
def test_recorded_frames_give_the_same_data_without_the_clock(
    venue: Venue, data: st.DataObject
) -> None:
    run = rough(venue, data)
    again = Run(venue)
    for frames in run.received:
        again.connect()
        again.receive(frames)
    kinds = (Action, Statistics)
    events = [[msgspec.json.encode(e) for e in r.out if isinstance(e, kinds)] for r in (run, again)]
    assert events[0] == events[1]


@pytest.mark.parametrize("counts_per_fixture", [True, False])
@pytest.mark.parametrize("skips", [True, False])
def test_a_plain_reconnect_overlaps_one_frame_and_drops_it(skips: bool, counts_per_fixture: bool):
    run = Run(Venue(9, skips=skips, counts_per_fixture=counts_per_fixture))
    assert not run.serve(5)
    assert not run.serve()
    assert run.starts == [0, 4]
    assert run.delivered() == Counter(range(1, 10))
    assert run.gaps() == []
    dropped = [each for each in run.out if isinstance(each, Skipped)]
    assert [each.reason for each in dropped] == ["duplicates"] * (1 if skips else 2)


def test_tennis_resumes_at_the_number_after_the_last():
    run = Run(Venue(9, symbol="tennis/e1", channel="stream"))
    assert not run.serve(5)
    assert not run.serve()
    assert run.starts == [0, 6]
    assert run.delivered() == Counter(range(1, 10))


@pytest.mark.parametrize(("start", "asked"), [(None, 1), (0, 1), (1, 1), (7, 7)])
def test_after_the_dummy_alone_tennis_resumes_at_the_first_number(start: int | None, asked: int):
    chosen = msgspec.structs.replace(SETTINGS, start_position=start)
    run = Run(Venue(9, symbol="tennis/e1", channel="stream"), chosen)
    dummy = run.venue.frame(0, 0)
    run.connect()
    run.receive([dummy])
    run.connect()
    assert run.starts == [start or 0, asked]
    run.receive([dummy, *run.venue.connection(1, 9)])
    assert not run.tick(4)
    assert run.delivered() == Counter(range(10))
    assert run.gaps() == []
    run.connect()
    assert run.starts[-1] == 10


def test_a_team_sport_that_has_brought_no_number_is_asked_for_from_the_start():
    run = Run(Venue(9))
    run.connect()
    run.receive([run.venue.frame(0, 0)])
    run.connect()
    assert run.starts == [0, 0]


def test_a_hole_is_filled_by_a_resume_before_it_and_reports_no_gap():
    run = Run(Venue(9))
    assert run.serve(7, drop=(4,))
    assert not run.serve()
    assert run.starts == [0, 3]
    assert run.delivered() == Counter(range(1, 10))
    assert run.gaps() == []


def test_a_hole_that_the_venue_has_itself_is_one_gap_after_one_resume():
    run = Run(Venue(9))
    frames = [run.venue.frame(place, place) for place in (1, 2, 3, 6, 7)]
    run.connect()
    run.receive(frames)
    assert run.tick(4)
    run.connect()
    run.receive(frames[2:])
    assert not run.tick(9)
    assert run.starts == [0, 2]
    assert run.gaps() == [(4, 5)]
    assert [each.missed for each in run.out if isinstance(each, Gap)] == [2]
    run.connect()
    assert run.starts[-1] == 4, "the count goes on over a reported hole"


def test_a_first_frame_later_than_expected_replays_from_the_start():
    run = Run(Venue(30))
    run.serve(20)
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (24, 25)])
    assert run.tick(4)
    assert not run.serve()
    assert run.starts == [0, 19, 0]
    assert run.delivered() == Counter(range(1, 31))
    assert run.gaps() == []


def test_a_first_number_above_one_is_no_gap():
    run = Run(Venue(9))
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (5, 6)])
    assert not run.tick(4)
    assert run.gaps() == []


def test_frames_in_another_order_are_neither_lost_nor_a_hole():
    run = Run(Venue(6))
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (1, 2, 4)])
    assert not run.tick()
    run.receive([run.venue.frame(place, place) for place in (3, 6, 5)])
    assert not run.tick(4)
    assert run.delivered() == Counter(range(1, 7))
    assert run.gaps() == []


def test_a_late_backfill_is_delivered_even_after_its_gap():
    run = Run(Venue(9))
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (1, 2, 4)])
    run.tick(4)
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (2, 4, 5)])
    run.tick(4)
    assert run.gaps() == [(3, 3)]
    run.receive([run.venue.frame(3, 3)])
    assert run.delivered() == Counter(range(1, 6))


def test_a_count_that_starts_again_is_shifted_by_the_overlap():
    run = Run(Venue(9, counts_per_fixture=False))
    run.serve(5)
    run.connect()
    run.receive(run.venue.connection(4, 9)[::2])
    assert run.tick(4), "the holes of the shifted count are seen"
    run.serve()
    assert run.delivered() == Counter(range(1, 10))


def test_a_count_that_starts_again_without_an_overlap_is_replayed():
    run = Run(Venue(9, counts_per_fixture=False))
    run.serve(5)
    assert run.serve(drop=(0,))
    assert not run.serve()
    assert run.starts == [0, 4, 0]
    assert run.delivered() == Counter(range(1, 10))
    assert run.gaps() == []


def test_holes_that_no_resume_fills_end_the_resuming():
    run = Run(Venue(60))
    sparse = [run.venue.frame(place, place) for place in range(1, 60, 10)]
    connections = 0
    wants = True
    while wants:
        connections += 1
        assert connections < 9
        run.connect()
        run.receive(sparse)
        wants = run.tick(20)
    assert run.gaps() == [(first, first + 8) for first in range(2, 50, 10)]


def test_the_end_waits_for_a_hole_before_it():
    run = Run(Venue(5, ends=True))
    assert run.serve(drop=(2,))
    assert run.ends() == [HELD]
    assert not run.serve()
    # Once as soon as nothing is missing, and once more by the frame from which the time runs.
    assert run.ends() == [HELD, *[Finished(linger=2.0)] * 2]
    assert run.delivered() == Counter(range(1, 6))


def test_the_end_comes_after_a_hole_that_frames_in_another_order_fill():
    run = Run(Venue(5, ends=True))
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (1, 2, 3, 5, 4)])
    assert run.ends() == [HELD, Finished(linger=2.0)]
    assert not run.tick(4)
    assert len(run.ends()) == 2


def test_a_users_start_position_is_the_lowest_one_asked_for():
    run = Run(Venue(30), msgspec.structs.replace(SETTINGS, start_position=10))
    run.serve(20)
    run.connect()
    run.receive([run.venue.frame(place, place) for place in (24, 25)])
    assert run.tick(4)
    run.serve()
    assert run.starts == [10, 19, 10]
    assert run.delivered() == Counter(range(11, 31))


def test_frames_without_numbers_are_told_apart_by_who_said_what_when():
    run = Run(Venue(5))
    frames = [json.loads(run.venue.frame(place, place)) for place in range(1, 6)]
    for frame in frames:
        del frame["fixtureAction"]["fixtureSeqNum"]
    texts = [json.dumps(frame).encode() for frame in frames]
    run.connect()
    run.receive(texts[:3])
    run.connect()
    run.receive(texts[2:])
    assert run.starts == [0, 2]
    assert run.delivered() == Counter(range(1, 6))


def test_two_actions_under_one_number_are_both_delivered():
    run = Run(Venue(5))
    run.connect()
    run.receive([run.venue.frame(1, 1), run.venue.frame(4, 1)])
    assert run.delivered() == Counter([1, 4])


def test_memory_is_bounded_and_old_numbers_stay_known():
    numbers = Numbers()
    passage = Passage(numbers)
    for number in range(1, 40_001):
        assert passage.take(Mark(number, "a", "5", f"t{number}"))
    assert len(numbers._keys) <= 16_384
    assert len(numbers._contents) <= 16_384
    assert not passage.take(Mark(1, "a", "5", "t1"))
    for number in range(50_001, 60_001, 2):
        passage.take(Mark(number, "a", "5", f"t{number}"))
    assert len(numbers.ranges) <= 1_024
    lost = passage.settle()
    assert lost is not None
    assert (lost.first, lost.lost) == (40_001, True)


def test_frames_without_a_place_are_bounded():
    numbers = Numbers()
    first = Passage(numbers)
    for number in range(1, 100):
        first.take(Mark(number, "a", "5", f"t{number}"))
    second = Passage(numbers)
    for number in range(9_000):
        second.take(Mark(1 + number % 16, "b", "5", f"u{number}"))
    assert len(numbers.unplaced) <= 4_096


def test_the_end_comes_after_the_gap_of_a_hole_that_stays():
    run = Run(Venue(5, ends=True))
    frames = [run.venue.frame(place, place) for place in (1, 2, 3, 5)]
    run.connect()
    run.receive(frames)
    assert run.tick(4)
    run.connect()
    run.receive(frames[2:])
    assert not run.tick(4)
    facts = [each for each in run.out if isinstance(each, (Gap, Finished))]
    assert facts[:2] == [HELD, HELD], "once on each connection"
    assert isinstance(facts[2], Gap)
    assert facts[3:] == [Finished(linger=2.0)], "the whole time, from the frame on"


def test_a_frame_lost_twice_gets_another_chance_if_a_later_one_needs_a_resume_anyway():
    run = Run(Venue(9))
    assert run.serve(6, drop=(2,))
    assert run.serve(drop=(1, 6))
    assert not run.serve()
    assert run.delivered() == Counter(range(1, 10))
    assert run.gaps() == []


def test_a_frame_that_the_venue_lacks_is_not_asked_for_for_ever():
    run = Run(Venue(60))
    run.serve(4, drop=(2,))
    for produced in range(6, 40, 2):
        run.connect()
        sent = run.venue.connection(run.starts[-1], produced)
        lacking = run.venue.frame(3, 3)
        run.receive([frame for frame in sent if frame != lacking and frame != sent[-2]])
        run.tick(4)
        if run.gaps():
            break
    assert run.gaps() == [(3, 3)]
