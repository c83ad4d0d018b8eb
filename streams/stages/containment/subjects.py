"""What a finding names: its credential, the agent that acted, or the principal above.

The table says what a credential hangs on. Who acted, as a log line names it, counts
for rules alone that name the points whose logs they believe: else anybody who may send
a log could have any agent suspended. A name is taken where it is the only one at its
distance: of several nobody knows which one is meant, and none is contained.
"""

from __future__ import annotations

from itertools import tee
from typing import TYPE_CHECKING

from agents_registry.identifiers import Identifier, NodeClass
from agents_registry.inventory import ancestors
from streams.stages.access.agent_kinds import WORKLOADS, is_account, is_agent
from streams.stages.containment.rules import ContainedName
from streams.stages.sentinel.acting import levels_above, named_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.model.findings import Finding
    from streams.stages.containment.rules import ContainmentRule


def subject_of(
    finding: Finding, rule: ContainmentRule, registry: Registry
) -> Identifier | None:
    """Name of a finding that a rule contains; None: it names none, or several."""
    classes, contain = registry.lineage.vocabulary, rule.contain
    own = classes.get(finding.presented.kind)
    if contain is ContainedName.CREDENTIAL:
        return finding.presented if own is NodeClass.CREDENTIAL else None
    if own is None or own is NodeClass.CONTAINER:
        return None
    above = levels_above([finding.presented], registry)
    if contain is ContainedName.PRINCIPAL:

        def is_principal(kind: str) -> bool:
            return classes.get(kind) is NodeClass.PRINCIPAL

        return _nearest(finding.presented, above, is_principal)
    named = named_agent(finding.agent) if rule.points else None
    if named is not None and named.kind in classes and _acts(named.kind):
        return named
    above, again = tee(above)  # walked once
    agent = _nearest(finding.presented, above, is_agent)
    return agent or _nearest(finding.presented, again, _acts)


def labelled(
    name: Identifier, labels: Iterable[Identifier], registry: Registry
) -> Steps[bool]:
    """Whether a name has all labels, or hangs on what has them."""
    wanted = set(labels)
    for above, _ in ancestors(registry, name):
        yield
        wanted.discard(above)
        if not wanted:
            return True
    return not wanted


def _acts(kind: str) -> bool:
    return is_agent(kind) or is_account(kind) or kind in WORKLOADS


def _nearest(
    name: Identifier, above: Iterable[list[Identifier]], fits: Callable[[str], bool]
) -> Identifier | None:
    """Only name of a kind at the least distance; what is presented comes first."""
    if fits(name.kind):
        return name
    for level in above:
        if found := {each for each in level if fits(each.kind)}:
            return found.pop() if len(found) == 1 else None
    return None
