"""The table in a file beside the log, so that a restart need not merge every fact.

The file names the log, its position and the entry of the audit chain there, whose hash
stands for all that lies before. A log that another copy was put in the place of, or
that was cut and went on otherwise, has another entry there, so its facts are merged one
by one, as they are where there is no file, or none that is whole and of this version.
See docs/adr/0092-a-table-beside-the-log.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from enforcement.turns import resting_tables
from streams.engines.embedded.short_rows import HASH
from streams.pipeline import table_file
from streams.pipeline.table_file import RealmSnapshot

if TYPE_CHECKING:
    from agents_registry.identifiers import Vocabulary
    from streams.engines.embedded.store import Store
    from streams.pipeline.facts_partition import FactsPartition

FILE: Final = "table.snapshot"
KEEP_AFTER: Final = 20_000  # facts between two files, at least
CALM: Final = 20  # and one for so many names
BUSY: Final = 4  # as above, while facts come in: a file costs as much as its names

log = structlog.get_logger()

_ENTRY: Final = (
    f"SELECT sequence, {HASH.format('hash')} FROM audit_chain WHERE fact = ?"  # noqa: S608 - constant
    " ORDER BY sequence DESC LIMIT 1"
)
_AT: Final = (
    f"SELECT {HASH.format('hash')}, fact FROM audit_chain"  # noqa: S608 - constant
    " WHERE sequence = ?"
)
_PRUNED: Final = "SELECT count(*) FROM audit_pruned"


class KeptTable:
    """The file of a realm's table.

    Attributes:
        position: every fact below it is in the file.
    """

    def __init__(self, store: Store, realm: str, vocabulary: Vocabulary) -> None:
        self.position = 0
        self._pruned = 0  # facts, when the table was begun: it holds what goes later
        self._store = store
        self._realm = realm
        self._vocabulary = vocabulary
        self._path = store.path.with_name(FILE)
        self._writing: asyncio.Future[None] | None = None

    async def restore(self, facts: FactsPartition) -> None:
        """Take up the table of the file, where that is of this very log."""
        ((self._pruned,),) = await self._store.read(_PRUNED)
        genesis = self._store.genesis
        file = await asyncio.to_thread(
            table_file.read, self._path, genesis, self._vocabulary
        )
        if file is None or not await self._is_of_this_log(file.about):
            return
        try:
            (found,) = await asyncio.to_thread(file.realms)
        except (LookupError, TypeError, ValueError) as error:
            log.warning("snapshot_dropped", file=self._path.name, why=repr(error))
            return
        realm = facts.realm(self._realm)
        realm.cascade.replace(found.registry)
        realm.accepted = found.accepted
        realm.known.restore_turns(found.turns)
        self.position = file.about["position"]
        # What was not listed yet is merged once more, which changes nothing.
        facts.position = min(self.position, facts.relist)
        names = len(found.registry.lineage)
        log.info("table_restored", position=self.position, names=names)

    async def _is_of_this_log(self, about: dict[str, Any]) -> bool:
        """Whether a file was made of what the log holds today.

        What was pruned since is still in the file: it would never be forgotten.
        """
        position, (sequence, last) = about["position"], about["entry"]
        same = await self._store.read(_AT, sequence) == [(last, position - 1)]
        if not same or about["pruned"] != self._pruned:
            log.warning("snapshot_of_another_log", file=self._path.name)
            return False
        return True

    def due(self, facts: FactsPartition, *, calm: bool) -> bool:
        """Whether so much is new that a file pays.

        Args:
            facts: with the table.
            calm: nothing else is to be done now.
        """
        registry = facts.realm(self._realm).cascade.registry
        new = facts.position - self.position
        if new < max(KEEP_AFTER, len(registry.lineage) // (CALM if calm else BUSY)):
            return False
        idle = self._writing is None or self._writing.done()
        named = table_file.CODE is not None
        return named and idle and not registry.needs_rebuild

    async def keep(self, facts: FactsPartition) -> None:
        """Pack the table while no fact is applied; it is written while work goes on."""
        realm, position = facts.realm(self._realm), facts.position
        entry = await self._store.read(_ENTRY, position - 1)
        self.position = position
        if not entry:
            return  # nothing would tell this log from another one
        about = {"position": position, "entry": entry[0], "pruned": self._pruned}
        snapshot = RealmSnapshot(
            self._realm, realm.cascade.registry, realm.accepted, realm.known.turns()
        )

        def pack() -> list[bytes]:
            return table_file.pack(
                [snapshot],
                genesis=self._store.genesis,
                vocabulary=self._vocabulary,
                about=about,
            )

        async with resting_tables():
            content = await asyncio.to_thread(pack)
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(None, table_file.put, self._path, content)
