"""The connectors, one module a feed, found by their module names."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

from wsfeeds.errors import UsageError
from wsfeeds.protocol import Connector


def names() -> list[str]:
    """Return the feeds, sorted: the public modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str) -> type[Connector]:
    """Return the connector class of a feed, by its name or one of its other names.

    Raises:
        UsageError: There is no such feed; the message names the nearest one.
    """
    wanted = name.strip().lower().replace("-", "_")
    known = names()
    if wanted in known:
        return _class(wanted)
    for feed in known:
        connector = _class(feed)
        if name in connector.aliases or wanted in connector.aliases:
            return connector
    near = difflib.get_close_matches(wanted, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known feeds: {', '.join(known)}"
    raise UsageError(f"unknown feed {name!r}: {hint}")


def _class(name: str) -> type[Connector]:
    module = importlib.import_module(f"{__name__}.{name}")
    connector: type[Connector] = module.Connector
    return connector
