"""Requests, their answers and the verdict on each symbol."""

from __future__ import annotations

from typing import Literal

import pytest

from wsfeeds.protocol import Ack, Request
from wsfeeds.session.subscriptions import Conversation, Round


class Desk:
    """A conversation whose requests go out at once, at the desk's own time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.out: list[str | None] = []
        self.done: list[str] = []
        self.conversation = Conversation(self._send)

    def _send(self, request: Request) -> None:
        self.out.append(request.frame)
        self.conversation.sent(request, self.now)

    def begin(self, *chains, purpose="opening") -> Round:
        one = Round(purpose, list(chains), lambda one: self.done.append(one.purpose))
        self.conversation.begin(one)
        return one


def subscribe(
    key: str | None,
    *symbols: str,
    channel: str = "trade",
    action: Literal["subscribe", "unsubscribe"] = "subscribe",
) -> Request:
    names: dict[str, tuple[str, ...]] = {symbol: (symbol,) for symbol in symbols}
    return Request(frame=f"#{key}", key=key, action=action, channel=channel, names=names)


def test_chains_run_side_by_side_and_their_requests_in_turn():
    desk = Desk()
    chain = (subscribe("1", "A", action="unsubscribe"), subscribe("2", "A"))
    desk.begin(chain, (subscribe("3", "A", channel="ticker"),))
    assert desk.out == ["#1", "#3"]
    desk.conversation.answer(Ack(key="1"))
    assert desk.out == ["#1", "#3", "#2"]
    desk.conversation.answer(Ack(key="3"))
    assert desk.done == []
    desk.conversation.answer(Ack(key="2"))
    assert desk.done == ["opening"]


def test_rounds_follow_one_another():
    desk = Desk()
    desk.begin((subscribe("1", "A"),))
    desk.begin((subscribe("2", "B"),), purpose="change")
    assert desk.out == ["#1"]
    desk.conversation.answer(Ack(key="1"))
    assert desk.out == ["#1", "#2"]
    desk.conversation.answer(Ack(key="2"))
    assert desk.done == ["opening", "change"]


def test_a_round_begun_by_the_end_of_another_starts_once():
    desk = Desk()
    again = Round("change", [(subscribe("2", "B"),)], lambda _: None)
    first = Round("opening", [(subscribe("1", "A"),)], lambda _: desk.conversation.begin(again))
    desk.conversation.begin(first)
    desk.conversation.answer(Ack(key="1"))
    assert desk.out == ["#1", "#2"]


def test_a_round_without_requests_is_done_at_once():
    desk = Desk()
    desk.begin()
    desk.begin((), purpose="pause")
    assert desk.done == ["opening", "pause"]


def test_requests_without_a_key_count_as_accepted_once_sent():
    desk = Desk()
    one = desk.begin((subscribe(None, "A"), subscribe(None, "B")))
    assert desk.out == ["#None", "#None"]
    assert list(one.verdicts.accepted) == ["A", "B"]


@pytest.mark.parametrize(
    ("ack", "key"),
    [
        (Ack(key="2"), "2"),
        (Ack(key="0", action="subscribe", channel="ticker"), "2"),
        (Ack(action="subscribe", channel="trade"), "1"),
        (Ack(key="0"), "1"),
        (Ack(), "1"),
        (Ack(key="99"), None),
        (Ack(key="99", action="subscribe", channel="depth"), None),
    ],
)
def test_answers_are_matched_by_id_then_by_what_they_are_about(ack, key):
    desk = Desk()
    desk.begin((subscribe("1", "A"),), (subscribe("2", "A", channel="ticker"),))
    assert (desk.conversation.awaits(ack) is not None) is (key is not None)
    desk.conversation.answer(ack)
    left = {"1", "2"} - {key}
    assert {k for k in ("1", "2") if desk.conversation.awaits(Ack(key=k, channel="-"))} == left


def test_each_request_has_one_deadline_from_its_sending():
    desk = Desk()
    one = desk.begin((subscribe("1", "A"), subscribe("2", "A", channel="ticker")))
    assert desk.conversation.next_deadline() == 10.0
    desk.now = 10.0
    desk.conversation.expire(9.9)
    assert desk.out == ["#1"]
    desk.conversation.expire(10.0)
    assert desk.out == ["#1", "#2"]
    assert desk.conversation.next_deadline() == 20.0
    desk.conversation.expire(20.0)
    assert list(one.verdicts.unanswered) == ["A"]
    assert desk.done == ["opening"]


def test_a_refused_list_waits_for_its_look_up_and_asks_again_for_the_valid():
    desk = Desk()
    one = desk.begin((subscribe("1", "A", "B"),))
    refusal = Ack(key="1", ok=False, message="no")
    refused = desk.conversation.answer(refusal)
    assert refused is not None
    assert desk.done == []
    desk.conversation.validated(refused, refusal, ["A"], [(subscribe("2", "A"),)])
    assert list(one.verdicts.refused) == ["B"]
    desk.conversation.answer(Ack(key="2"))
    assert list(one.verdicts.accepted) == ["A"]
    assert desk.done == ["opening"]


def test_a_look_up_that_settles_nothing_refuses_everything():
    desk = Desk()
    one = desk.begin((subscribe("1", "A", "B"),))
    refusal = Ack(key="1", ok=False, message="no")
    refused = desk.conversation.answer(refusal)
    assert refused is not None
    desk.conversation.validated(refused, refusal, ["A", "B"], [])
    assert list(one.verdicts.refused) == ["A", "B"]
    assert desk.done == ["opening"]


def test_an_answer_that_comes_twice_or_late_changes_nothing():
    desk = Desk()
    desk.begin((subscribe("1", "A"),))
    desk.conversation.answer(Ack(key="1"))
    assert desk.conversation.answer(Ack(key="1", ok=False)) is None
    assert desk.done == ["opening"]
