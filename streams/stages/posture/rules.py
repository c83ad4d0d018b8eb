"""What is wrong with the standing of a name, as the table tells it, at one moment.

Each rule looks at one node under all its names and at what it hangs on, and says in
words what is wrong, or None. None of them remembers anything: the same table gives the
same answer, in whatever order its facts came.
"""

from __future__ import annotations

from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from agents_registry.closure import CLOSURE_LIMIT
from agents_registry.flaws import finding_flaws
from agents_registry.identifiers import ATTRIBUTE, NodeClass
from agents_registry.life import Reason
from agents_registry.lineage import (
    CAUSED,
    CREDENTIAL,
    KNOWN,
    MANY_PARENTS,
    MOST_PARENTS,
    NONE,
    OWNED,
    SCOPED,
)
from agents_registry.scope import escalates
from streams.stages.access.agent_kinds import is_account, is_agent
from streams.stages.posture.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

SHOWN: Final = 3  # names or scopes in a sentence
MOST_NAMES: Final = 64  # of what has more nothing is told
NEAR: Final = 256  # nodes above that are searched for an owner to name
FEW: Final = 4  # of those that hang on a name
FEW_USERS: Final = 64  # agents looked at before it is seen whether they are enough
STEP: Final = 15  # a mask: nodes looked at between two yields; each may have scopes


def plain(registry: Registry, node: int) -> bool:
    """Whether, by a quick look, no rule can find anything about a node."""
    lineage = registry.lineage
    flags = lineage.flags[node]
    if flags & (SCOPED | CAUSED | MANY_PARENTS) or lineage.ring[node] != node:
        return False
    kind = lineage.kind(node)
    if is_agent(kind) or is_account(kind) or node in registry.emptied:
        return False
    return bool(flags & KNOWN) or next(lineage.children(node), None) is None


def above(registry: Registry, names: Iterable[int]) -> Iterator[int]:
    """Yield what a node requires, nearest first, without its own names."""
    lineage = registry.lineage
    todo = list(names)
    own = len(todo)
    seen = set(todo)
    for position, node in enumerate(todo):
        if position >= own:
            yield node
        ups = [parent for parent, _ in lineage.parents(node, MOST_PARENTS)]
        for up in ups:
            for name in () if up in seen else lineage.others(up):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        if len(todo) > CLOSURE_LIMIT:
            return


def nearest(
    registry: Registry, names: Iterable[int], wanted: Callable[[int], bool]
) -> Steps[int]:
    """Find the nearest node of some sort that a node requires, NONE where none is."""
    for count, up in enumerate(above(registry, names)):
        if not count & STEP:
            yield
        if wanted(up):
            return up
    return NONE


def declared(registry: Registry, names: Iterable[int]) -> list[str]:
    """Scopes that a node declares, sorted."""
    flags, scopes = registry.lineage.flags, registry.scopes
    saids = (scopes.of(name) for name in names if flags[name] & SCOPED)
    return sorted({scope for said in saids for each in said for scope in each})


def escalation(view: View, names: list[int]) -> Steps[str | None]:
    """Say which scopes a node declares that something above it does not cover."""
    if view.below_scopes.isdisjoint(names):
        return None
    registry = view.registry
    lineage, own = registry.lineage, declared(registry, names)
    for count, up in enumerate(above(registry, names) if own else ()):
        if not count & STEP:
            yield
        for covering in registry.scopes.of(up) if lineage.flags[up] & SCOPED else ():
            if excess := escalates(own, covering):
                return f"it declares {few(excess)}, more than {lineage.identifier(up)}"
    return None


