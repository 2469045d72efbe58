"""`kill -9` at random moments and between every two steps: nothing that was confirmed is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("recorder_kills.py")
ROOT = Path(__file__).resolve().parents[2]
STEPS = {
    "none": ["sync", "rename", "sync the folder", "manifest", "done"],
    "zstd": [
        "sync",
        "compress",
        "rename",
        "sync the folder",
        "manifest",
        "remove the plain one",
        "done",
    ],
}


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_kill_at_any_moment_loses_nothing_that_was_flushed(
    compression: str, tmp_path: Path
) -> None:
    assert run(str(tmp_path), f"fast {compression}", "6", compression).startswith("ok ")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_hundreds_of_kills_lose_nothing_that_was_flushed(
    compression: str, seed: int, tmp_path: Path
) -> None:
    assert run(str(tmp_path), f"slow {seed}", "40", compression).startswith("ok ")


@pytest.mark.parametrize(
    ("compression", "step"),
    [(compression, step) for compression, steps in STEPS.items() for step in steps],
)
def test_a_kill_between_two_steps_of_closing_a_segment_loses_nothing(
    compression: str, step: str, tmp_path: Path
) -> None:
    assert run(str(tmp_path), "steps", "2", compression, step).startswith("ok ")
