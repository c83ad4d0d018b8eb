"""One partition of ``facts`` as a worker holds it: the tables of its realms.

Records go in by their offsets; what comes out are slices of what facts condemned.
Nothing here speaks to Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.facts import Fact
from agents_registry.steps import finish
from schemas.codec import in_force
from schemas.errors import NEWER, SchemaError
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.records.codec import (
    Genesis,
    Heartbeat,
    Tombstone,
    heartbeat_start,
    read_entry,
    realm_of,
)
from streams.engines.kafka.records.poison import poison_of
from streams.pipeline.facts_partition import FactsPartition
from streams.pipeline.table_file import RealmSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agents_registry.identifiers import Vocabulary
    from agents_registry.steps import Steps
    from enforcement.kafka.replica import Raw
    from streams.engines.kafka.checkpoints.checkpoint import FactsFile
    from streams.engines.kafka.checkpoints.journal import Row
    from streams.engines.kafka.records.codec import Entry
    from streams.engines.kafka.records.poison import Poison
    from streams.pipeline.realm import Realm


LOOK_SECONDS: Final = 5.0
STEP: Final = 63  # a mask: rows read between two yields
MANY: Final = 5000  # records; heartbeats alone are not worth a write each


class Partition(FactsPartition):
    """All that is known of one partition.

    Attributes:
        number: of the partition.
        genesis: of the log.
        file: its local checkpoint.
        target: where the log ended when it was loaded; ready once it is reached.
        applied: entries so far, from the file too.
        strange: a record spoke of another genesis; see `doubtful`.
        poison: records that could not be read, until they are saved as handled.
        unread: the first of them that a newer version may be able to read.
    """

    def __init__(
        self,
        number: int,
        file: FactsFile,
        vocabulary: Vocabulary,
        genesis: str,
        digest_key: bytes | None = None,
    ) -> None:
        """Start empty; `restore` takes up what the file holds."""
        super().__init__(vocabulary)
        self.number = number
        self.genesis = genesis
        self.file = file
        self.target = 0
        self.applied = 0
        self.genesis_mismatch = False
        self.poison: list[Poison] = []
        self.unread: int | None = None
        self._looked_at = 0.0
        self._digest_key = digest_key
        self._heartbeat = heartbeat_start(genesis)
        self._by_start: dict[tuple[bytes, ...], Realm] = {}
        self._rows: list[Row] = []
        self._pruned: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether all is applied that was there when it was loaded."""
        return self.position >= self.target

    @property
    def changed(self) -> bool:
        """Whether there is more to save than a position."""
        return bool(self._rows or self._pruned or self.poison)

    @property
    def due(self) -> bool:
        """Whether it is worth saving now: less often while it catches up."""
        if self.changed and (self.ready or self.poison):
            return True
        return self.position - self.file.position > MANY

    def restore(self, relist: int) -> None:
        """Take up what the files hold, and list again what lies above an offset.

        Raises:
            DamagedError: they are not whole.
            SchemaError: they hold what cannot be read.
        """
        self.relist = relist
        snapshot = self.file.restored()
        self.file.unkept = behind = 0
        if snapshot is not None:
            behind = snapshot.tip.end
            for name, registry, accepted, turns in snapshot.realms:
                realm = self.realm(name)
                realm.cascade.replace(registry)
                realm.accepted = accepted
                realm.known.restore_turns(turns)
            if relist < snapshot.position and not self.standby:
                self._enlist(relist, snapshot.position)
        for offset, key, value in self.file.rows(behind=behind):
            self._apply(offset, key, read_entry(key, value))
            self.file.unkept += 1
        self.position = self.file.position
        self.unread = self.file.unread
        for realm in self.realms.values():
            realm.known.begin(self.position)
        finish(self._rebuild(self.file.rows))

    def _enlist(self, relist: int, end: int | None = None) -> None:
        """List again what facts condemned that are in the tables already.

        Args:
            relist: the offset of the first of them.
            end: that of the first one that is not in them; all are by default.
        """
        for offset, key, value in self._all_rows(relist):
            if end is not None and offset >= end:
                break
            self.applied += 1
            entry = read_entry(key, value)
            if isinstance(entry, Fact):
                self.realm(realm_of(key)).cascade.enlist(offset, entry)

    def stand_by(self) -> None:
        """Tail it from now on: another worker lists what it condemns."""
        self.relist = self.listed
        self.standby = True
        for realm in self.realms.values():
            realm.cascade.forget()

    def promote(self, relist: int) -> None:
        """List from now on, and again what facts condemned from an offset on.

        What the table knows of them says nothing of what was published.

        Raises:
            DamagedError: the file does not give them all.
        """
        self.standby = False
        self.relist = relist
        self.poison = [each for each in self.poison if each.offset >= relist]
        try:
            self._enlist(relist)
        except DamagedError:
            self.file.reset("")  # the next start reads the topic
            raise

    def take(self, records: Iterable[Raw]) -> None:
        """Apply records of the topic, in their order.

        Nearly all are facts as we write them, or heartbeats; `_take_other` knows the
        rest. `rebuild` comes next: what was taken back stands until it is over.
        """
        fact_of, rows, heartbeat = in_force().fact, self._rows, self._heartbeat
        for record in records:
            offset, key, value = record.offset, record.key, record.value
            if value is None or key is None:
                self._take_other(record)
            elif value.startswith(heartbeat):
                self.applied += 1
            else:
                fact = fact_of(value)
                if fact is None or (realm := self._realm_by(key)) is None:
                    self._take_other(record)
                else:
                    self.applied += 1
                    self.apply(realm, fact, offset)
                    rows.append((offset, key, value))
            self.position = offset + 1

    def rebuild(self) -> Steps[None]:
        """Build the tables anew that hold what was taken back; the old ones deny.

        No record may be applied before it is over.

        Raises:
            DamagedError: the file is not whole.
        """
        yield from self._rebuild(self._all_rows)

    def _realm_by(self, key: bytes) -> Realm | None:
        """Realm that a key of a fact names, None for any other key."""
        start = tuple(key.split(b"/", 2)[:2])  # realm and kind
        realm = self._by_start.get(start)
        if realm is None:
            try:
                realm = self.realm(realm_of(key))
            except SchemaError:
                return None
            self._by_start[start] = realm
        return realm

    def _take_other(self, record: Raw) -> None:
        offset, key, value = record.offset, record.key, record.value
        try:
            entry = read_entry(key, value)
            self._apply(offset, key or b"", entry)
        except SchemaError as error:
            if error.code in NEWER and self.unread is None:
                self.unread = offset
            # Below `relist` it was acked before its offset was committed.
            if offset >= self.relist:
                self.poison.append(poison_of(record, str(error), self._digest_key))
        else:
            self._note(offset, key or b"", value, entry)

    def doubtful(self, now: float) -> bool:
        """Whether the genesis is to be looked up, now and then at most.

        Perhaps a writer missed that the log is another, perhaps we did.

        Args:
            now: of a monotonic clock, in seconds.
        """
        doubt = self.genesis_mismatch and now - self._looked_at > LOOK_SECONDS
        self.genesis_mismatch = False
        if doubt:
            self._looked_at = now
        return doubt

    def save(self) -> None:
        """Append what is new to the file; call it after the acks.

        Where there is no room it is kept for the next time.
        """
        self.poison.clear()
        if self.file.save(
            self._rows, self._pruned, self.position, self.listed, self.unread
        ):
            self._rows.clear()
            self._pruned.clear()

    @property
    def worth_keeping(self) -> bool:
        """Whether so much is new that a snapshot pays."""
        unkept = self.file.unkept
        if unkept < self.file.keep_after or not self.ready:
            return False
        tables = (realm.cascade.registry for realm in self.realms.values())
        return unkept >= sum(len(table.lineage) for table in tables) // 10

    def keep(self, *, share: bool = False) -> None:
        """Take a snapshot of the tables, where the file has all that is in them.

        Args:
            share: give it to other workers too, unless a record was passed over that a
                newer version wrote: they would believe to have it.
        """
        if self.file.unkept and not self.changed:
            self.file.keep(
                (
                    RealmSnapshot(
                        name,
                        realm.cascade.registry,
                        realm.accepted,
                        realm.known.turns(),
                    )
                    for name, realm in self.realms.items()
                ),
                share=share and self.unread is None,
            )

    def _apply(self, offset: int, key: bytes, entry: Entry) -> None:
        self.applied += 1
        if isinstance(entry, Fact):
            self.apply(self.realm(realm_of(key)), entry, offset)
        elif isinstance(entry, Genesis | Heartbeat):
            self.genesis_mismatch |= entry.genesis != self.genesis

    def _note(self, offset: int, key: bytes, value: bytes | None, entry: Entry) -> None:
        if isinstance(entry, Fact):
            self._rows.append((offset, key, value or b""))
        elif isinstance(entry, Tombstone):
            self._pruned.append(key)

    def _all_rows(self, since: int = 0) -> Iterator[Row]:
        yield from self.file.rows(since=since)
        yield from (row for row in self._rows if row[0] >= since)

    def _rebuild(self, rows: Callable[[], Iterable[Row]]) -> Steps[None]:
        stale = {
            name
            for name, realm in self.realms.items()
            if realm.cascade.registry.needs_rebuild
        }
        if not stale:
            return
        facts: dict[str, list[Fact]] = {name: [] for name in stale}
        try:
            for count, (_, key, value) in enumerate(rows()):
                if not count & STEP:
                    yield
                name = realm_of(key)
                if name in stale:
                    entry = read_entry(key, value)
                    if isinstance(entry, Fact):
                        facts[name].append(entry)
        except DamagedError:
            self.file.reset("")  # the next start reads the topic
            raise
        yield from self.build_anew(facts)
