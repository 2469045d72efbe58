"""Simulated venues, found by module name: a feed's simulator lives in the module of its name.

A module that continues another's name (``cryptomus_account``) belongs to that feed, unless it
declares a feed of its own.
Simulators share no code with connectors: a shared parser would hide a shared mistake.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wsfeeds.errors import UsageError

if TYPE_CHECKING:
    from wsfeeds.simulators.base import Simulator
    from wsfeeds.simulators.faults import Faults

_INFRASTRUCTURE = frozenset(
    {"base", "faults", "httpd", "market", "options", "playback", "server", "websocket", "wire"}
)


def feeds() -> tuple[str, ...]:
    """Name the feeds that have a simulator, without importing any."""
    files = (file for folder in __path__ for file in Path(folder).glob("[a-z]*.py"))
    modules = {file.stem for file in files} - _INFRASTRUCTURE
    parts = {
        name
        for name in modules
        if any(name.startswith(f"{each}_") for each in modules) and not _declares(name)
    }
    return tuple(sorted(modules - parts))


def load(feed: str) -> type[Simulator]:
    """Import the simulator class of a feed.

    Raises:
        UsageError: No such feed.
    """
    from wsfeeds.simulators.base import Simulator  # noqa: PLC0415 - only what is served is imported
    from wsfeeds.simulators.faults import nearest  # noqa: PLC0415 - as above

    name = feed.replace("-", "_")
    if name not in feeds():
        raise UsageError(f"no simulator of {feed!r}{nearest(name, feeds())}")
    module = importlib.import_module(f"{__name__}.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Simulator) and _serves(value, name):
            return value
    raise TypeError(f"{module.__name__} has no Simulator whose feed is {name!r}")


def create(
    feed: str,
    *,
    seed: int = 1,
    rate: float | None = None,
    faults: Faults | None = None,
    options: Mapping[str, object] | None = None,
) -> Simulator:
    """Make the simulator of a feed; serve it with ``async with simulator.serve() as listening``.

    Raises:
        UsageError: No such feed, or a fault or an option that it does not have.
    """
    return load(feed)(seed=seed, rate=rate, faults=faults, options=options)


def _declares(name: str) -> bool:
    """Tell whether a module whose name continues another's is a simulator all the same."""
    sources = (Path(folder, f"{name}.py") for folder in __path__)
    wanted = f'feed: ClassVar[str] = "{name}"'
    return any(wanted in source.read_text() for source in sources if source.exists())


def _serves(candidate: type[Simulator], feed: str) -> bool:
    return getattr(candidate, "feed", None) == feed
