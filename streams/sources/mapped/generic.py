"""A JSON log of any system, read by a mapping file.

The mapping declares what the system's kinds are, where each value stands, and which
event types change authority or present a credential. See examples/mappings/.

Rules:

- All rules that fit an event give a record, lifecycle before access.
- A lifecycle rule with ``success`` gives nothing for an event that failed.
- A value that a rule needs and does not find is a dead letter ``no_target``; an
  ending event gives its record too, without identifiers, so that it is not lost.
- Event types are compared without case, surrounding blanks, a final dot, and with
  any dash as "-": exporters add and change all of these.

Name ids in a mapping, never secrets: values are stored and shown as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import LABEL, MAX_VALUE_BYTES, Identifier
from streams.model.records import ENDING_EFFECTS, Access, DeadLetter, Lifecycle, Parent
from streams.model.times import sound_time
from streams.sources.reading.dialect import DialectEvent, EventReader, read_time
from streams.sources.reading.fields import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.model.records import Outcome, Record
    from streams.sources.mapped.mapping import (
        MappedIdentifier,
        Mapping,
        NamedParent,
        Path,
        Rule,
    )
    from streams.sources.reading.envelope import Event

NO_TIME: Final = "no_time: no readable time where the mapping says; check event.time"
NO_TARGET: Final = "no_target: the identifiers of rule {} are not there; check it"
_DIGITS: Final = 18  # of an offset, which fits into 64 bits


class Generic(EventReader):
    """Read events as one mapping says."""

    def __init__(self, mapping: Mapping) -> None:
        super().__init__()
        self.name = mapping.name
        self._mapping = mapping

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        paths = self._mapping.event
        body = item.body
        name = as_text(find(body, paths.type)) or ""
        event_id = as_text(find(body, paths.id)) if paths.id else None
        letters: list[DeadLetter] = []
        written = find(body, paths.time) if paths.time else None
        time, broken = read_time(written, NO_TIME)
        seen = DialectEvent(
            self.name, body, item.offset, item.length, event_id, name, time, broken
        )
        fitting = [rule for rule in self._mapping.rules if _fits(rule, seen)]
        if not fitting:
            self._count(name)
            return []
        if time is None and (paths.time or _has_access(fitting)):
            letters.append(seen.letter(broken or NO_TIME))
        records: list[Record] = []
        for rule in fitting:
            records += self._apply(rule, seen)
        if not records and not letters:
            self._count(name)  # what failed, and says nothing of who was there
        return records + letters

    def _apply(self, rule: Rule, seen: DialectEvent) -> list[Record]:
        identifiers = _identifiers(rule.identifiers, seen.body)
        if rule.record == "access":
            if seen.time is None:
                return []
            if not identifiers:
                return [seen.letter(NO_TARGET.format(rule.label))]
            return [self._access(rule, seen, identifiers)]
        if rule.success is not None and not rule.success.holds(seen.body):
            return []
        if rule.effect == "restore" and seen.time is None and self._mapping.event.time:
            return []  # only a sound clock may turn a denial into an allow
        change = self._lifecycle(rule, seen, identifiers)
        if identifiers:
            return [change]
        letter = seen.letter(NO_TARGET.format(rule.label))
        letter = letter._replace(actor=change.actor, stated=change.reason)
        return [change, letter] if rule.effect in ENDING_EFFECTS else [letter]

    def _lifecycle(
        self, rule: Rule, seen: DialectEvent, identifiers: tuple[Identifier, ...]
    ) -> Lifecycle:
        body = seen.body
        return Lifecycle(
            source=self.name,
            event_id=seen.event_id,
            event_type=seen.event_type,
            effect=None if rule.effect == "none" else rule.effect,
            occurred_at=seen.time,
            identifiers=identifiers,
            offset=seen.offset,
            parents=_parents(rule.parents, body),
            owner=_text(body, rule.owner),
            owners=_identifiers(rule.owners, body),
            actor=_identifiers(rule.actor, body),
            scope=_scope(rule, body),
            expires_at=_time(body, rule.expires_at),
            outcome="allowed",
            reason=_text(body, rule.reason),
            reach=rule.reach,
            aspect=rule.aspect,
            not_before=_time(body, rule.not_before),
            issued_at=_time(body, rule.issued_at),
            labels=_labels(rule, body),
        )

    def _access(
        self, rule: Rule, seen: DialectEvent, identifiers: tuple[Identifier, ...]
    ) -> Access:
        body = seen.body
        outcome: Outcome | None = None
        if rule.outcome is not None:
            outcome = rule.outcome.of(body)
        return Access(
            source=self.name,
            event_id=seen.event_id,
            event_type=seen.event_type,
            occurred_at=seen.time,
            identifiers=identifiers,
            offset=seen.offset,
            outcome=outcome,
            parents=_parents(rule.parents, body),
            owner=_text(body, rule.owner),
            actor=_identifiers(rule.actor, body),
            scope=_scope(rule, body),
            expires_at=_time(body, rule.expires_at),
            reason=_text(body, rule.reason),
            point=_text(body, rule.point) or self.name,
            issued_at=_time(body, rule.issued_at),
            applied=_offset(body, rule.applied),
            address=_text(body, rule.address),
            user_agent=_text(body, rule.user_agent),
        )


def find(body: Any, path: Path) -> Any:
    """Follow a path of keys and indexes; None where it leads nowhere."""
    for step in path:
        if isinstance(step, str):
            body = body.get(step) if isinstance(body, dict) else None
        else:
            inside = isinstance(body, list) and -len(body) <= step < len(body)
            body = body[step] if inside else None
    return body


def as_text(value: Any) -> str | None:
    """Text or number as text; None for all else and for nothing."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float):
        return str(value).lower()  # booleans as JSON writes them
    return None


