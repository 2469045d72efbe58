"""Starts `python -m wsfeeds` for the tests without importing everything anew each time.

A fresh start of the command costs half a second of CPU, nearly all of it imports, and the tests
start it hundreds of times. A server process that has imported everything forks for each start
instead. What comes of it is a process like any other: a child of the test's own process, with its
arguments, environment, folder and standard streams, ended by signals and with exit codes.

`install` has `subprocess.Popen` do so for this one command line, on Linux, which can hand children
over; all else is started as ever. With `WSFEEDS_TESTS_FRESH=1` everything is: `make test-slow` sets
it, so that both ways are tested, and so does `make cov`, which follows no forks.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_COMMAND = [sys.executable, "-m", "wsfeeds"]
_LARGEST = 1 << 18
_PR_SET_CHILD_SUBREAPER = 36
_REAL_POPEN = subprocess.Popen
_PARAMETERS = (
    *("args", "executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env"),
    *("startupinfo", "creationflags", "shell"),
    *("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"),
    *("restore_signals", "gid", "gids", "uid", "umask", "start_new_session", "process_group"),
)
_BEYOND_US = ("executable", "preexec_fn", "pass_fds", "shell", "start_new_session")


def install() -> None:
    """Let the tests start the command by a fork, where that can be done."""
    if sys.platform != "linux" or os.environ.get("WSFEEDS_TESTS_FRESH"):
        return
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
        subprocess.Popen = _Popen  # type: ignore[misc]


# --- the tests' side --------------------------------------------------------------------------


class _Popen(subprocess.Popen[Any]):
    """`subprocess.Popen`, but for where this one child comes from."""

    _server: _Server | None = None

    def _execute_child(self, *given: Any) -> None:
        asked = dict(zip(_PARAMETERS, given, strict=True))
        if not _is_ours(asked):
            super()._execute_child(*given)  # type: ignore[misc]  # no part of its interface
            return
        request = {
            "arguments": [os.fspath(each) for each in asked["args"][len(_COMMAND) :]],
            "folder": os.path.join(os.getcwd(), os.fspath(asked["cwd"] or "")),  # noqa: PTH109, PTH118
            "environment": _environment(asked),
        }
        ends = [(asked[ours], asked[other]) for ours, other in _STREAMS]
        streams = [fd if end == -1 else end for fd, (end, _) in enumerate(ends)]
        server = _Popen._server = _Popen._server or _Server()
        self.pid = server.fork(request, streams)
        self._child_created = True

        null = getattr(self, "_devnull", None)
        for end, other in ends:
            if end not in (-1, null) and other != -1:
                os.close(end)
        if null is not None:
            os.close(null)
        self._closed_child_pipe_fds = True


_STREAMS = (("p2cread", "p2cwrite"), ("c2pwrite", "c2pread"), ("errwrite", "errread"))


def _is_ours(asked: Mapping[str, Any]) -> bool:
    args = asked["args"]
    if not isinstance(args, list | tuple) or list(args[: len(_COMMAND)]) != _COMMAND:
        return False
    if any(asked[name] for name in _BEYOND_US):
        return False
    return _pythons(_environment(asked)) == _pythons(os.environ)


def _environment(asked: Mapping[str, Any]) -> dict[str, str]:
    given = os.environ if asked["env"] is None else asked["env"]
    return {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}


def _pythons(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what says how Python itself starts, which a fork cannot follow."""
    return {name: value for name, value in environment.items() if name.startswith("PYTHON")}


class _Server:
    """The process that forks. It ends when our end of the socket is closed: with our process."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            self._process = _REAL_POPEN(command, pass_fds=[theirs.fileno()])

    def fork(self, request: Mapping[str, Any], streams: list[int]) -> int:
        """Return the number of a process that is a child of ours."""
        socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
        return int(self._socket.recv(64))


# --- the server's side ------------------------------------------------------------------------


def _preload() -> None:
    """Import all that the command may, which is the same for each start."""
    import wsfeeds

    for module in pkgutil.walk_packages(wsfeeds.__path__, "wsfeeds."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("typer._adapters")
    gc.freeze()


def _serve(requests: socket.socket) -> None:
    """Fork for each request; return in the child, which then is what was asked for."""
    while True:
        message, streams, _, _ = socket.recv_fds(requests, _LARGEST, 3)
        if not message:
            os._exit(0)
        told, tell = os.pipe()
        if (between := os.fork()) == 0:
            if (child := os.fork()) == 0:
                _become(json.loads(message), streams)
                return
            os.write(tell, str(child).encode())
            os._exit(0)
        # The child has lost its parent now, and the tests' process takes orphans in.
        os.waitpid(between, 0)
        requests.send(os.read(told, 64))
        for fd in (told, tell, *streams):
            os.close(fd)


def _become(request: Mapping[str, Any], streams: list[int]) -> None:
    for fd, stream in enumerate(streams):
        os.dup2(stream, fd)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options: Any = {"encoding": "utf-8", "closefd": False}
    sys.stdin = sys.__stdin__ = open(0, **options)  # type: ignore[misc]  # noqa: SIM115
    out = open(1, "w", errors="strict", **options)  # noqa: SIM115
    err = open(2, "w", buffering=1, errors="backslashreplace", **options)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = out  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = err  # type: ignore[misc]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _preload()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("wsfeeds", run_name="__main__", alter_sys=True)
