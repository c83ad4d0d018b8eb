"""What an alert says when its finding closes: what that shows, and what is left to do.

A finding closes because what it told of is so no more, or because no news of it came.
Only the first shows that something was put right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.findings import LASTING, POSTURE, SUMMARY, FindingKind
from streams.sinks.kind_groups import USES
from streams.stages.sentinel.finding_lifetime import FORGOTTEN

if TYPE_CHECKING:
    from streams.model.findings import Finding

OVER: Final = "Nothing, it is over."
_QUIET: Final = (
    "No news came for an hour (or for what `sentinel.silence` sets). That does not "
    "show that anybody handled it."
)
_FORGOTTEN: Final = (
    "It closed without a sign that it was put right: the last news is 30 days old. If "
    "nobody has done what the alert said, do it still."
)
_DENIED: Final = (
    "Rescind denies {it}. Points without a guard may accept it still: unless somebody "
    "has, end it at the system that issued it, and look at its uses."
)
_EVENTS_AGAIN: Final = (
    "Events of {it} come again. Look for a finding source_gap, and ask the operators "
    "of {it} whether it sent what happened meanwhile."
)
CHECKS: Final = {
    FindingKind.BLAST_LIMIT: (
        "`rescind approvals list` shows whether the order waits still, `rescind why "
        "{id}` whether {it} is denied. Unless somebody has, ask whether the order was "
        "meant."
    ),
    FindingKind.UNAUTHORISED: (
        "Unless somebody has, ask whoever administers Rescind whether {by} may say "
        "that, or whether its credential was stolen."
    ),
    FindingKind.SOURCE_GAP: (
        "The events are still missing: what ended in that time may be accepted. Unless "
        "somebody has, compare what is active at {it} with `rescind inventory` and "
        "`rescind audit export`."
    ),
    FindingKind.UNMAPPED_SUBJECT: (
        "Nothing was denied for that change. Unless somebody has, look up the event at "
        "{value}, and revoke what it ended."
    ),
    FindingKind.ID_COLLISION: (
        "Both contents still count. Unless somebody has, find out at {value} which of "
        "them is true."
    ),
    FindingKind.OVER_QUOTA: (
        "What was refused is not taken in before its sender repeats it: `rescind "
        "sources` counts it. Unless somebody has, find out what {value} sent."
    ),
    FindingKind.CONTAINMENT: (
        "`rescind why {id}` shows whether {it} is still denied. Unless somebody has, "
        "look at the finding that the rule {point} acted on."
    ),
}
_PUT_RIGHT: Final = {
    FindingKind.LEAK: _DENIED,
    FindingKind.REVOCATION_NOT_APPLIED: _DENIED,
    FindingKind.CLOSURE_PARTIAL: (
        "No guard is late with it any more. What {it}, and all that ended with it, did "
        "until then is still to be looked at, unless somebody has. Lift the blocks."
    ),
    FindingKind.SOURCE_SILENT: _EVENTS_AGAIN,
    FindingKind.SOURCE_STOPPED: _EVENTS_AGAIN,
    FindingKind.NOT_ENDED_AT_ISSUER: (
        "Probes found it dead there, or what ended it was taken back. Unless somebody "
        "has, look at what it did until then where no guard stands."
    ),
}
_OF_LEASE: Final = (
    "The vault has this lease no more. Only the system of its account shows whether "
    "the account is gone: unless somebody has, look there."
)
# Nobody has put anything right by that.
_UNUSED: Final = (
    "No further use was seen for a while. What it did until then is still to be looked "
    "at, unless somebody has."
)


_CLOSES: Final = {
    FindingKind.UNKNOWN_CREDENTIAL: "an hour after its last use, handled or not",
    FindingKind.SCOPE_VIOLATION: "an hour after its last use, handled or not",
    FindingKind.UNKNOWN_AGENT: "when it is declared, or 30 days after its last use",
    FindingKind.LEAK: "when Rescind denies {it} for good",
    FindingKind.REVOCATION_NOT_APPLIED: "when Rescind denies {it} for good",
}


def closes(finding: Finding) -> str:
    """Say when an alert closes, where nobody has to have handled it; or "".

    Times are the defaults of ``sentinel.silence`` and `FORGOTTEN`.
    """
    kind, about = finding.kind, finding.presented.kind
    when = _CLOSES.get(kind, "")
    if kind is FindingKind.REVOCATION_NOT_APPLIED and about == "source":
        when = "30 days after its last event, handled or not"
    elif about.startswith("vault.lease") or about in {SUMMARY, "realm"}:
        when = ""
    elif not when and not shows_an_end(kind):
        when = "an hour after the last news, handled or not"
        if kind in USES and kind is not FindingKind.BLOCKED_ATTEMPT:
            when = (
                "an hour after the last use; it is over only when a test at {point} "
                "is refused"
            )
    return f"This alert closes {when}." if when else ""


def shows_an_end(kind: FindingKind) -> bool:
    """Whether a finding of this kind closes because what it told of is so no more."""
    return kind in POSTURE or kind in LASTING or kind is FindingKind.TEST


def closing(finding: Finding, now: int) -> str:
    """Say what is left to do after the end of a finding, to be formatted.

    Args:
        finding: as it closed.
        now: when it did (ns).
    """
    kind = finding.kind
    if kind in USES:
        return _UNUSED
    if not shows_an_end(kind):
        return f"{_QUIET} {CHECKS[kind]}"
    if kind in LASTING and now - finding.last_seen >= FORGOTTEN:
        return _FORGOTTEN
    if finding.presented.kind in {SUMMARY, "source"} and kind not in {
        FindingKind.SOURCE_SILENT, FindingKind.SOURCE_STOPPED,
    }:  # fmt: skip
        return OVER
    if finding.presented.kind.startswith("vault.lease") and kind in _PUT_RIGHT:
        return _OF_LEASE
    return _PUT_RIGHT.get(kind, OVER)
