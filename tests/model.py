"""The model: who is dead and why, computed as naively as the rules can be said.

The model is the right answer that the registry is tested against. It is written
apart from the product and shares only the shapes of facts with it: no index, no
order, no increments. It takes what stands of all facts (`tests.standing`) and
derives everything anew.
The headings are the names of the rules that it follows.

Life is a nested fixpoint: least over owners (an obligation that is still being
proved counts as dead), greatest over ``requires`` (a circle of parents is no reason
to die, so the parents of a node are simply all that can be reached).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Horizon,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    Reach,
    Relation,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from tests.standing import hits, in_force, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.standing import Hit, Standing

LIMIT = 4096
DEFAULT_UNKNOWN: Mapping[str, str] = {"jwt.jti": "allow_if_principal_known"}


# What is presented together is one credential, which no fact names.
PRESENTED = Identifier("presented.together", "p")


class Model:
    """What the standing facts say at one time, to one who presents something."""

    def __init__(
        self,
        stand: list[Standing],
        now: int,
        presented: tuple[Identifier, ...] = (),
        issued_at: int | None = None,
        chain: tuple[Identifier, ...] = (),
        vocabulary: Mapping[str, NodeClass] = VOCABULARY,
    ) -> None:
        self.now, self.vocabulary = now, vocabulary
        self.presented, self.issued_at = presented, issued_at
        self.nodes: dict[Identifier, list[Node]] = defaultdict(list)
        self.aliases: dict[Identifier, set[Identifier]] = defaultdict(set)
        self.parents: dict[Identifier, set[tuple[Identifier, Relation]]]
        self.parents = defaultdict(set)
        for fact in (s.fact for s in stand):
            if isinstance(fact, Node):
                self.nodes[fact.node].append(fact)
            elif isinstance(fact, Alias):
                self.aliases[fact.first].add(fact.second)
                self.aliases[fact.second].add(fact.first)
            elif isinstance(fact, Edge) and hangs(fact):
                self.parents[fact.child].add((fact.parent, fact.relation))
        for required in (*presented, *chain):
            self.parents[PRESENTED].add((required, Relation.REQUIRES))
        self.owners = in_force(stand, OwnerSet, lambda f: bool(f.owners))
        self.renewals = in_force(stand, Renewal)
        self.scopes = in_force(stand, ScopeSet)
        self.labels = in_force(stand, LabelSet)
        horizons = [s.version for s in stand if isinstance(s.fact, Horizon)]
        self.horizon = max(horizons, default=None)
        self.hits = list(hits(stand, now))
        self._requires: dict[Identifier, set[Identifier]] = {}

    # --- Life: what a node requires, who owns it --------------------------------

    def requires(self, node: Identifier) -> set[Identifier]:
        """Give R(n): the node and all that it can reach over ``requires``."""
        if node not in self._requires:
            self._requires[node] = reach(node, self.directly_requires)
        return self._requires[node]

    def directly_requires(self, node: Identifier) -> set[Identifier]:
        """Give the parents and the aliases of a node."""
        parents = {parent for parent, _ in self.parents[node]}
        return parents | self.aliases[node] | self.labels_of(node)

    def labels_of(self, node: Identifier) -> set[Identifier]:
        """Give the labels of a node, of every authority; of tied sets all."""
        sets = (fact.labels for register in self.labels[node] for fact in register)
        return {label for labels in sets for label in labels}

    def alias_class(self, node: Identifier) -> set[Identifier]:
        """Give all names of the node."""
        return reach(node, self.aliases.__getitem__)

    def obligations(self, node: Identifier) -> list[set[Identifier]]:
        """Give the owner sets that must each hold a living owner."""
        tied = [fact for register in self.owners[node] for fact in register]
        return [set(fact.owners) for fact in tied]

    def closure(self, node: Identifier) -> set[Identifier]:
        """Give C(n): all that a check of the node may visit, owners included."""
        return reach(
            node,
            lambda n: self.directly_requires(n).union(*self.obligations(n)),
        )

    def living_owners(self, among: set[Identifier]) -> set[Identifier]:
        """Give the owners that live: the least solution."""
        sets = [owners for n in among for owners in self.obligations(n)]
        sound = {n for n in set[Identifier]().union(*sets) if not self.own_reasons(n)}
        alive: set[Identifier] = set()
        while True:
            more = {n for n in sound if self.owned(n, alive)}
            if more == alive:
                return alive
            alive = more

    def owned(self, node: Identifier, alive: set[Identifier]) -> bool:
        """Tell whether every owner set within R(n) holds one of the living."""
        required = self.requires(node)
        return all(owners & alive for n in required for owners in self.obligations(n))

    def own_reasons(self, node: Identifier) -> set[str]:
        """Give why the node is dead whoever owns what."""
        required = self.requires(node)
        reasons = {
            hit.cause.effect.value
            for hit in self.hits
            if hit.cause.effect in (Effect.REVOKE, Effect.SUSPEND)
            and (
                self.reaches(hit, node)
                if hit.cause.reach is Reach.SUBTREE
                else self.ended_alone(node, hit)
            )
        }
        if self.expired(node):
            reasons.add("expired")
        for credential in filter(self.is_credential, required):
            if any(self.outdated(credential, hit) for hit in self.hits):
                reasons.add("not_before")
            if self.beyond_horizon(credential):
                reasons.add("beyond_horizon")
        return reasons

    def reaches(self, hit: Hit, node: Identifier) -> bool:
        """Tell whether a cause acts on the node, or on something that it requires."""
        required = self.requires(node)
        if not (hit.cause.kinds or hit.cause.where):
            return hit.node in required
        return any(self.acts_on(m, hit) for m in required)

    def acts_on(self, node: Identifier, hit: Hit) -> bool:
        """Tell whether a limited cause acts on a node.

        Limits: it requires the target, meets each condition and is of one of the kinds.
        """
        conditions = set(hit.cause.where)
        if hit.cause.target.kind == "owner.of":
            conditions.add(hit.cause.target)
        elif hit.node not in self.requires(node):
            return False
        return self.is_of(node, hit.cause.kinds) and all(
            self.meets(node, condition) for condition in conditions
        )

    def meets(self, node: Identifier, condition: Identifier) -> bool:
        """Tell whether a node requires a name, or is owned by that owner.

        By any name of both. Presentation: by those of the presented credentials.
        """
        if condition.kind != "owner.of":
            return condition in self.requires(node)
        owner = self.alias_class(Identifier.parse(condition.value))
        own = filter(self.is_credential, self.presented)
        names = {n for o in own for n in self.alias_class(o)}
        names = names if node == PRESENTED else self.alias_class(node)
        return any(owner & owners for n in names for owners in self.obligations(n))

    def is_of(self, node: Identifier, kinds: tuple[str, ...]) -> bool:
        """Tell whether a node is of some kinds; of none every node is.

        Presentation: it is of those of the presented credentials.
        """
        names = filter(self.is_credential, self.presented)
        own = {n.kind for n in names} if node == PRESENTED else {node.kind}
        return not kinds or not own.isdisjoint(kinds)

    def is_credential(self, node: Identifier) -> bool:
        """Tell the class of a node: from the kind alone, in doubt the strictest."""
        strictest = NodeClass.CREDENTIAL
        if node.kind.startswith("label.") or node.kind == "owner.of":
            strictest = NodeClass.CONTAINER
        return self.vocabulary.get(node.kind, strictest) is NodeClass.CREDENTIAL

    # --- not_before T -----------------------------------------------------------

    def own_times(self, node: Identifier) -> list[int]:
        """Give the issue times in the node's own facts, none later than heard of.

        Presentation: those of the presented credentials.
        """
        if node == PRESENTED:
            credentials = filter(self.is_credential, self.presented)
            return [t for n in credentials for t in self.own_times(n)]
        return [
            min(n.issued_at, n.received_at)
            for n in self.nodes[node]
            if n.issued_at is not None
        ]

    def stated_times(self, node: Identifier) -> list[int]:
        """Give the issue times as stated, for who must be older than a cause."""
        return [n.issued_at for n in self.nodes[node] if n.issued_at is not None]

    def verified_times(self, node: Identifier) -> list[int]:
        """Give the verified issue time, where it counts for this node.

        Presentation: it does for every name of the presented credentials.
        """
        if self.issued_at is None:
            return []
        credentials = [n for n in self.presented if self.is_credential(n)]
        names = {name for n in credentials for name in self.alias_class(n)}
        return [self.issued_at] if node in names | {PRESENTED} else []

    def issue_time(self, node: Identifier) -> int | None:
        """Give the earliest known time; no alias lifts the doubt about a node."""
        verified = self.verified_times(node)
        if not self.own_times(node) + verified:
            return None
        names = self.alias_class(node)
        return min(verified + [t for n in names for t in self.own_times(n)])

    def outdated(self, node: Identifier, hit: Hit) -> bool:
        """Tell whether the credential was issued up to T, or at an unknown time."""
        cause = hit.cause
        if cause.effect is not Effect.NOT_BEFORE or hit.node not in self.requires(node):
            return False
        # Presentation: bound as the presented credentials are.
        bound = filter(self.is_credential, self.presented)
        facts = [n for b in bound for n in self.nodes[b]]
        facts = facts if node == PRESENTED else self.nodes[node]
        for wanted, named in (
            (cause.device, {n.device for n in facts} - {None}),
            (cause.tenant, {n.tenant for n in facts} - {None}),
        ):
            if wanted is not None and named and wanted not in named:
                return False  # Complex subjects: another device or tenant
        issued = self.issue_time(node)
        return issued is None or hit.stand.not_before >= issued

    # --- reach self at T --------------------------------------------------------

    def ended_alone(self, node: Identifier, hit: Hit) -> bool:
        """Tell whether a cause that reaches only its target ends this node too."""
        names, at = self.alias_class(hit.node), hit.stand.at
        if node in names:
            return True
        return any(
            relation is Relation.ENDS_WITH_PARENT_ALWAYS
            or max(self.stated_times(child), default=at) >= at
            for child in self.requires(node)
            for parent, relation in self.edges(child)
            if parent in names
        )

    def edges(self, node: Identifier) -> set[tuple[Identifier, Relation]]:
        """Give the parents of a node, labels too."""
        labels = self.labels_of(node)
        return self.parents[node] | {(label, Relation.REQUIRES) for label in labels}

    # --- Expiry -----------------------------------------------------------------

    def expired(self, node: Identifier) -> bool:
        """Tell whether the node, or one that it ends with, has expired."""
        ends_with = reach(node, self.directly_ends_with)
        return any(
            fact.expires_at is not None and self.now >= fact.expires_at
            for n in ends_with
            for register in self.renewals[n]
            for fact in register  # tied ones: the earlier counts, so any of them
        )

    def directly_ends_with(self, node: Identifier) -> set[Identifier]:
        """Give the parents whose expiry is the node's, and the aliases."""
        return self.aliases[node] | {
            parent
            for parent, relation in self.parents[node]
            if relation is not Relation.REQUIRES
        }

    # --- Scope ------------------------------------------------------------------

    def scope_reasons(self, node: Identifier, scope: str | None) -> set[str]:
        """Give what keeps the request outside of the scopes within R(n)."""
        required = self.requires(node)
        narrows = [
            hit.cause.scopes
            for hit in self.hits
            if hit.cause.effect is Effect.NARROW and self.reaches(hit, node)
        ]
        if scope is None:
            return {"narrow"} if narrows else set()
        declared = [
            fact.scopes for n in required for reg in self.scopes[n] for fact in reg
        ]
        reasons = {"narrow" for scopes in narrows if not covers(scopes, scope)}
        return reasons | {"scope" for scopes in declared if not covers(scopes, scope)}

    # --- Known and unknown, forgetting ------------------------------------------

    def known(self, node: Identifier) -> bool:
        """Tell whether an issuer stated the node, not only a use of it."""
        return any(not fact.derived for fact in self.nodes[node])

    def known_principal(self, node: Identifier) -> bool:
        """Tell whether this is a principal that is known."""
        principal = self.vocabulary.get(node.kind) is NodeClass.PRINCIPAL
        return principal and self.known(node)

    def beyond_horizon(self, node: Identifier) -> bool:
        """Tell whether what would have ended the credential may be forgotten."""
        issued = self.issue_time(node)
        return (
            self.horizon is not None
            and any(not self.known(parent) for parent, _ in self.parents[node])
            and (issued is None or issued < self.horizon)
            and not any(fact.root for fact in self.nodes[node])
        )


