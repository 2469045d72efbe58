"""The words for betting and sports: odds with direction and lock, score lines and actions."""

from __future__ import annotations

import msgspec

from wsfeeds import events
from wsfeeds.outputs.views.numbers import arrow, digits, tint
from wsfeeds.outputs.views.text import Line, Span, as_text, clean
from wsfeeds.outputs.views.wording import Memory, Words, payload

LOCK = "🔒"


def team_name(team: object) -> str:
    """Return the name inside a team as sent, or nothing."""
    if isinstance(team, msgspec.Raw | bytes | str):
        try:
            team = msgspec.json.decode(team)
        except (msgspec.DecodeError, RecursionError):
            return clean(team)
    if isinstance(team, dict):
        return clean(team.get("name") or team.get("id") or "")
    return "" if team is None else clean(team)


def quote(event: events.Quote, memory: Memory) -> Line:
    """Selection, odds with their direction, lines, and whether they are on offer."""
    key = (event.event_id, event.market_id, event.selection_id)
    line: Line = [("sel ", "dim"), (f"{clean(event.selection_id):<4} ", "name")]
    for label, price, handicap in (
        ("back", event.back_price, event.back_line),
        ("lay", event.lay_price, event.lay_line),
    ):
        if price is None and handicap is None:
            continue
        way = memory.way((label, *key), price)
        shown = memory.aligned((label, event.symbol), digits(price))
        line += [(f"{label} ", "dim"), (shown, tint(way)), (f" {arrow(way)} ", tint(way))]
        if handicap is not None:
            line.append((f"at {digits(handicap)} ", ""))
    return [*line, (" ", ""), lock_span(event)]


def lock_span(event: events.Quote) -> Span:
    """Return whether a selection is on offer, with the venue's code where it is not."""
    if event.status == "open":
        return "● open", "good"
    code = "" if event.status_code is None else f" {clean(event.status_code)}"
    return f"{LOCK} locked{code}", "warn"


_STATE_STYLES = {
    "pending": "warn",
    "confirmed": "good",
    "updated": "note",
    "restored": "note",
    "cancelled": "bad",
    "deleted": "bad",
}


def action_spans(event: events.Action) -> Line:
    """Return state, type, subtype and team of an action."""
    state = clean(event.state) if event.state else ""
    words = [clean(word) for word in (event.action_type, event.action_subtype) if word]
    line: Line = [
        (f"{state:<10}", _STATE_STYLES.get(state, "")),
        (" · ".join(words) or "-", "name"),
    ]
    team = team_name(event.team)
    if team:
        line.append((f"  {team}", "note"))
    if event.fixture_status:
        line.append((f"  {clean(event.fixture_status)}", "dim"))
    if event.collection_status:
        line.append((f"  {clean(event.collection_status)}", collection_style(event)))
    if event.finished:
        line.append(("  finished", "note"))
    return line


def collection_style(event: events.Action) -> str:
    """Return how alarming a collection status is: anything but started, live or ended is."""
    word = as_text(event.collection_status).lower()
    return "dim" if any(sign in word for sign in ("start", "live", "running", "end")) else "warn"


def score(event: events.Action) -> str:
    """Return the score, home first, with a dash for what the venue did not say."""
    home, away = (
        "-" if points is None else clean(points) for points in (event.home_score, event.away_score)
    )
    return f"{home}:{away}"


def action(event: events.Action, _memory: Memory) -> Line:
    """Score, clock, period and what happened."""
    period = "" if event.period is None else f"P{clean(event.period)}"
    return [
        (f"{score(event):>5} ", "name"),
        (f"{clean(event.clock) if event.clock else '':>6} {period:<3} ", ""),
        *action_spans(event),
    ]


def statistics(event: events.Statistics, memory: Memory) -> Line:
    """Return whether the fixture is finished and the payload."""
    return [("finished " if event.finished else "", "note"), *payload(event, memory)]


WORDS: dict[type[events.Event], Words] = {
    events.Quote: quote,
    events.Action: action,
    events.Statistics: statistics,
}
