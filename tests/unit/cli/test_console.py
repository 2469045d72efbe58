"""What goes to stderr: readable, free of secrets, an outage once when it starts and ends."""

from __future__ import annotations

import json

import pytest

from wsfeeds.cli.console import Console, logger, printable
from wsfeeds.cli.facts import FactLog
from wsfeeds.events import ErrorEvent, Gap, Malformed, SessionEvent, Unknown
from wsfeeds.secrets import Redactor


@pytest.fixture
def stderr(capsys):
    return lambda: capsys.readouterr().err


def session(state, **members) -> SessionEvent:
    return SessionEvent(feed="cryptomus", state=state, **members)


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True), ({}, False)],
)
def test_colour_is_for_terminals_and_for_those_who_ask(environment, colour, monkeypatch):
    monkeypatch.setattr("os.isatty", lambda _: False)
    assert Console(environment=environment).colour is colour


@pytest.mark.parametrize(("term", "able"), [("xterm", True), ("dumb", False)])
def test_a_dumb_terminal_is_one_without_colours_and_drawings(monkeypatch, term, able):
    monkeypatch.setattr("os.isatty", lambda _: True)
    console = Console(environment={"TERM": term})
    assert console.stdout_is_terminal
    assert (console.stdout_can_be_drawn_on, console.colour) == (able, able)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ["warning", "error"]),
        ({"verbose": 1}, ["info", "warning", "error"]),
        ({"verbose": 2}, ["debug", "info", "warning", "error"]),
        ({"quiet": True}, ["error"]),
    ],
)
def test_levels_follow_the_options(stderr, options, shown):
    Console(**options).set_up_logging()
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level)("a message at %s", level)
    assert [line.split()[-1] for line in stderr().splitlines()] == shown


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_and_no_control_character_is_logged(stderr, form):
    console = Console(redactor=Redactor(["sesame-77"]), log_format=form)
    console.set_up_logging()
    logger.warning("bad \x1b[31m%s\r", "sesame-77")
    console.say("said sesame-77")
    logger.error("it broke", exc_info=ValueError("sesame-77"))
    text = stderr()
    assert "sesame" not in text
    assert "\x1b" not in text
    if form == "json":
        assert [json.loads(line)["level"] for line in text.splitlines()] == [
            *("warning", "warning", "error")
        ]


def test_quiet_says_nothing(stderr):
    Console(quiet=True).say("hello")
    assert stderr() == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é", "plain é"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\x00\x9b", "a\\x00\\x9b")],
)
def test_control_characters_are_spelled_out(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("asked", [["A_B"], ["A_B", "C_D"], []])
def test_an_outage_is_logged_once_when_it_starts_and_once_when_it_ends(stderr, asked):
    Console().set_up_logging()
    log = FactLog()
    for attempt in range(1, 4):
        again = session("reconnecting", reason="refused", delay_ms=500, attempt=attempt)
        again.symbols = asked
        log(again)
    for _ in range(2):
        log(session("subscribed", symbols=["A_B"]))
    lines = stderr().splitlines()
    assert len(lines) == 2
    assert "refused" in lines[0]
    assert "connected again" in lines[1]


def test_what_a_person_should_know_is_a_warning(stderr):
    Console().set_up_logging()
    log = FactLog()
    log(Gap(feed="cryptomus", reason="stale", missed=4, symbol="A_B"))
    log(ErrorEvent(feed="cryptomus", message="refused"))
    log(ErrorEvent(feed="cryptomus", message="the end", fatal=True))  # main says it
    log(Malformed(feed="cryptomus", error="no JSON", frame="x"))
    log(Unknown(feed="cryptomus", data=None))
    lines = stderr().splitlines()
    assert len(lines) == 3
    assert "A_B" in lines[0]
    assert "stale" in lines[0]
    assert "4 missed" in lines[0]
