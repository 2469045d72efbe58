"""Whether settings make sense, before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from wsfeeds.addresses import is_loopback, proxy_fault
from wsfeeds.config.fields import fields_of
from wsfeeds.errors import UsageError
from wsfeeds.protocol import FeedSettings

_WEBSOCKET = ("ws", "wss")
_HTTP = ("http", "https")
_PLAIN = frozenset({"ws", "http"})


def check_settings(settings: FeedSettings, places: Mapping[str, str]) -> None:
    """Refuse settings that cannot work; `places` says by key where each one was set.

    Raises:
        UsageError: One does not make sense; the message names its place, never a secret.
    """
    try:
        _check_urls(settings)
        _check_times(settings)
        _check_tls(settings)
    except _Nonsense as error:
        raise UsageError(f"{places.get(error.key, error.key)}: {error.why}") from error.__cause__


def check_transport(url: str, *, carries_secret: bool, allow_insecure: bool) -> None:
    """Refuse to send credentials in plain text to another host.

    Raises:
        UsageError: The URL is `ws://` or `http://`, carries a secret, and is not on this host.
    """
    if not carries_secret or allow_insecure:
        return
    parts = urlsplit(url)
    if parts.scheme.lower() not in _PLAIN or is_loopback(parts.hostname or ""):
        return
    safe = f"{parts.scheme}s://"
    raise UsageError(
        f"credentials would travel unencrypted to {parts.scheme}://{parts.hostname}: use {safe}, "
        "or set allow_insecure=true if that network is trusted"
    )


class _Nonsense(Exception):
    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key
        self.why = why


def _check_urls(settings: FeedSettings) -> None:
    if settings.url is not None and _split("url", settings.url, _WEBSOCKET).fragment:
        raise _Nonsense("url", "must not have a fragment (#...)")
    api_url = getattr(settings, "api_url", None)
    if api_url is not None:
        _split("api_url", api_url, _HTTP)
    if settings.proxy is not None:
        fault = proxy_fault(settings.proxy.reveal())
        if fault is not None:
            raise _Nonsense("proxy", fault)


def _split(key: str, url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Return the parts of a URL; messages do not show it, as it may hold a password."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.scheme not in schemes or any(map(str.isspace, url)):
        *others, last = (f"{scheme}://" for scheme in schemes)
        raise _Nonsense(key, f"must be a URL that begins with {', '.join(others)} or {last}")
    return parts


def _check_times(settings: FeedSettings) -> None:
    for field in fields_of(type(settings)).values():
        if field.kind not in {"duration", "size"}:
            continue
        if getattr(settings, field.key) == 0:
            raise _Nonsense(field.key, "must be more than zero")
    if settings.backoff_initial > settings.backoff_max:
        raise _Nonsense("backoff_initial", "must not be longer than backoff_max")


def _check_tls(settings: FeedSettings) -> None:
    if settings.ca_file is None and settings.ciphers is None:
        return
    import ssl  # noqa: PLC0415 - most runs set neither, and it takes time to import

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.ciphers is not None:
        try:
            context.set_ciphers(settings.ciphers)
        except (ssl.SSLError, ValueError) as error:
            raise _Nonsense("ciphers", "OpenSSL knows no such cipher") from error
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except ssl.SSLError as error:
            raise _Nonsense("ca_file", f"no certificates in {settings.ca_file}") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise _Nonsense("ca_file", f"cannot read {settings.ca_file}: {why}") from error
