"""Verdicts: where a revocation becomes a denial.

`judge` answers a presentation now; `death` answers whether an identifier was dead
at the time of an access. Both look up the presented identifiers, walk their
ancestors (`agents_registry.life`) and say allow, or deny with the reason, the path
to the ancestor and the cause. In every doubt the answer is deny.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal

from attrs import Factory, frozen

from agents_registry.closure import PRESENTED, STEP, Claims, Requirements
from agents_registry.endings import age
from agents_registry.facts import Effect, Reach
from agents_registry.identifiers import Identifier, NodeClass
from agents_registry.life import PRECEDENCE, Flaw, Life, Moment, Reason, quiet
from agents_registry.lineage import KNOWN, LOUD, NONE, SCOPED
from agents_registry.scope import covers
from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.causes import Standing
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

MOST_IDENTIFIERS: Final = 64  # of one presentation
MOST_ACTORS: Final = 32

UnknownPolicy = Literal["deny", "allow_if_principal_known", "allow_and_report"]


@frozen
class Presented:
    """What a caller presented, after its signature was verified.

    It is one credential, which requires each identifier and each actor. It was issued
    at the earliest of the verified time and of what facts say of the presented
    credentials; where neither is known, before every ``not_before``.

    Attributes:
        identifiers: the credential's names, and whom it speaks for; any denial denies.
        issued_at: verified ``iat`` or ``auth_time``, the earlier one (ns).
        chain: the delegation chain (``act`` claims).
    """

    identifiers: tuple[Identifier, ...]
    issued_at: int | None = None
    chain: tuple[Identifier, ...] = ()

    def is_bounded(self) -> bool:
        """Tell whether it may be judged: names cost time, and callers choose them."""
        return (
            len(self.identifiers) <= MOST_IDENTIFIERS and len(self.chain) <= MOST_ACTORS
        )


@frozen
class Policy:
    """What to do with credentials that no fact makes known, by kind.

    A principal or container that no fact makes known is judged by its causes; but
    where no credential is presented at all, one of the principals must be known.
    """

    unknown: Mapping[str, UnknownPolicy] = Factory(
        lambda: {"jwt.jti": "allow_if_principal_known"}
    )


@frozen
class CauseRef:
    """A cause, for people and outputs. ``at`` is in ns."""

    fact_id: str
    target: Identifier
    effect: Effect
    reach: Reach
    authority: str
    at: int


@frozen
class Judgement:
    """Allow, or deny with why.

    Attributes:
        path: from the presented identifier to the one that carries the reason.
        cause: the cause behind the reason; None for expiry, scope and doubts.
        report: findings that the policy asks for though it allows.
    """

    allowed: bool
    reason: Reason
    path: tuple[Identifier, ...] = ()
    cause: CauseRef | None = None
    report: tuple[str, ...] = ()


@frozen
class Death:
    """Why an identifier was dead at a time; ``cause`` is the earliest one."""

    cause: CauseRef
    path: tuple[Identifier, ...]
    via: Literal["direct", "ancestor"]


LIVES: Final = Judgement(allowed=True, reason=Reason.LIVES)
NOTHING_PRESENTED: Final = Judgement(allowed=False, reason=Reason.UNKNOWN_CREDENTIAL)
DEFAULT_POLICY: Final = Policy()


def judge(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Judgement:
    """Judge a presentation.

    Args:
        registry: the table of the realm.
        presented: identifiers and verified claims.
        now: the local clock (ns); skew tolerance is the caller's.
        scope: the requested ``namespace|value``; None is denied only under a narrow.
        policy: what to do with unknown credentials.
    """
    nodes = [registry.lineage.find(name) for name in presented.identifiers]
    if not _unclouded(registry, nodes, presented, now, scope):
        verdict = finish(_closely(registry, presented, now, scope))
        if not verdict.allowed:
            return verdict
    return _recognised(registry, presented, nodes, policy)


def judging(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Steps[Judgement]:
    """Judge a presentation in steps; see `judge`. The table must not change."""
    nodes = [registry.lineage.find(name) for name in presented.identifiers]
    if not _unclouded(registry, nodes, presented, now, scope):
        verdict = yield from _closely(registry, presented, now, scope)
        if not verdict.allowed:
            return verdict
    return _recognised(registry, presented, nodes, policy)


def _recognised(
    registry: Registry, presented: Presented, nodes: list[int], policy: Policy
) -> Judgement:
    """Judge what no reason ends by whether facts make it known."""
    lineage = registry.lineage
    report: tuple[str, ...] = ()
    recognised = False
    for identifier, node in zip(presented.identifiers, nodes, strict=True):
        if node != NONE and lineage.flags[node] & KNOWN:
            recognised = True
            continue
        verdict = _unknown(registry, presented, identifier, policy)
        if not verdict.allowed:
            return verdict
        report += verdict.report
        recognised = recognised or is_credential(registry, identifier)
    if not recognised:
        return NOTHING_PRESENTED
    return (
        Judgement(allowed=True, reason=Reason.LIVES, report=report) if report else LIVES
    )


def _unclouded(
    registry: Registry,
    nodes: list[int],
    presented: Presented,
    now: int,
    scope: str | None,
) -> bool:
    """Tell fast that nothing could deny but that an identifier is unknown."""
    if registry.horizon is not None:
        return False
    if presented.chain:
        nodes = nodes + [registry.lineage.find(actor) for actor in presented.chain]
    loud = LOUD if scope is None else LOUD | SCOPED
    return quiet(registry, [node for node in nodes if node != NONE], now, loud)


def death(
    registry: Registry,
    presented: Identifier | Presented,
    *,
    at: int | None = None,
    inclusive: bool = False,
) -> Death | None:
    """Tell whether causes had ended an identifier at the time of an access.

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

    def __init__(self, registry: Registry, presented: Identifier | Presented) -> None:
        """Look whether there is anything to walk.

        Args:
            registry: the table of the realm, which must not change while the answers
                are asked for.
            presented: an identifier by itself, or what was presented together. Of
                principals alone, without a time of issue, nobody knows what was
                presented: to them it is as the newest login is.
        """
        self._registry = registry
        self.closure: Requirements | None = None
        if isinstance(presented, Identifier):
            node = registry.lineage.find(presented)
            if node != NONE and not quiet(registry, (node,), -1):
                self.closure = Requirements(registry, node)
            return
        claims = claims_of(registry, presented)
        nodes = [node for node in (*claims.presented, *claims.chain) if node >= 0]
        if not quiet(registry, nodes, -1):
            dated = claims.issued_at is not None or any(
                is_credential(registry, name) for name in presented.identifiers
            )
            self.closure = Requirements(registry, None, claims._replace(dated=dated))

    def causes_above(self) -> Steps[list[Standing]]:
        """Give every cause that it hangs on, whether it is in force or not."""
        found: list[Standing] = []
        if self.closure is not None:
            yield from self.closure.collect()
            for count, node in enumerate(self.closure.nodes):
                if not count & STEP:
                    yield
                found += self._registry.causes_of(node)
        return found

    def turning_points(self) -> list[int]:
        """Give the times, sorted, between which the death stays the same (ns)."""
        causes = finish(self.causes_above())
        return sorted(self._registry.causes.turning_points(causes))

    def death(self, *, at: int | None = None, inclusive: bool = False) -> Death | None:
        """Give the death as of a time, as the function `death` does."""
        return finish(self.dying(at=at, inclusive=inclusive))

    def dying(
        self, *, at: int | None = None, inclusive: bool = False
    ) -> Steps[Death | None]:
        """Give the death as of a time, in steps."""
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
            path=_path(registry, way),
            via="direct" if flaw.target in own else "ancestor",
        )

    def causing(
        self, *, at: int | None = None, inclusive: bool = False
    ) -> Steps[set[CauseRef]]:
        """Give every cause that ends it as of a time, not the earliest alone."""
        if self.closure is None:
            return set()
        _, found = yield from self._found(self.closure, at, inclusive=inclusive)
        return {reference(self._registry, cause) for cause, _ in found}

    def watermark(self) -> int | None:
        """Give the latest T of a ``not_before`` that it hangs on (ns), or None.

        What is issued after T lives as far as watermarks go, whoever presents it.
        """
        return latest_mark(finish(self.causes_above()))

    def _found(
        self, closure: Requirements, at: int | None, *, inclusive: bool
    ) -> Steps[tuple[Life, list[tuple[Standing, Flaw]]]]:
        yield from closure.collect()
        moment = Moment(0, at, inclusive, doubts=False)
        life = yield from Life(self._registry, closure, moment).judge()
        return life, [(flaw.cause, flaw) for flaw in life.flaws if flaw.cause]


