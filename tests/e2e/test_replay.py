"""`wsfeeds verify`, `replay` and `stats` on what `record` has written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsfeeds.clock import to_datetime

SIM = ("record", "cryptomus", "--sim")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Three hundred events of the simulated exchange, recorded both ways."""
    folder = tmp_path_factory.mktemp("recording")
    command = [sys.executable, "-m", "wsfeeds", *SIM, "--dir", str(folder), "-n", "150"]
    command += ["--capture", "both", "--rotate", "40KB", "-c", "trade,depth,bbo", "-q"]
    subprocess.run(command, check=True, timeout=60)
    return folder


def lines(folder: Path, kind: str) -> list[bytes]:
    paths = sorted(folder.rglob(f"*.{kind}.jsonl"))
    return [line for path in paths for line in path.read_bytes().splitlines()]


def numberless(line: bytes) -> bytes:
    return re.sub(rb'"seq":[0-9]+', b'"seq":0', line, count=1)


def data_of(found: list[bytes]) -> list[bytes]:
    return [numberless(line) for line in found if b'"channel":"session"' not in line]


def test_events_are_replayed_as_they_were_recorded(wsfeeds_command, recording):
    done = wsfeeds_command("replay", str(recording), "--speed", "max")
    assert done.code == 0
    assert done.stdout.splitlines() == lines(recording, "events")


def test_frames_are_replayed_as_the_events_recorded_beside_them(wsfeeds_command, recording):
    paths = map(str, sorted(recording.rglob("*.frames.jsonl")))
    done = wsfeeds_command("replay", *paths, "--speed", "max")
    assert done.code == 0
    found = done.stdout.splitlines()
    wanted = data_of(lines(recording, "events"))
    assert [numberless(line) for line in found][: len(wanted)] == wanted
    assert [json.loads(line)["seq"] for line in found] == list(range(1, len(found) + 1))


def test_types_counts_ranges_and_files_are_as_in_subscribe(wsfeeds_command, recording, tmp_path):
    out = tmp_path / "trades.jsonl"
    command = ("replay", str(recording), "--speed", "max", "--types", "trade", "-o", str(out))
    done = wsfeeds_command(*command, "-n", "7")
    assert [event["type"] for event in done.events] == ["trade"] * 7
    assert [event["seq"] for event in done.events] == [1, 2, 3, 4, 5, 6, 7]
    assert out.read_bytes() == done.stdout
    first, last = (json.loads(lines(recording, "events")[index])["recv_ts"] for index in (40, 90))
    since, until = iso(first), iso(last)
    done = wsfeeds_command(
        "replay", str(recording), "--speed", "max", "--from", since, "--to", until
    )
    times = [event["recv_ts"] for event in done.events]
    assert times[0] == first
    assert times[-1] < last


def iso(micros: int) -> str:
    return to_datetime(micros).isoformat()


def test_raw_frames_are_replayed_as_they_came(wsfeeds_command, recording):
    done = wsfeeds_command("replay", str(recording), "--speed", "max", "-f", "raw", "-n", "20")
    frames = map(json.loads, lines(recording, "frames"))
    inbound = [frame["frame"].encode() for frame in frames if frame["dir"] == "in"]
    assert done.stdout.splitlines() == inbound[:20]


def test_a_reader_that_leaves_ends_a_replay_quietly(recording):
    command = f"{sys.executable} -m wsfeeds replay {recording} --speed max | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--speed", "0"),
        ("--speed", "fast"),
        ("--max-wait", "long"),
        ("--from", "yesterday"),
        ("--types", "tread"),
        ("--serve", "here"),
        ("-f", "xml"),
    ],
    ids=" ".join,
)
def test_bad_usage_of_replay_is_refused(wsfeeds_command, recording, wrong):
    done = wsfeeds_command("replay", str(recording), *wrong)
    assert (done.code, done.stdout) == (2, b"")


def test_paths_that_do_not_exist_are_bad_usage(wsfeeds_command, tmp_path):
    for command in ("replay", "verify", "stats"):
        done = wsfeeds_command(command, str(tmp_path / "nowhere"))
        assert done.code == 2
        assert "does not exist" in done.stderr


