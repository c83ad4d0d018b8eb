"""Deaths: whether causes had ended an identifier at the time of an access.

The ancestors are walked once for all the times that are asked for. Expiry, scope and
doubts are no causes and are not looked at here; `agents_registry.verdict` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from attrs import frozen

from agents_registry.causes import CauseRef, reference
from agents_registry.closure import STEP, Requirements
from agents_registry.endings import age
from agents_registry.facts import Effect
from agents_registry.identifiers import Identifier
from agents_registry.life import Flaw, Life, Moment, nothing_ends
from agents_registry.lineage import NONE
from agents_registry.presentation import (
    Presented,
    claims_of,
    is_credential,
    naming,
)
from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

BEFORE_ALL: Final = -(1 << 63)  # ns; before every end


@frozen
class Death:
    """Why an identifier was dead at a time; ``cause`` is the earliest one."""

    cause: CauseRef
    path: tuple[Identifier, ...]
    via: Literal["direct", "ancestor"]


def death(
    registry: Registry,
    presented: Identifier | Presented,
    *,
    at: int | None = None,
    inclusive: bool = False,
) -> Death | None:
    """Death of an identifier by the causes that preceded an access, or None.

    Expiry, scope and doubts are no causes and are not looked at.

    Args:
        registry: the table of the realm.
        presented: an identifier by itself, or what was presented together.
        at: the time of the access (ns): earlier causes count; None: all of them.
        inclusive: a cause at exactly that time counts too.
    """
    return Fate(registry, presented).death(at=at, inclusive=inclusive)


class Fate:
    """When causes end something; its ancestors are walked once for many times.

    Attributes:
        closure: what its life hangs on, once it is walked; None where nothing of it
            could be a reason to deny.
    """

    def __init__(
        self,
        registry: Registry,
        presented: Identifier | Presented,
        now: int | None = None,
    ) -> None:
        """Look whether there is anything to walk.

        Args:
            registry: the table of the realm, which must not change while the answers
                are asked for.
            presented: an identifier by itself, or what was presented together. Of
                principals alone, without a time of issue, nobody knows what was
                presented: to them it is as the newest login is.
            now: the clock (ns), by which causes with an end are over where no time is
                asked for; None: none is.
        """
        self._registry = registry
        self._now = BEFORE_ALL if now is None else now
        self.closure: Requirements | None = None
        if isinstance(presented, Identifier):
            node = registry.lineage.find(presented)
            if node != NONE and not nothing_ends(registry, (node,), -1):
                self.closure = Requirements(registry, node)
            return
        claims = claims_of(registry, presented)
        nodes = [node for node in (*claims.presented, *claims.chain) if node >= 0]
        if not nothing_ends(registry, nodes, -1):
            dated = claims.issued_at is not None or any(
                is_credential(registry, name) for name in presented.identifiers
            )
            self.closure = Requirements(registry, None, claims._replace(dated=dated))

    def causes_above(self) -> Steps[list[RecordedCause]]:
        """Every cause on the node or an ancestor, in force or not."""
        found: list[RecordedCause] = []
        if self.closure is not None:
            yield from self.closure.collect()
            for count, node in enumerate(self.closure.nodes):
                if not count & STEP:
                    yield
                found += self._registry.causes_of(node)
        return found

    def turning_points(self) -> list[int]:
        """Sorted times between which the death stays the same (ns)."""
        causes = finish(self.causes_above())
        return sorted(self._registry.causes.turning_points(causes))

    def death(self, *, at: int | None = None, inclusive: bool = False) -> Death | None:
        """Death as of a time, as by the function `death`."""
        return finish(self.dying(at=at, inclusive=inclusive))

    def dying(
        self, *, at: int | None = None, inclusive: bool = False
    ) -> Steps[Death | None]:
        """Death as of a time, in steps."""
        if self.closure is None:
            return None
        registry, closure = self._registry, self.closure
        life, found = yield from self._found(closure, at, inclusive=inclusive)
        if not found:
            return None
        cause, flaw = min(found, key=lambda pair: age(pair[0]))
        own = {*closure.presented, *closure.other_names(closure.presented)}
        way = yield from life.path(flaw)
        return Death(
            cause=reference(registry, cause),
            path=(yield from naming(registry, way)),
            via="direct" if flaw.target in own else "ancestor",
        )

    def causing(
        self, *, at: int | None = None, inclusive: bool = False
    ) -> Steps[set[CauseRef]]:
        """Every cause that ends the node as of a time, not the earliest alone."""
        if self.closure is None:
            return set()
        _, found = yield from self._found(self.closure, at, inclusive=inclusive)
        return {reference(self._registry, cause) for cause, _ in found}

    def watermark(self) -> int | None:
        """Latest T of a ``not_before`` on the node or an ancestor (ns), or None.

        What is issued after T lives as far as watermarks go, whoever presents it.
        """
        return latest_mark(finish(self.causes_above()))

    def _found(
        self, closure: Requirements, at: int | None, *, inclusive: bool
    ) -> Steps[tuple[Life, list[tuple[RecordedCause, Flaw]]]]:
        yield from closure.collect()
        moment = Moment(self._now, at, inclusive, doubts=False)
        life = yield from Life(self._registry, closure, moment).judge()
        return life, [(flaw.cause, flaw) for flaw in life.flaws if flaw.cause]


def latest_mark(causes: Iterable[RecordedCause]) -> int | None:
    """Latest T of those causes that are a ``not_before`` (ns), or None."""
    marks = [cause.mark for cause in causes if cause.effect is Effect.NOT_BEFORE]
    return max(marks, default=None)
