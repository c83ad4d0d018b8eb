"""What a guard answered, held against what a case wants.

What may be expected of a guard follows from one asymmetry. A denial that a case
demands is demanded of every guard; an answer "allow" only from the level on that the
case names, since a guard that does not know a rule may deny more, never less.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from attrs import Factory, define, frozen


class Gravity(IntEnum):
    """What a problem stands in the way of, the worst first."""

    UNSAFE = 0
    CORE = 1
    FULL = 2


@frozen
class Problem:
    """The guard did something else than the case says.

    Attributes:
        case: which one, with the way in which the facts came.
        text: what happened.
    """

    gravity: Gravity
    case: str
    text: str


@define
class Tally:
    """What was played so far.

    Attributes:
        guard: the name that the guard under test gives itself.
    """

    guard: str = "the guard"
    cases: int = 0
    checks: int = 0
    problems: list[Problem] = Factory(list)


def fault(step: dict[str, Any], reply: dict[str, Any]) -> Gravity | None:
    """Hold an answer to a check against the case; None when it is right."""
    if "deny" in step:
        if reply["allowed"]:
            return Gravity.UNSAFE
        return None if reply.get("reason") in step["deny"] else Gravity.FULL
    if not reply["allowed"]:
        return Gravity[step["allow"].upper()]
    right = bool(reply.get("observed")) == step.get("observed", False)
    return None if right else Gravity.FULL
