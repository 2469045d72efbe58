"""The command `wsfeeds`, by its script or as `python -m wsfeeds`, from its very first moment.

It imports next to nothing, so that an interrupt finds its exit code while the rest is still being
imported.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line and exit with the contract's code."""
    try:
        import signal  # noqa: PLC0415  # an interrupt counts from here on

        number = signal.SIGINT
        if watched := signal.getsignal(number) is signal.default_int_handler:
            # An exception may get lost in the machinery of imports; this cannot.
            signal.signal(number, lambda *_: os._exit(130))
        from wsfeeds.cli.main import main as run  # noqa: PLC0415

        if watched:
            signal.signal(number, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()
