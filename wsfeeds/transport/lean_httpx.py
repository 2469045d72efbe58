"""httpx less its command line.

Where click is installed, `import httpx` imports click, pygments and half of rich for the command
`httpx`: as long as all the rest of wsfeeds takes to start, and no request needs it. httpx itself
does without where they are missing, and so it does here.
"""

from __future__ import annotations

import sys
from typing import Any, cast

_UNWANTED = "httpx._main"

if _left_out := "httpx" not in sys.modules:
    sys.modules[_UNWANTED] = cast(Any, None)  # importing this now fails, as if click were missing

import httpx  # noqa: E402  # see above

if _left_out:
    del sys.modules[_UNWANTED]

__all__ = ["httpx"]
