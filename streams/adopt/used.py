"""Adopt the credentials that a log shows in use, with the lineage that it tells.

Rules:

- What was presented and allowed becomes known, and what the log shows being issued.
  What was only refused does not: nobody says that it exists.
- What the same log ends, suspends or lets expire, itself or above, is left out: a list
  cannot say since when, and unknown is denied. So the log is read to its end first.
- What was ended alone (reach self) is no parent any more of what lives on.
- A credential that is only used has no known time of issue, and is therefore ended by
  every later "all that was issued until".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from agents_registry.facts import Alias, Edge, Node, OwnerSet, Renewal, ScopeSet
from agents_registry.flaws import flaws_of
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from streams.model.declared_entry import PARENTS
from streams.model.records import DeadLetter, Lifecycle
from streams.model.times import rfc3339
from streams.sources.adopting.listing import Listing
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.facts import Fact
    from agents_registry.identifiers import NodeClass
    from streams.model.records import Access, Record

DEAD: Final = "ended, suspended or expired by the end of the log"
REFUSED: Final = "presented and never allowed"
UNREADABLE: Final = "lines that could not be read"
_LISTS: Final = {relation: name for name, relation in PARENTS.items()}


@define
class _Known:
    """What the log says of one name.

    Attributes:
        standing: the last word on owners, expiry and scope.
    """

    issued_at: int | None = None
    aliases: dict[Identifier, None] = field(factory=dict)
    above: dict[str, dict[Identifier, None]] = field(factory=dict)
    standing: dict[type[Fact], OwnerSet | Renewal | ScopeSet] = field(factory=dict)


class UsedLog:
    """Takes in the records of a log, in any order."""

    def __init__(self, vocabulary: Mapping[str, NodeClass], now: int) -> None:
        """Start; ``now`` is the clock (ns)."""
        self._now = now
        self._registry = Registry(vocabulary)
        self._known: dict[Identifier, _Known] = {}
        self._shown: dict[Identifier, None] = {}
        self._refused: dict[Identifier, None] = {}
        self._unreadable = 0
        self._stated: set[Any] = set()
        self._dead: dict[Identifier, bool] = {}

    def add(self, record: Record) -> None:
        """Take in a record."""
        if isinstance(record, DeadLetter):
            self._unreadable += 1
            return
        if isinstance(record, Lifecycle):
            if record.effect == "issue" and record.known:
                self._shown.update(dict.fromkeys(record.identifiers))
        elif not self._is_shown(record):
            return
        origin = Origin(authority=record.source, realm="", received_at=self._now)
        for fact in facts_of(record, origin):
            self._registry.apply(fact)
            self._note(fact)

    def listing(self) -> Listing:
        """Return the listing of a log, once all of it was taken in."""
        self._dead.clear()
        listing = Listing()
        listing.left_out[UNREADABLE] += self._unreadable
        refused = self._refused.keys() - self._shown.keys()
        listing.left_out[REFUSED] += len(refused)
        for name in self._shown:
            if self._is_dead(name):
                listing.left_out[DEAD] += 1
                continue
            listing.add(name, **self._entry(name))
            for above in self._above(name):
                listing.imply(above, **self._entry(above))
        return listing

    def _is_dead(self, name: Identifier) -> bool:
        if name not in self._dead:
            self._dead[name] = bool(flaws_of(self._registry, name, self._now))
        return self._dead[name]

    def _is_shown(self, use: Access) -> bool:
        """Note a use; tell whether it is allowed, and says what no other did."""
        names = dict.fromkeys(use.identifiers)
        if use.outcome != "allowed":
            self._refused.update(names)
            return False
        self._shown.update(names)
        said = (use.identifiers, use.parents, use.ties, use.issued_at)
        new = said not in self._stated
        self._stated.add(said)
        return new

    def _note(self, fact: Fact) -> None:
        match fact:
            case Node():
                known = self._of(fact.node)
                times = [t for t in (known.issued_at, fact.issued_at) if t is not None]
                known.issued_at = min(times, default=None)
            case Alias():
                self._of(fact.first).aliases[fact.second] = None
            case Edge():
                above = self._of(fact.child).above
                above.setdefault(_LISTS[fact.relation], {})[fact.parent] = None
            case OwnerSet() | Renewal() | ScopeSet():
                standing = self._of(fact.node).standing
                before = standing.get(type(fact))
                if before is None or before.version <= fact.version:
                    standing[type(fact)] = fact

    def _of(self, name: Identifier) -> _Known:
        return self._known.setdefault(name, _Known())

    def _above(self, name: Identifier) -> Iterable[Identifier]:
        """Ancestors of a name, all the way up."""
        seen = {name}
        open_ = [name]
        while open_:
            known = self._known.get(open_.pop())
            lists = () if known is None else known.above.values()
            for parent in (one for some in lists for one in some):
                if parent not in seen and not self._is_dead(parent):
                    seen.add(parent)
                    open_.append(parent)
                    yield parent

    def _entry(self, name: Identifier) -> dict[str, Any]:
        known = self._known.get(name)
        if known is None:
            return {}
        entry: dict[str, Any] = {
            relation: [parent for parent in above if not self._is_dead(parent)]
            for relation, above in known.above.items()
        }
        entry["issued_at"] = rfc3339(known.issued_at)
        entry["aliases"] = known.aliases
        versions = []
        for fact in known.standing.values():
            versions.append(fact.version)
            match fact:
                case OwnerSet():
                    entry["owners"] = fact.owners
                case Renewal():
                    entry["expires_at"] = rfc3339(fact.expires_at)
                case ScopeSet():
                    entry["scope"] = fact.scopes
        entry["changed_at"] = rfc3339(max(versions, default=None))
        return entry