def hangs(fact: Edge) -> bool:
    """Tell whether the edge is a requirement; nothing is a parent of itself."""
    return fact.relation is not Relation.CREATED_BY and fact.child != fact.parent


def covers(scopes: Iterable[str], request: str) -> bool:
    """Tell whether declared scopes cover ``namespace|value``."""
    namespace = request.partition("|")[0]
    scopes = list(scopes)
    mine = [s for s in scopes if s.partition("|")[0] == namespace]
    if not mine:
        return bool(scopes)  # the empty set covers nothing, others do not limit
    return any(
        request.startswith(s[:-1]) if s.endswith(":*") else request == s for s in mine
    )


def reach(
    start: Identifier, step: Callable[[Identifier], set[Identifier]]
) -> set[Identifier]:
    """Give the start and all that repeated steps lead to."""
    found, todo = {start}, [start]
    while todo:
        new = step(todo.pop()) - found
        found |= new
        todo += new
    return found


# --- The verdict ------------------------------------------------------------------


def reasons_to_deny(
    stand: list[Standing],
    identifiers: tuple[Identifier, ...],
    *,
    now: int,
    issued_at: int | None = None,
    chain: tuple[Identifier, ...] = (),
    scope: str | None = None,
    unknown: Mapping[str, str] = DEFAULT_UNKNOWN,
    limit: int = LIMIT,
    vocabulary: Mapping[str, NodeClass] = VOCABULARY,
) -> set[str]:
    """Give every reason to deny; none means allow.

    Presentation: each identifier is judged by itself, and all of them as one.
    """
    model = Model(stand, now, identifiers, issued_at, chain, vocabulary)
    visited = model.closure(PRESENTED)
    reasons = set()
    if len(visited - {PRESENTED}) > limit:
        reasons.add("lineage_too_large")
    else:
        reasons |= model.scope_reasons(PRESENTED, scope)
        for node in (*identifiers, PRESENTED):
            reasons |= model.own_reasons(node)
        if not model.owned(PRESENTED, model.living_owners(visited)):
            reasons.add("ownerless")
    if unknown_among(identifiers, chain, model, unknown):
        reasons.add("unknown_credential")
    return reasons


