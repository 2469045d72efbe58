"""Which parts of settings are secret, and how they are read again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import msgspec

from wsfeeds.config.fields import fields_of
from wsfeeds.errors import Transient
from wsfeeds.protocol import FeedSettings
from wsfeeds.secrets import MASK, Secret

SECRET_KEYS = frozenset({"api_key", "token", "headers", "query", "first_message"})
"""Settings that are always secret, and refused on the command line (contract, section 2)."""
_URLS = ("url", "api_url")
_TELLING = re.compile(r"key|token|secret|passw|auth|sign|jwt|cookie|session", re.IGNORECASE)


def secrets_of(settings: FeedSettings) -> list[str]:
    """Return all texts of the settings that nobody may see, for a `Redactor`.

    These are the secrets, and what they consist of where that alone would tell: the password of a
    proxy or URL, the token of an `Authorization` header, values of a secret query string.
    """
    found: dict[str, None] = {}
    for field in fields_of(type(settings)).values():
        value = getattr(settings, field.key)
        if field.key in _URLS and value is not None:
            found |= dict.fromkeys(_url_secrets(value))
        elif field.key == "proxy" and value is not None:
            found |= dict.fromkeys(_url_secrets(value.reveal()))
        elif isinstance(value, Secret):
            found |= dict.fromkeys(_parts(field.key, value.reveal()))
        elif field.kind == "headers":
            for secret in (value or {}).values():
                found |= dict.fromkeys(_parts(field.key, secret.reveal()))
    return [text for text in found if text]


def refreshed(settings: FeedSettings) -> FeedSettings:
    """Return the settings with every secret as its file has it now.

    Raises:
        Transient: A file cannot be read or is empty, for the moment perhaps: it may be about to be
            replaced.
    """
    changed: dict[str, Any] = {}
    for key in fields_of(type(settings)):
        value = getattr(settings, key)
        if isinstance(value, Secret):
            changed[key] = _refreshed(key, value)
        elif isinstance(value, dict):
            changed[key] = {name: _refreshed(key, each) for name, each in value.items()}
    return msgspec.structs.replace(settings, **changed)


def is_telling(name: str) -> bool:
    """Tell whether something of that name (a header, a parameter) is likely to be a secret."""
    return _TELLING.search(name) is not None


def has_password(url: str) -> bool:
    """Tell whether a URL carries a password, without failing on what is none."""
    try:
        authority = urlsplit(url).netloc if "://" in url else url
    except ValueError:
        authority = url
    user, at, _ = authority.rpartition("@")
    return bool(at and user.partition(":")[2])


def masked_url(url: str) -> str:
    """Return a URL with its password and the values of its query replaced by `***`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    authority = f"{name}{colon}{MASK if colon else ''}{at}{host}"
    query = "&".join(_hidden(part) for part in parts.query.split("&"))
    return parts._replace(netloc=authority, query=query).geturl()


def shown_url(url: str, given: str | None) -> str:
    """Return the URL of a connection without what the setting `given` may tell in its query.

    Nobody knows what the parameters of a user's own URL mean; those that a connector adds stay.
    """
    theirs = {unquote_plus(part) for part in urlsplit(given or "").query.split("&")}
    parts = urlsplit(url)
    query = "&".join(
        _hidden(part) if unquote_plus(part) in theirs else part for part in parts.query.split("&")
    )
    return parts._replace(query=query).geturl()


def _hidden(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals:
        return MASK if name else ""
    return f"{name}={MASK if value else ''}"


def _refreshed(key: str, secret: Secret) -> Secret:
    try:
        fresh = secret.refresh()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Transient(f"cannot read the file of {key}: {why}") from None
    if secret.reveal() and not fresh.reveal():
        raise Transient(f"the file of {key} is empty")
    return fresh


def _url_secrets(url: str) -> Iterator[str]:
    """Yield the password, as written and decoded, and the values of telling query parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    yield from filter(None, (password, unquote(password)))
    for name, value in parse_qsl(parts.query):
        if _TELLING.search(name):
            yield value


def _parts(key: str, text: str) -> Iterator[str]:
    yield text
    if key == "headers":
        # "Bearer TOKEN": a venue's error message may quote the token alone.
        scheme, _, credentials = text.partition(" ")
        if scheme.isalpha():
            yield credentials.strip()
    elif key == "query":
        for name, value in parse_qsl(text.removeprefix("?")):
            if _TELLING.search(name):
                yield value
    elif key == "first_message":
        try:
            yield from _telling_members(msgspec.json.decode(text))
        except (msgspec.MsgspecError, RecursionError):
            return


def _telling_members(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _telling_members(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _telling_members(each, name)
    elif isinstance(value, str) and _TELLING.search(name):
        yield value
