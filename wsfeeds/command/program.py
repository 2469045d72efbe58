"""A document that has been checked, ready to be run: chains, variables, secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

import wsfeeds.command.commands  # noqa: F401  # importing them makes them known
from wsfeeds import config
from wsfeeds.command import spec, strings
from wsfeeds.command.hooks import Chain, Compiler
from wsfeeds.command.masking import SHORT, Masking
from wsfeeds.command.paths import lookup
from wsfeeds.command.route import Route
from wsfeeds.command.variables import NoValue, Variables, names_secret
from wsfeeds.command.variants import find_variant
from wsfeeds.config.run import RunSettings
from wsfeeds.config.secrecy import is_telling, masked_url
from wsfeeds.errors import UsageError
from wsfeeds.secrets import Redactor, Secret
from wsfeeds.transport.base import Transport

_HOOKS = frozenset(get_args(spec.Hook))
_TOO_DEEP = "the document is nested too deeply"


class Program:
    """A document that has been checked as far as possible without a connection."""

    def __init__(self, raw: Any, settings: RunSettings, environment: Mapping[str, str]) -> None:
        """Check everything.

        Raises:
            UsageError: Something cannot work; the message begins with its place.
        """
        self.settings = settings
        self.warnings: list[str] = []
        try:
            self.variables = Variables(raw, environment)
        except RecursionError:
            raise UsageError(_TOO_DEEP) from None
        named = self.variables.secrets.values()
        told = Masking(named, Redactor(named)).told  # messages may quote what a variable became
        try:
            self._check(raw)
        except RecursionError:
            raise UsageError(_TOO_DEEP) from None
        except UsageError as error:
            raise UsageError(told(error.message)) from None
        self.warnings = [told(warning) for warning in self.warnings]

    def _check(self, raw: Any) -> None:
        raw = spec.tidied(raw, spec.Document)
        given = raw.get("params") if isinstance(raw, dict) else None
        if isinstance(given, dict):
            self._hooks = {key: value for key, value in given.items() if key in _HOOKS}
            outer = {key: value for key, value in given.items() if key not in _HOOKS}
            expanded, _ = self._expanded(outer, {})
            raw = raw | {"params": expanded | self._hooks}
            sound, _ = spec.without_foreign(expanded)
            self._outer = {key: value for key, value in outer.items() if key in sound}
        document, self.warnings = spec.read_document(raw)
        self._judge(document.params)

    def _judge(self, params: spec.Params) -> None:
        self.stop_on = params.stop_on
        compiler = Compiler(self.variables)
        self.chains = _chains(compiler, params)
        expanded = self.expanded({})
        self.variant = find_variant(expanded.protocol)
        self.warnings += [*compiler.warnings, *self.variant.check(expanded)]
        self.warnings += [
            f"%{{{name}}} is too short to be searched for in results; everywhere else it is hidden"
            for name, value in self.variables.secrets.items()
            if 0 < len(value) < SHORT
        ]
        self.carries_secret = self._carries_secret(expanded)
        strings.proxy_url(expanded.proxy)
        if expanded.ciphers is not None:
            _check_ciphers(expanded.ciphers)
        config.check_transport(
            expanded.url,
            carries_secret=self.carries_secret,
            allow_insecure=self.settings.allow_insecure,
        )

    @property
    def secrets(self) -> list[str]:
        """Every text that nobody may see, for the redactor."""
        params = self.expanded({})
        proxy = strings.proxy_url(params.proxy)
        known = RunSettings(
            url=params.url,
            proxy=Secret(proxy) if proxy else None,
            headers={
                name: Secret(value) for name, value in params.headers.items() if is_telling(name)
            },
        )
        return [
            *self.variables.secrets.values(),
            *config.secrets_of(known),
            *config.secrets_of(self.settings),
        ]

    def expanded(self, found: dict[str, Any]) -> spec.Params:
        """Return the parameters with their variables expanded; see `connection`."""
        return self.connection(found)[0]

    def connection(self, found: dict[str, Any]) -> tuple[spec.Params, str]:
        """Return the parameters for a connection, and its URL as it may be shown.

        All variables are expanded; the hooks keep theirs.

        Raises:
            UsageError: A variable has no value outside of a hook, or a wrong one.
        """
        raw, shown = self._expanded(self._outer, found)
        params: spec.Params = spec.convert(raw | self._hooks, spec.Params, "params")
        strings.check_url(params.url)
        strings.check_header_values(params.headers)
        return params, masked_url(shown)

    def _expanded(self, outer: dict[str, Any], found: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Return what stands outside of hooks with its variables expanded, and the URL to show."""
        raw: dict[str, Any] = {}
        shown = ""
        for key, value in outer.items():
            try:
                if key == "url" and isinstance(value, str):
                    raw[key], shown = self.variables.twice(value, lambda path: lookup(found, path))
                else:
                    raw[key] = self.variables.expand(value, lambda path: lookup(found, path))
            except NoValue as error:
                raise UsageError(f"params.{key}: {error.message} (%{{NAME}} takes NAME from the "
                                 "environment)") from error  # fmt: skip
        return raw, shown

    def route(
        self,
        params: spec.Params,
        settings: RunSettings,
        transport: Transport,
        *,
        learn: Callable[[str], None],
    ) -> Route:
        """Return how one connection travels; what the document says wins over the settings."""
        proxy = strings.proxy_url(params.proxy)
        if proxy is None and settings.proxy is not None:
            proxy = settings.proxy.reveal()
        known = {name: value.reveal() for name, value in (settings.headers or {}).items()}
        names = {name.lower() for name in params.headers}
        merged = {n: v for n, v in known.items() if n.lower() not in names} | params.headers
        return Route(
            params.url,
            headers={n: v for n, v in merged.items() if not spec.is_ours(n)},
            settings=settings,
            proxy=proxy,
            ciphers=params.ciphers or settings.ciphers,
            transport=transport,
            learn=learn,
            carries_secret=self.carries_secret,
        )

    def _carries_secret(self, params: spec.Params) -> bool:
        return bool(
            names_secret({key: v for key, v in self._outer.items() if key != "proxy"})
            or names_secret(self._hooks)
            or any(is_telling(name) and not spec.is_ours(name) for name in params.headers)
            or self.settings.headers
            or masked_url(params.url) != params.url
        )


def _chains(compiler: Compiler, params: spec.Params) -> dict[spec.Hook, Chain]:
    chains: dict[spec.Hook, Chain] = {
        "onConnect": compiler.chain(params.on_connect, "params.onConnect"),
        "onMessage": compiler.chain(params.on_message, "params.onMessage"),
        "onError": compiler.chain(params.on_error, "params.onError"),
        "onClose": compiler.chain(params.on_close, "params.onClose"),
    }
    if params.on_interval is not None:
        chains["onInterval"] = compiler.chain(
            params.on_interval.commands, "params.onInterval.commands"
        )
    return chains


def _check_ciphers(ciphers: str) -> None:
    import ssl  # noqa: PLC0415  # most documents name none

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
    except (ssl.SSLError, ValueError) as error:
        names = [name for name in re.split("[:, ]+", ciphers) if name]
        if names and all(name.startswith("TLS_") for name in names):
            raise UsageError(
                "params.ciphers: governs TLS 1.2 and below only, and these are suites of TLS 1.3, "
                "which are always offered"
            ) from error
        raise UsageError("params.ciphers: OpenSSL knows no such cipher") from error
