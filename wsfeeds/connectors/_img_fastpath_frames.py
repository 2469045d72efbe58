"""What FastPath puts on the wire, and how each frame reads as an event.

Fields are as in docs/protocols/img_fastpath.md, sections 3 to 8. Numbers may come bare or quoted
(section 5.9); unknown members pass and stay in `data`, which keeps the frame whole.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsfeeds import decimals
from wsfeeds.connectors._img_fastpath_numbers import Mark
from wsfeeds.events import Action, Statistics
from wsfeeds.opaque import exact_json

FEED = "img_fastpath"
Number = int | float | str | None
Members = dict[str, Raw]
decode_members = msgspec.json.Decoder(Members).decode

_STATUS_UPDATED = ("status updated", 22)
_SEND_TYPES = {
    1: "pending",
    2: "updated",
    3: "cancelled",
    4: "deleted",
    5: "confirmed",
    6: "restored",
}
_WHOLE = re.compile(r"-?[0-9]{1,18}(?:\.0*)?").fullmatch
_EXACT_INTEGERS = 2**53
_SECOND = 1_000_000
_TIME_UNITS = ((17, 10**9), (14, 10**6), (11, 10**3))
_ISO_DATE = re.compile(r'"[0-9]{4}-').match
_TIME_IN_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}T\S+").search
_REFUSING = re.compile(
    r"unauthori[sz]ed|forbidden|denied|invalid|incorrect|expired|not be authenticated",
    re.IGNORECASE,
).search
_ACCEPTING = re.compile(r"authori[sz]|authenticat", re.IGNORECASE).match


class _ActionPart(Struct, rename="camel"):
    """`fixtureAction` (section 5.3)."""

    action_id: str | None = None
    fixture_seq_num: Number = None
    period: Number = None
    clock_time: str | None = None
    timestamp: Raw | UnsetType = UNSET
    send_type_id: Number = None
    send_type: str | None = None
    fixture_action_type_id: Number = None
    fixture_action_type: str | None = None
    fixture_action_sub_type: str | None = None
    team: Raw | UnsetType = UNSET


class _SummaryPart(Struct, rename="camel"):
    """`fixtureSummary` (section 5.4)."""

    home_team_score: Number = None
    away_team_score: Number = None
    finished: bool | None = None
    current_status: str | None = None
    collection_status: str | None = None
    current_clock_time: str | None = None


class ActionFrame(Struct, rename="camel"):
    """A frame of `/actions` of a team sport (section 5.1)."""

    fixture_action: _ActionPart
    fixture_summary: _SummaryPart | None = None
    finished: bool | None = None


class FlatFrame(Struct, rename="camel"):
    """A frame of tennis or MMA, the older generation (section 8)."""

    event_element_type: str
    seq_num: Number = None
    timestamp: Raw | UnsetType = UNSET
    match_time: str | None = None
    match_status: Raw | UnsetType = UNSET
    finished: bool | None = None


class StatisticsFrame(Struct, rename="camel"):
    """A frame of `/statistics` (section 5.8); the aggregates are opaque."""

    seq_num: Number = None
    timestamp: Raw | UnsetType = UNSET
    finished: bool | None = None
    team_action_aggregates: list[Raw] | None = None


_decode_loosely = msgspec.json.Decoder(float_hook=str).decode
decode_action = msgspec.json.Decoder(ActionFrame).decode
decode_flat = msgspec.json.Decoder(FlatFrame).decode
decode_statistics = msgspec.json.Decoder(StatisticsFrame).decode


# --- data frames --------------------------------------------------------------------------------


def read_action(
    frame: bytes, message: ActionFrame, channel: str, symbol: str | None
) -> tuple[Action, Mark]:
    """Return the event of a team sport's action and what identifies the frame.

    Raises:
        msgspec.ValidationError: A number or the team is none.
        Unrepresentable: The time is out of range.
    """
    part, summary = message.fixture_action, message.fixture_summary or _SummaryPart()
    number, type_id = integer(part.fixture_seq_num), integer(part.fixture_action_type_id)
    send_id = integer(part.send_type_id)
    state = part.send_type.lower() if part.send_type else _SEND_TYPES.get(send_id or 0)
    clock = part.clock_time
    if _is_status_update(part.fixture_action_type, type_id):
        # Status frames say 00:00 whatever the match clock is (section 7).
        clock = summary.current_clock_time or clock
    event = Action(
        feed=FEED,
        channel=channel,
        symbol=symbol,
        ts=time_of(part.timestamp),
        venue_seq=number,
        action_id=part.action_id,
        action_type=part.fixture_action_type,
        action_type_id=type_id,
        action_subtype=part.fixture_action_sub_type,
        state=state,
        period=integer(part.period),
        clock=clock,
        team=_team(part.team),
        home_score=integer(summary.home_team_score),
        away_score=integer(summary.away_team_score),
        finished=_either(message.finished, summary.finished),
        fixture_status=summary.current_status,
        collection_status=summary.collection_status,
        data=exact_json(frame),
    )
    send = str(send_id) if send_id is not None else state or ""
    return event, Mark(number, part.action_id or "", send, _text_of(part.timestamp))


def read_flat(frame: bytes, channel: str, symbol: str | None) -> tuple[Action, Mark]:
    """Return the event of a tennis or MMA frame and what identifies it.

    Raises:
        msgspec.ValidationError: A known member has the wrong type.
        Unrepresentable: The time is out of range.
    """
    message = decode_flat(frame)
    number = integer(message.seq_num)
    event = Action(
        feed=FEED,
        channel=channel,
        symbol=symbol,
        ts=time_of(message.timestamp),
        venue_seq=number,
        action_type=message.event_element_type,
        clock=message.match_time,
        finished=message.finished,
        fixture_status=_match_state(message.match_status),
        data=exact_json(frame),
    )
    return event, Mark(number, message.event_element_type, "", _text_of(message.timestamp))


def read_statistics(frame: bytes, symbol: str | None) -> tuple[Statistics, Mark]:
    """Return the event of a statistics frame and what identifies it.

    Raises:
        msgspec.ValidationError: A known member has the wrong type.
        Unrepresentable: The time is out of range.
    """
    message = decode_statistics(frame)
    number = integer(message.seq_num)
    event = Statistics(
        feed=FEED,
        channel="statistics",
        symbol=symbol,
        ts=time_of(message.timestamp),
        venue_seq=number,
        finished=message.finished,
        data=exact_json(frame),
    )
    return event, Mark(number, time=_text_of(message.timestamp))


# --- frames about the connection ----------------------------------------------------------------


def element_type(members: Members) -> str:
    """Return the kind in lower case; golf spells the key with a lower-case e (section 4)."""
    for name, value in members.items():
        if name.lower() == "eventelementtype":
            return text(value).lower()
    return ""


def is_heartbeat(members: Members) -> bool:
    """Tell a heartbeat of any published shape (section 4)."""
    return element_type(members) == "heartbeat" or text(members.get("message")).startswith(
        "Heartbeat"
    )


def heartbeat_time(members: Members) -> int | None:
    """Return when a heartbeat was sent: its timestamp, else the time in its message."""
    if "timestamp" in members:
        return time_of(members["timestamp"])
    found = _TIME_IN_TEXT(text(members.get("message")))
    return decimals.iso_to_micros(found[0]) if found else None


def state_of(members: Members) -> str:
    """Return the state of a `ConnectionStateChanged` in lower case (section 6).

    Raises:
        msgspec.ValidationError: There is none.
    """
    state = text(members.get("state"))
    if not state:
        raise msgspec.ValidationError("a text is expected - at `$.state`")
    return state.lower()


class Failure(Struct, frozen=True):
    """An error as the venue words it; only a warning leaves credentials alone."""

    message: str
    code: int | str | None = None
    warning: bool = False


def failure(members: Members) -> Failure | None:
    """Read an error of any shape (section 3), None where the frame is none."""
    level = text(members.get("level")).upper()
    words = {name: text(members.get(name)) for name in ("errorMessage", "error", "message")}
    said = next((each for each in words.values() if each), "")
    named = any(_present(members.get(name)) for name in ("errorMessage", "error"))
    bare = not level and bool(words["message"]) and _REFUSING(words["message"]) is not None
    if not (named or bare or level in {"ERROR", "WARN", "WARNING"}):
        return None
    code = next((_code(members[name]) for name in ("status", "code") if name in members), None)
    warning = level in {"WARN", "WARNING"} and not named
    return Failure(said or "error", code, warning)


def is_acceptance(members: Members) -> bool:
    """Tell the answer to accepted credentials (G2)."""
    message = text(members.get("message"))
    level = text(members.get("level")).upper()
    return _ACCEPTING(message) is not None and level in {"INFO", ""}


def is_information(members: Members) -> bool:
    """Tell a frame of level INFO, which in answer to the auth frame is a yes."""
    return text(members.get("level")).upper() == "INFO"


# --- parts --------------------------------------------------------------------------------------


def text(part: Raw | UnsetType | None) -> str:
    """Return a piece of JSON if it is a text, else an empty one."""
    if part is None or part is UNSET or bytes(part)[:1] != b'"':
        return ""
    return msgspec.json.decode(part, type=str)


def integer(value: Number) -> int | None:
    """Return a whole number, bare or quoted, None where there is none.

    Raises:
        msgspec.ValidationError: It is something else, or beyond what consumers keep exact.
    """
    if value.__class__ is int and -_EXACT_INTEGERS < value < _EXACT_INTEGERS:
        return value  # the usual case: there are six in a frame
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if not _WHOLE(value):
            raise msgspec.ValidationError(f"a whole number is expected, not {value[:60]!r}")
        value = int(value.partition(".")[0])
    elif isinstance(value, float):
        if not value.is_integer():
            raise msgspec.ValidationError(f"a whole number is expected, not {value!r}")
        value = int(value)
    if not -_EXACT_INTEGERS < value < _EXACT_INTEGERS:
        raise msgspec.ValidationError("a whole number is out of range")
    return value


def time_of(part: Raw | UnsetType) -> int | None:
    """Return microseconds of an ISO 8601 time, UTC where it names no zone, or of a number.

    A number is in seconds or, where it is too large for that, in the next finer unit that fits.

    Raises:
        Unrepresentable: The time is out of range.
    """
    if part is UNSET:
        return None
    sent = str(part, "utf-8")
    if _ISO_DATE(sent):
        return decimals.iso_to_micros(text(part))
    number = decimals.from_raw(part)
    if number is None:
        found = text(part)
        return decimals.iso_to_micros(found) if found else None
    digits = len(number.partition(".")[0].lstrip("-").lstrip("0"))
    unit = next((unit for least, unit in _TIME_UNITS if digits > least), 1)
    if unit == 1:
        return decimals.seconds_to_micros(number)
    whole = int(number.partition(".")[0])
    return decimals.in_range(whole * _SECOND // unit)


def _text_of(part: Raw | UnsetType) -> str:
    return "" if part is UNSET or bytes(part) == b"null" else str(part, "utf-8")


def _is_status_update(name: str | None, type_id: int | None) -> bool:
    # Basketball's steal was printed with the same id, so the name decides (section 5.6).
    return name.lower() == _STATUS_UPDATED[0] if name else type_id == _STATUS_UPDATED[1]


def _either(top: bool | None, inner: bool | None) -> bool | None:
    return top if inner is None else inner or bool(top)


def _team(part: Raw | UnsetType) -> Any:
    if not _present(part):
        return None
    assert isinstance(part, Raw)
    if bytes(part)[:1] != b"{":
        raise msgspec.ValidationError("an object is expected - at `$.fixtureAction.team`")
    return exact_json(part)


def _match_state(part: Raw | UnsetType) -> str | None:
    if part is UNSET:
        return None
    value = _decode_loosely(part)
    state = value.get("matchState") if isinstance(value, dict) else None
    found = state.get("state") if isinstance(state, dict) else None
    return found if isinstance(found, str) else None


def _present(part: Raw | UnsetType | None) -> bool:
    return part is not None and part is not UNSET and bytes(part) != b"null"


def _code(part: Raw) -> int | str | None:
    if bytes(part)[:1] == b'"':
        return text(part)
    number = bytes(part)
    return int(number) if number.isdigit() and len(number) < 10 else None
