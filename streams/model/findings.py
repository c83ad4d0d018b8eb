"""Findings: what the SOC should know, before it is written for any one tool."""

from __future__ import annotations

import hashlib
from enum import Enum, IntEnum
from typing import Final

from attrs import frozen

from agents_registry.identifiers import Identifier


class Severity(IntEnum):
    """OCSF ``severity_id``, Detection Finding 2004."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


class FindingKind(Enum):
    """What was found; DESIGN section 5 and the rules of section 2 name them."""

    # Each is there once. An enum's own hash is Python, and keys of episodes have one.
    __hash__ = object.__hash__

    USE_AFTER_REVOCATION = "use_after_revocation"
    BLOCKED_ATTEMPT = "blocked_attempt"
    SOURCE_DELAY = "source_delay"  # of earlier releases; none is made any more
    IN_FLIGHT = "in_flight"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    UNAUTHORISED = "unauthorised"
    REVOCATION_NOT_APPLIED = "revocation_not_applied"
    LIFT_AMBIGUOUS = "lift_ambiguous"
    SCOPE_ESCALATION = "scope_escalation"
    SCOPE_VIOLATION = "scope_violation"
    EXCESS_SCOPE = "excess_scope"
    OWNERLESS = "ownerless"
    SHARED_SERVICE_ACCOUNT = "shared_service_account"
    UNMAPPED = "unmapped"
    LEAK = "leak"
    SOURCE_SILENT = "source_silent"
    SOURCE_STOPPED = "source_stopped"
    SOURCE_GAP = "source_gap"
    UNMAPPED_SUBJECT = "unmapped_subject"
    ID_COLLISION = "id_collision"
    CLOSURE_PARTIAL = "closure_partial"
    ENFORCEMENT_FAILURE = "enforcement_failure"
    BLAST_LIMIT = "blast_limit"
    ENFORCEMENT_LAG = "enforcement_lag"
    UNKNOWN_AGENT = "unknown_agent"
    OVER_QUOTA = "over_quota"
    CONTAINMENT = "containment"
    NOT_ENDED_AT_ISSUER = "not_ended_at_issuer"
    TEST = "test"  # of a receiver of alerts; never written anywhere


SEVERITY: Final = {
    FindingKind.USE_AFTER_REVOCATION: Severity.HIGH,
    FindingKind.BLOCKED_ATTEMPT: Severity.MEDIUM,
    FindingKind.SOURCE_DELAY: Severity.HIGH,
    FindingKind.IN_FLIGHT: Severity.INFORMATIONAL,
    FindingKind.UNKNOWN_CREDENTIAL: Severity.MEDIUM,
    FindingKind.UNAUTHORISED: Severity.HIGH,
    FindingKind.REVOCATION_NOT_APPLIED: Severity.CRITICAL,
    FindingKind.LIFT_AMBIGUOUS: Severity.MEDIUM,
    FindingKind.SCOPE_ESCALATION: Severity.HIGH,
    FindingKind.SCOPE_VIOLATION: Severity.HIGH,
    FindingKind.EXCESS_SCOPE: Severity.LOW,
    FindingKind.OWNERLESS: Severity.MEDIUM,
    FindingKind.SHARED_SERVICE_ACCOUNT: Severity.MEDIUM,
    FindingKind.UNMAPPED: Severity.LOW,
    FindingKind.LEAK: Severity.HIGH,
    FindingKind.SOURCE_SILENT: Severity.HIGH,
    FindingKind.SOURCE_STOPPED: Severity.HIGH,
    FindingKind.SOURCE_GAP: Severity.HIGH,
    FindingKind.UNMAPPED_SUBJECT: Severity.MEDIUM,
    FindingKind.ID_COLLISION: Severity.MEDIUM,
    FindingKind.CLOSURE_PARTIAL: Severity.HIGH,
    FindingKind.ENFORCEMENT_FAILURE: Severity.CRITICAL,
    FindingKind.BLAST_LIMIT: Severity.HIGH,
    FindingKind.ENFORCEMENT_LAG: Severity.HIGH,
    FindingKind.UNKNOWN_AGENT: Severity.HIGH,
    FindingKind.OVER_QUOTA: Severity.MEDIUM,
    FindingKind.CONTAINMENT: Severity.HIGH,
    FindingKind.NOT_ENDED_AT_ISSUER: Severity.HIGH,
    FindingKind.TEST: Severity.INFORMATIONAL,  # sent past every minimum of receivers
}

# What the stage posture tells. Such a finding lasts until it is put right: it is not
# closed by silence.
POSTURE: Final = frozenset({
    FindingKind.SCOPE_ESCALATION,
    FindingKind.EXCESS_SCOPE,
    FindingKind.OWNERLESS,
    FindingKind.SHARED_SERVICE_ACCOUNT,
    FindingKind.UNMAPPED,
    FindingKind.LIFT_AMBIGUOUS,
})  # fmt: skip

# What lasts as well, and ends when a signal says so, or by what is known of the name:
# see `streams.stages.sentinel.finding_lifetime`.
LASTING: Final = frozenset({
    FindingKind.REVOCATION_NOT_APPLIED,
    FindingKind.LEAK,
    FindingKind.CLOSURE_PARTIAL,
    FindingKind.SOURCE_SILENT,
    FindingKind.SOURCE_STOPPED,
    FindingKind.UNKNOWN_AGENT,
    FindingKind.NOT_ENDED_AT_ISSUER,
})  # fmt: skip

# The kind of name of a finding that stands for many; its value is the realm.
SUMMARY: Final = "rescind.summary"

_HONOURED: Final = frozenset({"aws.role", "vault.path"})
STILL_HONOURED: Final = "source_still_honours: denied on purpose"


@frozen(kw_only=True)
class Observation:
    """What was seen of one identifier at one point; times in ns.

    Attributes:
        presented: the identifier that it is about, as it was seen.
        point: the enforcement point, empty where there is none.
        via: ``direct`` when the identifier itself ended, else ``ancestor``.
        path: from the identifier up to the one that the cause names.
        cause: hex id of the cause fact; cause_at: when it happened.
        told_at: when the cause was accepted here.
        late_by: ``source`` where every use lies before that, ``guard`` where one came
            after it and the point reports what it applied.
        ended_by: whoever ended it, as the order or the event names them: the name of
            an operator, or ``kind:value``; None where nobody is named.
        authority: whose word that is: the operators, or the system that sent it.
        reason: why, in the words of whoever that is.
        agent: that acted, as ``kind:value``.
        address, user_agent: where the last use came from.
        first_seen, last_seen: of the accesses counted.
        event_ids: the sources' ids of the accesses, at most 100.
    """

    kind: FindingKind
    presented: Identifier
    point: str = ""
    outcome: str | None = None
    via: str | None = None
    path: tuple[Identifier, ...] = ()
    cause: str | None = None
    cause_at: int | None = None
    cause_effect: str | None = None
    told_at: int | None = None
    late_by: str | None = None
    ended_by: str | None = None
    authority: str | None = None
    reason: str | None = None
    agent: str | None = None
    address: str | None = None
    user_agent: str | None = None
    owner: str | None = None
    count: int = 1
    first_seen: int
    last_seen: int
    event_ids: tuple[str, ...] = ()


@frozen(kw_only=True)
class Finding(Observation):
    """One open episode: a kind of finding about one identifier at one point.

    Attributes:
        id: the same for every update of the episode.
        related: ids of findings about other names of the same credential, or about
            the same uses.
        message: one sentence for a person.
    """

    id: str
    severity: Severity
    realm: str
    related: tuple[str, ...] = ()
    message: str


def episode_id(
    realm: str,
    presented: Identifier,
    kind: FindingKind,
    point: str,
    *,
    reopened: int = 0,
    day: int | None = None,
) -> str:
    """Stable id of an episode (32 hex digits).

    Args:
        realm: whose it is.
        presented: the identifier that it is about.
        kind: of finding.
        point: the enforcement point, empty where there is none.
        reopened: how many episodes are known that were before.
        day: in which it was opened, where earlier ones may be forgotten.
    """
    count = str(reopened) if day is None else f"{reopened}/{day}"
    text = "\0".join((realm, *presented, kind.value, point, count))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def source_still_honours(
    kind: FindingKind, cause_effect: str | None, ended: Identifier | None
) -> bool:
    """Whether Rescind denies on purpose a use that its source still allows.

    The end of these names is one that their system does not pass on: sessions of a
    deleted role and batch logins of a disabled mount work until they expire.

    Args:
        kind: of the finding.
        cause_effect: of the cause.
        ended: the identifier that the cause names.
    """
    return (
        kind is FindingKind.USE_AFTER_REVOCATION
        and cause_effect == "not_before"
        and ended is not None
        and ended.kind in _HONOURED
    )
