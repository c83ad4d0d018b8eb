"""Verdicts: where a revocation becomes a denial.

`judge` answers a presentation now; `death` answers whether an identifier was dead
at the time of an access. Both look up the presented identifiers, walk their
ancestors (`agents_registry.life`) and say allow, or deny with the reason, the path
to the ancestor and the cause. In every doubt the answer is deny.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from attrs import Factory, frozen

from agents_registry.closure import Claims, Closure
from agents_registry.facts import Effect, Reach
from agents_registry.identifiers import Identifier, NodeClass
from agents_registry.life import PRECEDENCE, Flaw, Life, Moment, Reason, age, quiet
from agents_registry.lineage import KNOWN, LOUD, NONE, SCOPED
from agents_registry.scope import covers

if TYPE_CHECKING:
    from agents_registry.causes import Standing
    from agents_registry.registry import Registry

UnknownPolicy = Literal["deny", "allow_if_principal_known", "allow_and_report"]


@frozen
class Presented:
    """What a caller presented, after its signature was verified.

    Attributes:
        identifiers: each is judged by itself; any denial denies.
        issued_at: verified ``iat`` or ``auth_time`` (ns).
        chain: the delegation chain (``act`` claims), nearest actor first.
    """

    identifiers: tuple[Identifier, ...]
    issued_at: int | None = None
    chain: tuple[Identifier, ...] = ()


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
class Verdict:
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


LIVES: Final = Verdict(allowed=True, reason=Reason.LIVES)
NOTHING_PRESENTED: Final = Verdict(allowed=False, reason=Reason.UNKNOWN_CREDENTIAL)
DEFAULT_POLICY: Final = Policy()
NO_CLAIMS: Final = Presented(())


def judge(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Verdict:
    """Judge a presentation.

    Args:
        registry: the table of the realm.
        presented: identifiers and verified claims.
        now: the local clock (ns); skew tolerance is the caller's.
        scope: the requested ``namespace|value``; None is denied only under a narrow.
        policy: what to do with unknown credentials.
    """
    lineage = registry.lineage
    loud = LOUD if scope is None else LOUD | SCOPED
    report: tuple[str, ...] = ()
    recognised = False
    for identifier in presented.identifiers:
        node = lineage.find(identifier)
        if (
            node == NONE
            or presented.chain
            or registry.horizon is not None
            or not quiet(registry, node, now, loud)
        ):
            verdict = _closely(registry, presented, identifier, now, scope)
            if not verdict.allowed:
                return verdict
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
        Verdict(allowed=True, reason=Reason.LIVES, report=report) if report else LIVES
    )


def death(
    registry: Registry,
    identifier: Identifier,
    *,
    at: int | None = None,
    inclusive: bool = False,
    now: int = 0,
    claims: Presented = NO_CLAIMS,
) -> Death | None:
    """Tell whether causes had ended an identifier at the time of an access.

    Expiry, scope and doubts are no causes and are not looked at.

    Args:
        registry: the table of the realm.
        identifier: what was presented.
        at: the time of the access (ns): earlier causes count; None: all of them.
        inclusive: a cause at exactly that time counts too.
        now: the clock (ns); only a placeholder where ``at`` is given.
        claims: verified time of issue and chain that it is presented with.
    """
    fate = Fate(registry, identifier, claims)
    return fate.death(at=at, inclusive=inclusive, now=now)


class Fate:
    """When causes end an identifier; its ancestors are walked once for many times.

    Attributes:
        closure: what its life hangs on; None where nothing of it could be a reason to
            deny.
    """

    def __init__(
        self,
        registry: Registry,
        identifier: Identifier,
        claims: Presented = NO_CLAIMS,
    ) -> None:
        """Walk; the table must not change while the answers are asked for."""
        self._registry = registry
        node = registry.lineage.find(identifier)
        self.closure: Closure | None = None
        if claims.chain or (node != NONE and not quiet(registry, node, -1)):
            self.closure = Closure(registry, claims_of(registry, identifier, claims))

    def turning_points(self) -> list[int]:
        """Give the times, sorted, between which the death stays the same (ns)."""
        nodes = () if self.closure is None else self.closure.nodes
        return sorted(
            time
            for node in nodes
            for cause in self._registry.causes_of(node)
            for time in self._registry.causes.turning_points(cause)
        )

    def death(
        self, *, at: int | None = None, inclusive: bool = False, now: int = 0
    ) -> Death | None:
        """Give the death as of a time, as the function `death` does."""
        if self.closure is None:
            return None
        registry = self._registry
        life = Life(registry, self.closure, Moment(now, at, inclusive))
        found = [(flaw.cause, flaw) for flaw in life.flaws if flaw.cause]
        if not found:
            return None
        cause, flaw = min(found, key=lambda pair: age(pair[0]))
        direct = flaw.target in self.closure.names(self.closure.claims.node)
        return Death(
            cause=reference(registry, cause),
            path=_path(registry, life.path(flaw)),
            via="direct" if direct else "ancestor",
        )


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


def claims_of(
    registry: Registry, identifier: Identifier, presented: Presented
) -> Claims:
    """Turn names into nodes; those that no fact names get negative numbers.

    Args:
        registry: the table of the realm.
        identifier: the one of the presented that is judged.
        presented: identifiers and verified claims.
    """
    strangers: dict[Identifier, int] = {}

    def node_of(name: Identifier) -> int:
        node = registry.lineage.find(name)
        return strangers.setdefault(name, -2 - len(strangers)) if node < 0 else node

    node, *chain = map(node_of, (identifier, *presented.chain))
    credentials = (n for name, n in strangers.items() if is_credential(registry, name))
    return Claims(node, presented.issued_at, tuple(chain), frozenset(credentials))


def flaws_of(registry: Registry, identifier: Identifier, now: int) -> list[Flaw]:
    """Give every flaw that kills an identifier now, nearest first."""
    node = registry.lineage.find(identifier)
    if node == NONE:
        return []
    return Life(registry, Closure(registry, Claims(node)), Moment(now)).flaws


def _closely(
    registry: Registry,
    presented: Presented,
    identifier: Identifier,
    now: int,
    scope: str | None,
) -> Verdict:
    """Judge one identifier over its whole closure."""
    claims = claims_of(registry, identifier, presented)
    life = Life(registry, Closure(registry, claims), Moment(now))
    if life.closure.too_large:
        return Verdict(allowed=False, reason=Reason.LINEAGE_TOO_LARGE)
    if life.flaws:
        flaw = min(life.flaws, key=_weight)
        return Verdict(
            allowed=False,
            reason=flaw.reason,
            path=_path(registry, life.path(flaw)),
            cause=None if flaw.cause is None else reference(registry, flaw.cause),
        )
    return _scoped(registry, life, scope)


def _weight(flaw: Flaw) -> tuple[int, tuple[int, str]]:
    first = (0, "") if flaw.cause is None else age(flaw.cause)
    return (PRECEDENCE[flaw.reason], first)


def _scoped(registry: Registry, life: Life, scope: str | None) -> Verdict:
    """Hold a request against every declared and narrowed scope of the lineage."""
    start = life.closure.claims.node
    required = life.closure.required(start)
    for node in required:
        for cause in life.narrows(node):
            if scope is None or not covers(cause.scopes, scope):
                return Verdict(
                    allowed=False,
                    reason=Reason.NARROWED,
                    path=_path(registry, life.closure.way(start, node)),
                    cause=reference(registry, cause),
                )
    if scope is None:
        return LIVES
    for node in required:
        if not all(covers(declared, scope) for declared in registry.scopes.of(node)):
            path = _path(registry, life.closure.way(start, node))
            return Verdict(allowed=False, reason=Reason.SCOPE, path=path)
    return LIVES


def _unknown(
    registry: Registry, presented: Presented, identifier: Identifier, policy: Policy
) -> Verdict:
    """Apply the policy to an identifier that no fact makes known."""
    if not is_credential(registry, identifier):
        return LIVES  # a principal is judged by its causes, not by being known
    choice = policy.unknown.get(identifier.kind, "deny")
    if choice == "allow_and_report":
        return Verdict(
            allowed=True, reason=Reason.LIVES, report=(f"unknown {identifier.kind}",)
        )
    if choice == "allow_if_principal_known" and any(
        _is_known_principal(registry, other)
        for other in (*presented.identifiers, *presented.chain)
    ):
        return LIVES
    return Verdict(allowed=False, reason=Reason.UNKNOWN_CREDENTIAL, path=(identifier,))


def _is_known_principal(registry: Registry, identifier: Identifier) -> bool:
    if registry.lineage.vocabulary.get(identifier.kind) is not NodeClass.PRINCIPAL:
        return False
    node = registry.lineage.find(identifier)
    return node != NONE and bool(registry.lineage.flags[node] & KNOWN)


def _path(registry: Registry, nodes: list[int]) -> tuple[Identifier, ...]:
    return tuple(registry.lineage.identifier(n) for n in nodes if n >= 0)