def _fits(rule: Rule, seen: DialectEvent) -> bool:
    if rule.when.types and plain(seen.event_type) not in rule.when.types:
        return False
    return all(condition.holds(seen.body) for condition in rule.when.where)


def _has_access(rules: list[Rule]) -> bool:
    return any(rule.record == "access" for rule in rules)


def _identifiers(
    named: tuple[MappedIdentifier, ...], body: dict[str, Any]
) -> tuple[Identifier, ...]:
    found: dict[Identifier, None] = {}
    for one in named:
        for value in _values(one, body):
            found[Identifier(one.kind, value)] = None
    return tuple(found)


def _parents(
    named: tuple[NamedParent, ...], body: dict[str, Any]
) -> tuple[Parent, ...]:
    return tuple(
        Parent(one.kind, value, one.relation)
        for one in named
        for value in _values(one, body)
    )


def _values(named: MappedIdentifier, body: dict[str, Any]) -> Iterator[str]:
    return _texts(named.path, named.prefix, body)


def _texts(path: Path, prefix: str, body: dict[str, Any]) -> Iterator[str]:
    value = find(body, path)
    for one in value if isinstance(value, list) else (value,):
        written = as_text(one)
        if written is None:
            continue
        written = prefix + written
        if len(written.encode(errors="replace")) <= MAX_VALUE_BYTES:
            yield written


def _labels(rule: Rule, body: dict[str, Any]) -> tuple[Identifier, ...] | None:
    """Labels of an event; one that has none of them says nothing of labels."""
    found = {
        Identifier(LABEL + key, value): None
        for key, path in rule.labels.items()
        for value in _texts(path, "", body)
    }
    return tuple(found) or None


def _scope(rule: Rule, body: dict[str, Any]) -> tuple[str, ...] | None:
    if rule.scope is None:
        return None
    value = find(body, rule.scope.path)
    if value is None:
        return None
    listed = value if isinstance(value, list) else str(value).split()
    return tuple(f"{rule.scope.namespace}|{one}" for one in listed)


def _text(body: dict[str, Any], path: Path | None) -> str | None:
    return as_text(find(body, path)) if path else None


def _time(body: dict[str, Any], path: Path | None) -> int | None:
    return sound_time(find(body, path)) if path else None


def _offset(body: dict[str, Any], path: Path | None) -> int | None:
    """Read an offset, or the one at the end of a token (``genesis:partition:offset``).

    Nothing that is no natural number counts: it would accuse the point.
    """
    written = _text(body, path)
    _, _, digits = (written or "").rpartition(":")
    if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS:
        return int(digits)
    return None
