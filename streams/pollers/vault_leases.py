"""Two things about leases that a vault's audit log does not tell.

- A lease is issued under its id and ended under the HMAC of that. Each new one gets
  both names. Where the vault does not answer, the lease is taken in under its id, and
  asked for again until it does: what waits is kept over restarts.
- A lease that the vault tried in vain to revoke is irrevocable: what it stands for may
  still work. Each is a finding, which ends when the lease does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from attrs import define, field

from agents_registry.identifiers import MAX_VALUE_BYTES, Identifier
from streams.model.records import Lifecycle
from streams.ports.keyed_store import CURSOR, Put
from streams.services.ingest import until_written
from streams.services.intake import IntakeBatch, NotWrittenError, not_applied
from streams.services.reading import Records
from streams.services.typed_names import VaultError
from streams.sources.openbao.rules import LEASE, LEASE_HMAC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.model.records import Record
    from streams.pollers.vault import VaultClient
    from streams.ports.keyed_store import KeyedStore
    from streams.services.ingest import Intake
    from streams.services.intake import Speaker

AGAIN_SECONDS: Final = 5.0
MOST_WAITING: Final = 10_000
IRREVOCABLE: Final = (
    "the vault gave up revoking it, so what it stands for may still work; "
    "sys/leases?type=irrevocable of the vault lists it"
)

log = structlog.get_logger()


class Leases:
    """Gives the new leases of one cluster both of their names."""

    def __init__(self, vault: VaultClient, kept: KeyedStore | None = None) -> None:
        """Ask a vault; what waits for it is kept in a store, where there is one."""
        self._vault = vault
        self._kept = kept
        self._waiting: dict[str, Lifecycle] = {}
        self._cursor = f"vault/{vault.name}/leases"

    @property
    def waiting(self) -> int:
        """Count the leases that have one name so far."""
        return len(self._waiting)

    async def joined(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the new leases both names, as far as the vault answers."""
        new = {
            place: record
            for place, record in enumerate(records)
            if isinstance(record, Lifecycle) and _is_new_lease(record)
        }
        if not new:
            return records
        values = [record.identifiers[0].value for record in new.values()]
        try:
            hashes = await self._vault.names_of(values)
        except VaultError as error:
            log.warning("leases_not_joined", error=str(error), leases=len(new))
            await self._wait_for(new.values())
            return records
        named = Records()
        named.take(records)
        for (place, record), value in zip(new.items(), hashes, strict=True):
            named[place] = _both(record, value)
        return named

    async def _wait_for(self, records: Any) -> None:
        for record in records:
            # Its lineage is taken in already; another copy of that says nothing new.
            bare = record._replace(parents=(), ties=())
            self._waiting[record.identifiers[0].value] = bare
        while len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        await self._save()

    async def _save(self) -> None:
        if self._kept is None:
            return
        body = orjson.dumps(
            [
                [name, each.event_id, each.event_type, each.occurred_at]
                for name, each in self._waiting.items()
            ]
        )
        await self._kept.put(CURSOR, self._cursor, body, patient=True)

    async def load(self) -> None:
        """Go on with what waited before a restart."""
        kept = self._kept
        body = None if kept is None else kept.get(CURSOR, self._cursor)
        if body is not None:
            for name, event_id, event_type, occurred_at in orjson.loads(body):
                self._waiting[name] = Lifecycle(
                    "openbao", event_id, event_type, "issue", occurred_at,
                    (Identifier(LEASE, name),), 0, outcome="allowed",
                )  # fmt: skip

    async def run(self, take: Callable[[Sequence[Record]], Any]) -> None:
        """Ask again for what waits, until cancelled.

        Args:
            take: takes records in.
        """
        await self.load()
        while True:
            if self._waiting:
                await self._again(take)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _again(self, take: Callable[[Sequence[Record]], Any]) -> None:
        some = dict(list(self._waiting.items())[:100])
        try:
            hashes = await self._vault.names_of(list(some))
            pairs = zip(some.values(), hashes, strict=True)
            await take([_both(record, value) for record, value in pairs])
        except (VaultError, NotWrittenError) as error:
            log.warning("leases_not_joined", error=str(error), leases=self.waiting)
            return
        for name in some:
            self._waiting.pop(name, None)
        await self._save()


def _is_new_lease(record: Lifecycle) -> bool:
    names = record.identifiers
    return record.effect == "issue" and len(names) == 1 and names[0].kind == LEASE


def _both(record: Lifecycle, hashed: str) -> Lifecycle:
    names = (record.identifiers[0], Identifier(LEASE_HMAC, hashed))
    return record._replace(identifiers=names)


@define(eq=False, repr=False)
class IrrevocableLeases:
    """Makes a finding of each lease that a vault could not revoke.

    Attributes:
        vault: to be asked.
        speaker: gives origin and rights, of now.
        kept: keeps which were told of.
        ingest: writes.
        remind: seconds after which a finding is confirmed, so that it stays open.
    """

    _vault: VaultClient
    _speaker: Callable[[], Speaker]
    _kept: KeyedStore
    _ingest: Intake
    _remind: float
    _told: set[str] = field(factory=set, init=False)
    _confirmed: float = field(default=0.0, init=False)
    _cursor: str = field(init=False)

    @_cursor.default
    def _place(self) -> str:
        return f"vault/{self._vault.name}/irrevocable"

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        await until_written(self._kept.catch_up)  # another process may have looked
        body = self._kept.get(CURSOR, self._cursor)
        if body is not None:
            self._told = set(orjson.loads(body))
        while True:
            try:
                await self.look()
            except VaultError as error:
                log.warning("irrevocable_not_listed", error=str(error))
            # Never so long that an open finding would count as silent.
            seconds = self._vault.settings.irrevocable_seconds
            await asyncio.sleep(min(seconds, self._remind))

    async def look(self) -> None:
        """Look once, and write what changed.

        Raises:
            VaultError: the vault did not answer.
        """
        found = await self._vault.irrevocable()
        there = {each for each in found.leases if len(each.encode()) <= MAX_VALUE_BYTES}
        ended = self._told - there if found.whole else set()
        now = asyncio.get_running_loop().time()
        due = not self._confirmed or now - self._confirmed >= self._remind
        fresh = there if due else there - self._told
        if due:
            self._confirmed = now
        if not fresh and not ended:
            return
        told = (self._told | there) - ended
        speaker = self._speaker()
        at = speaker.origin.received_at
        signals = [self._signal(each, at) for each in sorted(fresh)]
        signals += [self._signal(each, at) | {"over": True} for each in sorted(ended)]
        body = orjson.dumps(sorted(told))
        delivery = IntakeBatch([], *speaker, signals=signals)
        also = [Put(CURSOR, self._cursor, body)]
        await self._ingest.records(delivery, also, patient=True)
        self._told = told

    def _signal(self, lease: str, at: int) -> dict[str, Any]:
        name = self._vault.name
        return not_applied([LEASE, lease], at, IRREVOCABLE, point=name)
