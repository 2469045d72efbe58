"""A process that is told to end while something in it cannot be cancelled."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

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
