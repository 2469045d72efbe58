"""`wsfeeds replay`: its options; `replaying` does the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from wsfeeds.cli import options as opt


@dataclass(kw_only=True)
class Options:
    """The options of `replay`, as given."""

    paths: Sequence[str]
    speed: str = "1"
    max_wait: str | None = None
    since: str | None = None
    until: str | None = None
    types: str | None = None
    format: str = "auto"
    output: str | None = None
    count: int | None = None
    serve: str | None = None
    view: str | None = None
    live: bool = True


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(no_args_is_help=True)
    def replay(
        paths: Annotated[
            list[str], typer.Argument(metavar="PATH...", help="recordings, folders or files")
        ],
        speed: Annotated[
            str, typer.Option("--speed", metavar="1|10|max", help="so many times as fast")
        ] = "1",
        max_wait: Annotated[
            str | None, typer.Option("--max-wait", metavar="TIME", help="no pause longer than 10s")
        ] = None,
        since: Annotated[
            str | None, typer.Option("--from", metavar="TIME", help="ISO 8601, UTC if no zone")
        ] = None,
        until: Annotated[
            str | None, typer.Option("--to", metavar="TIME", help="up to, not including")
        ] = None,
        types: opt.Types = None,
        format_: Annotated[
            str,
            typer.Option("-f", "--format", metavar="auto|pretty|jsonl|raw", help="of stdout"),
        ] = "auto",
        output: opt.Output = None,
        count: opt.Count = None,
        serve: Annotated[
            str | None,
            typer.Option("--serve", metavar="HOST:PORT", help="play frames as the venue's socket"),
        ] = None,
        view: Annotated[
            str | None, typer.Option("--view", metavar="NAME", help="which live view on a terminal")
        ] = None,
        no_live: Annotated[
            bool, typer.Option("--no-live", help="plain lines on a terminal")
        ] = False,
        config: opt.Config = None,
        verbose: opt.Verbose = 0,
        quiet: opt.Quiet = False,
        log_format: opt.LogFormat = "text",
        version: opt.Version = False,  # noqa: ARG001  # eager: it never gets here
    ) -> None:
        """Play a recording again: its events, or from frames what they mean today.

        \b
          wsfeeds replay recordings --speed 10 --max-wait 1s
          wsfeeds replay recordings --speed max --types trade | jq .price
          wsfeeds replay recordings --serve 127.0.0.1:8765
        """
        from wsfeeds.cli.replaying import run_replay  # noqa: PLC0415  # `--help` needs none

        console = opt.console_of(config, verbose, quiet, log_format)
        given = Options(
            paths=paths,
            speed=speed,
            max_wait=max_wait,
            since=since,
            until=until,
            types=types,
            format=format_,
            output=output,
            count=count,
            serve=serve,
            view=view,
            live=not no_live,
        )
        raise typer.Exit(run_replay(given, console))
