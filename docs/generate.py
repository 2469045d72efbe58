"""Writes the pages that can drift: docs/events.md and docs/cli.md; `--check` only compares.

Run by `make docs` and, with `--check`, by `make check`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import typer

from wsfeeds import connectors, events
from wsfeeds.cli.main import app
from wsfeeds.cli.schema import schema

DOCS = Path(__file__).parent
_ENVELOPE = len(events.Event.__struct_fields__)


def events_page() -> str:
    """Return the page of all event types with their keys in order."""
    lines = [
        "# Events",
        "",
        "Generated from `wsfeeds/events.py` by `make docs`. One JSON object a line, compact UTF-8.",
        "Keys come in the order below, all of them always present, null where the venue said",
        "nothing. `wsfeeds schema TYPE` prints the JSON Schema.",
        "",
        "## Envelope",
        "",
        "Every event begins with these.",
        "",
        *_keys(events.Trade, 0, _ENVELOPE),
    ]
    for title, group in (("Data", events.DATA_EVENTS), ("Session facts", events.SESSION_FACTS)):
        lines += ["", f"## {title}"]
        for kind in group:
            lines += ["", f"### `{kind.__struct_config__.tag}`", "", _text(kind), ""]
            lines += _keys(kind, _ENVELOPE, None)
    return "\n".join(lines) + "\n"


def _keys(kind: type[events.Event], start: int, end: int | None) -> list[str]:
    name = str(kind.__struct_config__.tag)
    properties: dict[str, Any] = schema(name)["$defs"][kind.__name__]["properties"]
    names = list(kind.__struct_fields__)[start:end]
    rows = [f"| `{key}` | {_type(properties[key])} |" for key in names]
    if start == 0:
        rows.insert(0, "| `type` | string |")
    return ["| key | type |", "|---|---|", *rows]


def _type(part: dict[str, Any]) -> str:
    if "anyOf" in part:
        return r" \| ".join(_type(each) for each in part["anyOf"])
    if "enum" in part:
        return " ".join(f"`{value}`" for value in part["enum"] if value is not None)
    if part.get("type") == "array":
        items = part.get("items") or {}
        return f"array of {_type(items)}" if items else "array"
    if part.get("pattern"):
        return "decimal string"
    if str(part.get("description", "")).startswith("microseconds"):
        return "integer (µs)"
    kind = part.get("type", "any JSON")
    return kind if isinstance(kind, str) else r" \| ".join(kind)


def _text(kind: type[events.Event]) -> str:
    text = (kind.__doc__ or "").strip()
    return re.sub(r"\n\s+", "\n", text)


def cli_page() -> str:
    """Return the page of all commands with their help."""
    parts = [
        "# Command line",
        "",
        "Generated from `--help` by `make docs`.",
        "",
        _help([]),
    ]
    for command in _commands():
        parts += ["", f"## wsfeeds {command}", "", _help([command])]
    return "\n".join(parts) + "\n"


def _commands() -> list[str]:
    return list(getattr(typer.main.get_command(app), "commands", {}))


def _help(arguments: list[str]) -> str:
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        app([*arguments, "--help"], prog_name="wsfeeds", standalone_mode=False)
    return f"```text\n{shown.getvalue().rstrip()}\n```"


def readme_table() -> str:
    """Return the README's table of feeds."""
    rows = ["| feed | SYMBOL | channels (**bold** by default) | credentials |", "|---|---|---|---|"]
    for name in connectors.names():
        feed = connectors.load(name)
        channels = ", ".join(f"**{c.name}**" if c.default else c.name for c in feed.channels)
        needs = ", ".join(f"`{key}`" for key in feed.required) or "none"
        rows.append(f"| `{name}` | {feed.symbol_help} | {channels} | {needs} |")
    return "\n".join(rows)


def main() -> int:
    """Write or check the pages and return the exit code."""
    readme = DOCS.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin, end = "<!-- feeds -->\n", "\n<!-- /feeds -->"
    if begin in text and end in text:
        head, rest = text.split(begin, 1)
        text = head + begin + readme_table() + end + rest.split(end, 1)[1]
    pages = {DOCS / "events.md": events_page(), DOCS / "cli.md": cli_page(), readme: text}
    stale = []
    for path, content in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            stale.append(path)
            if "--check" not in sys.argv:
                path.write_text(content, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print("stale:", ", ".join(str(path.relative_to(DOCS.parent)) for path in stale))
        print("run `make docs`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
