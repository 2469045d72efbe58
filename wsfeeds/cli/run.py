"""`wsfeeds run`: executes a WebSocket V2 command document (contract, section 9)."""

from __future__ import annotations

from typing import Annotated

import typer

from wsfeeds.cli import options as opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(run)


def run(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="the document, - for stdin")],
    output: opt.Output = None,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", metavar="N", help="stop after N results of onMessage"),
    ] = None,
    duration: opt.Duration = None,
    session: Annotated[
        bool, typer.Option("--session", help="session facts on stdout too, not on stderr")
    ] = False,
    item: Annotated[
        str | None,
        typer.Option("--item", metavar="FILE", help="stopOn.itemDeleted: ends when FILE is gone"),
    ] = None,
    set_: opt.Set = None,
    max_retries: opt.MaxRetries = None,
    no_reconnect: opt.NoReconnect = False,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,  # noqa: ARG001  # eager
) -> None:
    """Execute a WebSocket V2 command document: one connection, commands on its events.

    \b
      wsfeeds run configs/websocket-v2/native.json -n 10
      wsfeeds run - --set idle_timeout=30s < document.json | jq .data
    """
    from wsfeeds.cli.execution import Options, execute  # noqa: PLC0415  # `--help` does without

    console = opt.console_of(config, verbose, quiet, log_format)
    flags = opt.flags_of(set_, None, None, max_retries, no_reconnect)
    options = Options(
        spec=spec,
        output=output,
        count=count,
        duration=duration,
        session=session,
        item=item,
        flags=flags,
    )
    raise typer.Exit(execute(options, console))