def without_owner(view: View, names: list[int]) -> Steps[str | None]:
    """Say how a node has no owner.

    Of agents that hang on one another only the topmost is looked at: the rest have its
    owner. Of one that nobody declared no owner is missed: that it is undeclared is told
    (`only_named`, or as an agent that acts). The set that an authority emptied is told
    of whatever the node is.
    """
    registry = view.registry
    lineage = registry.lineage
    if any(_emptied(registry, name) for name in names):
        return "its owners were taken away, and nobody was named in their place"
    if not any(is_agent(lineage.kind(name)) for name in names):
        return None
    if not view.below_agents.isdisjoint(names):
        agent = yield from nearest(
            registry, names, lambda up: is_agent(lineage.kind(up))
        )
        if agent != NONE:
            return None
    if Reason.NO_LIVING_OWNER in view.reasons(names[0]):
        return "none of its owners is there any more"
    if not view.owned.isdisjoint(names):
        return None
    declared = any(lineage.flags[name] & KNOWN for name in names)
    return "nobody is named as its owner" if declared else None


def end_of_owner(
    registry: Registry, names: list[int], now: int
) -> Steps[dict[str, Any]]:
    """End of the node's last owner, as signals have it."""
    identifier = registry.lineage.identifier
    owners = {
        identifier(owner)
        for name in names
        for some in registry.owners.of(name)
        for owner in some
    }
    ends = []
    for owner in sorted(owners)[:SHOWN]:
        flaws = yield from finding_flaws(registry, owner, now)
        ends += [(f.cause.at, owner, f.cause) for f in flaws if f.cause is not None]
    if not ends:
        return {}
    at, owner, cause = max(ends, key=itemgetter(0))
    return _ended(cause, at, (identifier(names[0]), owner))


def _emptied(registry: Registry, node: int) -> bool:
    return any(
        version >= (registry.owners.version(node, authority) or 0)
        for authority, version in registry.emptied.get(node, {}).items()
    )


def holders(registry: Registry, names: list[int]) -> list[int]:
    """Agents that a credential hangs on directly; nothing of other nodes."""
    lineage = registry.lineage
    if not all(lineage.flags[name] & CREDENTIAL for name in names) or any(
        is_agent(lineage.kind(name)) for name in names
    ):
        return []
    parents = (up for name in names for up, _ in lineage.parents(name, MOST_PARENTS))
    return [parent for parent in parents if is_agent(lineage.kind(parent))]


def shared(registry: Registry, agents: Iterable[int], now: int) -> Steps[str | None]:
    """Say which agents share what they all use.

    One that is dead does not count, nor one that hangs on another of them: a parent
    and its sub-agents are one. Of many only so many are looked at as it takes to see
    that they are several.
    """
    lineage = registry.lineage
    users = dict.fromkeys(min(lineage.others(agent)) for agent in agents)
    left, most = list(users), FEW_USERS
    tops: list[str] = []
    while left and len(tops) < 2:  # noqa: PLR2004 - two share
        some, left = left[:most], left[most:]
        most *= 2
        tops += yield from _tops(registry, users, some, now)
    if len(tops) < 2:  # noqa: PLR2004 - as above
        return None
    count = f"{len(tops)} or more" if left else f"{len(tops)}"
    return f"{count} agents use it: {few(sorted(tops))}"


def _tops(
    registry: Registry, users: Container[int], some: list[int], now: int
) -> Steps[list[str]]:
    """Living ones of some users that hang on no other living one."""
    lineage = registry.lineage
    view = View(registry)
    yield from view.collect(some, now, is_agent)
    tops = []
    for agent in some:
        yield
        if view.reasons(agent):
            continue
        other = yield from nearest(
            registry,
            lineage.others(agent),
            lambda up: up in users and not view.reasons(up),
        )
        if other == NONE:
            tops.append(str(lineage.identifier(agent)))
    return tops


def standing(view: View, names: list[int]) -> Steps[int]:
    """Hash of all of an agent that `shared` looks at."""
    kind, ups = view.registry.lineage.kind, list[int]()
    below = not view.below_agents.isdisjoint(names)
    for count, up in enumerate(above(view.registry, names) if below else ()):
        if not count & STEP:
            yield
        if is_agent(kind(up)):
            ups.append(up)
    return hash((bool(view.reasons(names[0])), *sorted(names), NONE, *sorted(ups)))


