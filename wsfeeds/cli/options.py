"""Options that several commands share, declared once so that they mean the same everywhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wsfeeds.cli.console import Console, put

Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="settings file (TOML)")
]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="say more on stderr")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="say nothing but errors on stderr")]
LogFormat = Annotated[str, typer.Option("--log-format", metavar="text|json", help="of stderr")]
Channels = Annotated[
    list[str] | None,
    typer.Option("-c", "--channel", metavar="NAME", help="channel; repeat or separate by commas"),
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE", help="also append the JSONL there")
]
Count = Annotated[
    int | None, typer.Option("-n", "--count", metavar="N", help="stop after N data events")
]
Duration = Annotated[
    str | None, typer.Option("-d", "--duration", metavar="TIME", help="stop after 30s, 5m, 1h …")
]
Types = Annotated[
    str | None, typer.Option("--types", metavar="A,B", help="emit only these event types")
]
Heartbeats = Annotated[bool, typer.Option("--heartbeats", help="emit heartbeat events too")]
Sim = Annotated[bool, typer.Option("--sim", help="use the feed's embedded simulator")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="another WebSocket URL")]
ApiUrl = Annotated[str | None, typer.Option("--api-url", metavar="URL", help="another REST base")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="any setting but secrets; repeat"),
]
MaxRetries = Annotated[
    int | None, typer.Option("--max-retries", metavar="N", help="give up after N failures in a row")
]
NoReconnect = Annotated[bool, typer.Option("--no-reconnect", help="the same as --max-retries 0")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document")]


def _show_version(wanted: bool) -> None:
    from wsfeeds._version import __version__  # noqa: PLC0415  # as it is when asked

    if wanted:
        put(f"wsfeeds {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show the version")
]


def console_of(config: str | None, verbose: int, quiet: bool, log_format: str) -> Console:
    """Set up logging and return what the common options ask for.

    Raises:
        UsageError: The log format is unknown.
    """
    from wsfeeds.errors import UsageError  # noqa: PLC0415  # `--help` does without

    if log_format not in {"text", "json"}:
        raise UsageError(f"--log-format is text or json, not {log_format!r}")
    console = Console(config_file=config, verbose=verbose, quiet=quiet, log_format=log_format)
    console.set_up_logging()
    return console


def split(names: list[str] | None) -> list[str]:
    """Return the parts of repeated, comma-separated values; empty ones stay for the check."""
    return [part for item in names or () for part in item.split(",")]


def flags_of(
    items: list[str] | None,
    url: str | None,
    api_url: str | None,
    max_retries: int | None,
    no_reconnect: bool,
) -> dict[str, Any]:
    """Return the settings that flags give.

    Raises:
        UsageError: A `--set` is malformed, or two flags exclude each other.
    """
    from wsfeeds import config  # noqa: PLC0415  # `--help` does without
    from wsfeeds.errors import UsageError  # noqa: PLC0415

    flags: dict[str, Any] = dict(config.parse_set(items or ()))
    if max_retries is not None and no_reconnect:
        raise UsageError("--max-retries and --no-reconnect exclude each other")
    if max_retries is not None and max_retries < 0:
        raise UsageError("--max-retries cannot be negative")
    given = {"url": url, "api_url": api_url}
    flags |= {key: value for key, value in given.items() if value is not None}
    if no_reconnect or max_retries is not None:
        flags["max_retries"] = str(max_retries or 0)
    return flags


def print_document(document: Any) -> None:
    """Print text as it is and anything else as one JSON document."""
    if not isinstance(document, str):
        import msgspec  # noqa: PLC0415  # `--help` does without

        document = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    put(document)
