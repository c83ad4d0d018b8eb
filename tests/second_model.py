"""A second model of the core's rules, written from the design's text alone.

It is literal and slow: sets, walks and nested fixpoints, no caches, no indexes. It
shares no line with the core and none with the first model; of the core it takes the
shapes of facts, of identifiers and of a presentation, and the id of a fact.

`decide` takes every fact of a realm in any order and says how a presentation ends:
allowed or not, and for which kind of reason. Where the text leaves a question, a
comment that begins with "Reading" says where it stands and how it was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define, frozen

from agents_registry.facts import Effect, Fact
from agents_registry.identifiers import Identifier, NodeClass
from tests.second_realm import (
    Ending,
    Names,
    Question,
    Realm,
    class_of,
    is_credential,
)
from tests.second_standing import standing

LIMIT: Final = 4096

# The kinds of reasons, the one that is told first on top: `Reason` says the order.
PRECEDENCE: Final = (
    "lineage_too_large",
    "revoked",
    "suspended",
    "not_before",
    "no_living_owner",
    "beyond_horizon",
    "expired",
    "unknown_credential",
    "narrowed",
    "scope",
)
ENDS: Final = {Effect.REVOKE: "revoked", Effect.SUSPEND: "suspended"}


@frozen
class Answer:
    """How a presentation ends, and every kind of reason against it."""

    allowed: bool
    reason: str
    reasons: frozenset[str]


def decide(facts: Iterable[Fact], question: Question, limit: int = LIMIT) -> Answer:
    """Judge a presentation by every fact of a realm, in any order."""
    realm = Realm(standing(facts), question)
    if len(visited(realm)) > limit:
        reasons = {"lineage_too_large"}
    else:
        reasons = Judgement(realm, living(realm)).reasons()
    first = min(reasons, key=PRECEDENCE.index, default="lives")
    return Answer(not reasons, first, frozenset(reasons))


def visited(realm: Realm) -> Names:
    """Return every node that a check may meet: what is required, and owners in force.

    Reading ("Life"): owners count whether or not they decide, the presentation itself
    does not count, and 4,096 is still allowed.
    """
    seen = realm.up(realm.question.presented)
    while True:
        owners = {
            o for node in seen for owners in realm.owner_sets(node) for o in owners
        }
        wider = realm.up(seen | owners)
        if wider == seen:
            return seen
        seen = wider


def living(realm: Realm) -> Names:
    """Return the least set that lives: an owner still being proved counts as dead."""
    nodes = visited(realm)
    alive: Names = frozenset()
    while True:
        judgement = Judgement(realm, alive)
        wider = frozenset(n for n in nodes if not judgement.against(n))
        if wider == alive:
            return alive
        alive = wider


@define
class Judgement:
    """Life over a realm, given the nodes that are proved to live as owners."""

    realm: Realm
    alive: Names

    # ------------------------------------------------------------------ one node's life

    def against(self, node: Identifier) -> set[str]:
        """Return the kinds of reasons for which a node is dead; none: it lives."""
        realm = self.realm
        reasons = {
            ENDS[ending.cause.effect]
            for ending in realm.endings
            if ending.cause.effect in ENDS and realm.reaches(ending, node)
        }
        if any(map(realm.past_expiry, realm.ends_with(node))):
            reasons.add("expired")
        return reasons | self.passing(realm.lineage(node))

    def passing(self, lineage: Names) -> set[str]:
        """Return reasons that any node of a lineage has, whoever stands below it."""
        credentials = [node for node in lineage if is_credential(node)]
        reasons = set()
        if any(map(self.outdated, credentials)):
            reasons.add("not_before")
        if any(map(self.beyond, credentials)):
            reasons.add("beyond_horizon")
        if any(map(self.orphaned, lineage)):
            reasons.add("no_living_owner")
        return reasons

    def outdated(self, credential: Identifier) -> bool:
        """Tell whether a not_before above a credential is no older than it."""
        issued = self.realm.issue_time(credential)
        return any(
            ending.not_before is not None
            and (issued is None or ending.not_before >= issued)
            and self.realm.reaches(ending, credential)
            and not self.realm.spared(ending.cause, [credential])
            for ending in self.realm.endings
        )

    def beyond(self, credential: Identifier) -> bool:
        """Tell whether what it hangs on may have been forgotten.

        Reading ("Forgetting"): an alias is no parent, and a node fact that was read
        off a use is none of the parent.
        """
        horizon = self.realm.horizon()
        issued = self.realm.issue_time(credential)
        return (
            horizon is not None
            and (issued is None or issued < horizon)
            and not any(fact.root for fact in self.realm.node_facts(credential))
            and any(
                link != "alias" and not self.realm.known(parent)
                for parent, link in self.realm.parents.get(credential, ())
            )
        )

    def orphaned(self, node: Identifier) -> bool:
        """Tell whether a set of owners in force holds nobody who lives."""
        return any(
            owners.isdisjoint(self.alive) for owners in self.realm.owner_sets(node)
        )

    # -------------------------------------------------------------------- presentation

    def reasons(self) -> set[str]:
        """Return every kind of reason against the presentation."""
        question = self.realm.question
        reasons = self.against_presentation()
        for identifier in question.identifiers:
            reasons |= self.against(identifier)
        return reasons | self.unknown() | self.scoped()

    def against_presentation(self) -> set[str]:
        """Return the reasons of p, the credential that requires all that is presented.

        Reading ("Presentation"): a presented identifier is a name of p and is judged
        by itself as well, "any denial denies". An actor of the chain is a parent of p
        and no more: its expiry does not pass along `requires`.
        """
        realm = self.realm
        reasons = {
            ENDS[ending.cause.effect]
            for ending in realm.endings
            if ending.cause.effect in ENDS and self.reaches_p(ending)
        }
        if self.p_outdated():
            reasons.add("not_before")
        if self.p_beyond():
            reasons.add("beyond_horizon")
        return reasons | self.passing(realm.up(realm.question.presented))

    def reaches_p(self, ending: Ending) -> bool:
        """Tell whether a cause gets to p.

        Reading ("reach self"): p has no node facts of its own, so its time of issue
        is unknown there, and what ends an actor alone ends p as well.
        """
        return any(
            self.realm.reaches(ending, node) for node in self.realm.question.presented
        )

    def p_issue_time(self) -> int | None:
        """Return the earliest of the verified time and their own issue facts.

        Reading ("Presentation"): the names of their alias classes do not count here.
        """
        verified = self.realm.question.issued_at
        told = [t for node in self.credentials() for t in self.realm.own_times(node)]
        return min(told if verified is None else [*told, verified], default=None)

    def credentials(self) -> list[Identifier]:
        """Return the presented credentials; actors of the chain are not presented."""
        return [n for n in self.realm.question.identifiers if is_credential(n)]

    def p_outdated(self) -> bool:
        """Tell whether a not_before reaches p and is no older than p.

        Reading ("Complex subjects"): the node facts of the presented credentials are
        those of p.
        """
        issued = self.p_issue_time()
        return any(
            ending.not_before is not None
            and (issued is None or ending.not_before >= issued)
            and self.reaches_p(ending)
            and not self.realm.spared(ending.cause, self.credentials())
            for ending in self.realm.endings
        )

    def p_beyond(self) -> bool:
        """Tell whether p is a credential beyond the horizon.

        Reading ("Forgetting", "Presentation"): all that is presented are parents of
        p, and no fact declares p a root.
        """
        realm, issued = self.realm, self.p_issue_time()
        horizon = realm.horizon()
        return (
            horizon is not None
            and (issued is None or issued < horizon)
            and not all(map(realm.known, realm.question.presented))
        )

    # -------------------------------------------------------------- unknown and scopes

    def unknown(self) -> set[str]:
        """Tell whether a presented credential that no source declared is refused.

        Reading ("Known and unknown"): the principal is one that is presented or acts
        in the chain. Where no credential is presented, one of the names has to be
        known (the text of `Policy` says so). A label is nobody's name.
        """
        realm, question = self.realm, self.realm.question
        if not self.credentials():
            names = [n for n in question.identifiers if not n.kind.startswith("label.")]
            declared = any(map(realm.known, names))
            return set() if declared else {"unknown_credential"}
        policy = question.unknown
        principal = any(
            class_of(node) is NodeClass.PRINCIPAL and realm.known(node)
            for node in question.presented
        )
        strangers = [n for n in self.credentials() if not realm.known(n)]
        modes = {policy.get(node.kind, "deny") for node in strangers}
        refused = "deny" in modes or (
            "allow_if_principal_known" in modes and not principal
        )
        return {"unknown_credential"} if refused else set()

    def scoped(self) -> set[str]:
        """Tell whether a narrow reaches p, or the requested scope is not covered.

        Reading ("Scope"): a narrow limits as a declared set does, in the namespaces
        that it names; one that names none leaves nothing.
        """
        realm, asked = self.realm, self.realm.question.scope
        narrows = [
            ending.cause.scopes
            for ending in realm.endings
            if ending.cause.effect is Effect.NARROW and self.reaches_p(ending)
        ]
        reasons = set()
        if any(
            asked is None or (limits(left, asked) and not covers(left, asked))
            for left in narrows
        ):
            reasons.add("narrowed")
        if asked is not None and any(
            limits(scopes, asked) and not covers(scopes, asked)
            for node in realm.up(realm.question.presented)
            for scopes in realm.scope_sets(node)
        ):
            reasons.add("scope")
        return reasons


def limits(scopes: tuple[str, ...], asked: str) -> bool:
    """Tell whether a set speaks of the namespace; an empty set speaks of every one."""
    namespace = asked.partition("|")[0]
    return not scopes or namespace in {scope.partition("|")[0] for scope in scopes}


def covers(scopes: tuple[str, ...], asked: str) -> bool:
    """Tell whether one of the scopes is the one asked for, or a `prefix:*` of it."""
    return any(
        scope == asked or (scope.endswith(":*") and asked.startswith(scope[:-1]))
        for scope in scopes
    )
