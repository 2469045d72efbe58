"""The output for people: a live view that is drawn in place, or one plain line an event.

Events only change plain state; `refresh` draws. The live view fills the screen, and is not put on
the alternate screen, so its last frame stays where the reader can scroll back to it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from wsfeeds import events
from wsfeeds.clock import Clock
from wsfeeds.errors import UsageError
from wsfeeds.events import Event
from wsfeeds.outputs.views.base import Handlers, View
from wsfeeds.outputs.views.book import BookView
from wsfeeds.outputs.views.feed import FeedView
from wsfeeds.outputs.views.frame import Frame, TextSink
from wsfeeds.outputs.views.lines import LineFormatter
from wsfeeds.outputs.views.market import MarketView
from wsfeeds.outputs.views.match import MatchView
from wsfeeds.outputs.views.odds import OddsView
from wsfeeds.outputs.views.status import Status
from wsfeeds.outputs.views.tape import TapeView
from wsfeeds.outputs.views.text import Line, clean, paint, slim

VIEWS: dict[str, Callable[[], View]] = {
    view.name: view for view in (MarketView, TapeView, BookView, MatchView, OddsView, FeedView)
}
"""The live views by the names that `--view` takes."""

_FITTING: dict[type[Event], str] = {
    **dict.fromkeys((events.Trade, events.LastPrice, events.Ticker), "market"),
    **dict.fromkeys((events.Book, events.Bbo, events.Order, events.Fill), "market"),
    events.Quote: "odds",
    events.Action: "match",
    **dict.fromkeys((events.Incident, events.Bet, events.BetResult), "feed"),
    events.SettingsEvent: "feed",
}
_REPLAYED = 60_000_000
"""Microseconds between an event and now, beyond which the events are a recording's."""
_LEAST_HEIGHT = 3
_HINT_HEIGHT = 16
"""Screens lower than this do without the line that names the views."""
_MAX_EARLY = 50


def check_view(name: str | None) -> None:
    """Refuse a view that there is none of.

    Raises:
        UsageError: The name is not one of `VIEWS`.
    """
    if name is not None and name not in VIEWS:
        raise UsageError(f"unknown view {name!r}; there are: {', '.join(VIEWS)}")


