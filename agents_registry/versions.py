"""The versions that count: the smallest over the copies of a statement.

Copies of one statement differ in their version where ingress stamped it, or where it
lies ahead of the receipt and so counts as the receipt. A later copy must not outbid
what was said between the two.

- Stamped statements are few, and any later copy brings a later stamp: all are kept.
- A statement from ahead can win only while nothing newer than its claim stands in its
  register, and is forgotten then: a source whose clock runs ahead costs as many entries
  a register as it makes statements within that time, not one for each ever made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents_registry.facts import (
    Horizon,
    LabelSet,
    OwnerSet,
    Renewal,
    ScopeSet,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.parts import PartedDict
from agents_registry.steps import rested, restless

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.facts import Fact
    from agents_registry.steps import Rest

_REGISTERED = (OwnerSet, Renewal, ScopeSet, LabelSet, Horizon)
_Register = tuple[str, Identifier | None, str]  # name, node, authority
_Claim = tuple[int, int]  # version as claimed, smallest effective version


class Versions:
    """Smallest versions of statements whose copies may differ."""

    def __init__(self) -> None:
        """Start with none."""
        self._stamped: PartedDict[str, int] = PartedDict()
        self._claims: PartedDict[_Register, dict[str, _Claim]] = PartedDict()

    def __bool__(self) -> bool:
        """Whether any statement is watched."""
        return bool(self._stamped or self._claims)

    def note(self, fact: Fact) -> None:
        """Take in a copy before any is merged; kinds without a register are left."""
        if varies(fact) and isinstance(fact, _REGISTERED):
            self.take(fact, merged=None)

    def take(self, fact: Fact, merged: int | None) -> tuple[int, bool]:
        """Take in a copy.

        Args:
            fact: a statement of a register.
            merged: the version that stands in that register, None where none does.

        Returns:
            The smallest version over the copies, and whether the register may hold
            the statement under a greater one.
        """
        effective, identity = fact.effective_version, fact_id(fact).hex()
        if fact.stamped:
            known = self._stamped.get(identity)
            if known is None or effective < known:
                self._stamped[identity] = effective
            return self._stamped[identity], (
                known is not None and effective < known and merged == known
            )
        claims = self._claims.get(_register(fact), {})
        if not fact.ahead and identity not in claims:
            return effective, False
        # Without a claim an older copy may be merged that was no clamped one.
        _, known = claims.get(identity, (fact.version, fact.version))
        least = min(known, effective)
        claims = self._claims.setdefault(_register(fact), claims)
        claims[identity] = (fact.version, least)
        return least, effective < known and merged == known

    def forget(self, fact: Fact, standing: int) -> None:
        """Drop what can no longer win the register of a statement.

        Args:
            fact: a statement of the register.
            standing: the version that stands there now.
        """
        register = _register(fact)
        if (claims := self._claims.get(register)) is None:
            return
        for identity, (claimed, _) in list(claims.items()):
            if claimed < standing:
                del claims[identity]
        if not claims:
            del self._claims[register]

    def dump(self) -> dict[str, Any]:
        """State as plain values."""
        return {
            "copies": list(self._stamped.items()),
            "claims": [
                [name, node and [*node], authority, list(claims.items())]
                for (name, node, authority), claims in self._claims.items()
            ],
        }

    def restore(self, plain: Mapping[str, Any], rest: Rest = restless) -> None:
        """Take up what `dump` gave."""
        self._stamped.update(rested(plain["copies"], rest))
        for name, node, authority, claims in rested(plain["claims"], rest):
            register = (name, node and Identifier(*node), authority)
            self._claims[register] = {one: tuple(claim) for one, claim in claims}


def varies(fact: Fact) -> bool:
    """Whether copies of the fact may carry different versions."""
    return fact.stamped or fact.ahead


def _register(fact: Fact) -> _Register:
    """Name the register: an empty owner set has one of its own."""
    empty = isinstance(fact, OwnerSet) and not fact.owners
    name = "emptied" if empty else fact.NAME
    return name, getattr(fact, "node", None), fact.authority
