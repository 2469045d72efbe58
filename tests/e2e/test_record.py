"""`wsfeeds record`, as a user runs it: against simulators, stopped, killed and started again."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wsfeeds

DEADLINE = 20.0
SIM = ("record", "cryptomus", "--sim")
VENUE = ("sim", "cryptomus", "--rate", "3000")


def manifest(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def started(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> Iterator[Any]:
    command = [sys.executable, "-m", "wsfeeds", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def venue(*arguments: str) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """A simulator in a process of its own: the arguments and environment of its client."""
    with started(*(arguments or VENUE)) as process:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        settings = place["settings"]
        env = {f"WSFEEDS_CRYPTOMUS_{key.upper()}": value for key, value in settings.items()}
        yield ("--url", place["url"], "--api-url", place["api_url"]), env


def recorded(root: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in root.rglob("*.events.jsonl*"))


def test_a_recording_is_complete_and_exact(wsfeeds_command, tmp_path):
    done = wsfeeds_command(*SIM, "--dir", str(tmp_path), "--capture", "both", "-n", "100")
    assert (done.code, done.stdout) == (0, b"")
    frames, events = sorted(manifest(tmp_path), key=lambda line: line["kind"], reverse=True)
    assert (events["kind"], events["closed"], events["first_seq"]) == ("events", "stop", 1)
    assert frames["run"] == events["run"]
    lines = [json.loads(line) for line in (tmp_path / events["path"]).read_text().splitlines()]
    data = [line for line in lines if line["channel"] != "session"]
    assert len(data) == 100
    opened = json.loads((tmp_path / frames["path"]).read_text().splitlines()[0])
    assert list(opened)[:8] == [
        *("recv_ts", "conn", "dir", "run", "url", "symbols", "channels", "settings"),
    ]
    assert opened["url"].endswith("?token=***")
    assert wsfeeds_command("verify", str(tmp_path)).code == 0


def test_no_secret_is_recorded(wsfeeds_command, tmp_path):
    with venue() as (place, env):
        command = ("record", "cryptomus", "BTC_USDT", *place, "--dir", str(tmp_path))
        done = wsfeeds_command(*command, "--capture", "both", "-n", "20", "-v", env=env)
    assert done.code == 0
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in env.values():
        if secret != env["WSFEEDS_CRYPTOMUS_USER_ID"]:
            assert secret.encode() not in content
            assert secret not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_recording_cleanly(wsfeeds_command, tmp_path, number, code):
    with started(*SIM, "--dir", str(tmp_path)) as process:
        until(lambda: recorded(tmp_path) > 20, "events")
        process.send_signal(number)
        assert process.wait(DEADLINE) == code
    assert [line["closed"] for line in manifest(tmp_path)] == ["stop"]
    assert wsfeeds_command("verify", str(tmp_path)).code == 0


def test_kills_under_load_lose_no_flushed_line_and_the_hole_is_in_the_data(
    wsfeeds_command, tmp_path
):
    with venue() as (place, env):
        command = ("record", "cryptomus", "all", *place, "--dir", str(tmp_path))
        command += ("--rotate", "50KB", "--compress", "zstd")
        for kill in range(4):
            before = recorded(tmp_path)
            with started(*command, env=env) as process:
                wanted = before + 300 * (kill + 1)
                until(functools.partial(more_than, wanted, tmp_path), "events")
                process.kill()
        done = wsfeeds_command(*command, "-n", "50", env=env)
    assert done.code == 0
    report = wsfeeds_command("verify", str(tmp_path), "--json")
    assert report.code == 0, report.stdout
    gaps = [gap for gap in json.loads(report.stdout)["gaps"] if gap["reason"] == "restart"]
    assert len(gaps) == 4
    assert all(gap["from_ts"] < gap["to_ts"] for gap in gaps)
    assert not list(tmp_path.rglob("*.part"))
    assert list(wsfeeds.read(tmp_path)) != []


def more_than(wanted: int, root: Path) -> bool:
    return recorded_everywhere(root) > wanted


def recorded_everywhere(root: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        listed: int = sum(line["lines"] for line in manifest(root))
        return listed + sum(path.read_bytes().count(b"\n") for path in root.rglob("*.part"))
    return recorded(root)


def test_a_second_recorder_is_refused_and_another_feed_is_not(wsfeeds_command, tmp_path):
    with started(*SIM, "--dir", str(tmp_path)):
        until(lambda: recorded(tmp_path) > 5, "events")
        again = wsfeeds_command(*SIM, "--dir", str(tmp_path), "-n", "1")
        assert again.code == 2
        assert "another recorder writes cryptomus" in again.stderr
        other = wsfeeds_command("record", "igratech", "--sim", "--dir", str(tmp_path), "-n", "1")
        assert other.code == 0


def test_all_subscriptions_of_a_file_are_recorded_at_once(wsfeeds_command, tmp_path):
    settings = tmp_path / "all.toml"
    settings.write_text(
        "[record]\n"
        f'dir = "{tmp_path / "out"}"\ncompress = "gzip"\ncapture = "both"\n'
        '[[record.subscriptions]]\nfeed = "cryptomus"\nsymbols = ["BTC_USDT"]\n'
        'channels = ["trade"]\n'
        '[[record.subscriptions]]\nfeed = "igratech"\n'
    )
    done = wsfeeds_command("record", "--config", str(settings), "--sim", "-n", "30")
    assert done.code == 0, done.stderr
    lines = manifest(tmp_path / "out")
    assert {line["feed"] for line in lines} == {"cryptomus", "igratech"}
    assert all(line["path"].endswith(".jsonl.gz") for line in lines)
    data = [event for event in wsfeeds.read(tmp_path / "out") if event.channel != "session"]
    assert len(data) == 30


def test_one_feed_that_fails_for_good_does_not_stop_the_others(wsfeeds_command, tmp_path):
    settings = tmp_path / "two.toml"
    with venue() as (place, _):
        settings.write_text(
            '[feeds.cryptomus]\nuser_id = "nobody"\napi_key = "wrong-key-0000"\n'
            f'url = "{place[1]}"\napi_url = "{place[3]}"\n'
            '[feeds.igratech]\nurl = "ws://127.0.0.1:9/"\nmax_retries = 2\n'
            'backoff_initial = "100ms"\n'
            f'[record]\ndir = "{tmp_path / "out"}"\n'
            '[[record.subscriptions]]\nfeed = "cryptomus"\nsymbols = ["BTC_USDT"]\n'
            '[[record.subscriptions]]\nfeed = "igratech"\n'
        )
        done = wsfeeds_command("record", "--config", str(settings))
    assert done.code == 3
    assert "igratech: gave up after 2 retries" in done.stderr
    assert wsfeeds_command("verify", str(tmp_path / "out")).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("record",), "nothing to record"),
        (("record", "--set", "idle_timeout=1s"), "need a FEED"),
        ((*SIM, "--rotate", "soon"), "--rotate|rotation"),
        ((*SIM, "--compress", "rar"), "--compress takes one of none, gzip, zstd"),
        ((*SIM, "--capture", "all"), "--capture takes one of"),
        ((*SIM, "--fsync", "0s"), "more than zero"),
        ((*SIM, "--on-close", ""), "--on-close needs a command"),
        ((*SIM, "-n", "0"), "1 or more"),
        (("record", "nonesuch", "X"), "unknown feed"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[1:]),
)
def test_bad_usage_opens_nothing(wsfeeds_command, tmp_path, arguments, message):
    folder = tmp_path / "out"
    done = wsfeeds_command(*arguments, "--dir", str(folder), env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.code == 2
    assert any(part in done.stderr for part in message.split("|")), done.stderr
    assert not folder.exists()


def test_a_closed_segments_path_is_handed_to_a_command(wsfeeds_command, tmp_path):
    listing = tmp_path / "closed.txt"
    script = tmp_path / "note.sh"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{listing}"\necho noise\n')
    script.chmod(0o755)
    out = tmp_path / "out"
    command = (*SIM, "--dir", str(out), "--rotate", "10KB", "-n", "100")
    done = wsfeeds_command(*command, "--on-close", str(script))
    assert (done.code, done.stdout) == (0, b"")
    paths = [Path(line) for line in listing.read_text().splitlines()]
    assert paths == [out / line["path"] for line in manifest(out)]


def test_a_recorder_stops_before_the_disk_is_full(wsfeeds_command, tmp_path):
    done = wsfeeds_command(*SIM, "--dir", str(tmp_path), "--min-free", "9000TB")
    assert done.code == 6
    assert "less than --min-free" in done.stderr
    assert [line["closed"] for line in manifest(tmp_path)] == ["stop"]


def test_a_file_that_may_not_grow_ends_with_6_and_verifies(wsfeeds_command, tmp_path):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    with started(*SIM, "--dir", str(tmp_path), preexec_fn=limit) as process:
        assert process.wait(DEADLINE) == 6
        assert b"File too large" in process.stderr.read()
    assert wsfeeds_command("verify", str(tmp_path)).code == 0
    assert wsfeeds_command(*SIM, "--dir", str(tmp_path), "-n", "5").code == 0
    assert wsfeeds_command("verify", str(tmp_path)).code == 0


def test_a_folder_that_cannot_be_written_ends_with_6(wsfeeds_command, tmp_path):
    (tmp_path / "file").write_text("")
    done = wsfeeds_command(*SIM, "--dir", str(tmp_path / "file" / "below"))
    assert done.code == 6
    assert "Not a directory" in done.stderr


def test_a_folder_that_vanishes_ends_with_6(tmp_path):
    with started(*SIM, "--dir", str(tmp_path / "out")) as process:
        until(lambda: recorded(tmp_path) > 5, "events")
        (tmp_path / "out").rename(tmp_path / "moved")
        assert process.wait(DEADLINE) == 6