def only_named(registry: Registry, names: list[int]) -> str | None:
    """Say which others hang on a name that no system declared.

    Of many so many are named as are looked at first.

    Containers are left out: paths and roles are told by the names of what lies in them.
    """
    lineage = registry.lineage
    for name in names:
        node_class = lineage.vocabulary.get(lineage.kind(name))
        if lineage.flags[name] & KNOWN or node_class is NodeClass.CONTAINER:
            return None
    below = (child for name in names for child in lineage.children(name))
    found = sorted({str(lineage.identifier(child)) for child in islice(below, FEW)})
    if not found:
        return None
    more = " and others" if next(below, None) is not None else ""
    verb = "descends" if len(found) == 1 and not more else "descend"
    return f"{', '.join(found)}{more} {verb} from it, and no source declared it"


def owners_below(registry: Registry, names: list[int]) -> str:
    """Owners of what `only_named` names."""
    lineage = registry.lineage
    below = (child for name in names for child in lineage.children(name))
    owners = {
        str(lineage.identifier(child)): owner_of(registry, lineage.others(child))
        for child in islice(below, FEW)
    }
    return ". ".join(
        f"Owner of {name}: {owner or 'unknown (no source names one)'}"
        for name, owner in sorted(owners.items())
    )


def ambiguous(registry: Registry, names: list[int]) -> str | None:
    """Say which suspension a lift may have ended or not: they are of one time."""
    for _, cause in _kept(registry, names):
        return (
            f"{cause.authority} sent a suspension of it and its lift with the "
            f"same time (aspect {cause.aspect or 'none'}); which came last is "
            "unknown, so it stays suspended"
        )
    return None


def kept_suspension(registry: Registry, names: list[int]) -> dict[str, Any]:
    """Suspension that `ambiguous` tells of, as signals tell it."""
    identifier = registry.lineage.identifier
    for name, cause in _kept(registry, names):
        path = dict.fromkeys((min(map(identifier, names)), identifier(name)))
        return _ended(cause, cause.at, path)
    return {}


def _kept(registry: Registry, names: list[int]) -> Iterator[tuple[int, RecordedCause]]:
    """Yield what is kept in force since its lift may be older, with its target."""
    book = registry.causes
    for name in names:
        for cause in book.on(name) if registry.lineage.flags[name] & CAUSED else ():
            if book.ambiguous(cause):
                yield name, cause


def _ended(cause: RecordedCause, at: int, path: Iterable[Identifier]) -> dict[str, Any]:
    """Cause as signals tell it, with the names from what it ends up to it."""
    return {
        "cause": cause.digest.hex(),
        "cause_at": at,
        "cause_effect": cause.effect.value,
        "path": [[*name] for name in path],
    }


def unheld(registry: Registry, names: list[int], now: int) -> str | None:
    """Say that a cause ends whoever holds an attribute, and that nobody does.

    The names are the hashes of one value. Who came to hold it after the cause is not
    meant by it.
    """
    lineage, book = registry.lineage, registry.causes
    if not any(lineage.kind(name).startswith(ATTRIBUTE) for name in names):
        return None
    held = [v for name in names for v in registry.holders.get(name, {}).values()]
    first = min(held, default=None)
    for name in names:
        for cause in book.on(name):
            if (first is None or cause.version < first) and book.in_force(
                cause, now=now
            ):
                return (
                    f"{cause.authority} ended who is looked up by it, and nothing held "
                    "it by then: revoke the user by another name"
                )
    return None


def owner_of(registry: Registry, names: list[int]) -> str | None:
    """Nearest owner, in words, where there is one near."""
    lineage = registry.lineage
    for node in (*names, *islice(above(registry, names), NEAR)):
        if lineage.flags[node] & OWNED:
            owners = sorted(o for some in registry.owners.of(node) for o in some)
            if owners:
                return str(min(map(lineage.identifier, owners)))
    return None


def few(texts: Iterable[str]) -> str:
    """First of some texts, and how many more there are."""
    listed = list(texts)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
