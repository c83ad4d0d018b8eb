"""What a person on call reads: a title, and answers to their questions.

Who acted, whose is it, when and from where, why, and what to do now. Every text comes
from a log that somebody else wrote, so it is shown without control characters and cut
to a length.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agents_registry.identifiers import VOCABULARY, Identifier, NodeClass
from streams.model.findings import POSTURE, SUMMARY, FindingKind, source_still_honours
from streams.model.times import SECOND, rfc3339
from streams.sinks.kind_texts import (
    NO_AGENTS,
    NOUNS,
    OURS,
    REMARKS,
    TITLES,
    UNKNOWN_AGENT,
    UNKNOWN_OWNER,
    UNKNOWN_OWNERS,
    UNKNOWN_SPEAKER,
    WHY_MANY,
    remedy_of,
)
from streams.stages.access.agent_kinds import is_agent
from streams.stages.sentinel.evidence import SOURCE
from streams.stages.sentinel.messages import detail, sentence

if TYPE_CHECKING:
    from streams.model.findings import Finding

SHOWN: Final = 120
_MANY: Final = 20 * SHOWN  # bytes of the names in a summary
_LONGEST: Final = 300  # bytes of an identifier, all of it
_EVENTS: Final = 5  # ids of events that are shown
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400

_ENDED: Final = {
    "revoke": "revoked",
    "suspend": "suspended",
    "narrow": "narrowed",
    "not_before": "ended",
}
_USES: Final = frozenset({
    FindingKind.USE_AFTER_REVOCATION, FindingKind.BLOCKED_ATTEMPT,
    FindingKind.SOURCE_DELAY, FindingKind.IN_FLIGHT, FindingKind.UNKNOWN_CREDENTIAL,
    FindingKind.ENFORCEMENT_FAILURE, FindingKind.ENFORCEMENT_LAG,
    FindingKind.SCOPE_VIOLATION,
})  # fmt: skip
# Uses of what nobody ended.
_UNENDED: Final = {FindingKind.UNKNOWN_CREDENTIAL, FindingKind.SCOPE_VIOLATION}
# Statements: who said something is who acted.
_SAID: Final = {
    FindingKind.UNAUTHORISED: "about",
    FindingKind.BLAST_LIMIT: "who ordered the end of",
}
# Their reason stands in the detail, and nobody gave one.
_POSTURE_OR_SOURCE: Final = POSTURE | frozenset({
    FindingKind.UNAUTHORISED, FindingKind.SOURCE_SILENT, FindingKind.SOURCE_STOPPED,
    FindingKind.SOURCE_GAP, FindingKind.UNMAPPED_SUBJECT, FindingKind.ID_COLLISION,
    FindingKind.OVER_QUOTA, FindingKind.UNKNOWN_AGENT, FindingKind.SCOPE_VIOLATION,
    FindingKind.TEST,
})  # fmt: skip
# Their point is a part of Rescind, or none.
_PLACELESS: Final = POSTURE | {FindingKind.BLAST_LIMIT}


def shown(text: str, size: int = SHOWN) -> str:
    """Give a text from outside as it may be shown: printable, at most ``size`` bytes.

    Bytes of UTF-8, and three more for the ellipsis that stands for what was cut.
    """
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    cut = clean.encode(errors="replace")[:size].decode(errors="ignore")
    return cut if len(cut) == len(clean) else cut + "…"


def kind_title(kind: FindingKind) -> str:
    """Give a kind as people say it."""
    return TITLES[kind]


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
        "point": place(finding),
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
        "events": ", ".join(shown(each) for each in finding.event_ids[:_EVENTS]),
    }
    return {name: text for name, text in found.items() if text}


def title(finding: Finding) -> str:
    """Give a line that tells findings apart in a list: what, where, who."""
    if finding.presented.kind == SUMMARY:
        realm = shown(finding.realm)
        return f"{TITLES[finding.kind]}: {finding.count:,} at once in {realm}"
    used = finding.kind in _USES and finding.point
    point = f" at {shown(finding.point)}" if used else ""
    named = agent(finding)
    by = f"{shown(str(named))}, " if named not in (None, finding.presented) else ""
    return f"{TITLES[finding.kind]}{point}: {by}{shown(str(finding.presented))}"


def place(finding: Finding) -> str:
    """Give the enforcement point of a use, or the source that told of something."""
    return "" if finding.kind in _PLACELESS else shown(finding.point)


def is_use(finding: Finding) -> bool:
    """Tell whether a finding is about something that was presented at its point."""
    return finding.kind in _USES


def speaker(finding: Finding) -> str:
    """Give who made the statement that a finding is about; "" for one of another."""
    return shown(finding.ended_by or "") if finding.kind in _SAID else ""


def message(finding: Finding) -> str:
    """Give the alert in words, as one text."""
    return " | ".join(lines(finding))


def lines(finding: Finding) -> list[str]:
    """Give the alert in lines: what happened, then an answer to each question.

    Who acted; whose that is; when and from where; why (who ended it, when, for which
    reason); what to do now. What no source tells is said to be unknown.
    """
    if finding.presented.kind == SUMMARY:
        return _together(finding)
    answers = {
        "Who": _who(finding),
        "Owner": _owner(finding),
        "When": _when(finding),
        "From": _from(finding),
        "Why": _why(finding),
        "Now": remedy(finding),
    }
    told = [f"{question}: {text}" for question, text in answers.items() if text]
    return [_what_happened(finding), *told]


def remedy(finding: Finding) -> str:
    """Say what to do; empty where nothing is to be done."""
    name = str(finding.presented)
    text = remedy_of(finding.kind, finding.presented.kind, detail(finding))
    return text.format(
        it=shown(name),
        id=shlex.quote(shown(name, _LONGEST)),
        point=shown(finding.point) or "the enforcement point",
    )


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


def _subject(finding: Finding) -> str:
    """Name who acted, as a sentence says it."""
    named = principal(finding)
    if named is None:
        return "an unknown agent"
    kind = "agent " if is_agent(named.kind) else ""
    return f"{kind}{shown(named.value)}"


def _what(finding: Finding) -> str:
    presented = finding.presented
    noun = presented.kind.rpartition(".")[2].replace("_", " ")
    return NOUNS.get(presented.kind, f"the {noun} {shown(presented.value)}")


def _what_happened(finding: Finding) -> str:
    if finding.presented.kind == "realm":
        return f"{_parts_of_list(finding)[0]}."
    if finding.kind not in _USES:
        return f"{_sentence(shown(sentence(finding), 4 * SHOWN))}."
    point = shown(finding.point) or "An unnamed enforcement point"
    verb = "refused" if finding.kind is FindingKind.BLOCKED_ATTEMPT else "accepted"
    text = f"{point} {verb} {_what(finding)} of {_subject(finding)}"
    if finding.count > 1:
        text += f" {finding.count} times"
    text += _after(finding)
    if finding.late_by == SOURCE and finding.told_at is not None:
        text += f", and before its source reported that at {moment(finding.told_at)}"
    text += REMARKS.get(finding.kind, "") + "."
    ended = finding.path[-1] if finding.path else None
    if source_still_honours(finding.kind, finding.cause_effect, ended):
        text += " Its source still honours it; it is denied on purpose."
    return text


def _after(finding: Finding) -> str:
    """Say how long after which end the last use was."""
    if finding.kind in _UNENDED:
        return ""
    verb = _ENDED.get(finding.cause_effect or "", "ended")
    what = "it"
    if finding.via == "ancestor" and finding.path:
        what = f"its ancestor {shown(str(finding.path[-1]))}"
    last = " the last" if finding.count > 1 else ""
    if finding.cause_at is None or finding.last_seen < finding.cause_at:
        return f", although {what} was {verb}"
    since = span(finding.last_seen - finding.cause_at)
    return f",{last} {since} after {what} was {verb}"


def _who(finding: Finding) -> str:
    """Name who acted, and with what; or whom a statement came from."""
    presented = shown(str(finding.presented))
    if finding.kind in _SAID:
        by = speaker(finding) or UNKNOWN_SPEAKER
        return f"{by}, {_SAID[finding.kind]} {presented}"
    if finding.kind is FindingKind.TEST:
        return "an operator, with `rescind alerts test`"
    if finding.presented.kind == "realm":
        return _parts_of_list(finding)[1]
    if finding.presented.kind in NO_AGENTS:
        return presented
    named = principal(finding)
    if named == finding.presented:
        return presented
    who = UNKNOWN_AGENT if named is None else shown(str(named))
    return f"{who}, with {presented}"


def _owner(finding: Finding) -> str:
    owner, kind = shown(finding.owner or ""), finding.kind
    if kind is FindingKind.TEST:
        return ""
    if kind is FindingKind.OWNERLESS:
        return f"none any more; it was {owner}" if owner else "none"
    about = kind.value if kind.value in UNKNOWN_OWNERS else finding.presented.kind
    return owner or UNKNOWN_OWNERS.get(about, UNKNOWN_OWNER)


def _when(finding: Finding) -> str:
    first, last = moment(finding.first_seen), moment(finding.last_seen)
    when = first if first == last else f"{first} to {last}"
    if finding.kind in _USES or finding.count == 1:
        return f"found at {when}" if finding.kind in POSTURE else when
    return f"{when}, {finding.count} times"


def _from(finding: Finding) -> str:
    """Say where a use came from, or who reported what."""
    kind = finding.kind
    if kind in _USES or kind is FindingKind.UNKNOWN_AGENT:
        address = shown(finding.address or "") or "unknown address (the log tells none)"
        client = shown(finding.user_agent or "") or "unknown (the log tells none)"
        last = "last " if finding.count > 1 else ""
        return f"{last}{address}, user agent {client}"
    if kind in OURS:
        return OURS[kind]
    events = ", ".join(shown(each) for each in finding.event_ids[:_EVENTS])
    events = f"event {events}" if events else ""
    return " of ".join(filter(None, (events, place(finding))))


def _why(finding: Finding) -> str:
    """Say who ended what, when and for which reason; or what is wrong."""
    parts = [_end(finding)]
    if finding.kind in _USES and finding.kind not in _UNENDED:
        return parts[0]
    if finding.kind is FindingKind.UNKNOWN_CREDENTIAL:
        return "Nothing ended it, but no source has declared it."
    if finding.presented.kind == "realm":
        return "No source has declared any of them."
    told = shown(detail(finding), 4 * SHOWN).rstrip(".").removeprefix("unauthorised: ")
    if told:
        told = f"{_sentence(told)}."
        parts = [told, *parts] if finding.kind in POSTURE else [*parts, told]
    if finding.cause_at is None and finding.kind not in _POSTURE_OR_SOURCE:
        by = "" if finding.kind in _SAID else shown(finding.ended_by or "")
        parts += [f"Reported by {by}." if by else "", _reason(finding)]
    return " ".join(filter(None, parts))


def _sentence(text: str) -> str:
    """Begin a text with a capital, unless it begins with a name."""
    first = text.partition(" ")[0].rstrip(",")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def _parts_of_list(finding: Finding) -> tuple[str, str]:
    """Give what a finding on all agents of a realm says, and their names."""
    said, _, names = finding.message.partition(": ")
    return shown(said), shown(names.partition("; ")[0], _MANY)


def _end(finding: Finding) -> str:
    """Say what was ended, when, by whom and why; empty where nothing was."""
    if finding.cause_at is None:
        return ""
    what = finding.path[-1] if finding.path else finding.presented
    verb = _ENDED.get(finding.cause_effect or "", "ended")
    by = shown(finding.ended_by or "") or "unknown (its source names nobody)"
    text = f"{shown(str(what))} was {verb} at {moment(finding.cause_at)} by {by}."
    if finding.late_by == SOURCE and finding.told_at is not None:
        late = span(finding.told_at - finding.cause_at)
        text += f" Its source reported that {late} later."
    return f"{text} {_reason(finding)}"


def _reason(finding: Finding) -> str:
    reason = shown(finding.reason or "", 2 * SHOWN)
    return f"Reason: {reason or 'unknown (none was given)'}."


def _together(finding: Finding) -> list[str]:
    """Say in lines what stands for many findings of a kind."""
    kind = TITLES[finding.kind]
    owner = shown(finding.owner or "")
    first, last = moment(finding.first_seen), moment(finding.last_seen)
    return [
        f"{kind}: {finding.count:,} findings began together in {shown(finding.realm)}.",
        f"Who: {shown(finding.message, _MANY)}",
        f"Owner: {owner or 'several, or unknown; each finding names its own'}",
        f"When: found {f'at {first}' if first == last else f'{first} to {last}'}",
        f"Why: {WHY_MANY.get(finding.kind, kind)}.",
        f"Now: {remedy(finding)}",
    ]
