"""Kinds of findings by what their alerts have in common."""

from __future__ import annotations

from typing import Final

from streams.model.findings import POSTURE, FindingKind

USES: Final = frozenset({
    FindingKind.USE_AFTER_REVOCATION, FindingKind.BLOCKED_ATTEMPT,
    FindingKind.SOURCE_DELAY, FindingKind.IN_FLIGHT, FindingKind.UNKNOWN_CREDENTIAL,
    FindingKind.ENFORCEMENT_FAILURE, FindingKind.ENFORCEMENT_LAG,
    FindingKind.SCOPE_VIOLATION,
})  # fmt: skip
# Uses of what nobody ended.
UNENDED: Final = {FindingKind.UNKNOWN_CREDENTIAL, FindingKind.SCOPE_VIOLATION}
# Statements: who said something is who acted.
SAID: Final = {
    FindingKind.UNAUTHORISED: "about",
    FindingKind.BLAST_LIMIT: "who ordered the end of",
}
# They tell of an order, mostly of an end, that is not in force.
ORDERED: Final = frozenset({
    FindingKind.REVOCATION_NOT_APPLIED, FindingKind.UNMAPPED_SUBJECT,
})  # fmt: skip
# Their reason stands in the detail, and nobody gave one.
POSTURE_OR_SOURCE: Final = POSTURE | frozenset({
    FindingKind.UNAUTHORISED, FindingKind.SOURCE_SILENT, FindingKind.SOURCE_STOPPED,
    FindingKind.SOURCE_GAP, FindingKind.ID_COLLISION, FindingKind.OVER_QUOTA,
    FindingKind.UNKNOWN_AGENT, FindingKind.SCOPE_VIOLATION,
    FindingKind.CONTAINMENT, FindingKind.NOT_ENDED_AT_ISSUER, FindingKind.TEST,
})  # fmt: skip
# Their times are those at which they were found.
FOUND: Final = POSTURE | {
    FindingKind.SOURCE_SILENT,
    FindingKind.SOURCE_STOPPED,
    FindingKind.SOURCE_GAP,
    FindingKind.UNMAPPED_SUBJECT,
    FindingKind.ID_COLLISION,
    FindingKind.OVER_QUOTA,
    FindingKind.CLOSURE_PARTIAL,
    FindingKind.CONTAINMENT,
    FindingKind.NOT_ENDED_AT_ISSUER,
}
# Their point is the source that told of them; of statements the format they came in.
TOLD: Final = {
    FindingKind.LEAK: "source",
    FindingKind.REVOCATION_NOT_APPLIED: "source",
    FindingKind.UNAUTHORISED: "format",
}
# Their point is a part of Rescind, or none.
PLACELESS: Final = POSTURE | {
    FindingKind.BLAST_LIMIT,
    FindingKind.CONTAINMENT,
    FindingKind.NOT_ENDED_AT_ISSUER,
}
