"""What all tests share: a clean environment, reproducible examples, the installed command."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest

from tests import forkserver

forkserver.install()

# The gate tries the same examples every time, `make test-slow` more of them;
# `--hypothesis-profile explore` looks for new ones.
_gate = hypothesis.settings(derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("gate", _gate)
hypothesis.settings.register_profile("thorough", parent=_gate, max_examples=600)
hypothesis.settings.register_profile("explore", max_examples=5_000, deadline=None)
hypothesis.settings.load_profile("gate")

_OURS = ("WSFEEDS_", "NO_COLOR", "FORCE_COLOR", "HTTPS_PROXY", "https_proxy")


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OURS):
                patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("no-settings")))
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a command run within a test has made of the log: the next one looks at it too."""
    logger = logging.getLogger("wsfeeds")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@dataclass
class Finished:
    """What a run of the command has left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of stdout."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of(self, kind: str, **members: Any) -> list[dict[str, Any]]:
        """Return the events of that type with those members."""
        return [e for e in self.events if e["type"] == kind and members.items() <= e.items()]


@pytest.fixture
def wsfeeds_command() -> Callable[..., Finished]:
    """Run the installed command to its end: `wsfeeds_command("feeds", "--json")`."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "wsfeeds", *arguments],
            input=stdin,
            capture_output=True,
            timeout=30,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode())

    return run
