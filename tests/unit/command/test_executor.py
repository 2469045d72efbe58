"""The executor keeps no fault to itself, wherever a variant has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import pytest
from websockets.asyncio.server import ServerConnection, serve

from wsfeeds.command import executor, life
from wsfeeds.command.executor import Run
from wsfeeds.command.program import Program
from wsfeeds.command.variants import Ended, VariantSession
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import Transient
from wsfeeds.events import SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.transport.websocket import WebsocketsTransport


class Odd(VariantSession):
    """A variant whose connection goes as the test says."""

    course: ClassVar[Callable[[Odd], Coroutine[Any, Any, None]]]
    left: ClassVar[tuple[tuple[str, bytes], ...]] = ()

    async def open(self) -> None:
        await type(self).course(self)

    def send(self, text: str) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def close(self) -> None: ...


async def fail() -> None:
    raise ZeroDivisionError


async def at_once(_: Odd) -> None:
    await fail()


async def beside(session: Odd) -> None:
    session.listener.on_connected()
    session.listener.spawn(fail())


async def after_the_end(session: Odd) -> None:
    session.listener.on_connected()
    session.listener.on_ended(Ended(code=1000, clean=True, by_server=True))
    session.listener.spawn(fail())
    await asyncio.sleep(0)


async def after_another_error(session: Odd) -> None:
    session.listener.on_fault(Transient("first"))
    await fail()


async def while_it_is_cancelled(session: Odd) -> None:
    session.listener.on_connected()
    session.listener.on_ended(Ended(code=1000, clean=True, by_server=True))
    try:
        await asyncio.Event().wait()
    finally:
        await fail()


def program(**params: Any) -> Program:
    params = {"url": "ws://127.0.0.1:1", "stopOn": {"serverClose": True}, **params}
    return Program({"command": "websocket-v2", "params": params}, RunSettings(), {})


@pytest.mark.parametrize(
    "course", [at_once, beside, after_the_end, after_another_error, while_it_is_cancelled]
)
async def test_a_fault_is_never_lost(course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a task, not after the end, not during the clean-up."""
    monkeypatch.setattr(Odd, "course", course, raising=False)
    found = program()
    found.variant = Odd
    run = Run(found, Stream(()), WebsocketsTransport())
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(20):
            await run.run()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_no_task_outlives_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher of the item and what a variant spawned end with it."""

    async def course(session: Odd) -> None:
        session.listener.on_connected()
        session.listener.spawn(asyncio.Event().wait())  # type: ignore[arg-type]  # any would do
        session.listener.on_ended(Ended(code=1000, clean=True, by_server=True))

    monkeypatch.setattr(Odd, "course", course, raising=False)
    item = tmp_path / "item"
    item.touch()
    found = program(stopOn={"serverClose": True, "itemDeleted": True})
    found.variant = Odd
    run = Run(found, Stream(()), WebsocketsTransport(), item=item)
    assert await run.run() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("wanted", "reason"), [(True, "item deleted"), (False, "the test")])
async def test_the_host_may_say_that_the_item_is_gone(
    monkeypatch: pytest.MonkeyPatch, wanted, reason
) -> None:
    """`notify_item_deleted` ends the run where the document wants it, and only there."""

    async def course(session: Odd) -> None:
        session.listener.on_connected()
        run.notify_item_deleted()
        run.finish("the test")

    monkeypatch.setattr(Odd, "course", course, raising=False)
    found = program(stopOn={"itemDeleted": wanted})
    found.variant = Odd
    stream = Stream(())
    reasons: list[Any] = []
    stream.on_fact = lambda event: reasons.append(getattr(event, "reason", None))
    run = Run(found, stream, WebsocketsTransport())
    async with asyncio.timeout(20):
        assert await run.run() == 0
    assert reasons[-1] == reason


async def test_an_item_that_cannot_be_looked_at_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name too long for the file system is an error of the system, not an absence."""

    async def course(session: Odd) -> None:
        session.listener.on_connected()
        for _ in range(20):
            await asyncio.sleep(0)
        run.finish("the test")

    monkeypatch.setattr(Odd, "course", course, raising=False)
    found = program(stopOn={"itemDeleted": True})
    found.variant = Odd
    stream = Stream(())
    reasons: list[Any] = []
    stream.on_fact = lambda event: reasons.append(getattr(event, "reason", None))
    run = Run(found, stream, WebsocketsTransport(), item=tmp_path / ("x" * 5000))
    assert await run.run() == 0
    assert reasons[-1] == "the test"