def test_an_unmodified_client_is_served_what_was_recorded(wsfeeds_command, recording):
    command = [sys.executable, "-m", "wsfeeds", "replay", str(recording)]
    command += ["--serve", "127.0.0.1:0", "--speed", "max"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        place = json.loads(server.stdout.readline())
        env = {"WSFEEDS_CRYPTOMUS_USER_ID": "anybody", "WSFEEDS_CRYPTOMUS_API_KEY": "any-key"}
        client = ["subscribe", "cryptomus", "BTC_USDT", "ETH_USDT", "-c", "trade,depth,bbo"]
        client += ["--url", place["url"], "--api-url", place["api_url"], "-n", "150"]
        for _ in range(2):
            done = wsfeeds_command(*client, env={**os.environ, **env})
            assert done.code == 0, done.stderr
            assert unstamped(data_of(done.stdout.splitlines())) == unstamped(
                data_of(lines(recording, "events"))
            )
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def unstamped(found: list[bytes]) -> list[bytes]:
    return [re.sub(rb'"recv_ts":[0-9]+', b'"recv_ts":0', line, count=1) for line in found]


def test_verify_says_what_is_there_and_names_damage(wsfeeds_command, recording, tmp_path):
    done = wsfeeds_command("verify", str(recording))
    assert done.code == 0
    assert done.stdout.decode().splitlines()[-1].startswith("complete: ")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(recording), str(copy)], check=True)
    victim = min(copy.rglob("*.events.jsonl"))
    content = victim.read_bytes().splitlines(keepends=True)
    victim.write_bytes(b"".join(content[:10] + content[11:]))
    done = wsfeeds_command("verify", str(copy), "--json")
    assert done.code == 5
    (document,) = [json.loads(done.stdout)]
    assert document["ok"] is False
    assert document["damage"][0]["path"] == str(victim)
    assert document["damage"][0]["line"] == 11
    done = wsfeeds_command("verify", str(copy), "--repair")
    assert done.code == 0
    assert wsfeeds_command("verify", str(copy)).code == 0


def test_stats_are_for_people_and_for_machines(wsfeeds_command, recording):
    plain = wsfeeds_command("stats", str(recording))
    assert plain.code == 0
    assert "cryptomus: 150 data events" in plain.stdout.decode()
    document = json.loads(wsfeeds_command("stats", str(recording), "--json").stdout)
    (feed,) = document["feeds"]
    assert feed["events"] == 150
    assert {series["channel"] for series in feed["series"]} == {"trade", "depth", "bbo"}


def test_a_line_that_is_no_event_is_named_and_the_rest_is_replayed(
    wsfeeds_command, recording, tmp_path
):
    """`replay` and `stats` are no audits: what is bad is left out and said, which is no failure."""
    copy = tmp_path / "copy.jsonl"
    content = lines(recording, "events")
    copy.write_bytes(b"\n".join([*content[:4], b'{"type":"tra', *content[4:]]) + b"\n")
    done = wsfeeds_command("replay", str(copy), "--speed", "max")
    assert (done.code, done.stdout.splitlines()) == (0, content)
    first, second = done.stderr.splitlines()
    assert f"{copy}, line 5" in first
    assert "one line was left out" in second
    summary = wsfeeds_command("stats", str(copy), "--json")
    assert (summary.code, json.loads(summary.stdout)["feeds"][0]["events"]) == (0, 150)
    assert summary.stderr.splitlines()[0].endswith(first[len("00:00:00 ") :])
    assert wsfeeds_command("verify", str(copy)).code == 5


def test_many_bad_lines_are_counted_and_the_first_ones_named(wsfeeds_command, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(b"garbage\n" * 500)
    done = wsfeeds_command("replay", str(broken), "--speed", "max")
    assert (done.code, done.stdout) == (0, b"")
    said = done.stderr.splitlines()
    assert len(said) == 11
    assert "500 lines" in said[-1]


def test_what_is_no_file_is_bad_usage(wsfeeds_command, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for command in ("replay", "verify", "stats"):
        done = wsfeeds_command(command, str(tmp_path / "pipe"))
        assert (done.code, done.stdout) == (2, b"")
        (line,) = done.stderr.splitlines()
        assert "neither a file nor a folder" in line


def test_a_pipe_that_nobody_reads_is_told_at_once(wsfeeds_command, recording, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for command in (("replay", str(recording)), ("subscribe", "cryptomus", "--sim")):
        done = wsfeeds_command(*command, "-o", str(tmp_path / "pipe"))
        assert (done.code, str(tmp_path / "pipe") in done.stderr) == (6, True)


@pytest.mark.parametrize("command", ["replay", "subscribe"])
def test_a_pipe_whose_reader_stops_reading_does_not_hold_up_an_end(recording, tmp_path, command):
    """Signals are heard all the time: the second one ends at once, with 143."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    much = tmp_path / "much.jsonl"  # more than a pipe holds
    much.write_bytes(b"\n".join(lines(recording, "events") * 40) + b"\n")
    what = {
        "replay": ["replay", str(much), "--speed", "max"],
        "subscribe": ["subscribe", "cryptomus", "all", "--sim"],
    }
    arguments = [sys.executable, "-m", "wsfeeds", *what[command], "-o", str(pipe)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        try:
            assert select.select([reading], [], [], 30)[0], "nothing was written to the pipe"
            for _ in range(3_000):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(0.01) == 143
                    break
            else:
                pytest.fail("it does not hear signals")
        finally:
            process.kill()
            os.close(reading)
