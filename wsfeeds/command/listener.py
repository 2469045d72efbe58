"""How a protocol variant tells what happens to its connection, and how it says that it is over."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, Protocol

import msgspec

from wsfeeds.errors import ExitCode, WsfeedsError

Phase = Literal["connect", "connection", "send"]
"""Where a socket error happened: while connecting, while connected, while sending."""


class Unusable(WsfeedsError):
    """The server said something that no further attempt can mend: exit 4, no retry."""

    exit_code = ExitCode.UNREACHABLE


class SendFailed(WsfeedsError):
    """A message cannot be sent now; the chain that wanted to is abandoned, nothing else."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a connection ended; `code`, `reason` and `clean` become the data of `onClose`.

    `by_server` is a close by the variant's own protocol or a close frame (`stopOn.serverClose`); a
    dropped connection is none. `by_us` is a close of ours: no socket error. `error` is why there is
    to be an `onError` run before, and, unless it is transient, why there is no further attempt;
    `phase` is for that `onError`. `stale` is silence. `retry_after` is the least wait before the
    next attempt, in seconds.
    """

    code: int | None = None
    reason: str = ""
    clean: bool = False
    by_server: bool = False
    by_us: bool = False
    stale: bool = False
    error: WsfeedsError | None = None
    phase: Phase = "connection"
    retry_after: float | None = None


class Listener(Protocol):
    """What a variant calls, always on the event loop's thread; no call raises or waits."""

    @property
    def paused(self) -> bool:
        """Whether nothing is to be read now, so that silence says nothing about the peer."""

    def on_data(self) -> None:
        """Something has arrived, a keepalive too: stamps the time of what follows."""

    def on_connected(self) -> None:
        """The variant's handshake is through; `send` works from here on. Runs `onConnect`."""

    def on_message(self, text: str) -> None:
        """One message for `onMessage`, as its initial `data`."""

    def on_read(self) -> None:
        """What had arrived has been handed over: results may be written out."""

    def on_error(self, message: str, phase: Phase) -> None:
        """A socket error that does not end the connection (a failed POST). Runs `onError`."""

    def on_malformed(self, error: str, frame: bytes) -> None:
        """A frame that makes no sense and is passed over."""

    def on_unknown(self, frame: bytes) -> None:
        """A frame of JSON that is of no documented kind; it is kept whole."""

    def on_skipped(self, reason: str) -> None:
        """Something well-formed that rightly reaches no hook (a call nobody asked for): counted."""

    def on_ended(self, ended: Ended) -> None:
        """The connection is over; calls after the first one, and after `close`, are ignored."""

    def on_fault(self, error: BaseException) -> None:
        """An exception escaped in a plain call or a spawned task: the connection is over.

        A `Transient` is retried, another `WsfeedsError` ends the run with its exit code, anything
        else is a fault of ours (exit 1).
        """

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connection.

        It is cancelled when the connection is over; an error goes to `on_fault`.
        """
