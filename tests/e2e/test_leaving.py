"""A process that is told to end while something in it cannot be cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

INTERRUPTED = """
import os, runpy, signal, sys

class Finder:
    wanted = {name!r}

    def find_spec(self, name, path, target=None):
        if name == self.wanted:
            self.wanted = None
            print("importing", name, file=sys.stderr, flush=True)
            exec("os.kill(os.getpid(), signal.SIGINT); len('')")  # as in a dataclass's import

sys.meta_path.insert(0, Finder())
sys.argv = ["wsfeeds", "subscribe", "cryptomus", "--sim"]
{start}
"""
SCRIPT = "from wsfeeds.__main__ import main; main()"
MODULE = 'runpy.run_module("wsfeeds", run_name="__main__")'

HANGING = """
import socket, sys, threading
from wsfeeds.cli.main import main

def hang(*_, **__):
    print("looking up", file=sys.stderr, flush=True)
    threading.Event().wait()

socket.getaddrinfo = hang
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_name_look_up_that_hangs_does_not_keep_the_process(number, code):
    arguments = ["subscribe", "igratech", "--url", "wss://venue.invalid/", "--types", "session"]
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("looking up" in line for line in process.stderr)
    process.send_signal(number)
    lines, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert '"state":"stopped"' in lines


@pytest.fixture
def interrupted(tmp_path):
    """Run a start of the command that is interrupted while it imports a module."""

    def run(start: str, name: str) -> subprocess.CompletedProcess[str]:
        code = INTERRUPTED.format(name=name, start=start)
        (tmp_path / "interrupted_start.py").write_text(code)
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        return subprocess.run(
            [sys.executable, "-m", "interrupted_start"],  # Python ends a module in its own way
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize(
    "name",
    ["wsfeeds.cli", "wsfeeds.cli.main", "typer", "wsfeeds.errors", "wsfeeds.cli.subscribe"],
)
def test_an_interrupt_during_the_first_imports_has_its_exit_code(interrupted, start, name):
    done = interrupted(start, name)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"importing {name}\n")


def test_an_interrupt_that_is_ignored_stays_ignored(interrupted):
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    done = interrupted(f"{ignore}; sys.argv[1:] = ['--version']; {SCRIPT}", "typer")
    assert (done.returncode, done.stderr) == (0, "importing typer\n")
