"""The words for session facts: connections, gaps, errors, frames that nobody understood."""

from __future__ import annotations

from wsfeeds import events
from wsfeeds.outputs.views.numbers import span_text
from wsfeeds.outputs.views.text import Line, clean
from wsfeeds.outputs.views.wording import Memory, Words, payload

UP = {"connected", "subscribed", "unsubscribed", "resumed"}
_SESSION_STYLES = {
    "connected": "good",
    "subscribed": "good",
    "resumed": "good",
    "paused": "warn",
    "disconnected": "warn",
    "reconnecting": "warn",
}
_MILLI = 1_000
_SHOWN_SYMBOLS = 6


def session(event: events.SessionEvent, _memory: Memory | None = None) -> Line:
    """State, what it is about, and why."""
    line: Line = [(clean(event.state), _SESSION_STYLES.get(event.state, "dim"))]
    if isinstance(event.delay_ms, int):
        line.append((f" in {span_text(event.delay_ms * _MILLI)}", "warn"))
    if event.attempt is not None:
        line.append((f" attempt {clean(event.attempt)}", "dim"))
    if isinstance(event.symbols, list) and event.symbols:
        more = len(event.symbols) - _SHOWN_SYMBOLS
        names = " ".join([clean(name) for name in event.symbols[:_SHOWN_SYMBOLS]])
        line.append((f" {names}" + (f" and {more} more" if more > 0 else ""), ""))
    for word in (event.reason, event.code):
        if word is not None:
            line.append((f"  {clean(word)}", ""))
    if event.url is not None:
        line.append((f"  {clean(event.url)}", "dim"))
    return line


def feed_status(event: events.FeedStatus, _memory: Memory | None = None) -> Line:
    """The venue's upstream health."""
    good = event.state in UP
    return [("upstream ", "dim"), (clean(event.state), "good" if good else "warn")]


def gap(event: events.Gap, _memory: Memory | None = None) -> Line:
    """Why data may be missing, and how much."""
    line: Line = [(clean(event.reason), "warn")]
    if event.from_seq is not None or event.to_seq is not None:
        line.append((f"  numbers {clean(event.from_seq)} to {clean(event.to_seq)}", "warn"))
    if isinstance(event.from_ts, int) and isinstance(event.to_ts, int):
        line.append((f"  {span_text(event.to_ts - event.from_ts)} long", "warn"))
    if event.missed is not None:
        line.append((f"  {clean(event.missed)} missed", "warn"))
    if event.channel != events.SESSION_CHANNEL:
        line.append((f"  {clean(event.channel)}", "dim"))
    return line


def error(event: events.ErrorEvent, _memory: Memory | None = None) -> Line:
    """The message with its code, and whether this socket ends for it."""
    words = ["fatal"] if event.fatal else []
    if event.code is not None:
        words.append(clean(event.code))
    return [(" ".join(words) + ": " if words else "", "bad"), (clean(event.message), "bad")]


def malformed(event: events.Malformed, _memory: Memory | None = None) -> Line:
    """What is wrong with a frame, and how it begins."""
    return [(f"{clean(event.error)}  ", "bad"), (clean(event.frame), "payload")]


def unknown(event: events.Unknown, _memory: Memory | None = None) -> Line:
    """The channel, where it can be told, and the frame."""
    return [(f"{clean(event.channel)}  ", "warn"), (clean(event.data), "payload")]


WORDS: dict[type[events.Event], Words] = {
    events.SessionEvent: session,
    events.FeedStatus: feed_status,
    events.Gap: gap,
    events.Heartbeat: payload,
    events.ErrorEvent: error,
    events.Malformed: malformed,
    events.Unknown: unknown,
}
