"""How collected actions reach the simulated venue, and which frames they become there.

A suspended collection holds actions back and delivers them late
(docs/protocols/img_fastpath.md, sections 5 and 7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from wsfeeds.simulators.img_fastpath_board import Board, Team
from wsfeeds.simulators.img_fastpath_frames import (
    Moment,
    Number,
    Packet,
    Timeline,
    clock_text,
    trace_id,
)
from wsfeeds.simulators.img_fastpath_script import Action, Kind, status_action

SEND_TYPES = {
    "Pending": 1,
    "Updated": 2,
    "Cancelled": 3,
    "Deleted": 4,
    "Confirmed": 5,
    "Restored": 6,
}
_VOID = frozenset({"Pending", "Cancelled", "Deleted"})


@dataclass(frozen=True)
class Suspension:
    """A collection that is interrupted; times are simulated seconds.

    Args:
        start: When the supervisor suspends it.
        end: When the scorer is back, or the supervisor gives up.
        dropped: Whether he gives up.
    """

    start: float
    end: float
    dropped: bool


def deliver(
    actions: Sequence[Action],
    fixture_id: str,
    random: Random,
    *,
    counts_down: bool = False,
    suspension: Suspension | None = None,
) -> list[Packet]:
    """Turn what was collected into packets in the order of their arrival."""
    board = Board(counts_down=counts_down)
    packets: list[Packet] = []
    for arrival, action in _arrivals(actions, random, suspension):
        if action.effect is not None:
            action.effect(board)
        body = {
            "traceId": trace_id(random),
            "version": 3,
            "finished": board.finished,
            "fixtureAction": _member(action, fixture_id),
            "fixtureSummary": board.summary(arrival),
        }
        packets.append(Packet(arrival, body))
    return packets


def tally(
    packets: Sequence[Packet],
    fixture_id: str,
    teams: Sequence[Team],
    counted: Sequence[Kind],
    random: Random,
) -> list[Packet]:
    """Derive the statistics stream: a full snapshot after every action that counts (5.8)."""
    standing: dict[str, tuple[int, str]] = {}
    frames: list[Packet] = []
    names = {kind.number: kind for kind in counted}
    for packet in packets:
        action = packet.body["fixtureAction"]
        finished = packet.body["finished"]
        team, number = action.get("team"), action["fixtureActionTypeId"]
        if team is not None and number in names:
            if action["sendType"] in _VOID:
                if standing.pop(action["actionId"], None) is None:
                    continue
            else:
                standing[action["actionId"]] = (number, team["id"])
        elif not finished:
            continue
        counts = Counter(standing.values())
        body = {
            "seqNum": Number(),
            "traceId": trace_id(random),
            "version": 1,
            "finished": finished,
            "fixtureId": fixture_id,
            "timestamp": Moment(packet.at, 9),
            "teamActionAggregates": [_aggregate(team, counts, counted) for team in teams],
        }
        frames.append(Packet(packet.at, body))
    return frames


def _arrivals(
    actions: Sequence[Action], random: Random, suspension: Suspension | None
) -> Iterator[tuple[float, Action]]:
    if suspension is None:
        yield from ((action.created, action) for action in actions)
        return
    start, end = suspension.start, suspension.end
    yield from ((each.created, each) for each in actions if each.created < start)
    reason = {"collectionStatusReason": "no signal", "collectionStatusReasonCode": 1}
    yield start, status_action(random, start, 1, 3, reason=reason)
    if suspension.dropped:
        why = "This collection was dropped due to technical issues related to stream"
        reason = {"collectionStatusReason": why, "fixtureStatusReasonCode": 0}
        reason["collectionStatusReasonCode"] = 1
        yield end, status_action(random, end, 7, 4, finished=True, reason=reason)
        return
    yield end, status_action(random, end, 1, 1)
    for action in actions:
        if action.created >= start:
            yield max(action.created, end), action


def _member(action: Action, fixture_id: str) -> dict[str, Any]:
    member: dict[str, Any] = {"period": action.period, "actionId": action.id}
    if action.team is not None:
        member["team"] = action.team.named()
    if action.metadata is not None:
        member["metadata"] = action.metadata
    member |= {
        "sendType": action.state,
        "clockTime": clock_text(action.clock),
        "fixtureId": fixture_id,
        "timestamp": Moment(action.created),
        "sendTypeId": SEND_TYPES[action.state],
        "fixtureSeqNum": Number(),
        "timelineSequence": Timeline(action.period, action.elapsed),
        "fixtureActionType": action.kind.name,
        "fixtureActionTypeId": action.kind.number,
        "relatedFixtureActionIds": list(action.related),
    }
    if action.subtype is not None:
        member["fixtureActionSubType"] = action.subtype.name
        member["fixtureActionSubTypeId"] = action.subtype.number
    return member


def _aggregate(
    team: Team, counts: Mapping[tuple[int, str], int], counted: Sequence[Kind]
) -> dict[str, Any]:
    aggregates = [
        {
            "fixtureActionTypeId": kind.number,
            "fixtureActionType": kind.name,
            "total": counts[kind.number, team.id],
        }
        for kind in counted
    ]
    return {"team": team.named(), "gameActionAggregates": aggregates}