@pytest.mark.parametrize(("answered_after", "code"), [(4.5, "1000"), (5.5, "1006")])
async def test_the_server_has_five_seconds_to_answer_a_close(
    answered_after, code, no_waiting
) -> None:
    """docs/protocols/websocket_v2.md, section 3."""

    async def slow(connection: ServerConnection) -> None:
        await connection.send("x")
        connection.transport.pause_reading()
        asyncio.get_running_loop().call_later(answered_after, connection.transport.resume_reading)
        await connection.wait_closed()

    stream = Stream(())
    facts: list[Any] = []
    stream.on_fact = facts.append
    async with serve(slow, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        found = program(url=f"ws://127.0.0.1:{port}")
        assert await Run(found, stream, WebsocketsTransport(), count=1).run() == 0
    (end,) = [fact for fact in facts if getattr(fact, "state", None) == "disconnected"]
    assert end.code == code


class Posting(Odd):
    """A variant whose sends wait for an answer that the test gives."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.paused = False
        self.sent = 0

    def send(self, text: str) -> asyncio.Future[None]:  # type: ignore[override]
        self.sent += 1
        return self.taken

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_a_thousand_messages_wait_behind_a_send_then_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And none is dropped: all have their turn, in order, once the server has answered."""
    paused_at: list[int] = []

    async def course(session: Posting) -> None:
        session.listener.on_connected()
        for number in range(1, 1501):
            session.listener.on_message(str(number))
            if session.paused and not paused_at:
                paused_at.append(number)
        assert run.reports.results.fresh == 0
        session.taken.set_result(None)
        while session.paused:  # noqa: ASYNC110  # a plain call resumes
            await asyncio.sleep(0)
        run.finish("the test")

    monkeypatch.setattr(Posting, "course", course, raising=False)
    send = {"command": "send", "params": {"sendMessage": "x"}}
    found = program(onConnect=[send])
    found.variant = Posting
    run = Run(found, Stream(()), WebsocketsTransport())
    async with asyncio.timeout(20):
        assert await run.run() == 0
    assert paused_at == [pytest.approx(1000, abs=5)]
    assert (run.reports.results.fresh, run.reports.results.current) == (1500, "1500")


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({}, 250, 500),
        ({"backoff_initial": 8.0}, 4000, 8000),
        ({"backoff_initial": 8.0, "backoff_max": 2.0}, 1000, 2000),
    ],
)
async def test_the_first_wait_is_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, settings, least, most
) -> None:
    async def course(_: Odd) -> None:
        raise Transient("nobody is there")

    monkeypatch.setattr(Odd, "course", course, raising=False)
    raw = {"command": "websocket-v2", "params": {"url": "ws://127.0.0.1:1"}}
    found = Program(raw, RunSettings(**settings), {})
    found.variant = Odd
    stream = Stream(())
    waits: list[int | None] = []

    def told(event: Any) -> None:
        if isinstance(event, SessionEvent) and event.state == "reconnecting":
            waits.append(event.delay_ms)
            run.finish("the test")

    stream.on_fact = told
    run = Run(found, stream, WebsocketsTransport())
    async with asyncio.timeout(20):
        assert await run.run() == 0
    (wait,) = waits
    assert wait is not None
    assert least <= wait <= most


async def test_a_tick_is_skipped_while_the_one_before_it_waits(
    monkeypatch: pytest.MonkeyPatch, no_waiting
) -> None:
    """They do not queue up behind a Send that the server takes its time to answer."""
    began = no_waiting()

    async def course(session: Posting) -> None:
        session.listener.on_connected()
        await asyncio.sleep(3.0)  # some thirty ticks; it takes no time
        assert session.sent == 1
        session.taken.set_result(None)
        await asyncio.sleep(1.0)
        run.finish("the test")
        assert 5 <= session.sent <= 15 + (no_waiting() - began - 4.0) * 10

    monkeypatch.setattr(Posting, "course", course, raising=False)
    send = {"command": "send", "params": {"sendMessage": "x"}}
    found = program(onInterval={"intervalMs": 100, "commands": [send]})
    found.variant = Posting
    run = Run(found, Stream(()), WebsocketsTransport())
    assert await run.run() == 0


@pytest.mark.parametrize(("lasting", "attempts"), [(9.9, [1, 2, 3]), (10.0, [1, 1, 1])])
async def test_ten_seconds_of_data_begin_the_back_off_anew(
    monkeypatch: pytest.MonkeyPatch, lasting, attempts
) -> None:
    now = [0.0]
    for part in (executor, life):
        monkeypatch.setattr(part, "monotonic", lambda: now[0])

    async def course(session: Odd) -> None:
        session.listener.on_connected()
        session.listener.on_data()
        now[0] += lasting
        session.listener.on_ended(Ended(code=1006))

    monkeypatch.setattr(Odd, "course", course, raising=False)
    found = Program(
        {"command": "websocket-v2", "params": {"url": "ws://127.0.0.1:1"}},
        RunSettings(backoff_initial=0.001, backoff_max=0.002),
        {},
    )
    found.variant = Odd
    stream = Stream(())
    waits: list[SessionEvent] = []

    def told(event: Any) -> None:
        if isinstance(event, SessionEvent) and event.state == "reconnecting":
            waits.append(event)
            if len(waits) == len(attempts):
                run.finish("the test")

    stream.on_fact = told
    run = Run(found, stream, WebsocketsTransport())
    async with asyncio.timeout(20):
        assert await run.run() == 0
    assert [each.attempt for each in waits] == attempts
