"""`wsfeeds schema`: JSON Schema of the events and of what `--json` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from wsfeeds.config import nearest
from wsfeeds.errors import UsageError
from wsfeeds.events import TYPES, AnyEvent

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _feeds() -> Any:
    from wsfeeds.cli.feeds import FeedInfo  # noqa: PLC0415  # one command's shape at a time

    return list[FeedInfo]


def _markets() -> Any:
    from wsfeeds.cli.markets import Market  # noqa: PLC0415  # likewise

    return list[Market]


def _doctor() -> Any:
    from wsfeeds.doctor.reports import DoctorReport  # noqa: PLC0415  # likewise

    return DoctorReport


def _report(name: str) -> Callable[[], Any]:
    def find() -> Any:
        from wsfeeds.recordings.reports import REPORTS  # noqa: PLC0415  # likewise

        return REPORTS[name]

    return find


SHAPES: dict[str, Callable[[], Any]] = {
    "feeds": _feeds,
    "markets": _markets,
    "verify": _report("verify"),
    "stats": _report("stats"),
    "doctor": _doctor,
}
"""What the commands with `--json` print, by command."""


def schema(name: str | None) -> dict[str, Any]:
    """Return the JSON Schema of an event type, of a command's `--json`, or of all events.

    Raises:
        UsageError: There is no such type or command.
    """
    if name is None:
        return _schema(AnyEvent, "A line of a wsfeeds stream")
    key = name.strip().lower().replace("-", "_")
    if key in TYPES:
        return _schema(TYPES[key], f"The wsfeeds event {key!r}")
    if key.replace("_", "-") in SHAPES:
        command = key.replace("_", "-")
        return _schema(SHAPES[command](), f"What `wsfeeds {command} --json` prints")
    if key == "websocket_v2":
        from wsfeeds.command.spec import document_schema  # noqa: PLC0415  # likewise

        return document_schema()
    known = [*TYPES, *SHAPES, "websocket-v2"]
    raise UsageError(f"there is no event type or command {name!r}{nearest(name, known)}")


def _schema(shape: Any, title: str) -> dict[str, Any]:
    def no_python_types(kind: Any) -> dict[str, Any]:
        raise UsageError(f"no schema for {kind}")

    found = msgspec.json.schema(shape, schema_hook=no_python_types)
    return {"$schema": _DIALECT, "title": title, **_complete(found)}


def _complete(part: Any) -> Any:
    """Mark every event key as required: all of them are always present, defaults or not."""
    if isinstance(part, dict):
        result = {key: _complete(value) for key, value in part.items()}
        properties = result.get("properties")
        if isinstance(properties, dict) and "type" in properties and "recv_ts" in properties:
            result["required"] = list(properties)
            for value in properties.values():
                value.pop("default", None)
        return result
    return [_complete(value) for value in part] if isinstance(part, list) else part
