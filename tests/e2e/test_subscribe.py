"""`wsfeeds subscribe` as it is installed, against its own simulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from decimal import Decimal

import pytest

import wsfeeds

SIM = ("subscribe", "cryptomus", "BTC_USDT", "--sim")
ENVELOPE = ["type", "feed", "channel", "symbol", "ts", "recv_ts", "seq", "venue_seq", "conn"]
DATA = {"trade", "ticker", "last_price", "book", "bbo", "order", "fill", "balance"}
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def test_every_line_is_one_compact_event_in_the_contracts_order(wsfeeds_command):
    done = wsfeeds_command(*SIM, "-n", "25")
    assert done.code == 0
    assert done.stdout.endswith(b"\n")
    assert done.stdout.decode()
    for line in done.stdout.splitlines():
        event = json.loads(line)
        assert list(event)[:9] == ENVELOPE
        assert json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() == line
        assert event["feed"] == "cryptomus"
    times = [event["recv_ts"] for event in done.events]
    assert times == sorted(times)
    assert abs(times[0] / 1e6 - time.time()) < 60
    assert [event["seq"] for event in done.events] == list(range(1, len(times) + 1))
    assert sum(event["type"] in DATA for event in done.events) == 25


def test_default_channels_are_those_of_the_contract(wsfeeds_command):
    done = wsfeeds_command(*SIM, "-n", "25")
    kinds = {event["type"] for event in done.events}
    assert kinds == {"session", "trade", "ticker", "last_price", "book"}
    states = [event["state"] for event in done.of("session")]
    assert states[:2] == ["connecting", "connected"]
    assert "subscribed" in states
    assert states[-1] == "stopped"
    assert done.of("session", state="subscribed")[0]["symbols"] == ["BTC_USDT"]


def test_prices_are_plain_decimal_strings_and_the_book_never_crosses(wsfeeds_command):
    done = wsfeeds_command(*SIM, "-c", "trade,bbo", "-n", "25")
    for trade in done.of("trade"):
        assert PLAIN.fullmatch(trade["price"])
        assert PLAIN.fullmatch(trade["quantity"])
        assert trade["side"] in {"buy", "sell"}
    for bbo in done.of("bbo"):
        assert Decimal(bbo["bid_price"]) < Decimal(bbo["ask_price"])
    assert not done.of("book")


def test_all_channels_stream_together(wsfeeds_command):
    channels = "trade,ticker,lastprice,depth,bbo,order,balance,deal"
    done = wsfeeds_command("subscribe", "cryptomus", "all", "--sim", "-c", channels, "-n", "250")
    assert done.code == 0
    assert {event["type"] for event in done.events} >= DATA
    assert not done.of("malformed")
    assert not done.of("unknown")


@pytest.mark.parametrize("count", [1, 7])
def test_count_stops_after_exactly_so_many_data_events(wsfeeds_command, count):
    done = wsfeeds_command(*SIM, "-n", str(count), "-c", "trade")
    assert done.code == 0
    assert len(done.of("trade")) == count
    assert done.events[-1]["reason"] == "count"


def test_types_lets_only_these_through_and_numbers_what_is_let_through(wsfeeds_command):
    done = wsfeeds_command(*SIM, "--types", "trade,last_price", "-n", "10")
    assert {event["type"] for event in done.events} <= {"trade", "last_price"}
    assert [event["seq"] for event in done.events] == list(range(1, 11))


def test_a_duration_is_a_normal_end(wsfeeds_command):
    started = time.monotonic()
    done = wsfeeds_command(*SIM, "-d", "300ms", "-c", "trade")
    assert done.code == 0
    assert done.events[-1]["reason"] == "duration"
    assert 0.3 < time.monotonic() - started < 10


def test_output_appends_the_same_lines(wsfeeds_command, tmp_path):
    target = tmp_path / "events.jsonl"
    first = wsfeeds_command(*SIM, "-n", "3", "-o", str(target))
    assert target.read_bytes() == first.stdout
    second = wsfeeds_command(*SIM, "-n", "3", "-o", str(target))
    assert target.read_bytes() == first.stdout + second.stdout


def test_raw_writes_inbound_frames_acks_included(wsfeeds_command, tmp_path):
    target = tmp_path / "events.jsonl"
    done = wsfeeds_command(*SIM, "-f", "raw", "-n", "12", "-c", "trade", "-o", str(target))
    frames = done.events
    assert done.code == 0
    assert len(frames) == 12
    assert any(frame["data"] == {"status": "success"} for frame in frames)
    assert all("recv_ts" not in frame for frame in frames)
    events = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert events[0]["type"] == "session"


def test_heartbeats_are_left_out_unless_asked_for(wsfeeds_command):
    assert wsfeeds_command(*SIM, "-n", "1", "--heartbeats").code == 0


def test_two_runs_of_one_seed_differ_in_times_only(wsfeeds_command):
    runs = [wsfeeds_command(*SIM, "-c", "trade", "--types", "trade", "-n", "5") for _ in range(2)]
    seen = [[(e["price"], e["quantity"], e["side"]) for e in run.events] for run in runs]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_no_escape_reaches_a_pipe(wsfeeds_command, variable):
    env = {variable: "1"}
    done = wsfeeds_command(*SIM, "-n", "5", "-f", "pretty", "--no-live", env=env)
    assert done.code == 0
    assert b"\x1b" not in done.stdout
    assert "\x1b" not in done.stderr


def test_quiet_says_nothing(wsfeeds_command):
    assert wsfeeds_command(*SIM, "-n", "2", "-q").stderr == ""


def test_the_log_as_json_is_one_object_a_line(wsfeeds_command):
    done = wsfeeds_command(*SIM, "-n", "2", "-v", "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    assert all({"time", "level", "message"} <= set(line) for line in lines)


def test_a_reader_that_takes_one_line_ends_the_run_quietly():
    command = f"{sys.executable} -m wsfeeds {' '.join(SIM)} -q | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, timeout=30, check=False, env=os.environ
    )
    first, code = done.stdout.splitlines()
    assert json.loads(first)["state"] == "connecting"
    assert (code, done.stderr) == (b"0", b"")


USAGE = {
    "an unknown feed": (("cryptomos", "X"), "cryptomus"),
    "a malformed symbol": (("cryptomus", "BTC-USDT"), "BTC-USDT"),
    "no symbol": (("cryptomus",), "SYMBOL"),
    "an unknown channel": (("cryptomus", "BTC_USDT", "-c", "trades"), "trade"),
    "an unknown setting": (("cryptomus", "BTC_USDT", "--set", "pong_time=1s"), "pong_timeout"),
    "a bad duration": (("cryptomus", "BTC_USDT", "-d", "soon"), "soon"),
    "a bad count": (("cryptomus", "BTC_USDT", "-n", "0"), "-n"),
    "a count that is no number": (("cryptomus", "BTC_USDT", "-n", "x"), "-n"),
    "an unknown type": (("cryptomus", "BTC_USDT", "--types", "trad"), "trade"),
    "an unknown format": (("cryptomus", "BTC_USDT", "-f", "csv"), "csv"),
    "an unknown option": (("cryptomus", "BTC_USDT", "--nope"), "--nope"),
    "a secret on the command line": (("cryptomus", "B_U", "--set", "api_key=sesame"), "api_key"),
    "an unknown settings file": (("cryptomus", "B_U", "--config", "none.toml"), "none.toml"),
    "retries both ways": (("cryptomus", "B_U", "--max-retries", "1", "--no-reconnect"), "exclude"),
    "a currency for trades": (("cryptomus", "BTC", "-c", "trade"), "BTC_USDT"),
    "credentials over plain ws": (("cryptomus", "B_U", "--url", "ws://192.0.2.1/ws"), "insecure"),
}


@pytest.mark.parametrize("name", USAGE)
def test_bad_usage_is_one_helpful_line_and_opens_nothing(wsfeeds_command, tmp_path, name):
    arguments, hint = USAGE[name]
    env = {"WSFEEDS_CRYPTOMUS_USER_ID": "u-1", "WSFEEDS_CRYPTOMUS_API_KEY": "key-12345"}
    target = tmp_path / "out.jsonl"
    done = wsfeeds_command("subscribe", *arguments, "-o", str(target), env=env)
    assert (done.code, done.stdout) == (2, b"")
    (line,) = done.stderr.splitlines()
    assert hint in line
    assert "sesame" not in line
    assert not target.exists()


def test_missing_credentials_are_named_with_their_variables(wsfeeds_command):
    done = wsfeeds_command("subscribe", "cryptomus", "BTC_USDT")
    assert (done.code, done.stdout) == (2, b"")
    assert "WSFEEDS_CRYPTOMUS_API_KEY" in done.stderr
    assert "WSFEEDS_CRYPTOMUS_USER_ID" in done.stderr


def test_an_unknown_variable_is_refused_with_the_nearest_one(wsfeeds_command):
    done = wsfeeds_command(*SIM, "-n", "1", env={"WSFEEDS_CRYPTOMUS_APIKEY": "secret-value"})
    assert done.code == 2
    assert "api_key" in done.stderr.lower()
    assert "secret-value" not in done.stderr


def test_a_settings_file_is_read(wsfeeds_command, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text('[feeds.cryptomus]\nidle_timeout = "soon"\n')
    done = wsfeeds_command(*SIM, "-n", "1", "--config", str(settings))
    assert done.code == 2
    assert "idle_timeout" in done.stderr


async def test_the_python_api_yields_the_same_typed_events():
    kinds = set()
    async with wsfeeds.stream(
        "cryptomus", ["BTC_USDT"], channels=["trade", "depth"], sim=True
    ) as s:
        async for event in s:
            kinds.add(type(event))
            if isinstance(event, wsfeeds.Trade):
                assert isinstance(event.price, str)
                break
            if isinstance(event, wsfeeds.Book):
                assert event.bids or not event.snapshot
                assert all(isinstance(level, tuple) for level in event.bids)
    assert {wsfeeds.SessionEvent, wsfeeds.Book, wsfeeds.Trade} <= kinds


async def test_the_python_api_refuses_before_anything_is_opened():
    with pytest.raises(wsfeeds.errors.UsageError, match="BTC-USDT"):
        async with wsfeeds.stream("cryptomus", ["BTC-USDT"], sim=True):
            pytest.fail("it was opened")


def test_a_dumb_terminal_gets_plain_lines_for_people():
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb") as screen:
        done = subprocess.run(
            [sys.executable, "-m", "wsfeeds", *SIM, "-c", "lastprice", "-n", "2"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
            env=os.environ | {"TERM": "dumb"},
        )
        os.close(theirs)
        shown = os.read(screen.fileno(), 65_536).decode()
    assert done.returncode == 0
    assert "BTC_USDT" in shown
    assert "{" not in shown
    assert "\x1b" not in shown
