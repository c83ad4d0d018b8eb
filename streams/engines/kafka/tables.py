"""The tables of the partitions that a worker has, for questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.registry import Registry
from streams.engines.kafka.records.codec import partition_of
from streams.ports.fact_log import token_of
from streams.ports.table_reader import Table, TableAwayError
from streams.stages.plans.last_uses import KnownUses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Vocabulary
    from streams.engines.kafka.process import Process
    from streams.stages.posture.posture import Posture
    from streams.stages.sentinel.unknown_agents import Shown

SHOWN: Final = 10  # partitions that a text names


class OwnTables:
    """The tables of the realms whose partitions this worker has."""

    def __init__(self, process: Process, realm: str, vocabulary: Vocabulary) -> None:
        """Serve the realms of a process; ``realm`` is meant where none is named."""
        self._process = process
        self._vocabulary = vocabulary
        self._realm = realm

    def table(self, realm: str | None) -> Table:
        """Table of a realm, or say who has it; see `TableReader.table`."""
        realm = realm or self._realm
        number = partition_of(realm, self._process.settings.partitions)
        stage = self._process.registry
        partition = stage.serving(number) if stage is not None else None
        if partition is None:
            raise away(self._process, number, "registry")
        known = partition.realms.get(realm)
        # Who asks for any name must not make us keep a table of it.
        registry = known.cascade.registry if known else Registry(self._vocabulary)
        as_of = token_of(partition.genesis, partition.position, number)
        return Table(registry, as_of)

    def undeclared(self, realm: str | None) -> Iterable[Shown] | None:
        """Undeclared agents and credentials, where the realm's own findings are made.

        Credentials are those of the points whose lines are read here; the door adds
        those of all others.
        """
        stage, realm = self._process.sentinel, realm or self._realm
        if stage is None or not stage.judged.tells_of(realm):
            return None
        return stage.judged.undeclared(realm)

    def posture(self, realm: str | None) -> tuple[Posture, Registry] | None:
        """Return how the credentials of a realm stand, where that is told here."""
        stage = self._process.sentinel
        return None if stage is None else stage.judged.posture(realm or self._realm)

    def uses(self, realm: str | None) -> KnownUses:
        """Return the uses of a realm that are remembered here, and say what is not."""
        realm, stage = realm or self._realm, self._process.sentinel
        count = self._process.settings.access_partitions
        here = {} if stage is None else stage.judged.uses(realm)
        elsewhere = [number for number in range(count) if number not in here]
        pieces = (piece for uses in here.values() for piece in uses)
        return KnownUses.of(pieces, _not_here(elsewhere, count))


def _not_here(numbers: list[int], count: int) -> str:
    if not numbers:
        return ""
    shown = ", ".join(map(str, numbers[:SHOWN])) + (", ..." if numbers[SHOWN:] else "")
    return (
        f"{len(numbers)} of {count} partitions of accesses are with other workers "
        f"({shown}): what was used there counts as never seen"
    )


def away(process: Process, number: int, stage: str) -> TableAwayError:
    """Say that a partition is not here, and with whom it is as far as is known."""
    holder = process.holder(number, stage)
    if holder is None or holder.name == process.name:
        detail = f"partition {number} is being read or changes hands; try again"
        return TableAwayError("not ready", detail, partition=number)
    detail = f"partition {number} is at worker {holder.name}: ask there"
    where = {"partition": number, "worker": holder.name, "host": holder.host}
    return TableAwayError("not here", detail, **where)