def latest_mark(causes: Iterable[Standing]) -> int | None:
    """Give the latest T of those causes that are a ``not_before`` (ns), or None."""
    marks = [cause.mark for cause in causes if cause.effect is Effect.NOT_BEFORE]
    return max(marks, default=None)


def reference(registry: Registry, cause: Standing) -> CauseRef:
    """Give a cause in the form that leaves the core."""
    return CauseRef(
        fact_id=cause.fact_id,
        target=registry.lineage.identifier(cause.node),
        effect=cause.effect,
        reach=cause.reach,
        authority=cause.authority,
        at=cause.at,
    )


def is_credential(registry: Registry, identifier: Identifier) -> bool:
    """Tell whether a kind is a credential (or not in the vocabulary)."""
    node_class = registry.lineage.vocabulary.get(identifier.kind)
    return node_class in {None, NodeClass.CREDENTIAL}


def claims_of(registry: Registry, presented: Presented) -> Claims:
    """Turn names into nodes; those that no fact names get negative numbers."""
    strangers: dict[Identifier, int] = {}

    def node_of(name: Identifier) -> int:
        node = registry.lineage.find(name)
        if node >= 0:
            return node
        return strangers.setdefault(name, PRESENTED - 1 - len(strangers))

    nodes, chain = map(node_of, presented.identifiers), map(node_of, presented.chain)
    named = tuple(nodes), tuple(chain)
    credentials = (n for name, n in strangers.items() if is_credential(registry, name))
    return Claims(named[0], presented.issued_at, named[1], frozenset(credentials))


