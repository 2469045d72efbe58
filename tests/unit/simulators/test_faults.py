from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random

import pytest

from wsfeeds.errors import UsageError
from wsfeeds.simulators import create, feeds, load
from wsfeeds.simulators.faults import COMMON, NAMES, Faults, Frame, FrameFaults
from wsfeeds.simulators.options import Options, choice, duration, number, switch

FRAMES = [(f'{{"n":{number},"x":"é"}}'.encode(), False) for number in range(2_000)]


def through(*faults: str, seed: int = 1) -> list[Frame]:
    applied = FrameFaults(Faults.parse(faults), lambda name: Random(f"{seed}/{name}"))
    return [out for frame in FRAMES for out in applied.apply(frame)]


def test_every_fault_of_the_contract_is_understood():
    given = [
        "disconnect=5s",
        "stall=10s",
        "drop=0.01",
        "duplicate=0.01",
        "reorder=0.01",
        "garbage=0.01",
        "truncate=0.01",
        "token-error=0.2",
        "slow-upgrade=500ms",
        "crossed-book=0.001",
        "logout=1m",
    ]
    faults = Faults.parse(given)
    assert (faults.disconnect, faults.slow_upgrade, faults.logout) == (5.0, 0.5, 60.0)
    assert faults.given() == frozenset(NAMES)
    assert Faults().given() == frozenset()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("drop", "NAME=VALUE"),
        ("drop=2", "probability from 0 to 1"),
        ("drop=-0.1", "probability from 0 to 1"),
        ("drop=nan", "probability from 0 to 1"),
        ("drop=often", "probability from 0 to 1"),
        ("stall=5", "duration such as 5s"),
        ("stall=soon", "duration such as 5s"),
        ("dorp=0.1", "did you mean 'drop'"),
    ],
)
def test_a_bad_fault_is_refused_with_help(fault, message):
    with pytest.raises(UsageError, match=message) as refused:
        Faults.parse([fault])
    assert refused.value.exit_code == 2


def test_a_fault_that_a_feed_cannot_have_is_refused():
    with pytest.raises(UsageError, match="cryptomus simulator cannot have the fault logout"):
        create("cryptomus", faults=Faults.parse(["logout=1s"]))
    assert COMMON | {"token-error", "crossed-book"} == load("cryptomus").supported_faults


def test_simulators_are_found_by_the_name_of_their_module():
    assert "cryptomus" in feeds()
    assert not {"base", "market", "cryptomus_account"} & set(feeds())
    with pytest.raises(UsageError, match="did you mean 'cryptomus'"):
        create("cryptomous")


def test_without_faults_nothing_changes():
    assert through() == FRAMES
    assert not FrameFaults(Faults(), lambda _: Random(1))


def test_frames_are_dropped_at_the_given_rate():
    left = through("drop=0.1")
    assert 1_700 < len(left) < 1_900
    assert [frame for frame in FRAMES if frame in set(left)] == left


def test_duplicates_follow_their_original():
    out = through("duplicate=0.1")
    assert 2_100 < len(out) < 2_300
    assert list(dict.fromkeys(out)) == FRAMES


def test_reordered_frames_change_places_with_the_next():
    out = through("reorder=0.1")
    assert out != FRAMES
    moved = [index for index, frame in enumerate(out) if frame != FRAMES[index]]
    assert moved
    assert all(abs(FRAMES.index(out[index]) - index) == 1 for index in moved)


def test_truncated_frames_stay_utf8():
    out = through("truncate=1")
    for (payload, binary), (original, _) in zip(out, FRAMES, strict=True):
        assert not binary
        assert len(payload) < len(original)
        assert original.decode().startswith(payload.decode())


def test_garbage_comes_in_many_kinds_beside_the_frames():
    out = through("garbage=1")
    junk = out[1::2]
    assert out[::2] == FRAMES
    assert any(binary for _, binary in junk)
    assert any(payload.startswith(b"[" * 10_000) for payload, _ in junk)
    assert len(set(junk)) > 7


def test_the_same_seed_gives_the_same_faults_whatever_else_is_on():
    assert through("drop=0.1", "garbage=0.1") == through("drop=0.1", "garbage=0.1")
    assert through("drop=0.1", seed=1) != through("drop=0.1", seed=2)
    alone = set(through("drop=0.1"))
    both = set(through("drop=0.1", "duplicate=0.5"))
    assert alone == both


@dataclass(frozen=True, kw_only=True)
class Sample(Options):
    idle: float = duration("60s", "silence")
    mute: bool = switch(False, "no pongs")
    mode: str = choice("one", "two", help="which")
    size: int = number(3, "how many")


def test_options_are_listed_with_kind_default_and_help():
    listed = [dataclasses.astuple(option) for option in Sample.listed()]
    assert listed == [
        ("idle", "a duration such as 5s", "60s", "silence"),
        ("mute", "true or false", "false", "no pongs"),
        ("mode", "one of one, two", "one", "which"),
        ("size", "a whole number", "3", "how many"),
    ]


def test_options_are_read_from_text_and_taken_as_values():
    sample = Sample.parse({"idle": "500ms", "mute": "On", "mode": "TWO", "size": 5})
    assert (sample.idle, sample.mute, sample.mode, sample.size) == (0.5, True, "two", 5)
    assert Sample.parse({}) == Sample()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("idel", "1s", "unknown simulator option 'idel'; did you mean 'idle'?"),
        ("idle", "x", "'idle' takes a duration such as 5s, not 'x'"),
        ("mute", "maybe", "'mute' takes true or false"),
        ("mode", "three", "'mode' takes one of one, two"),
        ("size", "many", "'size' takes a whole number"),
    ],
)
def test_a_bad_option_is_refused_with_help(name, value, message):
    with pytest.raises(UsageError) as refused:
        Sample.parse({name: value})
    assert message in str(refused.value)
