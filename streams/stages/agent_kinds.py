"""Which kinds of identifiers name agents, and accounts that software uses."""

from __future__ import annotations

from functools import cache
from typing import Final

_ACCOUNTS: Final = frozenset({
    "aws.user", "vault.entity", "keycloak.client", "keycloak.client_uuid",
    "auth0.client",
})  # fmt: skip
_ACCOUNT_NOUNS: Final = frozenset({"service_account", "service_principal"})


@cache
def is_agent(kind: str) -> bool:
    """Tell whether a kind names agents: ``agent.*``, or ``<system>.agent``."""
    system, _, noun = kind.rpartition(".")
    return "agent" in {system, noun}


@cache
def is_account(kind: str) -> bool:
    """Tell whether a kind names accounts that software uses."""
    system, _, noun = kind.rpartition(".")
    return kind in _ACCOUNTS or bool({system, noun} & _ACCOUNT_NOUNS)