def flaws_of(registry: Registry, identifier: Identifier, now: int) -> list[Flaw]:
    """Give every flaw that kills an identifier now, nearest first.

    Of a lineage that is too large it gives the causes among the nearest nodes alone.
    """
    return finish(finding_flaws(registry, identifier, now))


def finding_flaws(
    registry: Registry, identifier: Identifier, now: int
) -> Steps[list[Flaw]]:
    """Give every flaw that kills an identifier, in steps; see `flaws_of`."""
    node = registry.lineage.find(identifier)
    if node == NONE:
        return []
    closure = yield from Requirements(registry, node).collect()
    return (yield from Life(registry, closure, Moment(now)).judge()).flaws


def _closely(
    registry: Registry, presented: Presented, now: int, scope: str | None
) -> Steps[Judgement]:
    """Judge what is presented over its whole closure."""
    claims = claims_of(registry, presented)
    closure = yield from Requirements(registry, None, claims).collect()
    life = yield from Life(registry, closure, Moment(now)).judge()
    if life.closure.too_large:
        return Judgement(allowed=False, reason=Reason.LINEAGE_TOO_LARGE)
    if life.flaws:
        flaw = min(life.flaws, key=_weight)
        way = yield from life.path(flaw)
        return Judgement(
            allowed=False,
            reason=flaw.reason,
            path=_path(registry, way),
            cause=None if flaw.cause is None else reference(registry, flaw.cause),
        )
    return (yield from _scoped(registry, life, scope))


def _weight(flaw: Flaw) -> tuple[int, tuple[int, str]]:
    first = (0, "") if flaw.cause is None else age(flaw.cause)
    return (PRECEDENCE[flaw.reason], first)


def _scoped(registry: Registry, life: Life, scope: str | None) -> Steps[Judgement]:
    """Hold a request against every declared and narrowed scope of the lineage."""
    closure = life.closure
    required = yield from closure.required(closure.start)
    narrows = []
    for count, node in enumerate(required):
        if not count & STEP:
            yield
        narrows += [
            (age(cause), node, cause)
            for cause in life.narrows(node)
            if scope is None or not covers(cause.scopes, scope)
        ]
    if narrows:
        _, node, cause = min(narrows, key=itemgetter(0))
        way = yield from closure.way(closure.start, node)
        return Judgement(
            allowed=False,
            reason=Reason.NARROWED,
            path=_path(registry, way),
            cause=reference(registry, cause),
        )
    for count, node in enumerate(() if scope is None else required):
        if not count & STEP:
            yield
        declared = registry.scopes.of(node)
        if scope is not None and not all(covers(each, scope) for each in declared):
            way = yield from closure.way(closure.start, node)
            path = _path(registry, way)
            return Judgement(allowed=False, reason=Reason.SCOPE, path=path)
    return LIVES


def _unknown(
    registry: Registry, presented: Presented, identifier: Identifier, policy: Policy
) -> Judgement:
    """Apply the policy to an identifier that no fact makes known."""
    if not is_credential(registry, identifier):
        return LIVES  # a principal is judged by its causes, not by being known
    choice = policy.unknown.get(identifier.kind, "deny")
    if choice == "allow_and_report":
        return Judgement(
            allowed=True, reason=Reason.LIVES, report=(f"unknown {identifier.kind}",)
        )
    if choice == "allow_if_principal_known" and any(
        _is_known_principal(registry, other)
        for other in (*presented.identifiers, *presented.chain)
    ):
        return LIVES
    return Judgement(
        allowed=False, reason=Reason.UNKNOWN_CREDENTIAL, path=(identifier,)
    )


def _is_known_principal(registry: Registry, identifier: Identifier) -> bool:
    if registry.lineage.vocabulary.get(identifier.kind) is not NodeClass.PRINCIPAL:
        return False
    node = registry.lineage.find(identifier)
    return node != NONE and bool(registry.lineage.flags[node] & KNOWN)


def _path(registry: Registry, nodes: list[int]) -> tuple[Identifier, ...]:
    return tuple(registry.lineage.identifier(n) for n in nodes if n >= 0)
