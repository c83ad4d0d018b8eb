"""What a person on call reads: a title, and answers to their questions.

Who acted, whose is it, when and from where, why, and what to do now. Every text comes
from a log that somebody else wrote, so it is shown without control characters and cut
to a length.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from streams.model.findings import POSTURE, SUMMARY, FindingKind, source_still_honours
from streams.sinks import closing_texts, ends, limit_texts, parties, summary_text
from streams.sinks.kind_groups import (
    FOUND,
    PLACELESS,
    POSTURE_OR_SOURCE,
    SAID,
    TOLD,
    UNENDED,
    USES,
)
from streams.sinks.kind_texts import (
    ABOUT_NO_AGENT,
    NO_OWNER_OF_CREDENTIAL,
    NO_OWNER_OF_REFUSED,
    OURS,
    REMARKS,
    TITLES,
    UNKNOWN_AGENT,
    UNKNOWN_ENDED,
    UNKNOWN_OWNER,
    UNKNOWN_OWNERS,
    UNKNOWN_PLACE,
    UNKNOWN_SPEAKER,
    UNSHOWN,
    days_of,
    happened,
)
from streams.sinks.nouns import NOUNS
from streams.sinks.plain_text import EVENTS, NAMES, SHOWN, cell, moment, shown, span
from streams.sinks.remedies import ITS_CREDENTIAL, ITS_CREDENTIALS, remedy_of
from streams.stages.access.agent_kinds import is_agent
from streams.stages.sentinel.acted import only_place
from streams.stages.sentinel.evidence import SOURCE
from streams.stages.sentinel.messages import SEEN, detail, sentence

if TYPE_CHECKING:
    from streams.model.findings import Finding

# As docs/security.md lists them: many who are on call have the role revoker alone.
_FOR_RESTORERS: Final = re.compile(
    r"`rescind (withdraw|distrust|lift|owners|adopt|approvals (?:approve|reject))\b"
)
# Who ends at its issuer what was only suspended cannot give it back.
_AT_ISSUER: Final = {"suspend": "suspend", "narrow": "narrow"}
_ROLE: Final = "The role restorer (or ask whoever administers Rescind) is needed for:"
_LONGEST: Final = 300  # bytes of an identifier, all of it


def kind_title(kind: FindingKind) -> str:
    """Kind as people say it."""
    return TITLES[kind]


def title(finding: Finding) -> str:
    """Line that tells findings apart in a list: what, where, who."""
    kind, presented = finding.kind, shown(str(finding.presented))
    if finding.presented.kind == SUMMARY:
        realm = shown(finding.realm)
        return f"{TITLES[kind]}: {finding.count:,} at once in {realm}"
    if kind is FindingKind.TEST:
        return TITLES[kind]
    if finding.presented.kind == "realm":
        return parts_of_list(finding)[0]
    if (
        kind is FindingKind.REVOCATION_NOT_APPLIED
        and finding.presented.kind == "source"
    ):
        return f"Revocation from {shown(finding.presented.value)} not applied"
    if by := speaker(finding):
        if finding.presented.kind == "guard":
            guard = shown(finding.presented.value)
            return f"Refused: {by} tried to register as guard {guard}"
        if kind is FindingKind.UNAUTHORISED:
            return f"{TITLES[kind]}: {by} about {presented}"
        held = "held" if detail(finding).startswith("held") else "in force"
        over = f"over {limit_texts.limit(finding)}"
        return f"{by} ordered the end of {presented}, {over}: {held}"
    used = finding.kind in USES and finding.point
    point = f" at {shown(finding.point)}" if used else ""
    named = parties.agent(finding)
    by = f"{shown(str(named))}, " if named not in (None, finding.presented) else ""
    return f"{TITLES[kind]}{point}: {by}{presented}"


def place(finding: Finding) -> str:
    """Enforcement point that a finding is about; "" without one."""
    if finding.kind is FindingKind.UNKNOWN_AGENT:
        return shown(only_place(detail(finding))[0])
    without = finding.kind in PLACELESS or finding.kind in TOLD
    return "" if without else shown(finding.point)


def source(finding: Finding) -> str:
    """Source that told of a finding, or the format; "" without one."""
    return shown(finding.point) if finding.kind in TOLD else ""


def is_use(finding: Finding) -> bool:
    """Whether a finding is about something that was presented at its point."""
    return finding.kind in USES


def speaker(finding: Finding) -> str:
    """Return author of the statement that a finding is about; "" for other findings."""
    return ends.who(finding) if finding.kind in SAID else ""


def message(finding: Finding) -> str:
    """Alert in words, as one text.

    Its parts are joined by what no name holds: scopes have a bar in them.
    """
    return " -- ".join(lines(finding))


def lines(finding: Finding) -> list[str]:
    """Alert in lines: what happened, then an answer to each question.

    Who acted; whose that is; who holds a guard's name; when and from where; why (who
    ended it, when, for which reason); what to do now. What no source tells is said to
    be unknown.
    """
    if finding.presented.kind == SUMMARY:
        return summary_text.lines(finding, remedy(finding))
    answers = {
        "Who": _who(finding),
        "Owner": _owner(finding),
        "Name held by": parties.name_holder(finding),
        "When": _when(finding),
        "From": _from(finding),
        "Why": _why(finding),
        "Now": remedy(finding),
    }
    told = [f"{question}: {text}" for question, text in answers.items() if text]
    return [_what_happened(finding), *told]


def remedy(finding: Finding) -> str:
    """Say what to do; empty where nothing is to be done."""
    text = remedy_of(
        finding.kind,
        finding.presented.kind,
        detail(finding),
        told_late=finding.late_by == SOURCE,
    )
    if not text:
        return ""
    needed = ", ".join(sorted({*_FOR_RESTORERS.findall(text)}))
    role = f"{_ROLE} {needed}." if needed else ""
    parts = text, role, closing_texts.closes(finding)
    return _filled(" ".join(filter(None, parts)), finding)


def closing(finding: Finding, now: int) -> str:
    """Say what is left to do once a finding closed, at ``now`` (ns)."""
    return _filled(closing_texts.closing(finding, now), finding)


def _filled(text: str, finding: Finding) -> str:
    """Fill the names of a finding in."""
    name, ended = str(finding.presented), str(ends.ended(finding))
    holder, caller = parties.name_holder(finding), parties.caller(finding)
    without_point = "its source" if finding.kind in TOLD else "the enforcement point"
    return text.format(
        it=shown(name),
        id=_word(name),
        ended=shown(ended),
        ended_id=_word(ended),
        end=_AT_ISSUER.get(finding.cause_effect or "", "end"),
        its=_its_credentials(finding),
        limit=limit_texts.limit(finding),
        lift=_lift_options(finding),
        caller=f"{caller} as the caller" if caller else "no caller",
        former=shown(finding.owner or "") or "its former owner",
        not_holder=f", not {holder}" if holder else "",
        value=shown(finding.presented.value),
        rule=_word(finding.point) if finding.point else "RULE",
        cell=cell(shown(name, _LONGEST)),
        days=days_of(detail(finding)),
        point=shown(finding.point) or without_point,
        by=ends.who(finding) or "its sender",
        authority=shown(finding.authority or "") or "the source",
    )


def _lift_options(finding: Finding) -> str:
    """Options of `rescind lift`, as far as the suspension is known."""
    known = ends.suspension(finding)
    if known is None:
        return " --authority AUTHORITY --aspect ASPECT"
    authority, aspect = map(_word, known)
    return f" --authority {authority}" + (f" --aspect {aspect}" if known[1] else "")


def _its_credentials(finding: Finding) -> str:
    """Say what to do about what an unknown agent used."""
    held = parties.credential(finding)
    return ITS_CREDENTIAL.format(credential_id=_word(held)) if held else ITS_CREDENTIALS


def _word(name: str) -> str:
    """Quote a name as a shell takes it for one word."""
    return shlex.quote(shown(name, _LONGEST))


def _subject(finding: Finding) -> str:
    """Name who acted, as a sentence says it."""
    named = parties.principal(finding)
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
        return f"{parts_of_list(finding)[0]}. None of these uses was refused."
    if finding.kind not in USES:
        text = happened(finding.kind, finding.presented.kind, detail(finding))
        text = _filled(text, finding) or shown(sentence(finding), 4 * SHOWN)
        return f"{_sentence(text)}."
    point = shown(finding.point) or "An unnamed enforcement point"
    verb = "refused" if finding.kind is FindingKind.BLOCKED_ATTEMPT else "accepted"
    undeclared = finding.kind is FindingKind.UNKNOWN_CREDENTIAL
    of = "" if undeclared else f" of {_subject(finding)}"
    text = f"{point} {verb} {_what(finding)}{of}"
    if finding.count > 1:
        text += f" {finding.count} times"
    text += _after(finding)
    if finding.late_by == SOURCE and finding.told_at is not None:
        text += f", and before its source reported that at {moment(finding.told_at)}"
    text += _filled(REMARKS.get(finding.kind, ""), finding) + "."
    ended = finding.path[-1] if finding.path else None
    if source_still_honours(finding.kind, finding.cause_effect, ended):
        text += " Its source still honours it; it is denied on purpose."
    return text


def _after(finding: Finding) -> str:
    """Say how long after which end the last use was."""
    if finding.kind in UNENDED:
        return ""
    verb = ends.VERBS.get(finding.cause_effect or "", "ended")
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
    if finding.kind in SAID:
        by = speaker(finding) or UNKNOWN_SPEAKER
        limited = finding.kind is FindingKind.BLAST_LIMIT
        held_by = shown(finding.agent or "") if limited else ""
        of = f" of {held_by}" if held_by not in {"", presented} else ""
        return f"{by}, {SAID[finding.kind]} {presented}{of}"
    if finding.kind is FindingKind.TEST:
        by = shown(finding.ended_by or "") or UNKNOWN_SPEAKER
        return f"{by}, with `rescind alerts test`"
    if finding.presented.kind == "realm":
        return parts_of_list(finding)[1]
    if finding.presented.kind in ABOUT_NO_AGENT:
        ended = finding.kind is FindingKind.REVOCATION_NOT_APPLIED
        return f"{UNKNOWN_ENDED}; reported by {presented}" if ended else presented
    named = parties.principal(finding)
    if named == finding.presented:
        held = shown(parties.credential(finding))
        return f"{presented}, with {held}" if held else presented
    who = UNKNOWN_AGENT if named is None else shown(str(named))
    if finding.kind is FindingKind.LEAK:
        return f"unknown who exposed it (the report names nobody); holder: {who}"
    return f"{who}, with {presented}"


def _owner(finding: Finding) -> str:
    owner, kind = shown(finding.owner or ""), finding.kind
    if kind is FindingKind.TEST:
        return ""
    if kind is FindingKind.OWNERLESS:
        return f"none any more; it was {owner}" if owner else "none"
    if kind is FindingKind.BLAST_LIMIT:
        return limit_texts.owners(finding)
    if finding.presented.kind == "guard":
        by = ends.who(finding) or "the credential"
        return NO_OWNER_OF_CREDENTIAL.format(by)
    if kind is FindingKind.UNAUTHORISED:
        it = shown(str(finding.presented))
        return f"{owner}, of {it}" if owner else _filled(NO_OWNER_OF_REFUSED, finding)
    if owner and parties.caller(finding):
        return f"{owner}, of the caller {parties.caller(finding)}"
    about = kind.value if kind.value in UNKNOWN_OWNERS else finding.presented.kind
    return owner or UNKNOWN_OWNERS.get(about, UNKNOWN_OWNER)


def _when(finding: Finding) -> str:
    first, last = moment(finding.first_seen), moment(finding.last_seen)
    when = first if first == last else f"{first} to {last}"
    if finding.kind is FindingKind.LEAK:
        when = f"reported at {when}"
    if finding.kind in USES or finding.count == 1:
        return f"found at {when}" if _is_found(finding) else when
    found = "found at " if _is_found(finding) else ""
    return f"{found}{when}, {finding.count} times"


def _is_found(finding: Finding) -> bool:
    """Whether its times are those of the finding, and not of an event."""
    return finding.kind in FOUND or finding.presented.kind == "guard"


def _from(finding: Finding) -> str:
    """Say where a use came from, or who reported what."""
    kind = finding.kind
    if kind in USES or kind is FindingKind.UNKNOWN_AGENT:
        address = shown(finding.address or "") or "unknown address (the log tells none)"
        client = shown(finding.user_agent or "") or "unknown (the log tells none)"
        last = "last " if finding.count > 1 else ""
        return f"{last}{address}, user agent {client}"
    if kind is FindingKind.LIFT_AMBIGUOUS and finding.event_ids:
        event = shown(finding.event_ids[0])
        return f"event {event}, the suspension; that of the lift is not carried here"
    if kind in OURS:
        return _filled(OURS[kind], finding)
    if finding.presented.kind == "guard":
        return UNKNOWN_PLACE
    events = ", ".join(shown(each) for each in finding.event_ids[:EVENTS])
    events = f"event {events}" if events else ""
    limited = kind is FindingKind.BLAST_LIMIT
    told_by = limit_texts.authority(finding) if limited else source(finding)
    of = " in the format of " if kind is FindingKind.UNAUTHORISED else " of "
    origin = of.join(filter(None, (events, told_by or place(finding))))
    if kind is not FindingKind.UNAUTHORISED:
        return origin
    by = speaker(finding) or UNKNOWN_SPEAKER
    return f"{by}, which sent {origin}" if origin else by


def _why(finding: Finding) -> str:
    """Say who ended what, when and for which reason; or what is wrong."""
    parts = [ends.end(finding)]
    if finding.kind in USES and finding.kind not in UNENDED:
        late = shown(detail(finding).rstrip("."), NAMES)
        late = late if finding.kind is FindingKind.ENFORCEMENT_LAG else ""
        unshown = f" {UNSHOWN.format(late)}" if late else ""
        return f"{parts[0]}{unshown}"
    if finding.kind is FindingKind.UNKNOWN_CREDENTIAL:
        return "Nothing ended it, but no source has declared it."
    if finding.presented.kind == "realm":
        seen = parts_of_list(finding)[2]
        seen = f" Seen: {seen}." if seen else ""
        return f"No source has declared any of them.{seen}"
    limited = finding.kind is FindingKind.BLAST_LIMIT
    told = limit_texts.why(finding) if limited else detail(finding)
    told = shown(told, 8 * SHOWN).rstrip(".").removeprefix("unauthorised: ")
    if told:
        told = f"{_sentence(told)}."
        parts = [told, *parts] if finding.kind in POSTURE else [*parts, told]
    if finding.cause_at is None and finding.kind not in POSTURE_OR_SOURCE:
        parts += [ends.reporter(finding), ends.reason(finding)]
    return " ".join(filter(None, parts))


def _sentence(text: str) -> str:
    """Begin a text with a capital, unless it begins with a name."""
    first = text.partition(" ")[0].rstrip(",:")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def parts_of_list(finding: Finding) -> tuple[str, str, str]:
    """Parts of a finding on all agents of a realm: its words, names, and places."""
    said, _, rest = finding.message.partition(": ")
    names, _, rest = rest.partition("; ")
    seen = rest.removeprefix(SEEN).partition("; ")[0] if rest.startswith(SEEN) else ""
    return shown(said), shown(names, NAMES), shown(seen, NAMES)
