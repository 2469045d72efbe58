"""What is done beside a run: how it ends with it, and how it can end it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from wsfeeds.cli.console import Console
from wsfeeds.cli.drawing import paint
from wsfeeds.cli.running import Running
from wsfeeds.errors import OutputFailed


class Run:
    """Something that goes on until it is stopped."""

    def __init__(self) -> None:
        self.running = Running(Console(), self.stop)
        self.reasons: list[str] = []
        self._stopped = asyncio.Event()

    def stop(self, reason: str) -> None:
        self.reasons.append(reason)
        self._stopped.set()

    async def go_on(self) -> int:
        await self._stopped.wait()
        return 0


class Screen:
    """A picture that does as told when it is drawn again."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        self.refresh = refresh

    def start(self) -> None:
        """Draw nothing."""

    def close(self) -> None:
        """Draw nothing."""


class Terminal:
    """A writer with nothing to wait for."""

    behind = False

    def write(self, data: bytes | bytearray) -> None:
        """Show nothing."""

    async def close(self) -> None:
        """Hold nothing."""


async def test_a_fault_beside_the_run_ends_it_and_is_raised():
    run = Run()

    def mistake() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with run.running.beside(paint(Screen(mistake), Terminal())):
            await asyncio.wait_for(run.running.finish(run.go_on(), ()), 10)
    assert run.reasons == ["fault"]


async def test_an_output_that_fails_beside_the_run_ends_it():
    run = Run()

    def full() -> None:
        raise OutputFailed("the disk is full")

    with pytest.raises(OutputFailed, match="full"):
        async with run.running.beside(paint(Screen(full), Terminal())):
            await asyncio.wait_for(run.running.finish(run.go_on(), ()), 10)
    assert run.reasons == ["output"]


async def test_a_broken_terminal_ends_the_drawing_and_not_the_run():
    run = Run()
    drawn = asyncio.Event()

    def broken() -> None:
        drawn.set()
        raise OSError(errno.EIO, "the terminal is gone")

    ended = asyncio.Event()

    async def painting() -> None:
        await paint(Screen(broken), Terminal())
        ended.set()

    async with run.running.beside(painting()):
        going = asyncio.create_task(run.running.finish(run.go_on(), ()))
        await asyncio.wait_for(ended.wait(), 10)
        assert drawn.is_set()
        assert run.reasons == []
        run.stop("test")
        assert await asyncio.wait_for(going, 10) == 0


async def test_what_is_done_beside_the_run_ends_with_it():
    run = Run()
    ended = asyncio.Event()

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with run.running.beside(beside()):
        await asyncio.sleep(0)
        run.stop("test")
        assert await run.running.finish(run.go_on(), ()) == 0
    assert ended.is_set()
