"""Put the lineage that most records of a log state into the table of a hunt.

What a record states are its facts (`facts_of`). To make and merge them takes most of
the time of a record that states who holds what and no more; here it is merged without
them. Whatever else a record says is left to its facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from agents_registry.lineage import KNOWN
from streams.model.records import Access
from streams.stages.ingest.ingress import REISSUED_KINDS, shown_names

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from agents_registry.lineage import Lineage
    from agents_registry.registry import Registry
    from streams.model.records import Lifecycle
    from streams.stages.ingest.ingress import Origin


def state_lineage(
    registry: Registry, record: Lifecycle | Access, origin: Origin
) -> bool:
    """Merge what a record states, as its facts do; nothing where it states more.

    Args:
        registry: a table that nobody has asked yet, and in which nothing was withdrawn.
        record: of a log.
        origin: where it came from.

    Returns:
        Whether it was merged.
    """
    if len(record.identifiers) != 1 or not _is_plain(registry):
        return False
    lineage = registry.lineage
    if isinstance(record, Access):
        if record.outcome == "denied":
            return True  # a refused call states nothing
        _issue(lineage, record, record.issued_at, origin, known=origin.issuer_log)
        for name in shown_names(record, origin):
            lineage.flags[lineage.intern(name)] |= KNOWN
    elif _only_issues(record):
        own = record.issued_at
        issued = record.occurred_at if own is None else own
        _issue(lineage, record, issued, origin, known=record.known)
    else:
        return False
    intern, child = lineage.intern, lineage.intern(record.identifiers[0])
    for parent in record.parents:
        # A tuple is as good, and takes a third of the time.
        lineage.link(child, intern(cast("Identifier", parent[:2])), parent.relation)
    for tie in record.ties:
        lineage.link(intern(tie.child), intern(tie.parent), tie.relation)
    registry.changes += 1
    return True


def _issue(
    lineage: Lineage,
    record: Lifecycle | Access,
    issued: int | None,
    origin: Origin,
    *,
    known: bool,
) -> None:
    node = lineage.intern(record.identifiers[0])
    if known:
        lineage.flags[node] |= KNOWN
    if issued is not None:
        lineage.issue(node, issued, origin.received_at)


def _is_plain(registry: Registry) -> bool:
    asked = registry.clearance.values
    return not (asked or registry.withdrawn or registry.distrusts)


def _only_issues(record: Lifecycle) -> bool:
    return (
        record.effect == "issue"
        and record.outcome != "denied"
        and not (record.owners or record.attributes)
        and record.expires_at is None
        and record.scope is None
        and record.labels is None
        and record.device is None
        and record.tenant is None
        and record.identifiers[0].kind not in REISSUED_KINDS
    )
