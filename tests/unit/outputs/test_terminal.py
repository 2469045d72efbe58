"""What a person sees: plain lines, live views, and a terminal that is left as it was found."""

from __future__ import annotations

import re
import sys
import unicodedata
from copy import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsfeeds import events
from wsfeeds.clock import Clock
from wsfeeds.errors import UsageError
from wsfeeds.outputs.terminal import VIEWS, TerminalOutput
from wsfeeds.outputs.views.base import MAX_ROWS

START = 1_763_600_000_000_000
OWN = re.compile(r"\x1b\[(?:\d+;\d+H|\d+G|[HJK]|\?25[hl]|\?7[hl]|[0-9;]+m)")


class FixedClock(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.at = START

    def now(self) -> int:
        return self.at


class Screen:
    """A sink that understands our own cursor movement well enough to show what is visible."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)

    def text(self) -> str:
        return "".join(self.written)

    def rows(self) -> dict[int, str]:
        rows: dict[int, str] = {}
        for frame in self.written:
            for row, text in re.findall(r"\x1b\[(\d+);1H(.*?)(?=\x1b\[\d+;1H|$)", frame, re.DOTALL):
                if text != "\x1b[?7h\x1b[?25h":  # only the cursor is put there
                    rows[int(row)] = OWN.sub("", text)
        return rows

    def visible(self) -> str:
        return "\n".join(text for _, text in sorted(self.rows().items()))


@pytest.fixture(autouse=True)
def _able_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def screen() -> Screen:
    return Screen()


def envelope(**more: Any) -> dict[str, Any]:
    base = {"feed": "cryptomus", "channel": "c", "recv_ts": START, "conn": 1, "symbol": "BTC_USDT"}
    return base | more


def trade(price: str | None = "100.5", **more: Any) -> events.Trade:
    return events.Trade(**envelope(**more), price=price, quantity="2", side="buy")


def book(**more: Any) -> events.Book:
    fields: dict[str, Any] = {
        "snapshot": True,
        "synced": True,
        "scale_index": 0,
        "bids": events.opaque([["100.4", "1"], ["100.30", "3"]]),
        "asks": events.opaque([["100.6", "2"]]),
    } | more
    return events.Book(**envelope(), **fields)


def quote(selection: str = "1", **more: Any) -> events.Quote:
    fields: dict[str, Any] = {"book": "sportsbook", "status": "open", "status_code": "1"} | more
    ids: dict[str, Any] = {"event_id": "7-e", "market_id": "1_2", "selection_id": selection}
    return events.Quote(**envelope(symbol="7-e@1_2"), **ids, **fields)


def action(**more: Any) -> events.Action:
    return events.Action(**envelope(symbol="soccer/x"), **more)


SAMPLES: list[events.Event] = [
    trade(),
    events.LastPrice(**envelope(), price="1"),
    events.Ticker(**envelope(), last="1"),
    book(),
    events.Bbo(
        **envelope(),
        bid_price="1",
        bid_quantity="1",
        ask_price="2",
        ask_quantity="1",
        scale_index=0,
    ),
    events.Order(**envelope(), order_id="o", state="created"),
    events.Fill(**envelope(), deal_id="d"),
    events.Balance(**envelope(), currency="BTC"),
    quote(),
    action(action_id="1"),
    events.Statistics(**envelope(), data={}),
    events.Incident(**envelope(), data={}),
    events.Bet(**envelope(), data={}),
    events.BetResult(**envelope(), data={}),
    events.SettingsEvent(**envelope(), data={}),
    events.SessionEvent(**envelope(), state="connected"),
    events.FeedStatus(**envelope(), state="disconnected"),
    events.Gap(**envelope(), reason="stale"),
    events.Heartbeat(**envelope()),
    events.ErrorEvent(**envelope(), message="no"),
    events.Malformed(**envelope(), error="no", frame="{"),
    events.Unknown(**envelope(), data={}),
]


def output(screen: Screen, **more: Any) -> TerminalOutput:
    fields: dict[str, Any] = {"live": True, "stream": screen, "width": 100, "height": 24} | more
    return TerminalOutput(clock=FixedClock(), **fields)


def test_an_unknown_view_is_refused_and_the_known_ones_are_named(screen: Screen) -> None:
    with pytest.raises(UsageError, match=r"unknown view 'marker'.*market, tape, book") as caught:
        output(screen, view="marker")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("event", "view"),
    [
        (trade(), "market"),
        (book(), "market"),
        (quote(), "odds"),
        (action(), "match"),
        (events.Bet(**envelope()), "feed"),
        (events.Balance(**envelope(), data={"a": 1}), "feed"),
        (events.Balance(**envelope(), currency="BTC"), "market"),
        (events.Statistics(**envelope(symbol="soccer/x")), "match"),
        (events.Statistics(**envelope(symbol=None)), "feed"),
    ],
)
def test_the_view_is_picked_by_the_first_data_event(
    screen: Screen, event: events.Event, view: str
) -> None:
    terminal = output(screen)
    terminal.emit(events.SessionEvent(**envelope(), state="connected"))
    terminal.emit(event)
    terminal.refresh()
    assert f"view {view}  (" in screen.visible()


def test_a_named_view_stays_whatever_arrives(screen: Screen) -> None:
    terminal = output(screen, view="tape")
    terminal.emit(quote())
    terminal.refresh()
    assert "view tape  (" in screen.visible()


def test_upstream_health_that_came_before_the_first_action_is_shown(screen: Screen) -> None:
    terminal = output(screen)
    terminal.emit(events.FeedStatus(**envelope(symbol=None), state="disconnected"))
    terminal.emit(action(home_score=2, away_score=1, clock="67:12"))
    terminal.refresh()
    assert re.search(r"soccer/x +2:1 +67:12 .*disconnected", screen.visible())


def test_the_market_view_shows_prices_book_and_trades(screen: Screen) -> None:
    terminal = output(screen)
    terminal.emit(trade("100.5"))
    terminal.emit(book())
    terminal.refresh()
    terminal.emit(trade("100.70"))
    terminal.refresh()
    shown = screen.visible()
    assert re.search(r"BTC_USDT +100\.70 ▲ +- +100\.4 +100\.6 +0\.2", shown)
    assert "100.30  3" in shown
    assert "BUY  100.70 ▲ 2" in shown


def test_a_partial_book_without_its_start_shows_no_prices(screen: Screen) -> None:
    terminal = output(screen, view="book")
    terminal.emit(book(snapshot=False))
    terminal.refresh()
    assert "waiting for a full book" in screen.visible()
    assert "100.4" not in screen.visible()


def test_odds_show_direction_and_lock(screen: Screen) -> None:
    terminal = output(screen)
    terminal.emit(quote("1", back_price="2.10"))
    terminal.emit(quote("2", back_price="3.5", status="locked", status_code="-3"))
    terminal.emit(quote("1", back_price="2.30"))
    terminal.refresh()
    assert re.search(r"7-e +1_2 +1 +2\.30 ▲.*● open", screen.visible())
    assert re.search(r"2 +3\.5 .*🔒 locked -3", screen.visible())


def test_the_latest_state_of_an_action_replaces_the_earlier_one(screen: Screen) -> None:
    terminal = output(screen)
    terminal.emit(action(action_id="a", action_type="Goal", state="pending", home_score=1))
    terminal.emit(action(action_id="a", action_type="Goal", state="cancelled", home_score=0))
    terminal.refresh()
    assert "cancelled Goal" in screen.visible()
    assert "pending" not in screen.visible()


def test_the_feed_view_counts_operations_and_shows_payloads(screen: Screen) -> None:
    terminal = output(screen)
    for _ in range(3):
        terminal.emit(events.Bet(**envelope(channel="bet"), data=events.opaque({"n": 1})))
    terminal.refresh()
    assert re.search(r'bet +BTC_USDT +3 +0s +\{"n":1\}', screen.visible())


def test_the_header_tells_state_rate_lag_and_troubles(screen: Screen) -> None:
    terminal = output(screen, width=120)
    clock: Any = terminal._clock
    terminal.emit(events.SessionEvent(**envelope(), state="connected"))
    terminal.refresh()
    clock.at += 1_000_000
    for _ in range(50):
        terminal.emit(trade(ts=START - 400_000))
    terminal.emit(events.Gap(**envelope(), reason="disconnect"))
    terminal.refresh()
    header = screen.rows()[1]
    for part in ("cryptomus", "● connected", "#1", "50 events", "50/s", "lag 0.4s", "gaps 1"):
        assert part in header
    assert "gap  disconnect" in screen.visible()


def test_a_reconnect_counts_down(screen: Screen) -> None:
    terminal = output(screen)
    clock: Any = terminal._clock
    terminal.emit(events.SessionEvent(**envelope(), state="reconnecting", delay_ms=9_000))
    clock.at += 2_000_000
    terminal.refresh()
    assert "reconnecting in 7.0s" in screen.rows()[1]


def test_several_sockets_are_counted(screen: Screen) -> None:
    terminal = output(screen)
    for conn, state in enumerate(("connected", "subscribed", "paused"), start=1):
        event: Any = events.SessionEvent(**envelope(symbol=f"s{conn}", conn=conn), state="stopped")
        event.state = state
        terminal.emit(event)
    terminal.refresh()
    assert "● connected 2/3  paused" in screen.rows()[1]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 15), (20, 4), (5, 2)])
def test_no_line_is_wider_and_no_frame_higher_than_the_screen(
    screen: Screen, view: str, size: tuple[int, int]
) -> None:
    from wsfeeds.outputs.views.text import cells

    terminal = output(screen, view=view, width=size[0], height=size[1])
    for event in SAMPLES * 20:
        terminal.emit(event)
    terminal.refresh()
    rows = screen.rows()
    assert max(rows) <= size[1]
    assert all(cells(text) <= size[0] for text in rows.values())


def test_a_resized_screen_is_drawn_anew(screen: Screen) -> None:
    terminal = output(screen)
    terminal.refresh()
    terminal._size = (60, 15)
    terminal.refresh()
    assert "\x1b[H\x1b[J" in screen.written[-1]
    assert "\n" not in screen.written[-1]


def test_lines_that_did_not_change_are_not_written_again(screen: Screen) -> None:
    terminal = output(screen)
    terminal.emit(trade())
    terminal.refresh()
    terminal.refresh()
    assert len(screen.written[1]) < len(screen.written[0]) / 4


def test_the_last_frame_stays_and_the_terminal_is_as_before(screen: Screen) -> None:
    terminal = output(screen)
    terminal.start()
    terminal.emit(trade())
    terminal.close()
    terminal.close()
    terminal.refresh()
    final = screen.written[-1]
    assert len(screen.written) == 2
    assert "1 event  trade 1" in OWN.sub("", final)
    assert final.endswith("\r\n\x1b[J\x1b[?7h\x1b[?25h")
    assert "\x1b[?1049" not in screen.text()


def test_plain_lines_are_written_at_the_end_of_a_read_and_without_escapes(screen: Screen) -> None:
    terminal = output(screen, live=False)
    terminal.start()
    terminal.emit(trade())
    terminal.emit(events.Malformed(**envelope(), error="no", frame="\x1b[2J\n"))
    terminal.refresh()
    assert screen.written == []
    terminal.flush()
    terminal.close()
    assert len(screen.written) == 1
    assert screen.text().count("\n") == 2
    assert "\x1b" not in screen.text()


def test_colour_marks_sides_only_where_it_is_allowed(screen: Screen) -> None:
    terminal = output(screen, live=False, colour=True)
    terminal.emit(trade())
    terminal.flush()
    assert "\x1b[32mBUY \x1b[0m" in screen.text()


def test_a_dumb_terminal_gets_plain_lines_without_colour(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = output(screen, colour=True)
    terminal.start()
    terminal.emit(trade())
    terminal.flush()
    terminal.close()
    assert "\x1b" not in screen.text()
    assert "BUY" in screen.text()


def test_a_view_without_colour_moves_the_cursor_only(screen: Screen) -> None:
    terminal = output(screen, colour=False)
    terminal.emit(trade())
    terminal.refresh()
    assert not re.search(r"\x1b\[[0-9;]*m", screen.text())


@pytest.mark.parametrize("view", VIEWS)
def test_memory_is_bounded_whatever_the_number_of_symbols(screen: Screen, view: str) -> None:
    terminal = output(screen, view=view)
    for number in range(3 * MAX_ROWS):
        for event in SAMPLES:
            one: Any = copy(event)
            one.symbol = f"S{number}"
            if isinstance(one, events.Quote):
                one.event_id = f"S{number}"
            terminal.emit(one)
    terminal.refresh()
    kept: Any = terminal._view
    for value in vars(kept).values():
        if hasattr(value, "__len__"):
            assert len(value) <= MAX_ROWS
    assert len(terminal._status._sockets) <= MAX_ROWS


def test_large_frames_are_not_kept_alive(screen: Screen) -> None:
    terminal = output(screen, view="tape")
    terminal.emit(events.Malformed(**envelope(), error="no", frame="x" * 1_000_000))
    terminal.emit(events.Unknown(**envelope(), data=events.opaque(["y" * 1_000_000])))
    tape: Any = terminal._view
    for event in tape._tape._kept:
        assert all(sys.getsizeof(getattr(event, key)) < 5_000 for key in event.__struct_fields__)


@pytest.mark.parametrize("view", [None, *VIEWS])
@given(text=st.text(max_size=30))
@settings(max_examples=25, deadline=None)
def test_no_view_hands_the_terminal_to_the_venue(view: str | None, text: str) -> None:
    screen = Screen()
    terminal = output(screen, view=view, colour=True)
    for event in SAMPLES:
        one: Any = copy(event)
        for key in one.__struct_fields__:
            if key not in {"recv_ts", "ts", "seq", "conn", "venue_seq", "snapshot", "synced"}:
                setattr(one, key, text)
        terminal.emit(one)
    terminal.refresh()
    terminal.close()
    rest = OWN.sub("", screen.text().replace("\r\n", "").replace("\n", ""))
    assert not [c for c in rest if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@pytest.mark.parametrize("view", [None, *VIEWS])
@pytest.mark.parametrize(
    "value",
    [None, 7, 10**5000, 1.5, b"\xff", ["a"], {"a": 1}, "9" * 100_000],
    ids=["null", "integer", "huge integer", "float", "bytes", "list", "object", "huge text"],
)
def test_types_that_the_contract_rules_out_raise_nothing(
    screen: Screen, view: str | None, value: object
) -> None:
    terminal = output(screen, view=view)
    for event in SAMPLES:
        one: Any = copy(event)
        for key in one.__struct_fields__:
            setattr(one, key, value)
        terminal.emit(one)
    terminal.refresh()
    terminal.close()
