"""A document that has been checked, ready to be run: chains, variables, secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wsfeeds.command.commands  # noqa: F401  # importing them makes them known
from wsfeeds import config
from wsfeeds.command import spec
from wsfeeds.command.hooks import Chain, Compiler
from wsfeeds.command.paths import lookup
from wsfeeds.command.variables import NoValue, Variables, names_secret
from wsfeeds.command.variants import find_variant
from wsfeeds.config.run import RunSettings
from wsfeeds.config.secrecy import is_telling, masked_url
from wsfeeds.errors import UsageError
from wsfeeds.secrets import Secret


class Program:
    """A document that has been checked as far as possible without a connection."""

    def __init__(self, raw: Any, settings: RunSettings, environment: Mapping[str, str]) -> None:
        """Check everything.

        Raises:
            UsageError: Something cannot work; the message begins with its place.
        """
        document, self.warnings = spec.read_document(raw)
        self.settings = settings
        self.variables = Variables(raw, environment)
        compiler = Compiler(self.variables)
        params = document.params
        self.stop_on = params.stop_on
        self.chains: dict[spec.Hook, Chain] = {
            "onConnect": compiler.chain(params.on_connect, "params.onConnect"),
            "onMessage": compiler.chain(params.on_message, "params.onMessage"),
            "onError": compiler.chain(params.on_error, "params.onError"),
            "onClose": compiler.chain(params.on_close, "params.onClose"),
        }
        if params.on_interval is not None:
            self.chains["onInterval"] = compiler.chain(
                params.on_interval.commands, "params.onInterval.commands"
            )
        hooks = {*spec.HOOK_LISTS, "onInterval"}
        given = raw["params"]
        self._outer = {key: value for key, value in given.items() if key not in hooks}
        self._hooks = {key: value for key, value in given.items() if key in hooks}
        expanded = self.expanded({})
        self.variant = find_variant(expanded.protocol)
        self.warnings += [*compiler.warnings, *self.variant.check(expanded)]
        self.carries_secret = self._carries_secret(expanded)
        self._check(expanded)

    @property
    def secrets(self) -> list[str]:
        """Every text that nobody may see, for the redactor."""
        params = self.expanded({})
        proxy = spec.proxy_url(params.proxy)
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
        """Return the parameters with their variables expanded; the hooks keep theirs.

        Raises:
            UsageError: A variable has no value outside of a hook, or a wrong one.
        """
        raw: dict[str, Any] = {}
        for key, value in self._outer.items():
            try:
                raw[key] = self.variables.expand(value, lambda path: lookup(found, path))
            except NoValue as error:
                raise UsageError(f"params.{key}: {error.message} (%{{NAME}} takes NAME from the "
                                 "environment)") from error  # fmt: skip
        params: spec.Params = spec.convert(raw | self._hooks, spec.Params, "params")
        spec.check_url(params.url)
        spec.check_header_values(params.headers)
        return params

    def _check(self, params: spec.Params) -> None:
        spec.proxy_url(params.proxy)
        if params.ciphers is not None:
            _check_ciphers(params.ciphers)
        config.check_transport(
            params.url,
            carries_secret=self.carries_secret,
            allow_insecure=self.settings.allow_insecure,
        )

    def _carries_secret(self, params: spec.Params) -> bool:
        return bool(
            names_secret({key: v for key, v in self._outer.items() if key != "proxy"})
            or names_secret(self._hooks)
            or any(is_telling(name) and not spec.is_ours(name) for name in params.headers)
            or self.settings.headers
            or masked_url(params.url) != params.url
        )


def _check_ciphers(ciphers: str) -> None:
    import ssl  # noqa: PLC0415  # most documents name none

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError("params.ciphers: OpenSSL knows no such cipher") from error
