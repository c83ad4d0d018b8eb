"""Sources: bytes of one system's log in, canonical records out. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.model.records import Record


class Source(Protocol):
    """What reads one system's log. `streams.sources.stream` reads it piece by piece."""

    def records(self, data: bytes) -> Iterator[Record]:
        """Give the records of one whole input; never raises on bad input."""


def _cloudtrail() -> Source:
    from streams.sources.aws.cloudtrail import CloudTrail  # noqa: PLC0415 - lazily

    return CloudTrail()


def _entra() -> Source:
    from streams.sources.entra.entra import Entra  # noqa: PLC0415 - lazily

    return Entra()


def _github() -> Source:
    from streams.sources.github.github import GitHub  # noqa: PLC0415 - lazily

    return GitHub()


def _kubernetes() -> Source:
    from streams.sources.kubernetes.kubernetes import Kubernetes  # noqa: PLC0415 - lazily

    return Kubernetes()


def _okta() -> Source:
    from streams.sources.okta.okta import Okta  # noqa: PLC0415 - lazily

    return Okta()


def _openbao() -> Source:
    from streams.sources.openbao.openbao import OpenBao  # noqa: PLC0415 - lazily

    return OpenBao()


def _keycloak() -> Source:
    from streams.sources.keycloak.keycloak import Keycloak  # noqa: PLC0415 - lazily

    return Keycloak()


def _ssf() -> Source:
    from streams.sources.ssf.ssf import Ssf  # noqa: PLC0415 - lazily

    return Ssf()


def _anthropic() -> Source:
    from streams.sources.anthropic.anthropic import Anthropic  # noqa: PLC0415 - lazily

    return Anthropic()


def _auth0() -> Source:
    from streams.sources.auth0.auth0 import Auth0  # noqa: PLC0415 - lazily

    return Auth0()


def _gitguardian() -> Source:
    from streams.sources.gitguardian.gitguardian import GitGuardian  # noqa: PLC0415 - lazily

    return GitGuardian()


def _litellm() -> Source:
    from streams.sources.litellm.litellm import LiteLlm  # noqa: PLC0415 - lazily

    return LiteLlm()


def _openai() -> Source:
    from streams.sources.openai.openai import OpenAi  # noqa: PLC0415 - lazily

    return OpenAi()


def _spire() -> Source:
    from streams.sources.spire.spire import Spire  # noqa: PLC0415 - lazily

    return Spire()


# Importing a source costs more than `rescind --help`, so the table holds makers.
SOURCES: Final[dict[str, Callable[[], Source]]] = {
    "anthropic": _anthropic,
    "auth0": _auth0,
    "cloudtrail": _cloudtrail,
    "entra": _entra,
    "gitguardian": _gitguardian,
    "github": _github,
    "keycloak": _keycloak,
    "kubernetes": _kubernetes,
    "litellm": _litellm,
    "okta": _okta,
    "openai": _openai,
    "openbao": _openbao,
    "spire": _spire,
    "ssf": _ssf,
}


def source(name: str) -> Source:
    """Make a fresh reader for one input stream of the named source.

    Raises:
        ValueError: there is no source of that name.
    """
    if name not in SOURCES:
        message = f"no source {name!r}: choose one of {', '.join(sorted(SOURCES))}"
        raise ValueError(message)
    return SOURCES[name]()
