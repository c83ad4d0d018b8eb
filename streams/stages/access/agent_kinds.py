"""Which kinds of identifiers name agents, accounts that software uses, and who acts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Final

from attrs import Factory, define, frozen

from agents_registry.identifiers import VOCABULARY, NodeClass

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACCOUNTS: Final = frozenset({
    "aws.user", "vault.entity", "keycloak.client", "keycloak.client_uuid",
    "auth0.client",
})  # fmt: skip
_ACCOUNT_NOUNS: Final = frozenset({"service_account", "service_principal"})
# Principals that are people, groups of them, or parts of a platform.
NO_AGENTS: Final = frozenset({
    "person.id", "team.id", "litellm.user", "litellm.team",
    "okta.user", "entra.user", "entra.upn", "github.user", "scim.user",
    "keycloak.user", "auth0.user", "openai.user", "anthropic.user",
    "k8s.user", "aws.federated_user", "aws.service", "anthropic.mcp_server",
})  # fmt: skip
# They act, and are no principals.
WORKLOADS: Final = frozenset({"spiffe.id", "agent.instance", "okta.app"})


@cache
def is_agent(kind: str) -> bool:
    """Whether a kind names agents: ``agent.*``, or ``<system>.agent``."""
    system, _, noun = kind.rpartition(".")
    return "agent" in {system, noun}


@cache
def is_account(kind: str) -> bool:
    """Whether a kind names accounts that software uses."""
    system, _, noun = kind.rpartition(".")
    return kind in _ACCOUNTS or bool({system, noun} & _ACCOUNT_NOUNS)


def acts_by_default(kind: str, vocabulary: Mapping[str, NodeClass]) -> bool:
    """Whether principals of a kind act by themselves.

    That is every principal that is no person, SPIFFE ids, instances of agents, and
    Okta's applications, which are clients. A kind of a mapping acts where the mapping
    calls it a principal.
    """
    if kind in WORKLOADS:
        return True
    return vocabulary.get(kind) is NodeClass.PRINCIPAL and kind not in NO_AGENTS


def may_act(kind: str) -> bool:
    """Whether a kind can name the acting party, without regard to settings."""
    return is_agent(kind) or acts_by_default(kind, VOCABULARY)


def rank(kind: str) -> int:
    """Preference among kinds for the acting party: agents, accounts, others."""
    if is_agent(kind):
        return 0
    return 1 if is_account(kind) or kind in WORKLOADS else 2


@frozen
class Choice:
    """Kinds that act beside those that do by default, and kinds that do not."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()

    def then(self, other: Choice) -> Choice:
        """Both choices, the other one having the last word."""
        return Choice(
            self.added - other.removed | other.added,
            self.removed - other.added | other.removed,
        )


@define(eq=False)
class ActingKinds:
    """Which kinds act, in general and at single points.

    Attributes:
        general: everywhere.
        points: beside that, by a pattern of points; the first that fits.
    """

    general: Choice = Choice()
    points: Mapping[str, Choice] = Factory(dict)

    def particular(self, point: str) -> bool:
        """Whether something is set for a point."""
        return any(fnmatchcase(point, pattern) for pattern in self.points)

    def acts(self, kind: str, point: str, vocabulary: Mapping[str, NodeClass]) -> bool:
        """Whether principals of a kind act by themselves at a point."""
        choice = self.general
        for pattern, more in self.points.items():
            if fnmatchcase(point, pattern):
                choice = choice.then(more)
                break
        if kind in choice.added or kind in choice.removed:
            return kind in choice.added
        return acts_by_default(kind, vocabulary)
