"""Results: numbered with the facts, free of secrets, counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from wsfeeds.command.exact import loads
from wsfeeds.command.masking import Masking
from wsfeeds.command.results import Results
from wsfeeds.events import SessionEvent, encoder
from wsfeeds.pipeline import Stream
from wsfeeds.secrets import Redactor


class Lines:
    """An output that keeps what it is given, as lines."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    def emit(self, event: Any) -> None:
        self.raw.append(encoder.encode(event))

    def emit_all(self, events: Sequence[Any]) -> None:
        for event in events:
            self.emit(event)

    def flush(self) -> None: ...

    @property
    def data(self) -> list[Any]:
        return [orjson.loads(line).get("data") for line in self.raw]


def bench(*secrets: str, **options: Any) -> tuple[Results, Lines, Stream]:
    lines = Lines()
    stream = Stream((lines,), redactor=Redactor(secrets))
    masking = Masking(secrets, stream.redactor)
    return Results(stream, masking=masking, **options), lines, stream


def test_results_and_facts_share_their_numbers() -> None:
    results, lines, stream = bench()
    results.publish("onMessage", 1, 5)
    stream.emit_fact(SessionEvent(feed="run", state="connected"), 6, 1)
    results.publish("onClose", 2, 7)
    assert [orjson.loads(line)["seq"] for line in lines.raw] == [1, 2, 3]


def test_times_never_go_back() -> None:
    """A message that waited behind a Send comes after what is younger than it."""
    results, lines, _ = bench()
    results.publish("onConnect", 1, 7)
    results.publish("onMessage", 2, 5)
    assert results.stamp(6) == 7
    assert [orjson.loads(line)["recv_ts"] for line in lines.raw] == [7, 7]


def test_secrets_are_taken_out_of_strings_keys_and_numbers() -> None:
    results, lines, _ = bench("12345678", 'a"b\\c')
    results.publish("onMessage", loads('{"12345678":["x12345678y",12345678,1.50]}'), 1)
    results.publish("onMessage", 'say a"b\\c', 1)
    assert lines.raw[0].endswith(b'"data":{"***":["x***y","***",1.50]}}')
    assert lines.data[1] == "say ***"


@pytest.mark.parametrize(
    ("secret", "echo"),
    [("1234.50", "1234.5"), ("12345", "12345.0"), ("12345", "1.2345E4"), ("007123", "7123")],
)
def test_a_number_that_equals_a_secret_is_taken_out_however_it_is_written(secret, echo) -> None:
    results, lines, _ = bench(secret)
    results.publish("onMessage", loads(f"[{echo},{echo}1]"), 1)
    assert lines.raw[0].endswith(f'"data":["***",{echo}1]}}'.encode())


@pytest.mark.parametrize("secret", ["NaN", "Infinity", "1E9999999999999999999", "12 34"])
def test_a_secret_that_is_no_number_leaves_numbers_alone(secret) -> None:
    results, lines, _ = bench(secret)
    results.publish("onMessage", loads("[1,1E400,-0,12]"), 1)
    assert lines.raw[0].endswith(b'"data":[1,1E400,-0,12]}')


def test_a_short_secret_leaves_results_as_they_came() -> None:
    """It would be in every second one by chance; what we say ourselves is free of it."""
    redactor = Redactor(["1"])
    results, lines, _ = bench("1")
    results.publish("onMessage", loads('{"1":["1",1,"21"]}'), 1)
    assert lines.raw[0].endswith(b'"data":{"1":["1",1,"21"]}}')
    assert Masking(["1"], redactor).told("door 1 of 21") == "door *** of 21"


def test_nothing_fresh_comes_after_the_count() -> None:
    told: list[bool] = []
    results, lines, _ = bench(count=2, on_count=lambda: told.append(True))
    results.publish("onConnect", 0, 1)
    for number in range(1, 5):
        results.publish("onMessage", number, 1)
    results.repeat(2)
    assert (lines.data, told, results.fresh) == ([0, 1, 2], [True], 2)


def test_the_current_result_is_the_last_of_on_message() -> None:
    results, lines, _ = bench()
    results.repeat(1)
    results.publish("onMessage", {"a": 1}, 2)
    results.publish("onInterval", "other", 3)
    results.repeat(4)
    assert lines.data == [{"a": 1}, "other", {"a": 1}]
    assert results.current == {"a": 1}
    beat = orjson.loads(lines.raw[-1])
    assert (beat["heartbeat"], beat["recv_ts"], beat["hook"]) == (True, 4, "onMessage")
