"""How credentials, agents and accounts stand: what is wrong before anything happens.

Facts are noted as they come, and mark what they may have changed; a step looks at a few
of the marked nodes and tells, as signals for the sentinel, which findings begin and
which are over. What is open is a function of the table and the time alone, so a start
looks once at all there is, and goes on from what the sentinel has open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.identifiers import ATTRIBUTE
from agents_registry.life import Reason
from agents_registry.lineage import (
    CREDENTIAL,
    KNOWN,
    MOST_PARENTS,
    NONE,
)
from agents_registry.parts import PartedDict
from agents_registry.registry import Registry
from streams.model.findings import POSTURE, FindingKind
from streams.model.times import DAY, SECOND
from streams.stages.access.agent_kinds import is_account, is_agent
from streams.stages.posture import rules
from streams.stages.posture.account_users import AccountUsers
from streams.stages.posture.agenda import Agenda
from streams.stages.posture.used_scopes import UsedScopes
from streams.stages.posture.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps

    Signals = list[dict[str, Any]]

SLICE: Final = 200  # nodes looked at in one step
LOOK_AGAIN: Final = 300 * SECOND  # at what is open: it may end by time alone
# What is often put right by the next fact, of another source.
_SETTLING: Final = frozenset({
    FindingKind.OWNERLESS, FindingKind.SHARED_SERVICE_ACCOUNT, FindingKind.UNMAPPED,
})  # fmt: skip


@frozen
class Limits:
    """What is looked for.

    Attributes:
        settle: how long a name may be without owner or declaration, or be shared,
            before that is a finding (ns): the facts of one change come from several
            sources, one after the other. A start begins it anew. Uses of what nobody
            declared are held as long, over starts.
        excess: a declared scope that was not used for so long is a finding (ns).
        kinds: that are told.
    """

    settle: int = 900 * SECOND
    excess: int = 30 * DAY
    kinds: frozenset[FindingKind] = POSTURE


class Posture:
    """The state of the stage: what is open, and what is still to be looked at.

    Attributes:
        book: which declared scopes are used.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with nothing open; `follow` brings the table."""
        self._limits = limits
        self._agenda = Agenda(Registry())
        self._agents: PartedDict[int, dict[int, int]] = PartedDict()
        self._through = AccountUsers()
        self._open: PartedDict[Identifier, set[FindingKind]] = PartedDict()
        self._waits: PartedDict[tuple[Identifier, FindingKind], int] = PartedDict()
        self._gone: list[Identifier] = []
        self._stepping = False
        self._news: list[tuple[Identifier, bytes]] = []
        self.book = UsedScopes()

    def restore(self, opened: Iterable[tuple[Identifier, FindingKind]]) -> None:
        """Take up what the sentinel has open."""
        for presented, kind in opened:
            if kind in POSTURE or _is_unheld(presented, kind):
                self._open.setdefault(presented, set()).add(kind)

    def follow(self, registry: Registry) -> None:
        """Go on with a table; all of one that is another is looked at."""
        if registry is self._agenda.registry:
            return
        self._agenda = Agenda(registry)
        self._agents = PartedDict()  # they are called by the numbers of another table
        self._through = AccountUsers()
        find = registry.lineage.find
        self._gone = [name for name in self._open if find(name) == NONE]

    def note(self, fact: Fact) -> None:
        """Mark what a fact, which is in the table, may have changed."""
        self._agenda.note(fact)

    def waiting(self, now: int) -> int:
        """Count what is still to be looked at, roughly; a step under way is one."""
        return len(self._gone) + self._agenda.waiting(now) + self._stepping

    def step(self, now: int, most: int = SLICE) -> Steps[Signals]:
        """Look at the next nodes; give what began and what is over, as signals.

        No fact may be applied before it has done so.

        Args:
            now: ns.
            most: how many nodes are looked at.
        """
        self._stepping = True
        signals: Signals = []
        for _ in range(min(most, len(self._gone))):
            signals += self._ended(self._gone.pop(), {}, now)
        registry = self._agenda.registry
        todo: dict[int, list[int]] = {}
        for count, node in enumerate(self._agenda.take(now, most)):
            if not count % 16:
                yield
            if not rules.plain(registry, node) or self._remembers(node):
                todo[node] = self._names(node)
        if todo:
            view = View(registry)
            names = (name for some in todo.values() for name in some)
            yield from view.collect(names, now, is_agent)
            for node, some in todo.items():
                yield
                signals += yield from self._look(view, node, some, now)
        self._stepping = False
        return signals

    def _names(self, node: int) -> list[int]:
        """Names of a node, none where they are too many."""
        names = self._agenda.registry.lineage.others(node, rules.MOST_NAMES + 1)
        return names if len(names) <= rules.MOST_NAMES else []

    def _look(
        self, view: View, node: int, names: list[int], now: int
    ) -> Steps[Signals]:
        identifier = view.registry.lineage.identifier
        if not names:
            return list(self._ended(identifier(node), {}, now))
        called = {name: identifier(name) for name in names}
        first = min(called.values())
        wrong = yield from self._wrong(view, names, now)
        signals: Signals = []
        for other in called.values():
            wanted = wrong if other == first else {}
            signals += self._ended(other, wanted, now)
        for kind, text in wrong.items():
            if kind in self._open.get(first, ()):
                continue
            due = self._settles(first, kind, now)
            if due > now:
                self._agenda.again(node, due)
                continue
            self._open.setdefault(first, set()).add(kind)
            detail, ended = text, {}
            if kind is FindingKind.UNMAPPED:
                detail = f"{text}. {rules.owners_below(view.registry, names)}"
            if kind is FindingKind.OWNERLESS:
                ended = yield from rules.end_of_owner(view.registry, names, now)
            elif kind is FindingKind.LIFT_AMBIGUOUS:
                ended = rules.kept_suspension(view.registry, names)
            signals.append({
                "kind": kind.value, "presented": list(first), "at": now,
                "owner": rules.owner_of(view.registry, names), "detail": detail,
                **ended,
            })  # fmt: skip
        if first in self._open:
            self._agenda.again(node, now + LOOK_AGAIN)
        return signals

    def _remembers(self, node: int) -> bool:
        if not (self._open or self._waits):
            return False
        name = self._agenda.registry.lineage.identifier(node)
        return name in self._open or (name, FindingKind.UNMAPPED) in self._waits

    def _settles(self, name: Identifier, kind: FindingKind, now: int) -> int:
        """Time from which something is a finding (ns)."""
        if kind not in _SETTLING:
            return now
        # Of what is not declared it is told before that it acts.
        times = 2 if kind is FindingKind.UNMAPPED else 1
        return self._waits.setdefault((name, kind), now + times * self._limits.settle)

    def _ended(
        self, name: Identifier, wrong: dict[FindingKind, str], now: int
    ) -> Iterator[dict[str, Any]]:
        for kind in _SETTLING - wrong.keys():
            self._waits.pop((name, kind), None)
        opened = self._open.get(name)
        if opened is None:
            return
        for kind in sorted(opened - wrong.keys(), key=lambda kind: kind.value):
            opened.discard(kind)
            yield {"kind": kind.value, "presented": [*name], "at": now, "over": True}
        if not opened:
            del self._open[name]

    def _wrong(
        self, view: View, names: list[int], now: int
    ) -> Steps[dict[FindingKind, str]]:
        """Problems of a node now, in words."""
        registry = view.registry
        sharing = yield from self._shared(view, names, now)
        escalation = yield from rules.escalation(view, names)
        found: dict[FindingKind, str | None] = {
            FindingKind.LIFT_AMBIGUOUS: rules.ambiguous(registry, names),
            FindingKind.SCOPE_ESCALATION: escalation,
            FindingKind.SHARED_SERVICE_ACCOUNT: sharing,
            FindingKind.EXCESS_SCOPE: self._excess(registry, names, now),
        }
        if not all(registry.lineage.flags[name] & KNOWN for name in names):
            found[FindingKind.UNMAPPED] = rules.only_named(registry, names)
        if self._may_lack_owner(view, names):
            ownerless = yield from rules.without_owner(view, names)
            found[FindingKind.OWNERLESS] = ownerless
        wrong = {
            kind: text
            for kind, text in found.items()
            if text is not None and kind in self._limits.kinds
        }
        wrong = self._of_the_living(view, names[0], wrong) if wrong else {}
        if (text := rules.unheld(registry, names, now)) is not None:
            wrong[FindingKind.REVOCATION_NOT_APPLIED] = text
        return wrong

    def _of_the_living(
        self, view: View, node: int, wrong: dict[FindingKind, str]
    ) -> dict[FindingKind, str]:
        """Leave out what is over with the node; that its owner is gone stays."""
        reasons = set(view.reasons(node))
        if not reasons:
            return wrong
        if Reason.EXPIRED in reasons:
            self._agenda.lapsed[node] = None
        kept = set()
        if reasons == {Reason.NO_LIVING_OWNER}:
            kept.add(FindingKind.OWNERLESS)
        if reasons == {Reason.SUSPENDED}:
            kept.add(FindingKind.LIFT_AMBIGUOUS)
        return {kind: text for kind, text in wrong.items() if kind in kept}

    def _may_lack_owner(self, view: View, names: list[int]) -> bool:
        registry = view.registry
        agent = any(is_agent(registry.lineage.kind(name)) for name in names)
        if agent:
            expires = view.next_expiry(names[0])
            if expires is not None:
                self._agenda.again(names[0], expires)
        return agent or any(name in registry.emptied for name in names)

    def used(self, name: Identifier, scopes: Iterable[str], at: int) -> bytes | None:
        """Note which scopes a use needed; give what is to be kept where it is news.

        Args:
            name: of the credential, the primary one.
            scopes: that the use needed.
            at: when it was (ns).
        """
        registry = self._agenda.registry
        node = registry.lineage.find(name)
        if node == NONE:
            return None
        declared = rules.declared(registry, registry.lineage.others(node))
        spaces = self.book.spaces
        news = self.book.take(name, declared, scopes, at) if declared else None
        if news is not None:
            self._agenda.dirty.add([node])
        if self.book.spaces > spaces:
            self._agenda.look_at_all()  # what is never used is watched from now on
        return news

    def forget(self, now: int) -> list[Identifier]:
        """Forget the usage of what was not used for long; give the names."""
        return self.book.forget(now - 2 * self._limits.excess)

    def _excess(self, registry: Registry, names: list[int], now: int) -> str | None:
        """Say which declared scopes were not used, or only in part, or not at all."""
        declared = rules.declared(registry, names)
        if not declared:
            return None
        called = [*map(registry.lineage.identifier, names)]
        days = self._limits.excess // DAY
        if _is_leaf(registry, names):
            if (news := self.book.watch(called, declared, now)) is not None:
                self._news.append(news)
            unused = self.book.unused(called, now, self._limits.excess)
            if never := self._due(names[0], unused, now):
                text = f"in {days} days it was not used at all, and declares"
                return f"{text} {rules.few(never)}"
        idle = self._due(
            names[0], self.book.idle(called, declared, now, self._limits.excess), now
        )
        parts = [
            (f"of {scope} only {rules.few(used)}", due)
            for scope, used, due in self.book.partly(
                called, declared, now, self._limits.excess
            )
        ]
        partly = self._due(names[0], parts, now)
        said = [f"it did not use {rules.few(idle)}"] if idle else []
        said += [f"it used {rules.few(partly)}"] if partly else []
        if not said:
            return None
        used = self.book.in_use(called, declared, now, self._limits.excess)
        told = f"; in use: {rules.few(used)}" if used and not partly else ""
        return f"in {days} days {' and '.join(said)}{told}"

    def _due(self, node: int, found: Iterable[tuple[str, int]], now: int) -> list[str]:
        """Problems that are due; the node is looked at again for the others."""
        due = []
        for text, at in found:
            if at <= now:
                due.append(text)
            else:
                self._agenda.again(node, at)
        return due

    def take_news(self) -> list[tuple[Identifier, bytes]]:
        """Return the used scopes to be saved since the last call."""
        news, self._news = self._news, []
        return news

    def _shared(self, view: View, names: list[int], now: int) -> Steps[str | None]:
        registry = view.registry
        lineage = registry.lineage
        kinds = [lineage.kind(name) for name in names]
        if any(map(is_agent, kinds)):
            yield from self._uses_accounts(view, names)
            return None
        changed = self._through.note(view, names)
        self._agenda.dirty.add(changed)
        agents = rules.holders(registry, names)
        for name, kind in zip(names, kinds, strict=True):
            if is_account(kind):
                agents += self._agents.get(name, ())
                agents += yield from self._through.of(registry, name, now)
        if len(agents) < 2:  # noqa: PLR2004 - two share
            return None
        return (yield from rules.shared(registry, agents, now))

    def _uses_accounts(self, view: View, names: list[int]) -> Steps[None]:
        """Note which accounts an agent hangs on; have them looked at, if it is news."""
        lineage = view.registry.lineage
        direct = [
            (name, parent)
            for name in names
            for parent, _ in lineage.parents(name, MOST_PARENTS)
            if is_account(lineage.kind(parent))
        ]
        if not (direct or self._through.is_used_by(names)):
            return  # how it stands is nothing to any account
        standing = yield from rules.standing(view, names)
        changed = self._through.note_agent(names, standing)
        self._agenda.dirty.add(changed)
        for name, account in direct:
            users = self._agents.setdefault(account, {})
            if users.get(name) != standing:
                users[name] = standing
                self._agenda.dirty.add([account])


def _is_unheld(presented: Identifier, kind: FindingKind) -> bool:
    """Whether a finding is one on an attribute that nothing holds."""
    unapplied = kind is FindingKind.REVOCATION_NOT_APPLIED
    return unapplied and presented.kind.startswith(ATTRIBUTE)


def _is_leaf(registry: Registry, names: list[int]) -> bool:
    """Whether a node is a credential on which nothing hangs.

    One that others hang on may be used to get them, and nowhere else.
    """
    lineage = registry.lineage
    return all(lineage.flags[name] & CREDENTIAL for name in names) and not any(
        True for name in names for _ in lineage.children(name)
    )
