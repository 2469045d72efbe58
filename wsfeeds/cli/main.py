"""The command `wsfeeds`: its commands, and what becomes an exit code.

Imports are made inside the commands: `--help` needs none of the feeds, sockets or terminals.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wsfeeds.cli import doctor as _doctor
from wsfeeds.cli import options as opt
from wsfeeds.cli import record as _record
from wsfeeds.cli import replay as _replay
from wsfeeds.cli import run as _run
from wsfeeds.cli import stats as _stats
from wsfeeds.cli import verify as _verify
from wsfeeds.cli.console import OUTPUT_ERRORS, discard_stdout, ensure_streams
from wsfeeds.cli.leaving import leave
from wsfeeds.errors import ExitCode, ReaderGone, WsfeedsError

app = typer.Typer(
    name="wsfeeds",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Stream and record venue WebSocket feeds, crypto and sports betting.

\b
  wsfeeds subscribe cryptomus BTC_USDT --sim         watch the embedded simulator
  wsfeeds subscribe cryptomus BTC_USDT -c trade | jq .price
  wsfeeds feeds                                      feeds, channels, settings

stdout carries data and nothing else; everything for people goes to stderr.
Exit codes: 0 ended as asked, 1 fault, 2 usage, 3 credentials refused or logged
out, 4 no connection, 5 damaged recording, 6 output failed, 130 interrupted.""",
)


@app.callback()
def _root(version: opt.Version = False) -> None:
    """Take `--version` before any command."""


@app.command(no_args_is_help=True)
def subscribe(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="see `wsfeeds feeds`")],
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="as the feed names them")
    ] = None,
    channel: opt.Channels = None,
    format_: Annotated[
        str,
        typer.Option("-f", "--format", metavar="auto|pretty|jsonl|raw", help="of stdout"),
    ] = "auto",
    output: opt.Output = None,
    count: opt.Count = None,
    duration: opt.Duration = None,
    types: opt.Types = None,
    heartbeats: opt.Heartbeats = False,
    control: Annotated[
        bool, typer.Option("--control", help="read commands from stdin: subscribe, pause …")
    ] = False,
    sim: opt.Sim = False,
    url: opt.Url = None,
    api_url: opt.ApiUrl = None,
    set_: opt.Set = None,
    view: Annotated[
        str | None, typer.Option("--view", metavar="NAME", help="which live view on a terminal")
    ] = None,
    no_live: Annotated[bool, typer.Option("--no-live", help="plain lines on a terminal")] = False,
    max_retries: opt.MaxRetries = None,
    no_reconnect: opt.NoReconnect = False,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,
) -> None:
    """Stream events: a live view on a terminal, JSON lines elsewhere.

    \b
      wsfeeds subscribe cryptomus BTC_USDT ETH_USDT -c trade,depth -n 1000
      wsfeeds subscribe cryptomus BTC_USDT --sim | jq -c 'select(.type=="trade")'
      wsfeeds subscribe cryptomus all -c ticker --types ticker -o tickers.jsonl
    """
    from wsfeeds.cli.subscribe import Options
    from wsfeeds.cli.subscribe import subscribe as run

    console = opt.console_of(config, verbose, quiet, log_format)
    options = Options(
        feed=feed,
        symbols=symbols or (),
        channels=opt.split(channel),
        format=format_,
        output=output,
        count=count,
        duration=duration,
        types=types,
        heartbeats=heartbeats,
        control=control,
        sim=sim,
        flags=opt.flags_of(set_, url, api_url, max_retries, no_reconnect),
        view=view,
        live=not no_live,
    )
    raise typer.Exit(run(options, console))


@app.command()
def feeds(
    feed: Annotated[str | None, typer.Argument(metavar="[FEED]")] = None,
    json: opt.Json = False,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,
) -> None:
    """List feeds, channels, settings, and which credentials are set.

    \b
      wsfeeds feeds
      wsfeeds feeds cryptomus
      wsfeeds feeds --json | jq '.[].feed'
    """
    from wsfeeds.cli.feeds import collect, show

    found = collect(feed, opt.console_of(config, verbose, quiet, log_format))
    opt.print_document(found if json else show(found, detailed=feed is not None))


