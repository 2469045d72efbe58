"""What a run tells: hooks are run and their outputs published, facts are numbered among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from wsfeeds.clock import Clock
from wsfeeds.command import spec
from wsfeeds.command.hooks import CommandFailed, Context, Peer
from wsfeeds.command.listener import Phase
from wsfeeds.command.masking import Masking
from wsfeeds.command.paths import NOTHING
from wsfeeds.command.program import Program
from wsfeeds.command.results import Results
from wsfeeds.command.worker import Work, Worker
from wsfeeds.events import ErrorEvent, Event, Malformed, SessionEvent, Unknown
from wsfeeds.opaque import exact_json
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import frame_text

FEED = "run"


class Connection(Peer, Protocol):
    """The connection on which something happens."""

    @property
    def behind(self) -> bool:
        """Whether an output is behind."""

    @property
    def worker(self) -> Worker:
        """Does what its hooks ask for, one after another."""


class Reports:
    """Runs the chains of one run and hands everything it says to the stream."""

    def __init__(
        self,
        program: Program,
        stream: Stream,
        clock: Clock,
        *,
        count: int | None,
        on_count: Callable[[], None],
    ) -> None:
        """Tell nothing yet.

        Args:
            program: Whose chains are run.
            stream: Takes results and session facts.
            clock: For receive times.
            count: The number of fresh `onMessage` results after which no more come.
            on_count: Called once when that number is reached.
        """
        self.connections = 0
        """Which connection of the run this is, from 1."""
        self.mute = False
        """Whether nothing can be written any more."""
        self.vars: dict[str, Any] = {}
        """What `key` stored, for the whole run."""
        self.masking = Masking(program.variables.secrets.values(), stream.redactor)
        self.results = Results(stream, masking=self.masking, count=count, on_count=on_count)
        self._ticking: Connection | None = None
        self._program = program
        self._stream = stream
        self._clock = clock

    # --- hooks

    def run_hook(self, hook: spec.Hook, data: Any, connection: Connection, recv_ts: int) -> Work:
        """Run the chain of a hook to its end and publish its output; yields what it waits for."""
        chain = self._program.chains.get(hook)
        if chain is None or (hook != "onMessage" and not chain.steps):
            return
        context = Context(
            data=data,
            hook=hook,
            connection=connection,
            variables=self._program.variables,
            vars=self.vars,
        )
        try:
            output = yield from chain.run(context)
            if hook != "onMessage" and chain.silent:
                return
            if output is not NOTHING:
                self.results.publish(hook, output, recv_ts)
            elif hook == "onMessage":
                self.skipped("without a value")
        except CommandFailed as error:
            self._complain(hook, error.message)
        except RecursionError:
            self._complain(hook, "the data is nested too deeply")

    def tick(self, connection: Connection) -> None:
        """Run `onInterval`; what would publish waits for a reader that is behind.

        A tick is skipped while the one before it is not through.
        """
        waits = connection.behind and not self._program.chains["onInterval"].silent
        if waits or self._ticking is connection:
            return
        self._ticking = connection
        connection.worker.do(lambda: self._tick(connection))
        self.flush()

    def _tick(self, connection: Connection) -> Work:
        try:
            yield from self.run_hook(
                "onInterval", self.results.current, connection, self._clock.now()
            )
        finally:
            self._ticking = None

    def beat(self, connection: Connection) -> None:
        """Publish the current result again."""
        if not connection.behind:
            self.results.repeat(self._clock.now())
            self.flush()

    def socket_error(self, message: str, phase: Phase, connection: Connection) -> None:
        """Run `onError`."""
        data = {"message": self.masking.told(message), "phase": phase}
        now = self._clock.now()
        connection.worker.do(lambda: self.run_hook("onError", data, connection, now))
        self.flush()

    # --- facts

    def fact(self, event: Event) -> None:
        """Tell a session fact, free of secrets."""
        if isinstance(event, ErrorEvent):
            event.message = self.masking.told(event.message)
        elif isinstance(event, SessionEvent) and event.reason is not None:
            event.reason = self.masking.told(event.reason)
        self._emit(event, self._clock.now())

    def malformed(self, error: str, frame: bytes, recv_ts: int) -> None:
        """Keep a frame that makes no sense."""
        text, encoding = frame_text(frame)
        event = Malformed(feed=FEED, error=error, frame=text, encoding=encoding)
        self._emit(event, recv_ts)

    def unknown(self, frame: bytes, recv_ts: int) -> None:
        """Keep a frame of a kind that nobody documented."""
        self._emit(Unknown(feed=FEED, data=exact_json(frame)), recv_ts)

    def _emit(self, event: Event, recv_ts: int) -> None:
        if not self.mute:
            self._stream.emit_fact(event, self.results.stamp(recv_ts), self.connections)

    def skipped(self, reason: str) -> None:
        """Count a message that rightly becomes no result."""
        self._stream.skipped[reason] += 1

    def flush(self) -> None:
        """Let the outputs write."""
        if not self.mute:
            self._stream.flush()

    def _complain(self, hook: str, message: str) -> None:
        self.fact(ErrorEvent(feed=FEED, message=f"{hook}: {message}"))