def unknown_among(
    identifiers: tuple[Identifier, ...],
    chain: tuple[Identifier, ...],
    model: Model,
    unknown: Mapping[str, str],
) -> bool:
    """Tell whether a credential is unknown, and its kind's policy is to deny that.

    Each credential is judged by itself. Without any, some name must be known, and a
    label is nobody's name.
    """
    credentials = [n for n in identifiers if model.is_credential(n)]
    if not credentials:
        return not any(
            model.known(n) for n in identifiers if not n.kind.startswith("label.")
        )
    vouched = any(model.known_principal(n) for n in (*identifiers, *chain))
    passing = {"allow_and_report"}
    passing |= {"allow_if_principal_known"} if vouched else set()
    return any(
        not model.known(n) and unknown.get(n.kind, "deny") not in passing
        for n in credentials
    )


# --- Status at a past time --------------------------------------------------------


Age = tuple[int, str]  # of a cause: when it happened, and its id


def ends_at(
    stand: list[Standing], node: Identifier, at: int | None, *, inclusive: bool
) -> list[Age]:
    """Give the causes that end a node as of an event time: its own, its owners'.

    Earlier causes count, and lifts up to that time. An owner set ends with the cause
    that takes its last owner; one that never held a living owner has no such cause.
    """
    quiet = [s for s in stand if not isinstance(s.fact, Cause | Lift | Horizon)]
    seen = quiet + [
        s
        for s in stand
        if (isinstance(s.fact, Lift) and (at is None or s.version <= at))
        or (
            isinstance(s.fact, Cause)
            and (at is None or s.at < at or (inclusive and s.at == at))
            and (at is None or s.fact.until is None or at < s.fact.until)
        )
    ]
    model = Model(seen, -(1 << 62))  # before any expiry
    causes = sorted({age(hit) for hit in model.hits})
    in_force = model.hits
    ends = []
    for one in causes:
        model.hits = [hit for hit in in_force if age(hit) == one]
        if model.own_reasons(node):
            ends.append(one)
    visited = model.closure(node)
    sets = [s for n in model.requires(node) for s in model.obligations(n)]
    model.hits = []
    alive = model.living_owners(visited)
    held = [owners for owners in sets if owners & alive]
    for one in causes:
        model.hits = [hit for hit in in_force if age(hit) <= one]
        alive = model.living_owners(visited)
        ends += [one for owners in held if not owners & alive]
        held = [owners for owners in held if owners & alive]
    return ends


def age(hit: Hit) -> Age:
    """Give when the cause of a hit happened, and its id."""
    return hit.stand.at, same(hit.cause).hex()