class TerminalOutput:
    """Shows events to a person.

    Args:
        live: Draw a view in place; a terminal that cannot move its cursor gets plain lines.
        view: The view's name, or None to pick one by the events that arrive.
        colour: Whether colour codes may be written.
        stream: Where to write, standard output by default.
        width: Columns to draw for, or None for those of the terminal at each drawing.
        height: Lines to draw for, or None likewise.
        clock: Where the time of a drawing comes from.

    Raises:
        UsageError: The view's name is unknown.
    """

    def __init__(
        self,
        *,
        live: bool,
        view: str | None = None,
        colour: bool = False,
        stream: TextSink | None = None,
        width: int | None = None,
        height: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare without writing anything."""
        check_view(view)
        able = os.environ.get("TERM", "dumb") not in {"", "dumb"}
        self.live = live and able
        self._sink: TextSink = stream if stream is not None else sys.stdout
        self._colour = colour and able
        self._size = (width, height)
        self._clock = clock or Clock()
        self._buffer: list[str] = []
        self._lines = LineFormatter(width or _stdout_width())
        self._frame = Frame(self._sink, colour=self._colour)
        self._status = Status()
        self._counts = self._status.counts
        self._last: Event | None = None
        self._replayed: bool | None = None
        self._early: deque[Event] = deque(maxlen=_MAX_EARLY)
        self._closed = False
        self._chosen = view is not None
        self._view = VIEWS[view or "tape"]()
        self._handlers = self._routes()

    def start(self) -> None:
        """Draw the first frame, so that the reader sees something before the first event."""
        self.refresh()

    def emit(self, event: Event) -> None:
        """Note an event; nothing is drawn or written here."""
        if not self.live:
            line = self._lines.line(event)
            self._buffer.append(paint(line, None, colour=self._colour) + "\n")
            return
        kind = type(event)
        self._last = event
        try:
            self._counts[kind] += 1
            if event.ts is not None:
                self._status.timed = event
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(event)
        except (TypeError, ValueError, AttributeError, KeyError):
            # Types that the contract rules out: such an event is counted, and not drawn.
            self._status.odd += 1

    def emit_all(self, events: Sequence[Event]) -> None:
        """Note the events."""
        for event in events:
            self.emit(event)

    def flush(self) -> None:
        """Write the lines gathered since the last read; the live view waits for `refresh`."""
        if self._buffer:
            text = "".join(self._buffer)
            self._buffer.clear()
            self._sink.write(text)

    def refresh(self) -> None:
        """Draw a frame of the live view; nothing in plain mode."""
        if self.live and not self._closed:
            width, height = self._dimensions()
            self._frame.draw(self._compose(width, height), width, height)

    def close(self) -> None:
        """Leave the last frame and what came in all on the screen, the cursor below."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        if self.live:
            width, height = self._dimensions()
            lines = self._compose(width, max(_LEAST_HEIGHT, height - 2), final=True)
            self._frame.finish([*lines, self._status.summary()], width)

    def _dimensions(self) -> tuple[int, int]:
        width, height = self._size
        if width is None or height is None:
            terminal = shutil.get_terminal_size()
            width, height = width or terminal.columns, height or terminal.lines
        return width, height

    def _compose(self, width: int, height: int, *, final: bool = False) -> list[Line]:
        """Return header, body and footer; only a final frame is shorter than the screen."""
        tick = self._clock.now()
        now = self._time(tick)
        if self._last is not None:
            self._status.note_feed(self._last)
        footer: list[Line] = []
        problem = self._status.problem()
        if problem or not final:
            footer.append(problem)
        if height >= _HINT_HEIGHT and not final:
            footer.append(self._hint())
        room = max(0, height - 1 - len(footer))
        body = self._body(width, room, now)
        if not final:
            body += [[] for _ in range(room - len(body))]
        return [self._status.header(width, now, tick), *body, *footer][:height]

    def _body(self, width: int, height: int, now: int) -> list[Line]:
        try:
            return self._view.draw(width, height, now)
        except (TypeError, ValueError, AttributeError) as error:
            # Types that the contract rules out must not end a session that only shows them.
            return [[(f"this content cannot be drawn: {clean(str(error))}", "warn")]]

    def _hint(self) -> Line:
        others = " ".join(name for name in VIEWS if name != self._view.name)
        return [(f"view {self._view.name}  (--view {others})  Ctrl-C ends", "dim")]

    def _time(self, tick: int) -> int:
        """Return now, or in a replay the time of the recording."""
        last = self._last
        if last is None or not isinstance(last.recv_ts, int):
            return tick
        if self._replayed is None:
            self._replayed = abs(tick - last.recv_ts) > _REPLAYED
        return last.recv_ts if self._replayed else tick

    def _routes(self) -> Handlers:
        """Return what is to be called for each type of event."""
        routes: Handlers = {}
        for kind in events.TYPES.values():
            wanted = [self._status.handlers.get(kind), self._view.handlers.get(kind)]
            if not self._chosen:
                wanted.append(self._keep if kind in events.SESSION_FACTS else self._choose)
            calls = [call for call in wanted if call is not None]
            if calls:
                routes[kind] = calls[0] if len(calls) == 1 else _all(calls)
        return routes

    def _keep(self, event: Any) -> None:
        self._early.append(slim(event))

    def _choose(self, event: Any) -> None:
        """Take the view that fits the first data event, and tell it what came before."""
        name = fitting_view(event)
        if name is None:
            return
        self._chosen = True
        self._view = VIEWS[name]()
        for one in (*self._early, event):
            handler = self._view.handlers.get(type(one))
            if handler is not None:
                handler(one)
        self._early.clear()
        self._handlers = self._routes()


def _stdout_width() -> int | None:
    """Return the columns of the terminal on standard output, None where that is none."""
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


def fitting_view(event: Event) -> str | None:
    """Return the name of the view that shows this data event best, None where any other decides."""
    if isinstance(event, events.Statistics):
        return "feed" if event.finished is None and "/" not in (event.symbol or "") else "match"
    if isinstance(event, events.Balance):
        return "market" if event.data is None else "feed"
    return _FITTING.get(type(event))


def _all(calls: list[Callable[[Any], None]]) -> Callable[[Any], None]:
    def each(event: Any) -> None:
        for call in calls:
            call(event)

    return each
