"""The pace of requests holds whatever the event loop does."""

from __future__ import annotations

from typing import Any, cast

from wsfeeds.clock import monotonic
from wsfeeds.connectors.interact_quote import Connector, InteractQuoteSettings
from wsfeeds.protocol import Request, Socket, Wanted
from wsfeeds.session.dialogue import Dialogue
from wsfeeds.session.pacing import Pace
from wsfeeds.session.reading import Reading

SPACE = 1 / 19.5


class Line:
    """Keeps what is said."""

    def __init__(self) -> None:
        wanted = Wanted(("1-e@1_1",), ("chloe-market",))
        self.connector = Connector(Socket(wanted), InteractQuoteSettings())
        self.said: list[str | None] = []

    def say(self, request: Request) -> None:
        self.said.append(request.frame)


def test_a_late_loop_does_not_make_up_for_its_delay_with_a_burst():
    line = Line()
    dialogue = Dialogue(cast(Any, line), Reading(), first=True)
    for number in range(5):
        dialogue.submit_aside(Request(frame=str(number)))
    assert line.said == ["0"]
    late = monotonic() + 60.0
    dialogue.tick(late)
    dialogue.tick(late + SPACE * 0.9)
    assert line.said == ["0", "1"]
    assert dialogue.next_deadline() == late + SPACE
    dialogue.tick(late + SPACE)
    assert line.said == ["0", "1", "2"]


def test_looking_at_the_next_slot_does_not_take_it():
    pace = Pace(2.0)
    assert pace.next(1.0) == pace.next(1.0) == 1.0
    assert pace.take(1.0) == 1.0
    assert pace.next(1.0) == 1.5
    assert Pace(None).next(3.0) == 3.0