@app.command(no_args_is_help=True)
def markets(
    feed: Annotated[str, typer.Argument(metavar="FEED")],
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL]...", help="only these, in detail")
    ] = None,
    sport: Annotated[
        str | None, typer.Option("--sport", metavar="NAME", help="img_fastpath: which sport")
    ] = None,
    json: opt.Json = False,
    sim: opt.Sim = False,
    api_url: opt.ApiUrl = None,
    set_: opt.Set = None,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,
) -> None:
    """List what can be subscribed, from the venue's own list.

    \b
      wsfeeds markets cryptomus
      wsfeeds markets cryptomus BTC_USDT       with its depth scales
      wsfeeds markets img_fastpath --sport soccer --json
    """
    from wsfeeds.cli.markets import fetch, show

    console = opt.console_of(config, verbose, quiet, log_format)
    flags = opt.flags_of(set_, None, api_url, None, no_reconnect=False)
    rows = fetch(feed, symbols or (), sport=sport, sim=sim, flags=flags, console=console)
    opt.print_document(rows if json else show(rows))


@app.command()
def schema(
    type_: Annotated[str | None, typer.Argument(metavar="[TYPE]")] = None,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,
) -> None:
    """Print the JSON Schema of the events, or of what a command prints with --json.

    \b
      wsfeeds schema            all events
      wsfeeds schema trade
      wsfeeds schema feeds
    """
    from wsfeeds.cli.schema import schema as find

    opt.console_of(config, verbose, quiet, log_format)
    opt.print_document(find(type_))


@app.command()
def sim(
    feed: Annotated[list[str] | None, typer.Argument(metavar="[FEED]...")] = None,
    host: Annotated[str, typer.Option(metavar="HOST", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="first port; 0 takes free ones")] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="the same seed, the same frames")] = 1,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="messages a second for each feed")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="disconnect=5s, drop=0.01 …; repeat"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an option of the simulator; repeat"),
    ] = None,
    config: opt.Config = None,
    verbose: opt.Verbose = 0,
    quiet: opt.Quiet = False,
    log_format: opt.LogFormat = "text",
    version: opt.Version = False,
) -> None:
    """Serve simulated venues on loopback; one JSON line a feed says where.

    \b
      wsfeeds sim cryptomus
      wsfeeds sim cryptomus --port 4000 --rate 1000 --fault disconnect=5s
      wsfeeds sim igratech --set style=flat
    """
    from wsfeeds.cli.sim import Options, serve

    console = opt.console_of(config, verbose, quiet, log_format)
    options = Options(
        feeds=feed or (),
        host=host,
        port=port,
        seed=seed,
        rate=rate,
        faults=opt.split(fault),
        set=set_ or (),
    )
    raise typer.Exit(serve(options, console))


_record.register(app)
_verify.register(app)
_replay.register(app)
_stats.register(app)
_run.register(app)
_doctor.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the contract's code."""
    try:
        ensure_streams()
        code = _exit_code(arguments)
    except KeyboardInterrupt:  # before a command has begun, or while its end is being told
        code = ExitCode.INTERRUPTED
    leave(code)


def _exit_code(arguments: list[str] | None) -> int:
    from typer.exceptions import TyperException

    try:
        code = app(arguments, standalone_mode=False)
        sys.stdout.flush()
    except ReaderGone:
        return ExitCode.OK
    except WsfeedsError as error:
        _say_error(error.message)
        return error.exit_code
    except TyperException as error:  # a wrong option or argument
        return _say_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit: give it somewhere to go.
        discard_stdout()
        return 0
    except OSError as error:  # help that cannot be printed, say
        if error.errno not in OUTPUT_ERRORS:
            return _say_fault(error)
        discard_stdout()
        _say_error(f"cannot write to stdout: {error.strerror}")
        return ExitCode.OUTPUT
    except Exception as error:  # noqa: BLE001  # the outermost layer: a fault of ours, exit 1
        return _say_fault(error)
    return code if isinstance(code, int) else 0


def _say_error(message: str) -> None:
    from wsfeeds.cli.console import is_json, logger, printable, secrets, tell

    if is_json():
        logger.error("%s", message)
    else:
        tell(f"wsfeeds: {printable(secrets(message))}")


def _say_usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    show = getattr(error, "show", None)
    if type(error).__name__ == "NoArgsIsHelpError" and show is not None:
        show()
    else:
        command = context.command_path if context is not None else "wsfeeds"
        said = getattr(error, "format_message", error.__str__)()
        _say_error(f"{said.rstrip('.')}; see `{command} --help`")
    return ExitCode.USAGE


def _say_fault(error: Exception) -> int:
    from wsfeeds.cli.console import logger

    detail = logger.isEnabledFor(20) and bool(logger.handlers)
    message = "a fault in wsfeeds itself (%s: %s); please report it, with the output of -v"
    logger.error(message, type(error).__name__, error, exc_info=error if detail else None)
    return ExitCode.FAULT
