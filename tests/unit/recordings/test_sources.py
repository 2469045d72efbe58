"""Which files paths stand for, and what is read of those that are damaged."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import wsfeeds
from wsfeeds.cli.damage import Damage
from wsfeeds.errors import RecordingDamaged, UsageError
from wsfeeds.outputs.recorder_files import ENDINGS, Compression, parse_name
from wsfeeds.recordings.lines import read_exact
from wsfeeds.recordings.replay import exact_events
from wsfeeds.recordings.sources import find_sources, head_of
from wsfeeds.recordings.stats import stats

from .conftest import NOON, segments, trade
from .test_verify import edit

FEED = "feed=cryptomus"
_NOBODY = 65_534
SPELLINGS = {
    "the same folder twice": [".", "."],
    "a folder in it": [".", FEED],
    "a folder in it first": [FEED, "."],
    "a file in it": [".", "FILE"],
    "a file in it first": ["FILE", "."],
    "a symbolic link to it": [".", "LINK"],
    "another path to it": [f"{FEED}/..", "FILE"],
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_file_is_read_once_however_often_it_is_named(simple: Path, name: str) -> None:
    (simple / "LINK").symlink_to(simple)
    (simple / "FILE").symlink_to(segments(simple)[1])
    paths = [simple / spelling for spelling in SPELLINGS[name]]
    numbers = [event.seq for event in exact_events(paths)]
    assert numbers == list(range(1, 181))
    assert [event.seq for event in wsfeeds.read(*paths)] == numbers
    (feed,) = stats(paths).feeds
    assert feed.events + feed.facts == 180


def test_a_file_that_is_named_twice_is_read_once(simple: Path) -> None:
    first, second, _ = segments(simple)
    numbers = [event.seq for event in exact_events([second, first, second])]
    assert numbers == list(range(1, 121))


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    """The first look at a pipe, at what it holds, would take lines away unseen."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        for path in (pipe, tmp_path / "s"):
            with pytest.raises(UsageError, match="neither a file nor a folder"):
                find_sources([path], "events")


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Be somebody whom permissions concern: root may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_may_not_be_read_is_refused(simple: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # which anybody can look into
        Path(name).chmod(0o755)
        folder = shutil.copytree(simple, Path(name, "recording"))
        victim = segments(folder)[1]
        for forbidden in (victim, victim.parent):
            forbidden.chmod(0)
            with ordinary_user(), pytest.raises(UsageError, match="cannot be read"):
                find_sources([folder], "events")
            if forbidden is victim:
                with ordinary_user(), pytest.raises(UsageError, match="cannot be read"):
                    find_sources([victim], "events")
            forbidden.chmod(0o755)


def damage(root: Path) -> list[str]:
    """Spoil three places of a recording and return what they are called."""
    first, second, third = segments(root)
    edit(first, 3, lambda _: '{"type":"trade"\n')
    edit(first, 9, lambda _: "\x00\n")
    second.rename(second.with_name(second.name + ".gz"))
    third.write_bytes(third.read_bytes()[:-5])
    return [f"{first}, line 3", f"{first}, line 9", f"{second}.gz", f"{third}"]


def test_damage_is_named_and_the_rest_is_read(simple: Path) -> None:
    places = damage(simple)
    told: list[RecordingDamaged] = []
    numbers = [event.seq for event in exact_events([simple], on_damage=told.append)]
    kept = [*range(1, 61), *range(121, 180)]
    assert numbers == [number for number in kept if number not in {3, 9}]
    assert len(told) == len(places)
    for error, place in zip(told, places, strict=True):
        assert error.message.startswith(place)


@pytest.mark.parametrize(
    ("rests", "said"),
    [
        ([False], "one line was left out"),
        ([False, False], "2 lines were left out"),
        ([True], "the rest of one file was left out"),
        ([True, False, False], "2 lines and the rest of one file were left out"),
        ([True, True], "2 rests of files were left out"),
    ],
)
def test_what_was_left_out_is_summed_up(
    rests: list[bool], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage = Damage()
    for rest in rests:
        error = RecordingDamaged("here")
        error.rest = rest
        damage(error)
    damage.summarise()
    assert caplog.messages[-1].startswith(said)


def test_a_segment_that_cannot_be_expanded_to_its_end_is_left_out_from_a_line_on(
    write: Callable[..., Path],
) -> None:
    numbers = random.Random(1)
    reads = [(NOON + n, [trade(n, symbol=numbers.randbytes(99).hex())]) for n in range(3000)]
    root = write(reads, compress="gzip")
    (path,) = segments(root)
    path.write_bytes(path.read_bytes()[:-20_000])
    told: list[RecordingDamaged] = []
    read = len(list(exact_events([root], on_damage=told.append)))
    assert 0 < read < 3000
    (error,) = told
    assert error.rest
    assert error.message.startswith(f"{path}, from line {read + 1} on: cannot be expanded")


def test_python_code_is_told_of_damage_by_an_exception(simple: Path) -> None:
    edit(segments(simple)[0], 3, lambda _: "{}\n")
    events = wsfeeds.read(simple)
    with pytest.raises(RecordingDamaged, match="line 3"):
        list(events)


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_a_segment_that_is_closed_after_it_was_listed_is_read_by_its_final_name(
    write: Callable[..., Path], compress: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write([(NOON + number, [trade(number)]) for number in range(9)], compress=compress)
    (closed,) = segments(root)
    part = closed.with_name(closed.name.removesuffix(ENDINGS[compress]) + ".part")
    listed = parse_name(part)
    monkeypatch.setattr("wsfeeds.recordings.sources.live_segments", lambda _: [listed])
    assert [event.seq for event in wsfeeds.read(root)] == list(range(1, 10))
    assert head_of(part)[0] == "cryptomus"
    (feed,) = stats([root]).feeds
    assert feed.events == 9
    closed.unlink()
    told: list[RecordingDamaged] = []
    assert list(exact_events([root], on_damage=told.append)) == []
    assert [error.message for error in told] == [
        f"{part}: cannot be read: No such file or directory"
    ]


def test_damage_in_a_segment_that_was_just_closed_is_named_by_its_final_name(simple: Path) -> None:
    path = segments(simple)[0]
    edit(path, 3, lambda _: "{}\n")
    with pytest.raises(RecordingDamaged) as raised:
        list(read_exact(path.with_name(path.name + ".part")))
    assert raised.value.message.startswith(f"{path}, line 3: ")
