"""`python -m wsfeeds` is the `wsfeeds` command."""

from __future__ import annotations

from wsfeeds.cli.main import main

if __name__ == "__main__":
    main()
