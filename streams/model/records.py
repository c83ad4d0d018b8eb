"""Canonical records: what every source's bytes become before they are facts.

A source yields, in file order, `Lifecycle` (something about authority changed),
`Access` (a credential was presented) and `DeadLetter` (bytes nobody could read).
Times are integer nanoseconds since 1970 (UTC). Named tuples: a log folder makes
millions of them, and they are cheap to build and immutable.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.times import rfc3339

Outcome = Literal["allowed", "denied"]
# The vendors speak many dialects; these are the effects that they share.
LIFECYCLE_EFFECTS: Final = frozenset({
    "issue", "revoke", "suspend", "restore", "rotate", "narrow", "not_before",
    "leak", "delete_subject",
})  # fmt: skip
ENDING_EFFECTS: Final = LIFECYCLE_EFFECTS - {"issue", "restore", "leak"}


class Parent(NamedTuple):
    """One parent of a record's primary identifier."""

    kind: str
    value: str
    relation: Relation

    @property
    def identifier(self) -> Identifier:
        """Parent without its relation."""
        return Identifier(self.kind, self.value)


class Tie(NamedTuple):
    """A structural edge that an event implies besides its own parents."""

    child: Identifier
    parent: Identifier
    relation: Relation


class Lifecycle(NamedTuple):
    """Authority was issued, ended or changed.

    Attributes:
        effect: one of LIFECYCLE_EFFECTS; None for a renewal (``expires_at`` moved)
            and for event types that change nothing we know of.
        identifiers: the names of the ONE node it is about, the primary one first;
            several names become aliases.
        parents: of the primary identifier.
        owner: the owner in the source's own words, for people.
        owners: the same as identifiers, for the registry.
        actor: identifiers of whoever made the call.
        reach: ``self`` for a revoke that spares what hangs below.
        aspect: what a later restore must name.
        not_before: T, for effect not_before (None: the time of the event).
        ties: further structural edges, child to parent.
        known: the event comes from the issuer, so the identifier becomes known.
        issued_at: when the primary identifier was issued, where that is another
            time than the event's.
        device: what the issued credential is bound to; of an ending record: spare
            credentials whose node facts name another one (complex subjects).
        tenant: the same for the tenant.
        attributes: that the primary identifier holds, in plain as
            `streams.model.attributes` writes them; ingress makes keyed hashes of them.
            Identifiers of such kinds are the target of a cause alone.
        labels: of the primary identifier, all that the source knows of; None: it says
            nothing of them.
    """

    source: str
    event_id: str | None
    event_type: str
    effect: str | None
    occurred_at: int | None
    identifiers: tuple[Identifier, ...]
    offset: int
    parents: tuple[Parent, ...] = ()
    owner: str | None = None
    owners: tuple[Identifier, ...] = ()
    actor: tuple[Identifier, ...] = ()
    scope: tuple[str, ...] | None = None
    expires_at: int | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    reach: Literal["subtree", "self"] = "subtree"
    aspect: str = ""
    not_before: int | None = None
    ties: tuple[Tie, ...] = ()
    known: bool = True
    issued_at: int | None = None
    device: str | None = None
    tenant: str | None = None
    attributes: tuple[Identifier, ...] = ()
    labels: tuple[Identifier, ...] | None = None


class Access(NamedTuple):
    """A credential was presented.

    Attributes:
        identifiers: the names of the presented credential, the primary one first.
        parents: what the use tells of its lineage (counts only when allowed).
        point: the enforcement point that logged it.
        issued_at: when the presented credential was issued, if the use tells.
        applied: the offset of facts that the point had applied, if it tells.
        address, user_agent: where the use came from, if it tells.
    """

    source: str
    event_id: str | None
    event_type: str
    occurred_at: int | None
    identifiers: tuple[Identifier, ...]
    offset: int
    outcome: Outcome | None
    parents: tuple[Parent, ...] = ()
    owner: str | None = None
    actor: tuple[Identifier, ...] = ()
    scope: tuple[str, ...] | None = None
    expires_at: int | None = None
    reason: str | None = None
    point: str = ""
    ties: tuple[Tie, ...] = ()
    issued_at: int | None = None
    applied: int | None = None
    address: str | None = None
    user_agent: str | None = None

    @property
    def effect(self) -> str:
        """``deny`` for a refused presentation, else ``use``."""
        return "deny" if self.outcome == "denied" else "use"


class DeadLetter(NamedTuple):
    """Bytes that no one could read, without the bytes.

    Attributes:
        reason: a constant code and what to do, ``code: explanation``.
        offset: where the bytes start in the input.
        length: how many there are.
        digest: keyed hash in hex, empty where there is no key.
        pieces: how many this stands for, all of one source and reason; offset,
            length, digest and event are those of the first.
        span: from the offset of the first to that of the last.
        actor: identifiers of whoever made the call, of an event that could be read.
        stated: the reason that the event itself gives.
    """

    source: str
    offset: int
    length: int
    reason: str
    event_id: str | None = None
    event_type: str | None = None
    occurred_at: int | None = None
    digest: str = ""
    pieces: int = 1
    span: int = 0
    actor: tuple[Identifier, ...] = ()
    stated: str | None = None


Record = Lifecycle | Access | DeadLetter
_OFFSETS: Final = {
    kind: kind._fields.index("offset") for kind in (Access, Lifecycle, DeadLetter)
}
_new: Final = tuple.__new__


def moved(record: Record, by: int) -> Record:
    """Record of an event that stands further on in its input, by so many bytes."""
    kind = type(record)
    place = _OFFSETS[kind]
    # A third of what `_replace` takes: nearly every record of a large file is moved.
    found: Record = _new(
        kind, (*record[:place], record.offset + by, *record[place + 1 :])
    )
    return found


def to_line(record: Record) -> dict[str, Any]:
    """Stable public form of a record, as ``rescind parse`` prints it."""
    if isinstance(record, DeadLetter):
        return _line("dead_letter", record, reason=record.reason)
    kind = "lifecycle" if isinstance(record, Lifecycle) else "access"
    return _line(
        kind,
        record,
        effect=record.effect,
        identifiers=[list(identifier) for identifier in record.identifiers],
        parents=[[p.kind, p.value, p.relation.value] for p in record.parents],
        owner=record.owner,
        actor=[list(identifier) for identifier in record.actor],
        scope=None if record.scope is None else list(record.scope),
        expires_at=rfc3339(record.expires_at),
        outcome=record.outcome,
        reason=record.reason,
    )


def _line(kind: str, record: Record, **values: Any) -> dict[str, Any]:
    line: dict[str, Any] = {
        "record": kind,
        "source": record.source,
        "event_id": record.event_id,
        "event_type": record.event_type,
        "effect": None,
        "occurred_at": rfc3339(record.occurred_at),
        "identifiers": [],
        "parents": [],
        "owner": None,
        "actor": [],
        "scope": None,
        "expires_at": None,
        "outcome": None,
        "reason": None,
        "offset": record.offset,
    }
    return line | values
