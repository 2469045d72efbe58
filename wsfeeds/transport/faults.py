"""What went wrong on the network, in one line for people."""

from __future__ import annotations

import os
import ssl


def plain(error: BaseException) -> str:
    """Say what failed: the innermost cause of a chain knows it best."""
    said = str(error).strip()
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError) and not cause.errno:
            return "no answer in time"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate was not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {(cause.reason or str(cause)).lower().replace('_', ' ')}"
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            # asyncio says "Connect call failed (address)"; the system knows why.
            return os.strerror(cause.errno)
        if isinstance(cause, OSError) and cause.strerror:
            said = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return said or type(error).__name__
