"""What the sentinel holds of one partition of ``access``: a sentinel for each realm.

State and outputs of a step are collected here until they are acked and saved.
Nothing here speaks to Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from agents_registry.identifiers import Identifier
from schemas.errors import SchemaError
from streams.kafka.payloads import Signal, read_access
from streams.kafka.poison import poison_of
from streams.kafka.scope_uses import ScopeUse
from streams.stages import episodes
from streams.stages.posture import Posture
from streams.stages.scope_use import scoped, violations
from streams.stages.sentinel import Outputs, Sentinel, Tolerances
from streams.stages.uses import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.kafka.checkpoint import UsesFile
    from streams.kafka.partition import Realm
    from streams.kafka.payloads import Accesses
    from streams.kafka.poison import Poison
    from streams.stages.episodes import Episode

    RealmOf = Callable[[str], Realm]


class Block(Protocol):
    """A record as the client gives it."""

    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Watched:
    """One partition of ``access``.

    Attributes:
        number: of the partition.
        file: its local checkpoint.
        position: every block below it was judged.
        target: where the log ended when it was loaded.
        poison: records that could not be read, until they are saved as handled.
        in_flight: uses within the grace.
    """

    def __init__(
        self,
        number: int,
        file: UsesFile,
        tolerances: Tolerances,
        realm_of: RealmOf,
        digest_key: bytes | None = None,
    ) -> None:
        """Start empty.

        Args:
            number: of the partition.
            file: its local checkpoint.
            tolerances: of the sentinels.
            realm_of: gives the table of a realm as it is now.
            digest_key: for the hashes of what cannot be read.
        """
        self.number = number
        self.file = file
        self.position = 0
        self.target = 0
        self.poison: list[Poison] = []
        self.in_flight = 0
        self._tolerances = tolerances
        self._realm_of = realm_of
        self._digest_key = digest_key
        self._postures: dict[str, Posture] = {}
        self._sentinels: dict[str, Sentinel] = {}
        self._outputs: dict[str, Outputs] = {}
        self._used: dict[tuple[str, str], bytes | None] = {}

    @property
    def ready(self) -> bool:
        """Tell whether all is judged that was there when it was loaded."""
        return self.position >= self.target

    @property
    def changed(self) -> bool:
        """Tell whether there is more to save than a position."""
        return bool(self._outputs or self._used or self.poison)

    def restore(self, now: int) -> None:
        """Take up what the file holds, and judge all of it by the tables of now.

        Facts that came while nobody watched are made up for by that.
        """
        for realm, body in self.file.episodes():
            self._sentinel(realm).episodes.restore(episodes.load(orjson.loads(body)))
        names: dict[str, dict[Identifier, None]] = {}
        for realm, body in self.file.uses():
            bucket = Bucket.from_plain(orjson.loads(body))
            self._sentinel(realm).uses.restore(bucket)
            names.setdefault(realm, {}).update(dict.fromkeys(bucket.identifiers))
        for realm, of_realm in names.items():
            self.reconsider(realm, of_realm, now)

    def read(self, record: Block) -> Accesses | Signal | ScopeUse | None:
        """Read a record; None where it is poison."""
        try:
            return read_access(record.value, record.headers)
        except SchemaError as error:
            self.poison.append(poison_of(record, str(error), self._digest_key))
            return None

    def judge(self, record: Accesses | Signal | ScopeUse, now: int) -> None:
        """Take a record in."""
        if isinstance(record, ScopeUse):
            used = self._posture(record.realm).used(
                record.name, record.scopes, record.at
            )
            if used is not None:
                self._used[record.realm, str(record.name)] = used
            return
        sentinel = self._sentinel(record.realm)
        if isinstance(record, Signal):
            self._add(record.realm, sentinel.report([record.values], now))
            return
        registry = self._realm_of(record.realm).cascade.registry
        self._add(record.realm, sentinel.observe(record.uses, registry, now))
        signals = violations(scoped(record.uses), registry)
        self._add(record.realm, sentinel.report(signals, now))

    def reconsider(self, realm: str, names: Iterable[Identifier], now: int) -> None:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        if realm in self._sentinels:
            sentinel = self._sentinel(realm)
            registry = self._realm_of(realm).cascade.registry
            self._add(realm, sentinel.reconsider(names, registry, now))

    def inspect(self, realm: str, now: int) -> int:
        """Look at the next nodes of a realm that may stand otherwise than before.

        Its findings are those of one partition, wherever the realm is used. Give how
        much is still to be looked at.
        """
        posture = self._posture(realm)
        if posture.waiting(now):
            signals = posture.step(now)
            self._add(realm, self._sentinel(realm).report(signals, now))
        return posture.waiting(now)

    def _posture(self, realm: str) -> Posture:
        """Give the stage of a realm, on its table of now."""
        posture = self._postures.get(realm)
        if posture is None:
            posture = self._postures[realm] = Posture(self._tolerances.posture)
            posture.restore(self._sentinel(realm).episodes.open_ones())
            for name, body in self.file.used_scopes(realm):
                posture.book.restore(Identifier.parse(name), body)
        table = self._realm_of(realm)
        posture.follow(table.cascade.registry)
        table.heard = posture.note
        return posture

    def inspecting(self, realm: str, now: int) -> int:
        """Count the nodes of a realm that may stand otherwise than before, roughly."""
        posture = self._postures.get(realm)
        return 1 if posture is None else posture.waiting(now)

    def tidy(self, now: int) -> None:
        """Forget old uses, and close silent episodes."""
        for realm, sentinel in self._sentinels.items():
            self._add(realm, sentinel.expire(now))
        for realm, posture in self._postures.items():
            for name in posture.forget(now):
                self._used[realm, str(name)] = None

    def findings(self) -> list[Episode]:
        """Give the findings that changed and are not saved."""
        return [e for each in self._outputs.values() for e in each.episodes.values()]

    def save(self) -> None:
        """Write what changed to the file; call it after the acks."""
        outputs = self._outputs
        self.file.save(
            (
                (realm, key, None if bucket is None else _dump(bucket))
                for realm, each in outputs.items()
                for key, bucket in each.uses.items()
            ),
            (
                (realm, identity, orjson.dumps(episodes.save(episode)))
                for realm, each in outputs.items()
                for identity, episode in each.episodes.items()
            ),
            self.position,
            ((*key, body) for key, body in self._used.items()),
        )
        self._outputs = {}
        self._used = {}
        self.poison.clear()

    def _sentinel(self, realm: str) -> Sentinel:
        sentinel = self._sentinels.get(realm)
        if sentinel is None:
            sentinel = self._sentinels[realm] = Sentinel(realm, self._tolerances)
        sentinel.accepted = self._realm_of(realm).accepted
        return sentinel

    def _add(self, realm: str, new: Outputs) -> None:
        self.in_flight += new.in_flight
        if new.uses or new.episodes:
            outputs = self._outputs.setdefault(realm, Outputs())
            outputs.uses.update(new.uses)
            outputs.episodes.update(new.episodes)


def _dump(bucket: Bucket) -> bytes:
    return orjson.dumps(bucket.to_plain())
