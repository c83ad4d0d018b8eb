"""Made-up realms of credentials with two names each, as a Vault has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.facts import Alias, Edge, Node, Relation, Renewal
from agents_registry.identifiers import Identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.registry import Registry

NOW: Final = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
LATER: Final = NOW + 86_400_000_000_000
CHAIN: Final = 7  # credentials in a chain: its last one is at depth 6
_SCRAMBLE: Final = 2_654_435_761  # odd, so that ids differ and do not sort


class Names(NamedTuple):
    """How the values of the two identifiers are written."""

    accessor: Callable[[int], str]
    token_hmac: Callable[[int], str]


# 17 characters, about what a 16-byte hash takes in base64 (22); and Vault's own form.
SHORT: Final = Names(
    lambda n: f"a{n * _SCRAMBLE % 2**64:016x}",
    lambda n: f"h{n * _SCRAMBLE * 3 % 2**64:016x}",
)
VAULT: Final = Names(
    lambda n: f"hmac-sha256:{n * _SCRAMBLE % 2**256:064x}",
    lambda n: f"hmac-sha256:{n * _SCRAMBLE * 3 % 2**256:064x}",
)


def accessor(number: int, names: Names = SHORT) -> Identifier:
    """Give the primary identifier of a credential."""
    return Identifier("vault.accessor", names.accessor(number))


def token_hmac(number: int, names: Names = SHORT) -> Identifier:
    """Give the other identifier of a credential."""
    return Identifier("vault.token_hmac", names.token_hmac(number))


def chains(number: int) -> int | None:
    """Hang each credential on the one before, in chains of depth 6."""
    return number - 1 if number % CHAIN else None


def tree(number: int) -> int | None:
    """Hang ten credentials on each, number 0 on top: 1M are six levels deep."""
    return (number - 1) // 10 if number else None


def register(
    registry: Registry,
    count: int,
    parent: Callable[[int], int | None],
    names: Names = SHORT,
) -> None:
    """Register credentials 0..count-1, each with two identifiers and an expiry."""
    for number in range(count):
        for fact in facts_of(number, parent(number), names):
            registry.apply(fact)


def facts_of(
    number: int, parent: int | None, names: Names
) -> Iterator[Node | Alias | Edge | Renewal]:
    """Give what the birth of one credential states."""
    first, second = accessor(number, names), token_hmac(number, names)
    at = NOW + number
    for name in (first, second):
        yield Node(
            authority="vault", version=at, received_at=at, node=name, issued_at=at
        )
    yield Alias(
        authority="vault", version=at, received_at=at, first=first, second=second
    )
    if parent is not None:
        yield Edge(
            authority="vault", version=at, received_at=at, child=first,
            parent=accessor(parent, names), relation=Relation.ENDS_WITH_PARENT,
        )  # fmt: skip
    yield Renewal(
        authority="vault", version=at, received_at=at, node=first, expires_at=LATER
    )
