"""What may limit a cause: an end, kinds, and conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.fact_base import Effect, Reach
from agents_registry.identifiers import ATTRIBUTE, AUTHORITY_OF, OWNER_OF, owner_in

if TYPE_CHECKING:
    from agents_registry.facts import Cause

SELECTING: Final = (OWNER_OF, AUTHORITY_OF)  # kinds of targets that are conditions
MOST_CONDITIONS: Final = 17  # a selector has 16, and an owner may stand twice


def check_limits(cause: Cause) -> None:
    """Refuse limits that a cause cannot have.

    Raises:
        ValueError: what to write instead.
    """
    if cause.effect not in (Effect.SUSPEND, Effect.NARROW):
        told = f"a {cause.effect.value} has no until, kinds or where, and no owner"
        raise ValueError(f"{told} for a target: suspend")
    if (cause.kinds or cause.where) and cause.reach is Reach.SELF:
        raise ValueError("a cause with kinds or where has the reach subtree")
    if not all(kind and ":" not in kind for kind in cause.kinds):
        raise ValueError("a kind is a text without a colon, as in github.token")
    if len(cause.where) > MOST_CONDITIONS:
        raise ValueError(f"a cause has at most {MOST_CONDITIONS - 1} conditions")
    for name in cause.where:
        if name.kind == AUTHORITY_OF:
            told = "an authority is no condition: name a label or an owner"
            raise ValueError(f"{told}, or distrust the authority")
        if name.kind.startswith(ATTRIBUTE):
            raise ValueError(f"{name.kind} is no condition: it may be a target")
        owner_in(name)
