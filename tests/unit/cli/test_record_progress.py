"""What people see of a recording, and what runs beside it."""

from __future__ import annotations

import io
import logging
import time
from pathlib import Path

import pytest

from wsfeeds.cli import record_hooks
from wsfeeds.cli.console import Console, logger
from wsfeeds.cli.record_hooks import CloseCommand, FreeSpace
from wsfeeds.cli.record_progress import Progress, Recorded, size
from wsfeeds.errors import OutputFailed, UsageError
from wsfeeds.events import Gap, Trade
from wsfeeds.outputs.recorder import Recorder
from wsfeeds.outputs.recorder_track import Policy
from wsfeeds.pipeline import Stream

NOON = 1_795_176_000_000_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def feed(tmp_path: Path) -> Recorded:
    """A feed that has recorded a trade and a gap."""
    recorder = Recorder(tmp_path, "cryptomus", Policy(), on_error=lambda _: None)
    recorder.open()
    stream = Stream([recorder])
    stream.emit_fact(Gap(feed="cryptomus", reason="stale"), NOON, 1)
    trade = Trade(feed="cryptomus", channel="trade", price="1", quantity="1", ts=NOON)
    stream.emit([trade], NOON + 12_000, 1)
    stream.flush()
    return Recorded("cryptomus", recorder, stream)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsfeeds.cli.record_progress._ON_TERMINAL", 0.0)
    monkeypatch.setattr("wsfeeds.cli.record_progress._ELSEWHERE", 0.0)


def test_elsewhere_than_on_a_terminal_a_line_a_feed_is_said(
    feed: Recorded, hurry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Progress(Console(), [feed]).tick()
    line = capsys.readouterr().err
    assert line.startswith("cryptomus: ")
    assert "lag 12 ms, 1 gaps, 0 reconnects, " in line
    assert line.endswith("20261120T120000.000000Z.events.jsonl\n")
    feed.recorder.close()
    feed.ended = "count"
    Progress(Console(), [feed]).tick()
    assert capsys.readouterr().err == "cryptomus: ended: count\n"


def test_on_a_terminal_it_is_drawn_in_place_and_makes_room_for_the_log(
    feed: Recorded, hurry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    Console().set_up_logging()
    progress = Progress(Console(), [feed])
    progress.tick()
    progress.tick()
    assert terminal.getvalue().count("\x1b[1A\x1b[J") == 1
    logger.warning("something happened")
    assert terminal.getvalue().count("\x1b[1A\x1b[J") == 2
    assert terminal.getvalue().endswith("something happened\n")
    feed.recorder.close()


def test_a_quiet_console_is_told_nothing(
    feed: Recorded, hurry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Progress(Console(quiet=True), [feed]).tick()
    assert capsys.readouterr().err == ""
    feed.recorder.close()


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 999, 1_500, 2_000_000, 3_210_000_000)] == [
        *("0 B", "999 B", "1.5 kB", "2.0 MB", "3.2 GB"),
    ]


def test_free_space_is_warned_about_once_and_then_ends_the_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    watch = FreeSpace(1_000_000_000)
    with caplog.at_level(logging.WARNING):
        watch.check(3_000_000_000, tmp_path)
        assert caplog.messages == []
        watch.check(1_500_000_000, tmp_path)
        watch.check(1_400_000_000, tmp_path)
    assert {message.partition(" ")[0] for message in caplog.messages} == {"1500MB"}
    with pytest.raises(OutputFailed, match="less than --min-free"):
        watch.check(999_999_999, tmp_path)
    FreeSpace(None).check(0, tmp_path)


@pytest.mark.parametrize("command", ["", "say 'open"])
def test_a_command_that_is_none_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="--on-close"):
        CloseCommand(command)


@pytest.mark.parametrize(
    ("command", "said"),
    [("false", "ended with 1"), ("no-such-command-here", "No such file"), ("sleep", "killed")],
)
def test_a_command_that_fails_or_hangs_is_only_warned_about(
    command: str,
    said: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    path = tmp_path / "segment"
    if command == "sleep":
        monkeypatch.setattr(record_hooks, "_TIMEOUT", 0.1)
        command, path = "sh -c 'sleep 60'", tmp_path
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING):
        hook = CloseCommand(command)
        hook(path)
        hook.finish()
    assert time.monotonic() - begin < 50
    assert any(said in message for message in caplog.messages)


def test_what_is_left_at_the_end_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(record_hooks, "_AT_THE_END", 0.2)
    monkeypatch.setattr(record_hooks, "_WAITING", 2)
    with caplog.at_level(logging.WARNING):
        hook = CloseCommand("sh -c 'sleep 60'")
        for number in range(6):
            hook(tmp_path / str(number))
        hook.finish()
    assert any("too slow" in message for message in caplog.messages)
