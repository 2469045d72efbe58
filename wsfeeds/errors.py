"""Every error that wsfeeds raises on purpose, grouped by what the caller does next.

::

    WsfeedsError                exit 1  a fault in wsfeeds itself, unless a subclass says otherwise
    ├── UsageError              exit 2  change the command or the settings and start again
    │   └── SubscriptionRefused exit 2  the venue refused every subscription: ask for something else
    ├── CredentialsRefused      exit 3  get new credentials; trying again with these is pointless
    │   ├── LoggedOut           exit 3  another client took over: decide which one may live
    │   └── RefusedAtUpgrade    exit 3  the socket was refused, which may be a used token's fault
    ├── Transient               exit 4  try again after a while (the session does so by itself)
    │   ├── UpgradeRefused      exit 4  an HTTP status in place of the socket: the same
    │   ├── Stale               exit 4  the peer, or its data, has gone silent: the same
    │   ├── Renewed             exit 4  a new connection is wanted: the same, and no failure
    │   └── RetriesExhausted    exit 4  `max_retries` failures in a row: mend the network
    ├── RecordingDamaged        exit 5  `verify` found damage: look at the file and line it names
    ├── OutputFailed            exit 6  the disk is full or broken: mend it, start again
    ├── ReaderGone              exit 0  whoever read the output has left: nothing is wrong
    └── Unrepresentable         exit 1  a number out of all bounds; its frame becomes `malformed`

`wsfeeds.command` has some of its own beside these, for what goes wrong within a document.

Foreign exceptions are translated into these once, where they enter: those of sockets and TLS in
`wsfeeds.transport.websocket`, those of HTTP in `wsfeeds.session.rest`, those of files where files
are written. Anything else that escapes is a bug of ours and is never retried.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator


class ExitCode(enum.IntEnum):
    """What the command's exit status means (contract, section 2)."""

    OK = 0
    FAULT = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    DAMAGED = 5
    OUTPUT = 6
    INTERRUPTED = 130


_GRAVEST_FIRST = (
    ExitCode.FAULT,
    ExitCode.OUTPUT,
    ExitCode.REFUSED,
    ExitCode.USAGE,
    ExitCode.UNREACHABLE,
)


def gravest(codes: Iterable[int]) -> int:
    """Return the code that wins where several feeds or sockets ended: 1, 6, 3, 2, 4, else 0."""
    seen = set(codes)
    return next((int(code) for code in _GRAVEST_FIRST if code in seen), int(ExitCode.OK))


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions of a group of groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


class WsfeedsError(Exception):
    """The root of the tree; `exit_code` is the status that a command ends with."""

    exit_code: int = ExitCode.FAULT

    def __init__(self, message: str, *, code: int | str | None = None) -> None:
        """Keep the message for people and the venue's or protocol's own code, if there was one."""
        super().__init__(message)
        self.message = message
        self.code = code


class UsageError(WsfeedsError):
    """A wrong command, option or setting; nothing was opened."""

    exit_code = ExitCode.USAGE


class SubscriptionRefused(UsageError):
    """The venue refused everything that was asked for at the first subscribe."""


class CredentialsRefused(WsfeedsError):
    """The venue does not accept these credentials; another attempt would only hammer it."""

    exit_code = ExitCode.REFUSED


class LoggedOut(CredentialsRefused):
    """The venue ended this session because another client logged in."""


class Transient(WsfeedsError):
    """A failure that time may mend: refused, dropped, timed out, overloaded.

    `retry_after` is the venue's own wish in seconds, or None.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(
        self,
        message: str,
        *,
        code: int | str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        """Keep `retry_after` (seconds) and the HTTP `status` of a refused request or upgrade."""
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.status = status


class RetriesExhausted(Transient):
    """`max_retries` consecutive attempts failed."""


class RecordingDamaged(WsfeedsError):
    """A recording does not say what was received; `rest` if all that follows in a file is lost."""

    exit_code = ExitCode.DAMAGED
    rest: bool = False


class OutputFailed(WsfeedsError):
    """What was received could not be written."""

    exit_code = ExitCode.OUTPUT


class ReaderGone(WsfeedsError):
    """The program that read our output went away: a normal end, not a failure."""

    exit_code = ExitCode.OK
