"""Jobs of one connection: one at a time, in order, whatever waits or breaks."""

from __future__ import annotations

import asyncio

import pytest

from wsfeeds.clock import monotonic
from wsfeeds.command.worker import Work, Worker


class Bench:
    """A worker and what it told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failures: list[BaseException] = []
        self.worker = Worker(
            done=lambda: self.told.append("done"),
            resumed=lambda: None,
            failed=self.failures.append,
        )

    def waits(self, name: str, for_: asyncio.Future[None], until: float | None = None) -> Work:
        self.told.append(f"{name} begins")
        yield for_, until
        self.told.append(f"{name} goes on")

    def says(self, text: str) -> None:
        self.worker.do(lambda: self.told.append(text))


async def test_what_comes_after_a_job_that_waits_waits_too() -> None:
    bench, answer = Bench(), asyncio.get_running_loop().create_future()
    bench.says("before")
    bench.worker.do(lambda: bench.waits("first", answer))
    bench.says("after")
    assert bench.told == ["before", "done", "first begins"]
    assert bench.worker.waiting == 1
    answer.set_result(None)
    await bench.worker.settled()
    assert bench.told[3:] == ["first goes on", "done", "after", "done"]


async def test_a_deadline_ends_the_wait() -> None:
    bench, answer = Bench(), asyncio.get_running_loop().create_future()
    bench.worker.do(lambda: bench.waits("first", answer, monotonic()))
    await bench.worker.settled()
    answer.set_result(None)
    await asyncio.sleep(0)
    assert bench.told == ["first begins", "first goes on", "done"]


async def test_a_job_that_breaks_now_tells_its_caller_and_later_its_worker() -> None:
    bench, answer = Bench(), asyncio.get_running_loop().create_future()

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.worker.do(broken)
    bench.worker.do(lambda: bench.waits("first", answer))
    bench.worker.do(broken)
    bench.says("after")
    answer.set_result(None)
    await bench.worker.settled()
    assert [type(each) for each in bench.failures] == [ZeroDivisionError]
    assert bench.told[-2:] == ["after", "done"]


async def test_stopping_gives_up_what_waits() -> None:
    bench, answer = Bench(), asyncio.get_running_loop().create_future()
    bench.worker.do(lambda: bench.waits("first", answer))
    bench.says("after")
    bench.worker.stop()
    bench.says("last")
    answer.set_result(None)
    await asyncio.sleep(0)
    assert bench.told == ["first begins", "last", "done"]
