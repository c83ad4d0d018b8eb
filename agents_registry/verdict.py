"""Verdicts: where a revocation becomes a denial.

`judge` answers a presentation now (`agents_registry.death` answers whether it was
dead at the time of an access). It looks up the presented identifiers, walks their
ancestors (`agents_registry.life`) and says allow, or deny with the reason, the path
to the ancestor and the cause. In every doubt the answer is deny.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import Factory, field, frozen

from agents_registry.answers import Answer, size_of
from agents_registry.causes import CauseRef, reference
from agents_registry.clear import is_clear, lives
from agents_registry.clearing import clearing
from agents_registry.closure import STEP, Requirements
from agents_registry.endings import age
from agents_registry.identifiers import LABEL, Identifier, NodeClass
from agents_registry.keeping import keep_answer, keep_clear
from agents_registry.kept import NO_SCOPE
from agents_registry.life import PRECEDENCE, Flaw, Life, Moment, Reason
from agents_registry.lineage import CAUSED, KNOWN, NONE
from agents_registry.presentation import (
    KEPT,
    TABLE,
    Presented,
    claims_of,
    is_credential,
    naming,
)
from agents_registry.scope import covers
from agents_registry.steps import finish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps


UnknownPolicy = Literal["deny", "allow_if_principal_known", "allow_and_report"]


@frozen
class Policy:
    """What to do with credentials that no fact makes known, by kind.

    A principal or container that no fact makes known is judged by its causes; but
    where no credential is presented at all, one of the principals must be known. A
    label is nobody's name.
    """

    unknown: Mapping[str, UnknownPolicy] = Factory(
        lambda: {"jwt.jti": "allow_if_principal_known"}
    )


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
    # What a guard made of it: what is kept is given again and again.
    told: Any = field(default=None, init=False, eq=False, repr=False)


LIVES: Final = Judgement(allowed=True, reason=Reason.LIVES)
NOTHING_PRESENTED: Final = Judgement(allowed=False, reason=Reason.UNKNOWN_CREDENTIAL)
DEFAULT_POLICY: Final = Policy()


def judge(
    registry: Registry,
    presented: Presented,
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
    seal, others, since, until, asked, verdict = presented.found[KEPT]
    if (
        seal.era is others.era is registry.clearance.answers.era
        and (asked is None or (asked is NO_SCOPE if scope is None else asked == scope))
        and since <= now < until
    ):
        return verdict
    return _anew(registry, presented, now, scope, policy)


def judged_before(
    registry: Registry, text: str, now: int, scope: str | None
) -> Judgement | None:
    """Judge what is presented as one text by what was found out of it before.

    Returns:
        None where it has to be read, and judged by `judge`.
    """
    node = registry.lineage.names.texts.get(text)
    answer = registry.clearance.answers.find((scope, node), now)
    return None if answer is None else answer.settled


def _anew(
    registry: Registry,
    presented: Presented,
    now: int,
    scope: str | None,
    policy: Policy,
) -> Judgement:
    """Judge a presentation of which no verdict is kept; see `judge`."""
    clearance = registry.clearance
    # Read once: another table may note what it found, in another thread.
    found = presented.found
    comes_again = found[TABLE] is clearance.token
    if lives(registry, presented, now, scope):
        if comes_again:
            keep_clear(registry, presented, found, now, scope, LIVES)
        return LIVES
    answer = clearance.answers.find(_asked(registry, presented, scope), now)
    if answer is not None and answer.settled is not None:
        if comes_again:
            keep_answer(registry, presented, found, now, scope, answer)
        return answer.settled
    return finish(_found_out(registry, presented, answer, now, scope, policy))


def judging(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Steps[Judgement]:
    """Judge a presentation in steps; see `judge`. The table must not change."""
    if lives(registry, presented, now, scope):
        return LIVES
    answers = registry.clearance.answers
    answer = answers.find(_asked(registry, presented, scope), now)
    if answer is not None and answer.settled is not None:
        return answer.settled
    return (yield from _found_out(registry, presented, answer, now, scope, policy))


def judged_clear(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Judgement | None:
    """Judge a presentation by what is known of its nodes; None: look closely."""
    names = presented.identifiers + presented.chain
    nodes = [registry.lineage.find(name) for name in names]
    if not is_clear(registry, presented, nodes, now, scope):
        return None
    return _recognised(registry, presented, nodes, policy)


def judging_closely(
    registry: Registry,
    presented: Presented,
    *,
    now: int,
    scope: str | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Steps[tuple[Judgement, set[int]]]:
    """Judge a presentation by nothing that is kept, in steps; see `judge`.

    Returns:
        The verdict, and the nodes that it rests on; below 0 what no fact names.
    """
    names = presented.identifiers + presented.chain
    nodes = [registry.lineage.find(name) for name in names]
    claims = claims_of(registry, presented)
    closure = yield from Requirements(registry, None, claims).collect()
    verdict = yield from _closely(registry, closure, now, scope)
    if verdict.allowed:
        verdict = _recognised(registry, presented, nodes, policy)
    rests_on = set(closure.nodes)
    for node in closure.nodes:
        if node >= 0 and registry.lineage.flags[node] & CAUSED:
            rests_on.update(registry.attributes.get(node, ()))
    return verdict, rests_on


def _asked(
    registry: Registry, presented: Presented, scope: str | None
) -> tuple[object, ...] | None:
    """All that a verdict depends on, apart from facts, the time and the policy.

    None where that is not noted, see `Presented.found`: then no answer is kept.
    """
    _, table, _, _, _, asked = presented.found
    return (scope, asked) if table is registry.clearance.token else None


def _found_out(
    registry: Registry,
    presented: Presented,
    answer: Answer | None,
    now: int,
    scope: str | None,
    policy: Policy,
) -> Steps[Judgement]:
    """Verdict, kept for those who ask again."""
    nodes = [registry.lineage.find(n) for n in presented.identifiers + presented.chain]
    if answer is None:
        verdict = yield from _looked_up(registry, presented, nodes, now, scope)
        if not verdict.allowed:
            return verdict
    return _recognised(registry, presented, nodes, policy)


def _looked_up(
    registry: Registry,
    presented: Presented,
    nodes: list[int],
    now: int,
    scope: str | None,
) -> Steps[Judgement]:
    """Verdict apart from what the policy says of identifiers that no fact names."""
    changes = registry.changes
    if is_clear(registry, presented, nodes, now, scope):
        return LIVES
    for node in nodes:
        if node != NONE:
            yield from clearing(registry, node, now)
    if is_clear(registry, presented, nodes, now, scope):
        return LIVES
    claims = claims_of(registry, presented)
    closure = yield from Requirements(registry, None, claims).collect()
    life = Life(registry, closure, Moment(now))
    verdict = yield from _judged(registry, life, scope)
    if len(verdict.path) > STEP:
        yield  # to keep a long one takes a while
    key = _asked(registry, presented, scope)
    if key is not None and registry.changes == changes:
        flags, names = registry.lineage.flags, nodes[: len(presented.identifiers)]
        told = zip(presented.identifiers, names, strict=True)
        known = bool(names) and all(_is_known(flags, *each) for each in told)
        settled = verdict if known or not verdict.allowed else None
        since, until = registry.clearance.hang(closure.nodes, now)
        span = max(since, life.since), min(until, life.until)
        answers, asked = registry.clearance.answers, tuple(set(nodes))
        answers.keep(
            key,
            Answer(settled, *span, asked, answers.made),
            size_of(presented, scope),
        )
    return verdict


def _recognised(
    registry: Registry, presented: Presented, nodes: Sequence[int], policy: Policy
) -> Judgement:
    """Judge what no reason ends by whether facts make it known."""
    flags = registry.lineage.flags
    report: tuple[str, ...] = ()
    recognised = False
    for identifier, node in zip(presented.identifiers, nodes, strict=False):
        if node != NONE and _is_known(flags, identifier, node):
            recognised = True
        elif is_credential(registry, identifier):
            verdict = _unknown(registry, presented, nodes, identifier, policy)
            if not verdict.allowed:
                return verdict
            report += verdict.report
            recognised = True
    if not recognised:
        return NOTHING_PRESENTED
    return (
        Judgement(allowed=True, reason=Reason.LIVES, report=report) if report else LIVES
    )


def _is_known(flags: Sequence[int], identifier: Identifier, node: int) -> bool:
    """Whether a fact makes what is presented known; a label is nobody's name."""
    return bool(flags[node] & KNOWN) and not identifier.kind.startswith(LABEL)


