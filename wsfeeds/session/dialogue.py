"""What is said on one connection and what comes of it: subscribing, changing, asking again.

A dialogue turns rounds of requests into verdicts and gaps. It owns no socket and no clock: its line
sends, stamps and emits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from wsfeeds.clock import monotonic
from wsfeeds.errors import SubscriptionRefused, Transient, WsfeedsError
from wsfeeds.events import ErrorEvent, GapReason, SessionEvent
from wsfeeds.protocol import Ack, Chain, Exchange, Request, Wanted
from wsfeeds.session.line import Line
from wsfeeds.session.pacing import Pace
from wsfeeds.session.reading import Reading
from wsfeeds.session.rest import converse
from wsfeeds.session.subscriptions import Conversation, Round

_RESYNC_EVERY = 10.0


class Dialogue:
    """The rounds of one connection."""

    def __init__(self, line: Line, reading: Reading, *, first: bool) -> None:
        """Talk over `line`; `first` if nothing has ever been subscribed on this socket.

        Answers are waited for in the time of `reading`.
        """
        self._line = line
        self._reading = reading
        self._connector = line.connector
        self._first = first
        self._conversation = Conversation(self._submit)
        self._pace = Pace(self._connector.requests_per_second)
        self._outbox: deque[tuple[Request, bool]] = deque()
        self._acked_at: dict[str | None, int] = {}
        self._resync_wanted: dict[str, set[str]] = {}
        self._resync_allowed_at = 0.0
        self._looking_up = asyncio.Lock()
        self._added: dict[str, None] = {}
        self._removed: dict[str, None] = {}

    @property
    def under_way(self) -> bool:
        """Whether something that was asked for is not settled yet."""
        return self._conversation.current is not None

    # --- time

    def next_deadline(self) -> float | None:
        """Return when something is due."""
        times = [self._reading.due(self._conversation.next_deadline())]
        times.append(self._pace.next(0.0) if self._outbox else None)
        times.append(self._resync_allowed_at if self._resync_wanted else None)
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due: send what was held back, give up what is overdue, ask again."""
        while self._outbox and self._may_go(self._outbox[0][0], now):
            request, aside = self._outbox.popleft()
            if aside:
                self._line.say(request)
            else:
                self._transmit(request, now)
        self._conversation.expire(self._reading.at(now))
        if self._resync_wanted and now >= self._resync_allowed_at:
            self._resync(now)

    # --- requests and answers

    def _submit(self, request: Request) -> None:
        now = monotonic()
        if not self._outbox and self._may_go(request, now):
            self._transmit(request, now)
        else:
            self._outbox.append((request, False))

    def _may_go(self, request: Request, now: float) -> bool:
        """Take the slot that a request needs, if there is one by now.

        It is taken no earlier: a late event loop must not make up for its delay with a burst.
        """
        if request.frame is None:
            return True
        if self._pace.next(now) > now:
            return False
        self._pace.take(now)
        return True

    def submit_aside(self, request: Request) -> None:
        """Send what a connector's own timer asks for; no answer is waited for."""
        if not self._outbox and self._may_go(request, monotonic()):
            self._line.say(request)
        else:
            self._outbox.append((request, True))

    def _transmit(self, request: Request, now: float) -> None:
        one = self._conversation.current
        if one is not None and request.action == "unsubscribe":
            one.started.setdefault(request.channel, self._since())
        self._line.say(request)
        self._conversation.sent(request, self._reading.at(now))

    def answer(self, ack: Ack) -> bool:
        """Take an answer and tell whether it belongs to a request."""
        request = self._conversation.awaits(ack)
        if request is None:
            return False
        one = self._conversation.current
        if ack.ok and request.action == "subscribe":
            self._acked_at[request.channel] = self._line.now_ts
        elif ack.ok and request.action == "unsubscribe" and one is not None:
            one.started[request.channel] = self._since()  # until here the flow went on
        refused = self._conversation.answer(ack)
        if refused is not None:
            exchange = self._connector.validate(refused)
            if exchange is None:
                self._conversation.refuse(refused, ack)
            else:
                self._line.spawn(self._look_up(refused, ack, exchange))
        return True

    async def _look_up(self, refused: Request, ack: Ack, exchange: Exchange) -> None:
        """Let the venue's own lists decide which symbols of a refused list exist."""
        async with self._looking_up:  # what one of them learns serves the next
            try:
                valid = await converse(exchange, self._connector.settings)
            except WsfeedsError as error:
                why = f"{ack.message}; and the market list cannot be had: {error.message}"
                ack = Ack(key=ack.key, ok=False, code=ack.code, message=why)
                # Without the list, what was accepted before is what there is.
                valid = self._connector.proven(refused)
                status = getattr(error, "status", None)
                if not valid and (status is None or status >= 500):
                    self._line.guard(lambda: self._report_refusal(refused, ack))
                    self._line.end(error)  # time may mend it
                    return

        def settle() -> None:
            again = self._connector.retry_refused(refused, valid)
            self._conversation.validated(refused, ack, valid, again)

        self._line.guard(settle)

    def _report_refusal(self, refused: Request, ack: Ack) -> None:
        what = ", ".join(refused.symbols)
        self._error(f"{refused.channel} of {what} was refused: {ack.message}", code=ack.code)

    # --- the opening and changes

    def open(self) -> None:
        """Say what is to be said first."""
        symbols = self._connector.socket.wanted.symbols
        chains = self._connector.opening()
        self._conversation.begin(Round("opening", chains, self._opened, added=symbols))

    def _opened(self, one: Round) -> None:
        self._report(one)
        if one.verdicts.refused and not one.verdicts.accepted and not one.verdicts.unanswered:
            raise self._everything_refused(one)
        self._fact("subscribed", _accepted(one, one.added))
        if one.verdicts.unanswered and self._is_deaf():
            raise Transient("the venue answered no subscription within 10 s and sent no data")
        self._line.subscribed_now()

    def _is_deaf(self) -> bool:
        """Tell whether nothing of worth has come from a venue that answers subscriptions."""
        return self._connector.acks_subscriptions and self._line.evidence_at is None

    def _everything_refused(self, one: Round) -> WsfeedsError:
        symbol, refusals = next(iter(one.verdicts.refused.items()))
        said = refusals[0][1].message
        message = f"the venue refused every subscription ({symbol}: {said})"
        if self._first:
            name = self._connector.name
            return SubscriptionRefused(f"{message}; see `wsfeeds markets {name}`")
        return Transient(message)

    def _report(self, one: Round) -> None:
        for symbol, refusals in one.verdicts.refused.items():
            channels = ", ".join(request.channel or "subscription" for request, _ in refusals)
            ack = refusals[0][1]
            self._error(f"{channels} of {symbol} was refused: {ack.message}", symbol, ack.code)
        for symbol, request in one.verdicts.unanswered.items():
            what = request.channel or "the subscription"
            self._error(f"{what} of {symbol} was not answered within 10 s", symbol)
        for request, ack in one.verdicts.kept:
            for name in request.symbols or (None,):
                what = f"{request.channel or ''} of {name or 'everything'}"
                self._error(f"leaving {what} was refused: {ack.message}", name, ack.code)

    def change(self, wanted: Wanted, *, silent: bool) -> None:
        """Take over a new set of symbols; `silent` leaves the verdict for `resume` to tell."""
        before = self._connector.socket.wanted.symbols
        added = tuple(symbol for symbol in wanted.symbols if symbol not in before)
        removed = tuple(symbol for symbol in before if symbol not in wanted.symbols)
        chains = self._connector.change(wanted)
        if silent:
            _shift(added, onto=self._added, off=self._removed)
            _shift(removed, onto=self._removed, off=self._added)
        done: Callable[[Round], None] = (lambda _: None) if silent else self._changed
        self._conversation.begin(Round("change", chains, done, added=added, removed=removed))

    def _changed(self, one: Round) -> None:
        self._report(one)
        if one.removed:
            self._fact("unsubscribed", list(one.removed))
        if one.added:
            self._fact("subscribed", _accepted(one, one.added))
        for channel in one.started:
            if _resubscribes(one.chains, channel):
                self._line.gap("resubscribe", one.started[channel], channel=channel)

    def pause(self, chains: list[Chain], done: Callable[[int | None], None]) -> None:
        """Say what stops the flow, and then call `done` with the time from which some is missed."""

        def paused(one: Round) -> None:
            done(min(one.started.values(), default=None))

        self._conversation.begin(Round("pause", chains, paused))

    def resume(self, begun: Callable[[], None], since: int | None) -> None:
        """Say what starts the flow again, and report what was missed since."""

        def resumed(one: Round) -> None:
            self._report(one)
            if self._removed:
                self._fact("unsubscribed", list(self._removed))
            if self._added:
                self._fact("subscribed", _accepted(one, tuple(self._added)))
            self._added, self._removed = {}, {}
            self._line.gap("paused", since)

        chains = self._connector.resume()
        self._conversation.begin(Round("resume", chains, resumed, begun=begun))

    # --- asking again

    def want_resync(self, channel: str, symbol: str, reason: GapReason) -> None:
        """Report what is wrong, once until it is mended, and ask again as soon as allowed."""
        wanted = self._resync_wanted.setdefault(channel, set())
        if symbol not in wanted:
            wanted.add(symbol)
            # What never came has been missing since it was to come.
            since = self._acked_at.get(channel) if reason == "no_snapshot" else None
            self._line.gap(reason, since or self._since(), channel=channel, symbol=symbol)

    def _resync(self, now: float) -> None:
        self._resync_allowed_at = now + _RESYNC_EVERY
        wanted, self._resync_wanted = self._resync_wanted, {}
        for channel, symbols in wanted.items():

            def settled(one: Round, symbols: set[str] = symbols) -> None:
                self._resynced(one, symbols)

            chains = self._connector.resync(channel)
            self._conversation.begin(Round("resync", chains, settled, channel=channel))

    def _resynced(self, one: Round, symbols: set[str]) -> None:
        self._report(one)
        others = any(len(request.names) > len(symbols) for chain in one.chains for request in chain)
        if others and one.channel in one.started:
            self._line.gap("resubscribe", one.started[one.channel], channel=one.channel)

    # --- facts

    def _since(self) -> int:
        return self._line.last_frame_ts or self._line.now_ts

    def _fact(self, state: Any, symbols: list[str]) -> None:
        self._line.fact(SessionEvent(feed=self._connector.name, state=state, symbols=symbols))

    def _error(
        self, message: str, symbol: str | None = None, code: int | str | None = None
    ) -> None:
        name = self._connector.name
        self._line.fact(ErrorEvent(feed=name, symbol=symbol, code=code, message=message))


def _shift(symbols: tuple[str, ...], *, onto: dict[str, None], off: dict[str, None]) -> None:
    """Note symbols, unless that takes back what was noted before."""
    for symbol in symbols:
        if symbol in off:
            del off[symbol]
        else:
            onto[symbol] = None


def _accepted(one: Round, symbols: tuple[str, ...]) -> list[str]:
    """Return the symbols that a channel accepted, or that what is there already covers."""
    verdicts = one.verdicts
    asked = {symbol for chain in one.chains for request in chain for symbol in request.symbols}
    return [symbol for symbol in symbols if symbol in verdicts.accepted or symbol not in asked]


def _resubscribes(chains: list[Chain], channel: str | None) -> bool:
    return any(
        len(chain) > 1 and chain[-1].action == "subscribe" and chain[-1].channel == channel
        for chain in chains
    )
