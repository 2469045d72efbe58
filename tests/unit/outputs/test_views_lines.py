"""One readable line per event, whatever the venue left out or put in."""

from __future__ import annotations

import sys
import unicodedata
from copy import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsfeeds import events
from wsfeeds.outputs.views.lines import LineFormatter
from wsfeeds.outputs.views.text import cells, clean, cut, fit, paint, short
from wsfeeds.outputs.views.wording import TIMES

RECV = 1_763_600_000_123_456
RAW = msgspec.Raw
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def envelope(**more: Any) -> dict[str, Any]:
    return {"feed": "f", "channel": "c", "recv_ts": RECV, "conn": 1, "symbol": "BTC_USDT"} | more


def words(event: events.Event, formatter: LineFormatter | None = None) -> str:
    line = (formatter or LineFormatter(120)).line(event)
    return paint(line, None, colour=False)[len("HH:MM:SS.mmm ") :].rstrip()


def harmful(text: str) -> list[str]:
    return [one for one in text if unicodedata.category(one) in HARMFUL]


NULLS = [
    events.Trade(**envelope(), price=None, quantity=None),
    events.LastPrice(**envelope(), price=None),
    events.Ticker(**envelope()),
    events.Book(**envelope(), snapshot=False, synced=False, scale_index=None, bids=[], asks=[]),
    events.Bbo(
        **envelope(),
        bid_price=None,
        bid_quantity=None,
        ask_price=None,
        ask_quantity=None,
        scale_index=None,
    ),
    events.Order(**envelope(), order_id=None, state=None),
    events.Fill(**envelope(), deal_id=None),
    events.Balance(**envelope()),
    events.Quote(**envelope(), event_id=None, market_id=None, selection_id=None, book="fancy"),
    events.Action(**envelope()),
    events.Statistics(**envelope()),
    events.Incident(**envelope()),
    events.Bet(**envelope()),
    events.BetResult(**envelope()),
    events.SettingsEvent(**envelope()),
    events.SessionEvent(**envelope(), state="connecting"),
    events.FeedStatus(**envelope(), state="connected"),
    events.Gap(**envelope(), reason="disconnect"),
    events.Heartbeat(**envelope()),
    events.ErrorEvent(**envelope(), message="refused"),
    events.Malformed(**envelope(), error="no JSON", frame="{"),
    events.Unknown(**envelope()),
]


def test_a_trade_shows_side_price_direction_and_quantity_in_the_venues_digits() -> None:
    formatter = LineFormatter(120)
    first = events.Trade(**envelope(), price="107100.010", quantity="0.000254", side="buy")
    second = events.Trade(**envelope(), price="99.5", quantity="12", side="sell")
    assert words(first, formatter) == f"BTC_USDT trade      BUY  107100.010   {TIMES}0.000254"
    assert words(second, formatter) == f"BTC_USDT trade      SELL     99.5   ▼ {TIMES}12"


def test_a_ticker_shows_its_change_with_a_sign() -> None:
    event = events.Ticker(
        **envelope(), last="1.5", high="2", low="1", volume="9.0", change_percent="0.04"
    )
    assert words(event).endswith("1.5   +0.04%  high 2  low 1  volume 9.0")


@pytest.mark.parametrize("raw", [False, True])
def test_a_book_shows_the_best_levels_and_how_many_there_are(*, raw: bool) -> None:
    bids = [["9", "1"], ["10", "2"], ["8.5", "0"]]
    asks = [["12", "1"], ["11", "0.50"]]
    event = events.Book(
        **envelope(),
        snapshot=True,
        synced=True,
        scale_index=1,
        bids=events.opaque(bids) if raw else bids,  # type: ignore[arg-type]
        asks=events.opaque(asks) if raw else asks,  # type: ignore[arg-type]
    )
    assert words(event).endswith(
        f"snapshot bid 10 {TIMES}2  ask 11 {TIMES}0.50  3+2 levels  scale 1"
    )


def test_a_best_bid_and_offer_shows_the_exact_spread() -> None:
    event = events.Bbo(
        **envelope(),
        bid_price="0.1000000000000000000000001",
        bid_quantity="1",
        ask_price="0.1000000000000000000000003",
        ask_quantity="2",
        scale_index=0,
    )
    assert words(event).endswith("spread 0.0000000000000000000000002")


def test_a_quote_shows_direction_and_lock() -> None:
    formatter = LineFormatter(120)
    quote: dict[str, Any] = {
        "event_id": "1-e",
        "market_id": "2",
        "selection_id": "3",
        "book": "sportsbook",
    }
    opened = events.Quote(**envelope(), **quote, back_price="1.61", status="open")
    locked = events.Quote(**envelope(), **quote, back_price="1.70", status_code="-3")
    assert words(opened, formatter).endswith("sel 3    back 1.61    ● open")
    assert words(locked, formatter).endswith("back 1.70 ▲  🔒 locked -3")


