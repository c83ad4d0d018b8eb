"""Which scopes are used, brought together: once a day, to one partition of ``access``.

The uses of a credential lie in the partitions of the points that saw them; what it used
at none of them, only who hears of all of them can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agents_registry.identifiers import Identifier
from schemas.codec import in_force
from streams.engines.kafka.records.codec import (
    Outgoing,
    access_partition_of,
    cloud_event,
)
from streams.model.times import DAY
from streams.pipeline.access_records import ScopeUse
from streams.stages.sentinel.scope_use import scoped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from streams.stages.access.uses import AccessEvent

SCHEMA: Final = "scope_use"
AFTER: Final = "rescind-after"
MOST: Final = 100_000  # a repeat is harmless


class ReportedScope(NamedTuple):
    """A scope that the sentinel has reported for a day, and need not report again."""

    realm: str
    name: Identifier
    scope: str
    day: int


class ScopeUses:
    """What one process has told of scopes, and what of a batch is new."""

    def __init__(self) -> None:
        self._told: set[ReportedScope] = set()

    def new(
        self, realm: str, uses: Iterable[AccessEvent]
    ) -> dict[ScopeUse, set[ReportedScope]]:
        """Return new uses of scopes, with keys to `remember` once they are acked."""
        by_name: dict[tuple[Identifier, int], tuple[int, set[ReportedScope]]] = {}
        for use in scoped(uses):
            name, day = use.identifiers[0], use.at // DAY
            told = {
                ReportedScope(realm, name, scope, day) for scope in use.scopes or ()
            }
            if told := told - self._told:
                by_name.setdefault((name, day), (use.at, set()))[1].update(told)
        return {
            ScopeUse(realm, name, tuple(sorted(each.scope for each in told)), at): told
            for (name, _), (at, told) in by_name.items()
        }

    def remember(self, told: Iterable[set[ReportedScope]]) -> None:
        """Take note of what was acked."""
        if len(self._told) > MOST:
            self._told.clear()
        self._told.update(*told)


def scope_use_record(
    use: ScopeUse, partitions: int, identity: str, after: int
) -> Outgoing:
    """Record of a scope's use, for the realm's partition without a point.

    Args:
        use: what is told.
        partitions: of the topic ``access``.
        identity: unique, or the same whenever the same bytes are taken in again.
        after: the end of the realm's facts that were written with or before it.
    """
    source = f"/realms/{use.realm}"
    record = {
        "realm": use.realm,
        "identifier": str(use.name),
        "scopes": list(use.scopes),
        "at": use.at,
    }
    return Outgoing(
        partition=access_partition_of(use.realm, "", partitions),
        key=f"{use.realm}/".encode(),
        value=in_force().encode(SCHEMA, record),
        headers=(
            *cloud_event(identity, source=source, kind="scope-use", time=use.at),
            (AFTER, str(after).encode()),
        ),
    )


def read_scope_use(record: Mapping[str, Any], after: int) -> ScopeUse:
    """Read a decoded record.

    Raises:
        ValueError: the identifier is none.
    """
    name = Identifier.parse(record["identifier"])
    scopes = tuple(record["scopes"])
    return ScopeUse(record["realm"], name, scopes, record["at"], after)
