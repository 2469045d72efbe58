"""`wsfeeds record`: its options; `recording` does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from wsfeeds.cli import options as opt


@dataclass(kw_only=True)
class Options:
    """The options of `record`, as given; None leaves it to the settings file or the default."""

    feed: str | None = None
    symbols: Sequence[str] = ()
    channels: Sequence[str] = ()
    folder: str | None = None
    rotate: Sequence[str] | None = None
    compress: str | None = None
    fsync: str | None = None
    capture: str | None = None
    count: int | None = None
    duration: str | None = None
    heartbeats: bool = False
    sim: bool = False
    flags: dict[str, Any] = field(default_factory=dict)
    min_free: str | None = None
    on_close: str | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def record(
        feed: Annotated[
            str | None, typer.Argument(metavar="FEED", help="none: all of the settings file")
        ] = None,
        symbols: Annotated[
            list[str] | None, typer.Argument(metavar="SYMBOL...", help="as the feed names them")
        ] = None,
        channel: opt.Channels = None,
        folder: Annotated[
            str | None, typer.Option("--dir", metavar="DIR", help="where to; default: recordings")
        ] = None,
        rotate: Annotated[
            list[str] | None,
            typer.Option("--rotate", metavar="1h|256MB", help="by time, size or both; default: 1h"),
        ] = None,
        compress: Annotated[
            str | None,
            typer.Option("--compress", metavar="none|gzip|zstd", help="closed segments"),
        ] = None,
        fsync: Annotated[
            str | None,
            typer.Option("--fsync", metavar="1s|always|never", help="loss window of a power cut"),
        ] = None,
        capture: Annotated[
            str | None,
            typer.Option("--capture", metavar="events|frames|both", help="default: events"),
        ] = None,
        count: opt.Count = None,
        duration: opt.Duration = None,
        heartbeats: opt.Heartbeats = False,
        sim: opt.Sim = False,
        url: opt.Url = None,
        api_url: opt.ApiUrl = None,
        set_: opt.Set = None,
        max_retries: opt.MaxRetries = None,
        no_reconnect: opt.NoReconnect = False,
        min_free: Annotated[
            str | None,
            typer.Option("--min-free", metavar="SIZE", help="stop before less is left, e.g. 1GB"),
        ] = None,
        on_close: Annotated[
            str | None,
            typer.Option("--on-close", metavar="COMMAND", help="run with each closed file's path"),
        ] = None,
        config: opt.Config = None,
        verbose: opt.Verbose = 0,
        quiet: opt.Quiet = False,
        log_format: opt.LogFormat = "text",
        version: opt.Version = False,  # noqa: ARG001  # eager: it never gets here
    ) -> None:
        """Record feeds into rotating, crash-safe JSON lines files.

        \b
          wsfeeds record cryptomus BTC_USDT --dir recordings --rotate 1h --compress zstd
          wsfeeds record cryptomus --sim -d 10s --capture both
          wsfeeds record --config all-feeds.toml
        """
        console = opt.console_of(config, verbose, quiet, log_format)
        given = Options(
            feed=feed,
            symbols=symbols or (),
            channels=opt.split(channel),
            folder=folder,
            rotate=rotate,
            compress=compress,
            fsync=fsync,
            capture=capture,
            count=count,
            duration=duration,
            heartbeats=heartbeats,
            sim=sim,
            flags=opt.flags_of(set_, url, api_url, max_retries, no_reconnect),
            min_free=min_free,
            on_close=on_close,
        )
        from wsfeeds.cli.recording import run_recording  # noqa: PLC0415  # `--help` needs none

        raise typer.Exit(run_recording(given, console))