def test_an_action_shows_score_clock_state_and_team() -> None:
    event = events.Action(
        **envelope(symbol="soccer/433eac65-1234-4234-8234-0123456789ab"),
        action_type="Goal",
        state="confirmed",
        clock="67:12",
        period=2,
        home_score=2,
        away_score=1,
        team=RAW(b'{"id":"x","name":"Malm\xc3\xb6"}'),
    )
    shown = words(event, LineFormatter(80))
    assert shown.startswith("soccer/433eac65… action")
    assert shown.endswith("2:1  67:12 P2  confirmed Goal  Malmö")


def test_an_opaque_payload_stays_on_one_line_and_keeps_its_digits() -> None:
    event = events.Bet(**envelope(symbol=None), data=RAW(b'{"n":1.10,"x":"' + b"y" * 900 + b'"}'))
    line = LineFormatter(80).line(event)
    shown = paint(line, None, colour=False)
    assert '{"n":1.10,"x":"yyy' in shown
    assert shown.endswith("…")
    assert cells(shown) == 80


def test_session_facts_say_what_happened() -> None:
    gap = events.Gap(
        **envelope(channel="session"), reason="sequence", from_seq=5, to_seq=9, missed=5
    )
    assert words(gap).endswith("gap        sequence  numbers 5 to 9  5 missed")
    error = events.ErrorEvent(**envelope(), code=1002, message="[bold]no[/bold]", fatal=True)
    assert words(error).endswith("error      fatal 1002: [bold]no[/bold]")
    again = events.SessionEvent(**envelope(), state="reconnecting", delay_ms=1500, attempt=2)
    assert words(again).endswith("session    reconnecting in 1.5s attempt 2")
    broken = events.Malformed(**envelope(), error="no JSON", frame="\x1b[2J{")
    assert words(broken).endswith("malformed  no JSON  ␛[2J{")


@pytest.mark.parametrize("event", NULLS, ids=lambda event: type(event).__name__)
def test_every_type_has_words_when_the_venue_said_nothing(event: events.Event) -> None:
    assert words(event)
    assert len(NULLS) == len(events.TYPES)


def _filled(event: events.Event, text: str) -> events.Event:
    """Put the text wherever the event has room for a venue's words."""
    filled = copy(event)
    for key in event.__struct_fields__:
        if key not in {"recv_ts", "ts", "seq", "conn", "venue_seq", "snapshot", "synced"}:
            setattr(filled, key, text)
    return filled


@given(text=st.text(max_size=60), colour=st.booleans())
def test_no_text_of_a_venue_controls_the_terminal(text: str, *, colour: bool) -> None:
    formatter = LineFormatter(100)
    for event in NULLS:
        shown = paint(formatter.line(_filled(event, text)), None, colour=colour)
        own = {"\x1b"} if colour else set()
        assert set(harmful(shown)) <= own
        if colour:
            sequences = shown.split("\x1b[")[1:]
            assert len(sequences) == shown.count("\x1b")
            assert all(one.split("m")[0].replace(";", "").isdigit() for one in sequences)


@given(
    value=st.one_of(
        st.integers(),
        st.binary(),
        st.floats(),
        st.lists(st.text()),
        st.dictionaries(st.text(), st.none()),
    )
)
@settings(max_examples=100, deadline=None)
def test_odd_types_are_shown_and_raise_nothing(value: object) -> None:
    formatter = LineFormatter(100)
    for event in NULLS:
        odd = copy(event)
        for key in event.__struct_fields__:
            setattr(odd, key, value)
        assert not harmful(paint(formatter.line(odd), None, colour=False))


def test_every_invisible_or_controlling_character_becomes_visible() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in HARMFUL:
            shown = clean(character)
            assert shown.isprintable(), hex(code)
            assert shown, hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\r\nb", "a␍␊b"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("\x7f", "␡"),
        ("\ud800", "\\ud800"),
        ("no\xa0break", "no break"),
        ("[red]markup[/red]", "[red]markup[/red]"),
    ],
)
def test_escapes_are_shown_as_text(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert len(clean("\x1b" * 10_000_000)) < 1000
    assert (
        cells(paint(LineFormatter(80).line(_filled(NULLS[0], "9" * 1_000_000)), 80, colour=False))
        == 80
    )


@given(text=st.text(max_size=40), width=st.integers(1, 30))
def test_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    shown = clean(text)
    assert cells(cut(shown, width)) <= width
    if all(unicodedata.combining(one) == 0 for one in shown):
        assert cells(fit(shown, width)) == width


def test_only_a_uuid_is_shortened() -> None:
    assert short("soccer/433eac65-1234-4234-8234-0123456789ab") == "soccer/433eac65…"
    assert short("tennis/2022-2789-MS027") == "tennis/2022-2789-MS027"
