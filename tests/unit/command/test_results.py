"""Results: numbered with the facts, free of secrets, counted."""

from __future__ import annotations

from typing import Any

import orjson

from wsfeeds.command.exact import loads
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

    def flush(self) -> None: ...

    @property
    def data(self) -> list[Any]:
        return [orjson.loads(line).get("data") for line in self.raw]


def bench(*secrets: str, **options: Any) -> tuple[Results, Lines, Stream]:
    lines = Lines()
    stream = Stream((lines,), redactor=Redactor(secrets))
    return Results(stream, secrets=bool(secrets), **options), lines, stream


def test_results_and_facts_share_their_numbers() -> None:
    results, lines, stream = bench()
    results.publish("onMessage", 1, 5)
    stream.emit_fact(SessionEvent(feed="run", state="connected"), 6, 1)
    results.publish("onClose", 2, 7)
    assert [orjson.loads(line)["seq"] for line in lines.raw] == [1, 2, 3]


def test_secrets_are_taken_out_of_strings_and_keys_but_not_out_of_numbers() -> None:
    results, lines, _ = bench("12345678", 'a"b\\c')
    results.publish("onMessage", loads('{"12345678":["x12345678y",12345678,1.50]}'), 1)
    results.publish("onMessage", 'say a"b\\c', 1)
    assert lines.raw[0].endswith(b'"data":{"***":["x***y",12345678,1.50]}}')
    assert lines.data[1] == "say ***"


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