def _closely(
    registry: Registry, closure: Requirements, now: int, scope: str | None
) -> Steps[Judgement]:
    """Judge what is presented over its whole closure."""
    life = Life(registry, closure, Moment(now))
    return (yield from _judged(registry, life, scope))


def _judged(registry: Registry, life: Life, scope: str | None) -> Steps[Judgement]:
    yield from life.judge()
    if life.closure.too_large:
        return Judgement(allowed=False, reason=Reason.LINEAGE_TOO_LARGE)
    if life.flaws:
        flaw = min(life.flaws, key=_weight)
        way = yield from life.path(flaw)
        return Judgement(
            allowed=False,
            reason=flaw.reason,
            path=(yield from naming(registry, way)),
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
    rank = {node: place for place, node in enumerate(required)}
    narrows = []
    # Those of an owner stand where it does, and that is no requirement.
    for count, node in enumerate((*required, *closure.beside(rank))):
        if not count & STEP:
            yield
        narrows += [
            (age(cause), node, cause)
            for cause in (yield from life.narrows(node, rank))
            if scope is None or not covers(cause.scopes, scope)
        ]
    if narrows:
        _, node, cause = min(narrows, key=itemgetter(0))
        way = yield from closure.way(closure.start, node)
        return Judgement(
            allowed=False,
            reason=Reason.NARROWED,
            path=(yield from naming(registry, way)),
            cause=reference(registry, cause),
        )
    for count, node in enumerate(() if scope is None else required):
        if not count & STEP:
            yield
        declared = registry.scopes.of(node)
        if scope is not None and not all(covers(each, scope) for each in declared):
            way = yield from closure.way(closure.start, node)
            path = yield from naming(registry, way)
            return Judgement(allowed=False, reason=Reason.SCOPE, path=path)
    return LIVES


def _unknown(
    registry: Registry,
    presented: Presented,
    nodes: Sequence[int],
    identifier: Identifier,
    policy: Policy,
) -> Judgement:
    """Apply the policy to a credential that no fact makes known."""
    choice = policy.unknown.get(identifier.kind, "deny")
    if choice == "allow_and_report":
        return Judgement(
            allowed=True, reason=Reason.LIVES, report=(f"unknown {identifier.kind}",)
        )
    names = presented.identifiers + presented.chain
    if choice == "allow_if_principal_known" and any(
        node != NONE
        and registry.lineage.flags[node] & KNOWN
        and registry.lineage.vocabulary.get(name.kind) is NodeClass.PRINCIPAL
        for name, node in zip(names, nodes, strict=True)
    ):
        return LIVES
    return Judgement(
        allowed=False, reason=Reason.UNKNOWN_CREDENTIAL, path=(identifier,)
    )
