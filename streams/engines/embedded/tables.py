"""The one table of the embedded engine, for questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.lineage import NONE
from streams.ports.fact_log import token_of
from streams.ports.table_reader import Table, TableAwayError, UnknownRealmError
from streams.stages.plans.last_uses import KnownUses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.engines.embedded.stages import Stages
    from streams.engines.embedded.store import Store
    from streams.stages.posture.posture import Posture
    from streams.stages.sentinel.unknown_agents import Shown


class StageTables:
    """The table of the stages."""

    def __init__(self, stages: Stages, store: Store, realm: str) -> None:
        self._stages = stages
        self._store = store
        self._realm = realm

    def table(self, realm: str | None) -> Table:
        """Table of the one realm, once it is read; see `TableReader.table`."""
        if realm not in (None, self._realm):
            raise UnknownRealmError
        if not self._stages.loaded.is_set():
            raise TableAwayError("loading", "the table is being read; try again")
        as_of = token_of(self._store.genesis, self._stages.applied)
        return Table(self._stages.registry, as_of)

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:  # noqa: ARG002
        """Undeclared agents and credentials, from the sentinel; there is one realm."""
        return self._stages.sentinel.undeclared()

    def uses(self, realm: str | None) -> KnownUses:
        """Return the uses that the sentinel remembers, of the one realm.

        Raises:
            UnknownRealmError: it is another one.
        """
        if realm not in (None, self._realm):
            raise UnknownRealmError
        return KnownUses.of(self._stages.sentinel.uses)

    def posture(self, realm: str | None) -> tuple[Posture, Registry]:
        """Return how the credentials of the one realm stand, and its table."""
        registry = self.table(realm).registry
        return self._stages.access.postures.of(self._stages.name), registry

    def knows(self, identifier: Identifier) -> bool | None:
        """Whether any fact names it; None: the table is not read yet."""
        if not self._stages.loaded.is_set():
            return None
        return self._stages.registry.lineage.find(identifier) != NONE
