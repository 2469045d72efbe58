"""What the scripted matches of the simulated FastPath tell, checked from their frames alone."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from random import Random
from typing import Any

import orjson
import pytest

from wsfeeds.simulators import create
from wsfeeds.simulators.img_fastpath_fixtures import (
    SOCCER_LIVE,
    TENNIS_FINISHED,
    TENNIS_LIVE,
    Fixture,
)
from wsfeeds.simulators.img_fastpath_health import Health
from wsfeeds.simulators.img_fastpath_mma import mma
from wsfeeds.simulators.img_fastpath_tennis import Score

Frame = dict[str, Any]
SEEDS = (1, 2)
PLAYED = ("live", "finished")


def fixture_of(sport: str, phase: str = "live", seed: int = 1, **options: str) -> Fixture:
    simulator = create("img_fastpath", seed=seed, options=options)
    catalogue = vars(simulator)["catalogue"]
    fixtures: list[Fixture] = catalogue.of(sport)
    return next(each for each in fixtures if each.phase == phase)


@functools.cache
def played(sport: str, phase: str = "live", stream: str = "actions", seed: int = 1) -> list[Frame]:
    return frames(fixture_of(sport, phase, seed), stream)


def frames(fixture: Fixture, stream: str = "actions") -> list[Frame]:
    feed = fixture.feeds[stream]
    return [orjson.loads(feed.encode(index)) for index in range(len(feed.packets))]


@pytest.fixture(params=SEEDS, scope="module")
def soccer(request) -> list[Frame]:
    return played("soccer", seed=request.param)


def seconds(clock: str) -> int:
    minutes, _, rest = clock.partition(":")
    return int(minutes) * 60 + int(rest)


def test_every_soccer_match_has_every_scene(soccer):
    scenes = {
        (f["fixtureAction"]["fixtureActionType"], f["fixtureAction"]["sendType"]) for f in soccer
    }
    assert {
        ("Team Colours", "Confirmed"),
        ("Lineups", "Confirmed"),
        ("Start Period", "Confirmed"),
        ("Goal", "Pending"),
        ("Goal", "Confirmed"),
        ("Goal", "Updated"),
        ("Goal", "Cancelled"),
        ("Goal", "Deleted"),
        ("Penalty Awarded", "Pending"),
        ("Penalty Awarded", "Confirmed"),
        ("Penalty Awarded", "Cancelled"),
        ("Possible Video Check", "Confirmed"),
        ("Video Check Underway", "Pending"),
        ("Video Check Underway", "Confirmed"),
        ("Video check result", "Confirmed"),
        ("Yellow Card", "Confirmed"),
        ("Red Card", "Updated"),
        ("Corner Awarded", "Deleted"),
        ("Corner Awarded", "Restored"),
        ("Substitution In", "Confirmed"),
        ("End match", "Confirmed"),
    } <= scenes


def test_numbers_run_without_a_hole_and_order_the_timeline(soccer):
    assert [f["fixtureAction"]["fixtureSeqNum"] for f in soccer] == list(range(1, len(soccer) + 1))
    for frame in soccer:
        action = frame["fixtureAction"]
        assert int(action["timelineSequence"]) == action["period"]


def test_the_timeline_sequence_is_printed_as_the_published_doubles():
    feed = fixture_of("soccer").feeds["actions"]
    assert b'"timelineSequence":0.0000000000000001,' in feed.encode(0)
    old = fixture_of("soccer", scientific="true").feeds["actions"]
    assert b'"timelineSequence":1E-16,' in old.encode(0)


def test_the_score_is_the_sum_of_standing_goals(soccer):
    standing: dict[str, str] = {}
    for frame in soccer:
        action, summary = frame["fixtureAction"], frame["fixtureSummary"]
        if action["fixtureActionType"] == "Goal":
            if action["sendType"] in {"Confirmed", "Updated"}:
                standing[action["actionId"]] = action["team"]["id"]
            elif action["sendType"] == "Deleted":
                del standing[action["actionId"]]
        counts = sorted(Counter(standing.values()).values())
        score = sorted(filter(None, (summary["homeTeamScore"], summary["awayTeamScore"])))
        assert score == counts
        assert summary["isTied"] is (summary["homeTeamScore"] == summary["awayTeamScore"])


def test_period_scores_add_up_and_periods_follow_each_other(soccer):
    last = soccer[-1]["fixtureSummary"]
    assert [period["label"] for period in last["periods"]] == ["1st half", "2nd half"]
    for side in ("home", "away"):
        parts = [period[f"{side}TeamPeriodScore"] for period in last["periods"]]
        assert sum(parts) == last[f"{side}TeamScore"] == last["periods"][-1][f"{side}TeamScore"]
    first, second = last["periods"]
    assert first["start"] < first["end"] < second["start"] < second["end"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", first["start"])


def test_only_the_last_frame_says_that_it_is_finished(soccer):
    flags = [(frame["finished"], frame["fixtureSummary"]["finished"]) for frame in soccer]
    assert set(flags[:-1]) == {(False, False)}
    assert flags[-1] == (True, True)
    assert soccer[-1]["fixtureSummary"]["collectionStatus"] == "CollectionCompleted"
    assert soccer[-1]["fixtureSummary"]["currentStatus"] == "Completed"


def test_the_soccer_clock_counts_up_and_passes_ninety(soccer):
    clocks = [
        (f["fixtureSummary"]["currentPeriod"], seconds(f["fixtureSummary"]["currentClockTime"]))
        for f in soccer
    ]
    assert all(before <= after for before, after in itertools.pairwise(clocks))
    assert clocks[-1][1] > 90 * 60


def test_a_suspension_holds_actions_back_and_delivers_them_late(soccer):
    statuses = [
        index
        for index, frame in enumerate(soccer)
        if frame["fixtureAction"]["fixtureActionType"] == "Status Updated"
    ]
    start = next(
        index
        for index in statuses
        if soccer[index]["fixtureAction"]["metadata"]["collectionStatus"] == 3
    )
    suspended, back = soccer[start], soccer[start + 1]
    assert suspended["fixtureSummary"]["collectionStatus"] == "CollectionSuspended"
    assert suspended["fixtureAction"]["metadata"]["collectionStatusReason"] == "no signal"
    assert (suspended["fixtureAction"]["period"], suspended["fixtureAction"]["clockTime"]) == (
        0,
        "00:00",
    )
    assert seconds(suspended["fixtureSummary"]["currentClockTime"]) > 10 * 60
    assert back["fixtureAction"]["metadata"]["collectionStatus"] == 1
    late = soccer[start + 2]
    assert late["fixtureAction"]["timestamp"] < back["fixtureAction"]["timestamp"]
    assert seconds(late["fixtureAction"]["clockTime"]) < seconds(
        late["fixtureSummary"]["currentClockTime"]
    )


def test_a_dropped_collection_ends_the_stream_as_unverified():
    fixture = fixture_of("soccer", suspension="drop")
    last = frames(fixture)[-1]
    assert last["finished"] is True
    assert last["fixtureAction"]["metadata"]["collectionStatus"] == 4
    assert last["fixtureAction"]["metadata"]["fixtureStatus"] == 7
    assert last["fixtureSummary"]["collectionStatus"] == "CollectionDropped"
    assert last["fixtureSummary"]["currentStatus"] == "Unverified"


def test_without_a_suspension_the_collection_is_live_throughout():
    seen = {
        f["fixtureSummary"]["collectionStatus"]
        for f in frames(fixture_of("soccer", suspension="none"))
    }
    assert "CollectionSuspended" not in seen


def test_statistics_are_snapshots_that_agree_with_the_actions():
    stats = played("soccer", stream="statistics")
    assert [frame["seqNum"] for frame in stats] == list(range(1, len(stats) + 1))
    summary = played("soccer")[-1]["fixtureSummary"]
    goals = [
        kind["total"]
        for team in stats[-1]["teamActionAggregates"]
        for kind in team["gameActionAggregates"]
        if kind["fixtureActionType"] == "Goal"
    ]
    assert goals == [summary["homeTeamScore"], summary["awayTeamScore"]]
    assert [frame["finished"] for frame in stats[-2:]] == [False, True]
    assert re.fullmatch(r"[-0-9T:]+\.\d{9}Z", stats[0]["timestamp"])


def test_the_shape_of_2022_lacks_what_came_later():
    frame = frames(fixture_of("soccer", version="1"))[40]
    assert set(frame) == {"fixtureAction", "fixtureSummary", "version"}
    assert frame["version"] == 1
    assert not {"timelineSequence", "relatedFixtureActionIds"} & set(frame["fixtureAction"])
    assert "collectionStatus" not in frame["fixtureSummary"]


@pytest.mark.parametrize("phase", PLAYED)
def test_basketball_counts_its_clock_down_and_its_points_up(phase):
    actions = frames(fixture_of("basketball", phase))
    starts = [f for f in actions if f["fixtureAction"]["fixtureActionType"] == "Start Period"]
    assert [f["fixtureAction"]["clockTime"] for f in starts] == ["10:00"] * 4
    last = actions[-1]["fixtureSummary"]
    assert last["currentClockTime"] == "00:00"
    for side in ("home", "away"):
        assert last[f"{side}TeamScore"] == sum(p[f"{side}TeamPeriodScore"] for p in last["periods"])
        assert last[f"{side}TeamScore"] > 30


@pytest.mark.parametrize(("sport", "points"), [("v2/volleyball", 25), ("v2/tabletennis", 11)])
def test_rally_games_are_won_by_sets(sport, points):
    last = frames(fixture_of(sport, "finished"))[-1]["fixtureSummary"]
    assert max(last["homeTeamScore"], last["awayTeamScore"]) == 3
    first = last["periods"][0]
    scores = sorted((first["homeTeamPeriodScore"], first["awayTeamPeriodScore"]))
    assert scores[1] >= points
    assert scores[1] - scores[0] >= 2


def test_tennis_begins_with_the_dummy_and_the_umpire():
    stream = frames(fixture_of("tennis"), "stream")
    assert stream[0]["seqNum"] == 0
    assert stream[0]["matchStatus"]["matchState"]["state"] == "NotStarted"
    assert (stream[1]["seqNum"], stream[1]["eventElementType"]) == (1, "UmpireOnCourt")
    assert [frame["seqNum"] for frame in stream] == list(range(len(stream)))
    assert stream[-1]["matchStatus"]["matchState"]["state"] == "Finished"


@pytest.mark.parametrize("phase", PLAYED)
def test_tennis_points_can_be_counted_along(phase):
    score, last = Score(), None
    for frame in frames(fixture_of("tennis", phase), "stream"):
        if frame["eventElementType"] == "PointScored":
            score.win_point(("TeamA", "TeamB").index(frame["details"]["scoredBy"]))
            assert frame["score"] == score.written()
            last = frame["score"]
    assert last is not None
    assert max(last["overallSetScore"].values()) == 2
    assert len(last["previousSetsScore"]) == sum(last["overallSetScore"].values())


def test_tennis_alarms_come_every_25_seconds_and_late_points_say_so():
    stream = fixture_of("tennis").feeds["stream"]
    alarms = [p for p in stream.packets if p.body["eventElementType"] == "Alarm"]
    assert len(alarms) >= 2
    assert all(b.at - a.at == pytest.approx(25) for a, b in itertools.pairwise(alarms))
    delays = [p.body["delayStatus"] for p in stream.packets if "delayStatus" in p.body]
    assert set(delays) == {"RECONSTRUCTED", "DELAYED"}


def test_a_tie_break_follows_six_all_and_games_need_two_points_ahead():
    score = Score(games=[5, 5])
    for side in (0, 0, 0, 1, 1, 1):
        score.win_point(side)
    assert score.written()["currentGameScore"]["pointsA"] == "40"
    score.win_point(0)
    assert score.written()["currentGameScore"]["pointsA"] == "AD"
    assert score.win_point(0)
    assert score.games == [6, 5]
    for _ in range(4):
        score.win_point(1)
    assert score.tie_break
    for _ in range(7):
        score.win_point(1)
    assert score.sets == [0, 1]
    assert score.previous == [{"gamesA": 6, "gamesB": 7}]
    assert score.games == [0, 0]


def test_a_fight_ends_with_a_result():
    details = frames(fixture_of("mma"), "details")
    assert [frame["seqNum"] for frame in details] == list(range(1, len(details) + 1))
    assert details[-2]["eventElementType"] == "FightResult"
    assert details[-1]["fightStatus"]["state"] == "Finished"


def test_a_fight_may_end_by_a_knockout():
    methods = set()
    for seed in range(30):
        packets = mma(("A. One", "B. Two"), Random(seed))["details"]
        result = next(p.body for p in packets if p.body["eventElementType"] == "FightResult")
        methods.add(result["result"]["method"])
    assert methods == {"Decision", "Knockout"}


def test_the_same_seed_tells_the_same_match_and_another_seed_another():
    def told(seed: int) -> list[str]:
        fixture = fixture_of("v2/tabletennis", seed=seed)
        return [frame["fixtureAction"]["actionId"] for frame in frames(fixture)]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_known_ids_do_not_depend_on_the_seed():
    one, two = (create("img_fastpath", seed=seed) for seed in (1, 2))
    assert list(vars(one)["catalogue"].fixtures) == list(vars(two)["catalogue"].fixtures)
    assert {SOCCER_LIVE, TENNIS_LIVE, TENNIS_FINISHED} <= {
        fixture for _, fixture in vars(one)["catalogue"].fixtures
    }


def test_the_published_example_of_a_lost_feed_holds():
    """A packet at 5 s, then silence: checks at 10, 20 and 30 s pass, at 40 s it is lost."""
    health = Health()
    assert health.heard(5) is None
    assert [health.check(at) for at in (10, 20, 30, 40, 50)] == [
        None,
        None,
        None,
        "Disconnected",
        None,
    ]
    assert health.heard(52) == "Connected"
    assert health.heard(53) is None


def test_exactly_thirty_seconds_of_silence_count_and_an_unknown_feed_never_does():
    health = Health()
    assert health.check(10) is None
    assert health.check(1000) is None
    health.heard(1010)
    assert health.check(1040) == "Disconnected"


def test_any_seed_plays_to_the_end():
    for seed in range(4, 12):
        fixture = fixture_of("tennis", "finished", seed=seed)
        assert frames(fixture, "stream")[-1]["matchStatus"]["matchState"]["state"] == "Finished"
