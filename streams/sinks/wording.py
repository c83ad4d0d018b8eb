"""What a person on call reads: a title, a sentence, and what to do.

Every text comes from a log that somebody else wrote, so it is shown without control
characters and cut to a length.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from streams.findings import SUMMARY, FindingKind, source_still_honours
from streams.stages.agent_kinds import is_agent
from streams.stages.kinds import SOURCE
from streams.times import SECOND, rfc3339

if TYPE_CHECKING:
    from streams.findings import Finding

SHOWN: Final = 120
_MANY: Final = 20 * SHOWN  # bytes of the names in a summary
_LISTED: Final = "`rescind findings` lists them all; they are not told one by one."
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400

_NOUNS: Final = {
    "aws.access_key": "an access key",
    "aws.login_profile": "a console login",
    "jwt.jti": "a token",
    "secret": "a secret",
    "session.id": "a session",
    "vault.accessor": "a token",
    "vault.token_hmac": "a token",
    "vault.lease": "a lease",
    "vault.lease_hmac": "a lease",
    "vault.secret_id_accessor": "a secret id",
}
_ENDED: Final = {
    "revoke": "revoked",
    "suspend": "suspended",
    "narrow": "narrowed",
    "not_before": "ended",
}
_TITLES: Final = {
    FindingKind.USE_AFTER_REVOCATION: "Dead credential still accepted",
    FindingKind.BLOCKED_ATTEMPT: "Dead credential still presented",
    FindingKind.SOURCE_DELAY: "Credential used before its end was reported",
    FindingKind.IN_FLIGHT: "Request was in flight when its credential ended",
    FindingKind.UNKNOWN_CREDENTIAL: "Unknown credential in use",
    FindingKind.UNAUTHORISED: "Statement from a source without authority",
    FindingKind.REVOCATION_NOT_APPLIED: "Revocation not applied",
    FindingKind.LIFT_AMBIGUOUS: "Suspension kept: its lift is ambiguous",
    FindingKind.SCOPE_ESCALATION: "Child declares more scope than its parent",
    FindingKind.SCOPE_VIOLATION: "Accepted beyond its scope",
    FindingKind.EXCESS_SCOPE: "More scope than is used",
    FindingKind.OWNERLESS: "No living owner",
    FindingKind.SHARED_SERVICE_ACCOUNT: "Account that several agents share",
    FindingKind.UNMAPPED: "Parent that nobody declared",
    FindingKind.LEAK: "Credential reported as leaked",
    FindingKind.SOURCE_SILENT: "Silent source",
    FindingKind.SOURCE_STOPPED: "Stream stopped by its transmitter",
    FindingKind.SOURCE_GAP: "Events of a source may be missing",
    FindingKind.UNMAPPED_SUBJECT: "Change of a subject that cannot be named",
    FindingKind.ID_COLLISION: "One event id with two contents",
    FindingKind.CLOSURE_PARTIAL: "Revocation not enforced everywhere in time",
    FindingKind.ENFORCEMENT_FAILURE: "Guard allows what it knows to be dead",
    FindingKind.BLAST_LIMIT: "Revocation reaches more than its authority should",
    FindingKind.ENFORCEMENT_LAG: "Guard lags: dead credential still accepted",
    FindingKind.UNKNOWN_AGENT: "Agent that nobody declared",
    FindingKind.OVER_QUOTA: "Authority over its quota",
    FindingKind.TEST: "Test of alerts, nothing happened",
}
_ADOPT: Final = (
    "Declare those that are yours with `rescind adopt access-log LOG` or "
    "`rescind adopt FILE`; `rescind inventory` lists them all."
)
_REMEDIES: Final = {
    FindingKind.USE_AFTER_REVOCATION: (
        "Block {it} at {point}, find out why it was accepted, and treat what it did "
        "since as unauthorised."
    ),
    FindingKind.BLOCKED_ATTEMPT: (
        "Find who still holds {it}: a job that was not updated, or a thief."
    ),
    FindingKind.SOURCE_DELAY: "Ask why the source reported the end so late.",
    FindingKind.UNKNOWN_AGENT: (
        "Find the owner of {it}, and adopt it with `rescind adopt` or revoke it."
    ),
    FindingKind.UNKNOWN_CREDENTIAL: "Find the owner of {it}; adopt it or revoke it.",
    FindingKind.UNAUTHORISED: "Check the ingress key and the grants of the source.",
    FindingKind.REVOCATION_NOT_APPLIED: (
        "Revoke the target by hand now; its event could not be read or resolved."
    ),
    FindingKind.LIFT_AMBIGUOUS: "If {it} may work again, lift its suspension again.",
    FindingKind.SCOPE_ESCALATION: "Narrow {it}, or widen its parent on purpose.",
    FindingKind.SCOPE_VIOLATION: (
        "Have {point} check scopes, and look at what {it} did there."
    ),
    FindingKind.EXCESS_SCOPE: "Take from {it} what it does not use.",
    FindingKind.OWNERLESS: "Give {it} an owner, or retire it.",
    FindingKind.SHARED_SERVICE_ACCOUNT: (
        "Give each agent an account of its own, so that one can be ended alone."
    ),
    FindingKind.UNMAPPED: "Connect the source that issues the parent of {it}.",
    FindingKind.LEAK: "Revoke {it} now.",
    FindingKind.SOURCE_SILENT: "Look at the transmitter of {it}, and at the way to us.",
    FindingKind.SOURCE_STOPPED: "Ask the owner of {it} to let its stream flow again.",
    FindingKind.SOURCE_GAP: "Compare what {it} has ended since with what is denied.",
    FindingKind.UNMAPPED_SUBJECT: (
        "Look the named events up at {it}, and revoke by hand what they ended."
    ),
    FindingKind.ID_COLLISION: (
        "Find which of the two logs of {it} was copied, edited or set up twice."
    ),
    FindingKind.CLOSURE_PARTIAL: (
        "Bring the named guards back or stop what they guard; `rescind guards` shows "
        "them, and removes one that is gone for good."
    ),
    FindingKind.ENFORCEMENT_FAILURE: (
        "Stop what {point} guards, keep its logs, and report the defect."
    ),
    FindingKind.BLAST_LIMIT: (
        "Ask the authority whether it meant that. If it is held, decide with `rescind "
        "approvals`; if it is enforced and wrong, `rescind withdraw` it."
    ),
    FindingKind.ENFORCEMENT_LAG: (
        "See with `rescind guards` which guard of {point} is behind, bring it back or "
        "stop what it guards, and treat what {it} did since as unauthorised."
    ),
    FindingKind.OVER_QUOTA: (
        "Find out what {it} sends: a bulk load, a loop, or a key in wrong hands. "
        "`rescind distrust` takes back what a stolen key said."
    ),
    FindingKind.TEST: "Nothing is to be done.",
}


def shown(text: str, size: int = SHOWN) -> str:
    """Give a text from outside as it may be shown: printable, at most ``size`` bytes.

    Bytes of UTF-8, and three more for the ellipsis that stands for what was cut.
    """
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    cut = clean.encode(errors="replace")[:size].decode(errors="ignore")
    return cut if len(cut) == len(clean) else cut + "…"


def kind_title(kind: FindingKind) -> str:
    """Give a kind as people say it."""
    return _TITLES[kind]


def details(finding: Finding) -> dict[str, str]:
    """Give what a finding says as short texts by their names; empty ones are left out.

    For tools that show names with values. Times are RFC 3339; ``path`` is shown from
    what was presented up to what was ended.
    """
    path = finding.path if len(finding.path) > 1 else ()
    found = {
        "severity": finding.severity.name.lower(),
        "kind": finding.kind.value,
        "realm": finding.realm,
        "identifier": shown(str(finding.presented)),
        "point": shown(finding.point),
        "outcome": finding.outcome,
        "agent": shown(finding.agent or ""),
        "owner": shown(finding.owner or ""),
        "address": shown(finding.address or ""),
        "user_agent": shown(finding.user_agent or ""),
        "via": finding.via,
        "path": shown(" < ".join(str(name) for name in path), 4 * SHOWN),
        "cause": finding.cause,
        "ended": rfc3339(finding.cause_at),
        "ended_by": shown(finding.ended_by or ""),
        "reason": shown(finding.reason or "", 2 * SHOWN),
        "told": rfc3339(finding.told_at),
        "late": finding.late_by,
        "first_seen": rfc3339(finding.first_seen),
        "last_seen": rfc3339(finding.last_seen),
        "count": str(finding.count),
        "related": ", ".join(finding.related),
    }
    return {name: text for name, text in found.items() if text}


def title(finding: Finding) -> str:
    """Give a line that tells findings apart in a list."""
    if finding.presented.kind == SUMMARY:
        realm = shown(finding.realm)
        return f"{_TITLES[finding.kind]}: {finding.count:,} at once in {realm}"
    point = f" at {shown(finding.point)}" if finding.point else ""
    return f"{_TITLES[finding.kind]}{point}: {shown(str(finding.presented))}"


def message(finding: Finding) -> str:
    """Give the alert in words, as one text."""
    return " ".join(lines(finding))


def lines(finding: Finding) -> list[str]:
    """Give the alert in up to five lines.

    Who did what; with which credential, when and from where; who ended it, when and
    why; whose it is; what to do.
    """
    if finding.presented.kind == SUMMARY:
        return [_together(finding), remedy(finding), _LISTED]
    parts = [_SENTENCES.get(finding.kind, _as_found)(finding)]
    ended = finding.path[-1] if finding.path else None
    if source_still_honours(finding.kind, finding.cause_effect, ended):
        parts[0] += " Its source still honours it; it is denied on purpose."
    if finding.kind in _SENTENCES:
        parts += [_evidence(finding), _end(finding)]
    if finding.owner:
        parts.append(f"Its owner is {shown(finding.owner)}.")
    parts.append(remedy(finding))
    return [part for part in parts if part]


def remedy(finding: Finding) -> str:
    """Say what to do; empty where nothing is to be done."""
    point = shown(finding.point) or "the enforcement point"
    if finding.kind is FindingKind.UNKNOWN_AGENT and finding.presented.kind == "realm":
        return _ADOPT  # its list may be cut
    text = _REMEDIES.get(finding.kind, "")
    many = finding.presented.kind == SUMMARY
    it = "each of them" if many else shown(str(finding.presented))
    return text.format(it=it, point=point)


def agent(finding: Finding) -> Identifier | None:
    """Give the agent that the credential belongs to, as line, path or facts tell."""
    on_path = next((i for i in _known(finding) if is_agent(i.kind)), None)
    if on_path is None and finding.agent is not None:
        return Identifier.parse(finding.agent)
    return on_path


def principal(finding: Finding) -> Identifier | None:
    """Give the nearest principal on the path, an agent first."""
    named = (
        i for i in _known(finding) if VOCABULARY.get(i.kind) is NodeClass.PRINCIPAL
    )
    return agent(finding) or next(named, None)


def moment(time: int) -> str:
    """Give a time of nanoseconds as people write it: 2026-03-02 09:20:30 UTC."""
    return f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(time: int) -> str:
    """Give a span of nanoseconds as people say it: 42 s, 3 min, 5 h, 2 d."""
    seconds = time // SECOND
    for unit, name, limit in (
        (1, "s", 2 * _MINUTE),
        (_MINUTE, "min", 2 * _HOUR),
        (_HOUR, "h", 2 * _DAY),
    ):
        if seconds < limit:
            return f"{seconds // unit} {name}"
    return f"{seconds // _DAY} d"


def _known(finding: Finding) -> tuple[Identifier, ...]:
    return (finding.presented, *finding.path)


def _who(finding: Finding, *, capital: bool = True) -> str:
    named = principal(finding)
    if named is None:
        return "Somebody" if capital else "somebody"
    if is_agent(named.kind):
        return f"{'Agent' if capital else 'agent'} {shown(named.value)}"
    return shown(named.value)


def _what(finding: Finding) -> str:
    presented = finding.presented
    noun = presented.kind.rpartition(".")[2].replace("_", " ")
    return _NOUNS.get(presented.kind, f"the {noun} {shown(presented.value)}")


def _with(finding: Finding) -> str:
    """Say what was presented and how it ended: a token revoked 42 s ago."""
    what = _what(finding)
    verb = _ENDED.get(finding.cause_effect or "", "ended")
    when = ""
    if finding.cause_at is not None and finding.last_seen >= finding.cause_at:
        since = finding.last_seen - finding.cause_at
        when = f" {span(since)} ago" if since >= SECOND else " just before"
    if finding.via == "ancestor" and finding.path:
        return f"{what} whose ancestor {shown(str(finding.path[-1]))} was {verb}{when}"
    return f"{what} {verb}{when}"


def _times(finding: Finding) -> str:
    return f" {finding.count} times so far," if finding.count > 1 else ""


def _called(finding: Finding) -> str:
    point = f"called {shown(finding.point)}" if finding.point else "got through"
    return f"{point}{_times(finding)}"


def _evidence(finding: Finding) -> str:
    """Say what was presented, when, and from where."""
    first, last = moment(finding.first_seen), moment(finding.last_seen)
    when = f"at {last}" if first == last else f"from {first} to {last}"
    where = f", from {shown(finding.address)}" if finding.address else ""
    with_ = f" ({shown(finding.user_agent)})" if finding.user_agent else ""
    if finding.kind is FindingKind.UNKNOWN_AGENT:  # with what stands in its message
        where = f", last from {shown(finding.address)}" if finding.address else ""
        return f"Seen {when}{where}{with_}."
    return f"Presented: {shown(str(finding.presented))}, {when}{where}{with_}."


def _end(finding: Finding) -> str:
    """Say what was ended, when, by whom and why; empty where nothing was."""
    if finding.cause_at is None:
        return ""
    what = finding.path[-1] if finding.path else finding.presented
    verb = _ENDED.get(finding.cause_effect or "", "ended")
    by = f" by {shown(finding.ended_by)}" if finding.ended_by else ""
    why = f": {shown(finding.reason, 2 * SHOWN)}" if finding.reason else ""
    text = f"{shown(str(what))} was {verb} at {moment(finding.cause_at)}{by}{why}."
    if finding.late_by == SOURCE and finding.told_at is not None:
        late = span(finding.told_at - finding.cause_at)
        text += f" Its source told of that {late} later."
    return text


def _used(finding: Finding) -> str:
    if finding.late_by == SOURCE:
        return _before_it_was_told(finding)
    return f"{_who(finding)} still {_called(finding)} with {_with(finding)}."


def _before_it_was_told(finding: Finding) -> str:
    how = f"{_who(finding)} {_called(finding)} with {_with(finding)}"
    return f"{how}, before its source reported that."


def _undeclared(finding: Finding) -> str:
    how = f"{_who(finding)} {_called(finding)} with {_what(finding)}"
    return f"{how} that no system has declared."


def _let_in(finding: Finding) -> str:
    point = shown(finding.point) or "A guard"
    who = _who(finding, capital=False)
    how = f"{point} let {who} in{_times(finding)} with {_with(finding)}"
    return f"{how}, and had applied its end."


def _let_in_late(finding: Finding) -> str:
    how = f"{_who(finding)} still {_called(finding)} with {_with(finding)}"
    return f"{how}: its guard had not applied that yet, or cannot show that it had."


def _blocked(finding: Finding) -> str:
    point = f" at {shown(finding.point)}" if finding.point else ""
    count = _times(finding)
    return f"{_who(finding)} was refused{point}{count} with {_with(finding)}."


def _together(finding: Finding) -> str:
    kind = _TITLES[finding.kind]
    first = shown(finding.message, _MANY)
    return f"{kind}: {finding.count:,} findings began together, {first}."


def _as_found(finding: Finding) -> str:
    text = shown(finding.message, 4 * SHOWN)
    return text[:1].upper() + text[1:]


_SENTENCES: Final = {
    FindingKind.USE_AFTER_REVOCATION: _used,
    FindingKind.BLOCKED_ATTEMPT: _blocked,
    FindingKind.SOURCE_DELAY: _before_it_was_told,
    FindingKind.UNKNOWN_CREDENTIAL: _undeclared,
    FindingKind.UNKNOWN_AGENT: _as_found,
    FindingKind.ENFORCEMENT_FAILURE: _let_in,
    FindingKind.ENFORCEMENT_LAG: _let_in_late,
}
