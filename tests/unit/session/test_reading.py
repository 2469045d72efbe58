"""Time that does not count, and one timer for everything."""

from __future__ import annotations

import asyncio

from wsfeeds.session.alarm import Alarm
from wsfeeds.session.reading import Reading


def test_reading_time_stands_still_while_nothing_is_read():
    reading = Reading()
    assert reading.at(10.0) == 10.0
    assert reading.hold("gate", 12.0)
    assert reading.at(15.0) == reading.at(19.0) == 12.0
    assert reading.due(20.0) is None
    assert reading.release("gate", 19.0)
    assert reading.at(20.0) == 13.0
    assert reading.due(20.0) == 27.0
    assert reading.due(None) is None


def test_a_socket_is_read_again_when_the_last_reason_is_gone():
    reading = Reading()
    assert reading.hold("gate", 1.0)
    assert not reading.hold("pause", 2.0)
    assert reading.is_held("pause")
    assert not reading.release("gate", 3.0)
    assert reading.release("pause", 5.0)
    assert not reading.is_held("pause")
    assert reading.at(5.0) == 1.0


def test_what_was_never_held_is_not_released():
    reading = Reading()
    assert not reading.release("gate", 1.0)
    assert reading.at(2.0) == 2.0


async def test_an_alarm_rings_at_the_earliest_time_and_can_be_called_off():
    rung: list[float] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ring() -> None:
        rung.append(loop.time())
        done.set()

    alarm, never = Alarm(ring), Alarm(lambda: rung.append(-1.0))
    start = loop.time()
    alarm.set(start + 3600)
    alarm.set(start + 0.01)
    alarm.set(start + 1800)
    never.set(start)
    never.cancel()
    async with asyncio.timeout(10):
        await done.wait()
    assert len(rung) == 1
    assert rung[0] >= start
