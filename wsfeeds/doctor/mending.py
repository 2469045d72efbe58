"""What to do about each failure."""

from __future__ import annotations

from wsfeeds import config
from wsfeeds.doctor.reports import Name
from wsfeeds.errors import CredentialsRefused, UsageError, WsfeedsError
from wsfeeds.protocol import Connector

_ADVICE: dict[Name, str] = {
    "dns": "check the name in url or api_url, and this machine's resolver; "
    "behind a proxy, set `proxy`",
    "connect": "check host and port in url or api_url, and what is in between: "
    "a firewall, a `proxy` that is needed",
    "tls": "where the authority is your own, name its file in `ca_file`; "
    "else check that nobody intercepts the connection",
    "clock": "set this machine's clock, and have it kept by NTP",
    "token": "the venue's token endpoint is in trouble, or api_url is wrong: try again later",
    "upgrade": "the venue may be down, or url is wrong: try again later, with -v for more",
    "first_event": "the venue ended the session: try again later, with -v for more",
}


def mend(name: Name, error: WsfeedsError | None, connector: type[Connector]) -> str:
    """Return what to do about a check that failed with an error."""
    feed = connector.name
    if isinstance(error, CredentialsRefused):
        keys = [key for key in connector.required if key != "url"]
        variables = " and ".join(config.variable(connector, key) for key in keys)
        if not keys:
            return "ask the venue what this address may do"
        where = f"check {variables}, or {' and '.join(keys)} under [feeds.{feed}]"
        return f"{where}; an account may also be blocked"
    if name == "settings":
        return f"`wsfeeds feeds {feed}` shows every setting and where it is set"
    if isinstance(error, UsageError) and name in {"upgrade", "first_event"}:
        return f"check SYMBOL; `wsfeeds markets {feed}` or the venue's own pages list them"
    if isinstance(error, UsageError) and name == "tls":
        return "check `ca_file` and `ciphers`"
    return _ADVICE[name]
