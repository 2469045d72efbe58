"""What was asked on one connection, what was answered, and the verdict on each symbol.

A `Round` is one thing asked for (the opening, a change, a resync …): chains of requests that run
side by side, each request with an absolute deadline of its own. Rounds follow one another. Pure:
times come in as arguments, in seconds during which the socket was read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wsfeeds.protocol import Ack, Chain, Request

ACK_DEADLINE = 10.0
"""Seconds within which a request is to be answered (contract, section 4)."""

Purpose = Literal["opening", "change", "resync", "pause", "resume"]


@dataclass
class Verdicts:
    """What became of the symbols of one round, as typed."""

    accepted: dict[str, None] = field(default_factory=dict)
    refused: dict[str, list[tuple[Request, Ack]]] = field(default_factory=dict)
    unanswered: dict[str, Request] = field(default_factory=dict)
    kept: list[tuple[Request, Ack]] = field(default_factory=list)
    """What the venue refused to let go of."""


@dataclass
class Round:
    """One thing asked for; `done` is called when every request of it is settled."""

    purpose: Purpose
    chains: list[Chain]
    done: Callable[[Round], None]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    channel: str | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    open_requests: int = 0
    started: dict[str | None, int] = field(default_factory=dict)
    """Per channel: when its first request went out, in receive time of the last frame."""
    begun: Callable[[], None] | None = None
    """Called when the rounds before it are done."""


@dataclass
class _Pending:
    request: Request
    rest: Chain
    deadline: float


class Conversation:
    """Sends rounds of requests one after another and matches the answers."""

    def __init__(self, send: Callable[[Request], None]) -> None:
        """Send requests with `send`, which may delay them but keeps their order."""
        self._send = send
        self._rounds: deque[Round] = deque()
        self._pending: dict[str, _Pending] = {}
        self._unsent: dict[int, tuple[Request, Chain]] = {}
        self._given_up: set[str | None] = set()

    @property
    def current(self) -> Round | None:
        """The round under way."""
        return self._rounds[0] if self._rounds else None

    def begin(self, one: Round) -> None:
        """Start a round, or queue it behind those that are under way."""
        self._rounds.append(one)
        if len(self._rounds) == 1:
            self._start(one)

    def _start(self, one: Round) -> None:
        if one.begun is not None:
            one.begun()
        chains = [chain for chain in one.chains if chain]
        one.open_requests = len(chains)
        if not chains:
            self._finish(one)
        for chain in chains:
            self._submit(chain)

    def _submit(self, chain: Chain) -> None:
        request, rest = chain[0], chain[1:]
        self._unsent[id(request)] = (request, rest)
        self._send(request)

    def sent(self, request: Request, now: float) -> None:
        """Learn that a request has gone out (pacing may have held it back)."""
        _, rest = self._unsent.pop(id(request), (request, ()))
        if request.key is None:
            self._settle(request, rest, Ack(ok=True))
        else:
            self._pending[request.key] = _Pending(request, rest, now + ACK_DEADLINE)

    def next_deadline(self) -> float | None:
        """Return when the earliest pending request is overdue."""
        return min((pending.deadline for pending in self._pending.values()), default=None)

    def answer(self, ack: Ack) -> Request | None:
        """Match an answer; return the request if it was a refused list that needs a look-up.

        The look-up ends with `validated`.
        """
        pending = self._match(ack)
        if pending is None:
            return None
        request = pending.request
        if not ack.ok and request.action == "subscribe":
            return request
        self._settle(request, pending.rest, ack)
        return None

    def awaits(self, ack: Ack) -> Request | None:
        """Return the pending request that an answer belongs to, if there is one."""
        key = self._find(ack)
        return None if key is None else self._pending[key].request

    def _match(self, ack: Ack) -> _Pending | None:
        key = self._find(ack)
        return None if key is None else self._pending.pop(key)

    def _find(self, ack: Ack) -> str | None:
        """By id; else by what it is about; an answer without either is for the oldest request."""
        if ack.key is not None and ack.key in self._pending:
            return ack.key
        if ack.key in self._given_up:
            return None  # a late answer speaks for nothing else
        anonymous = ack.key in {None, "0"} and ack.channel is None
        for key, pending in self._pending.items():
            about = (pending.request.action, pending.request.channel)
            if anonymous or about == (ack.action, ack.channel):
                return key
        return None

    def refuse(self, request: Request, ack: Ack) -> None:
        """Settle a refused request for all of its symbols."""
        self._settle(request, (), ack)

    def validated(
        self, request: Request, ack: Ack, valid: Sequence[str], again: Iterable[Chain]
    ) -> None:
        """Settle a refused list after the look-up: refuse the rest, ask again for the valid."""
        chains = [chain for chain in again if chain]
        names = {
            name: typed for name, typed in request.names.items() if not chains or name not in valid
        }
        one = self.current
        if one is not None:
            one.open_requests += len(chains)
        refused = Request(action="subscribe", channel=request.channel, names=names)
        self._settle(refused, (), ack)
        for chain in chains:
            self._submit(chain)

    def expire(self, now: float) -> None:
        """Give up on requests whose deadline has passed; their chains go on."""
        overdue = [key for key, pending in self._pending.items() if pending.deadline <= now]
        for key in overdue:
            pending = self._pending.pop(key)
            self._given_up.add(key)
            self._settle(pending.request, pending.rest, None)

    def _settle(self, request: Request, rest: Chain, ack: Ack | None) -> None:
        one = self.current
        if one is None:
            return
        if request.action != "unsubscribe":
            self._judge(one, request, ack)
        elif ack is not None and not ack.ok:
            one.verdicts.kept.append((request, ack))
        if rest:
            self._submit(rest)
            return
        one.open_requests -= 1
        if one.open_requests == 0:
            self._finish(one)

    @staticmethod
    def _judge(one: Round, request: Request, ack: Ack | None) -> None:
        for symbol in request.symbols:
            if ack is None:
                one.verdicts.unanswered[symbol] = request
            elif ack.ok:
                one.verdicts.accepted[symbol] = None
            else:
                one.verdicts.refused.setdefault(symbol, []).append((request, ack))

    def _finish(self, one: Round) -> None:
        self._rounds.popleft()
        queued = bool(self._rounds)  # a round that `done` begins starts by itself
        one.done(one)
        if queued:
            self._start(self._rounds[0])
