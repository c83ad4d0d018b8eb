"""One partition of facts: the tables of its realms, and what their facts condemned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agents_registry.registry import Registry
from enforcement.parting import let_go
from streams.pipeline.realm import Realm
from streams.stages.registry.cascade import Cascade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Vocabulary
    from agents_registry.steps import Steps
    from streams.stages.registry.cascade import Slice


class Listed(NamedTuple):
    """A slice of what a fact of a realm condemned."""

    realm: str
    slice: Slice


class FactsPartition:
    """The tables of the realms of one partition.

    Attributes:
        realms: their tables.
        position: every record below it is applied.
        relist: facts below it were listed before; those from it on are listed.
        standby: only tailed: nothing is listed, nor said to be.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Start empty."""
        self.realms: dict[str, Realm] = {}
        self.position = 0
        self.relist = 0
        self.standby = False
        self._vocabulary = vocabulary

    @property
    def waiting(self) -> int:
        """Count the facts whose lists are not complete."""
        return sum(realm.cascade.waiting for realm in self.realms.values())

    @property
    def exclusive(self) -> bool:
        """Whether no fact may be applied before the next slices."""
        return any(realm.cascade.exclusive for realm in self.realms.values())

    @property
    def listed(self) -> int:
        """Offset below which all is listed, once the slices are saved."""
        if self.standby:
            return self.relist
        oldest = (realm.cascade.oldest for realm in self.realms.values())
        return min((o for o in oldest if o is not None), default=self.position)

    def realm(self, name: str) -> Realm:
        """State of a realm, new where nothing is known of it."""
        realm = self.realms.get(name)
        if realm is None:
            realm = self.realms[name] = Realm(Cascade(self._vocabulary))
        return realm

    def apply(self, realm: Realm, fact: Fact, offset: int) -> None:
        """Merge a fact, and have what it condemned listed."""
        realm.apply(fact, offset)
        if offset >= self.relist and not self.standby:
            realm.cascade.enlist(offset, fact)

    def slices(self) -> Steps[list[Listed]]:
        """Next slice of each realm that has one."""
        listed = []
        for name, realm in self.realms.items():
            if realm.cascade.waiting:
                listed.append(Listed(name, (yield from realm.cascade.next_slice())))
        return listed

    def finish(self, listed: Iterable[Listed]) -> None:
        """Take note that slices are done with."""
        for name, (_, done) in listed:
            if done:
                self.realms[name].cascade.finish()

    def build_anew(self, facts: Mapping[str, Sequence[Fact]]) -> Steps[None]:
        """Build tables that hold what was taken back anew; the old ones deny meanwhile.

        No fact may be applied before it is over.

        Args:
            facts: all below the position, by realm.
        """
        for name, of_realm in facts.items():
            registry = yield from Registry.building(of_realm, self._vocabulary)
            realm = self.realms[name]
            before = realm.cascade.registry
            realm.cascade.replace(registry)
            realm.known.rebuilt(self.position)
            let_go(before)
            del before
