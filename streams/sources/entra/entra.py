"""Microsoft Entra: directory audit events of three carriers, and Graph notifications.

Rules:

- The same facts come as Graph or diagnostic records (camelCase), as Log Analytics
  rows (PascalCase, inner JSON as text) and as the M365 unified log (``AuditData``,
  ``Name``/``Value`` pairs). Each is read into one form first (`entra_carriers`).
- Activity names are compared without case, outer blanks and final dot, any dash as
  "-": "Update application [en dash] Certificates and secrets management[blank]" is one.
- Only result success changes anything.
- A secret removed and a secret added have one activity name: KeyDescription's old
  and new lists are compared as sets of KeyIdentifier. An id in both is unchanged.
- StsRefreshTokensValidFrom = T ends the refresh tokens issued before T. A password
  reset or change ends what was issued before it, as Entra does for the tokens that
  the password gave.
- A deleted user or application can be restored for 30 days, so it is a suspend with
  the aspect ``deleted``; a hard delete, and the removal of a service principal, is
  final.

Source: Microsoft Entra "Audit activity reference"; Office 365 Management Activity
API schema, "Azure Active Directory base schema"; Graph "directoryAudit".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.sources.entra.carriers import AuditEvent, Target, audit_of, object_of
from streams.sources.entra.graph import LIFECYCLE
from streams.sources.entra.modified_values import flag, key_ids, latest
from streams.sources.entra.sign_ins import SIGN_INS, of, sign_in_of, unified_use
from streams.sources.reading.dialect import NO_ID, Dialect, DialectEvent, read_time
from streams.sources.reading.fields import (
    identifier,
    mapping,
    named,
    plain,
    requires,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streams.model.records import Lifecycle, Record
    from streams.sources.reading.envelope import Event

    Read = Callable[[DialectEvent, AuditEvent], Iterable[Lifecycle]]

NOT_OURS: Final = "not_entra: no activity name; look which system wrote it"
_ADD: Final = "add service principal credentials"


class Entra(Dialect):
    """Read audit events of one Entra tenant."""

    name = "entra"

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        offset, length, body = item
        if "changeType" in body or "lifecycleEvent" in body:
            return self._notification(
                DialectEvent(self.name, body, offset, length, None, "")
            )
        if "createdDateTime" in body or "CreatedDateTime" in body:
            return self._sign_in(item, body)
        inner = mapping(body.get("properties"))
        if "createdDateTime" in inner:
            return self._sign_in(item, inner)
        audit = audit_of(body)
        time, broken = read_time(audit.time)
        seen = DialectEvent(
            self.name, body, offset, length, audit.event_id, audit.activity, time,
            broken, audit.actor,
        )  # fmt: skip
        if not audit.activity:
            return [seen.letter(NOT_OURS)]
        name = plain(audit.activity)
        changes: Sequence[Lifecycle] = ()
        if audit.succeeded:
            changes = _held(name, seen, audit, list(_changes(name, seen, audit)))
        meant = bool(changes) or name in _ACTIVITIES or name in SIGN_INS
        return self._settled(seen, changes, unified_use(seen), meant=meant, name=name)

    def _notification(self, seen: DialectEvent) -> list[Record]:
        """Read a Graph change notification: it has no values, no time and no id.

        "deleted" is the permanent end; a soft delete arrives as "updated", whose
        object must be read back (Graph, "Set up notifications for changes").
        """
        body = seen.body
        event_type = f"graph:{body.get('lifecycleEvent') or body.get('changeType')}"
        seen = seen._replace(event_type=event_type)
        reason = LIFECYCLE.get(str(body.get("lifecycleEvent")))
        if reason is not None:
            lost = reason.startswith("events_lost")
            letter = seen.letter(reason)
            # Which revocations are missing nobody knows: that is a finding.
            return [seen.change("revoke"), letter] if lost else [letter]
        if body.get("changeType") != "deleted":
            self._count(event_type)
            return []
        data = mapping(body.get("resourceData"))
        word = (text(data.get("@odata.type")) or "").rpartition(".")[2].casefold()
        if not word:
            word = (text(body.get("resource")) or "").casefold().split("/")[0]
        kind = _GRAPH_KINDS.get(word.removesuffix("s"))
        if kind is None:
            self._count(f"{event_type}:{word}")
            return []
        target = object_of(kind, data.get("id"))
        return self._settled(seen, [seen.change("delete_subject", target)])

    def _sign_in(self, item: Event, body: dict[str, Any]) -> list[Record]:
        """Read a sign-in: who presented which secret or session."""
        offset, length, _ = item
        time, broken = read_time(of(body, "createdDateTime"))
        seen = DialectEvent(
            self.name, body, offset, length, text(of(body, "id")), "sign-in", time,
            broken,
        )  # fmt: skip
        return self._settled(seen, (), sign_in_of(seen))


_GRAPH_KINDS: Final = {
    "user": "entra.user",
    "serviceprincipal": "entra.service_principal",
    "application": "entra.application",
}


def _changes(name: str, seen: DialectEvent, audit: AuditEvent) -> Iterator[Lifecycle]:
    """Return changes of an activity: those of its name, then those of its values."""
    read = _ACTIVITIES.get(name)
    if read is not None:
        yield from read(seen, audit)
    for target in audit.targets:
        yield from _secrets(name, seen, target)
        if read is not _reset_tokens:
            yield from _watermark(seen, target)
        if read is None:
            yield from _enabled(seen, target)


def _held(
    name: str, seen: DialectEvent, audit: AuditEvent, changes: list[Lifecycle]
) -> list[Lifecycle]:
    """Add what users are looked up by to the first change of each, or as a change."""
    for target in audit.targets:
        attributes = target.attributes
        for position, change in enumerate(changes if attributes else ()):
            if change.identifiers == target.names:
                changes[position] = change._replace(attributes=attributes)
                break
        else:
            if attributes and name in _PROFILES:
                changes.append(
                    seen.change(None, target.identifier, attributes=attributes)
                )
    return changes


def _secrets(name: str, seen: DialectEvent, target: Target) -> Iterator[Lifecycle]:
    """Compare the old and the new list of secrets."""
    if "keydescription" not in target.changes:
        return
    old_value, new_value = target.changes["keydescription"]
    old, new = key_ids(old_value), key_ids(new_value)
    owners = named(target.identifier)
    if old is None or new is None:
        # The list names no ids: what happened is known, not to which secret.
        if old == frozenset() or name == _ADD:
            yield seen.change("issue", reason=NO_ID, owners=owners, owner=target.label)
        else:
            yield seen.change("revoke", owner=target.label)
        return
    for key in sorted(new - old):
        yield seen.change(
            "issue", identifier("entra.app_credential", key),
            parents=requires(target.identifier), owners=owners, owner=target.label,
        )  # fmt: skip
    for key in sorted(old - new):
        yield seen.change(
            "revoke", identifier("entra.app_credential", key),
            parents=requires(target.identifier), owner=target.label,
        )  # fmt: skip


def _watermark(seen: DialectEvent, target: Target) -> Iterator[Lifecycle]:
    found = target.changes.get("stsrefreshtokensvalidfrom")
    if found is not None:
        yield seen.change(
            "not_before", *target.names, not_before=latest(found[1]),
            ties=target.ties, owner=target.label,
        )  # fmt: skip


def _enabled(seen: DialectEvent, target: Target) -> Iterator[Lifecycle]:
    """Read a disable that hides in an update."""
    old, new = (flag(one) for one in target.changes.get("accountenabled", ("", "")))
    if new is None or new == old:
        return
    yield seen.change(
        "restore" if new else "suspend", *target.names, aspect="enabled",
        ties=target.ties, owner=target.label,
    )  # fmt: skip


def _each(
    effect: str, aspect: str = "", kinds: tuple[str, ...] = ()
) -> Callable[[DialectEvent, AuditEvent], Iterator[Lifecycle]]:
    def read(seen: DialectEvent, audit: AuditEvent) -> Iterator[Lifecycle]:
        fitting = [
            target
            for target in audit.targets
            if target.identifier and (not kinds or target.identifier.kind in kinds)
        ]
        for target in fitting:
            yield seen.change(
                effect, *target.names, aspect=aspect, ties=target.ties,
                owner=target.label,
            )  # fmt: skip
        if not fitting:
            yield seen.change(effect, aspect=aspect)

    return read


def _reset_tokens(seen: DialectEvent, audit: AuditEvent) -> Iterator[Lifecycle]:
    """End older refresh tokens, at the value where there is one."""
    marks = [one for target in audit.targets for one in _watermark(seen, target)]
    yield from marks or _each("not_before", kinds=_USERS)(seen, audit)


_PROFILES: Final = frozenset({"add user", "update user"})
_USERS: Final = ("entra.user", "entra.upn")
_APPS: Final = ("entra.application",)
_PRINCIPALS: Final = ("entra.service_principal",)
_rotate = _each("not_before", kinds=_USERS)
_ACTIVITIES: Final[dict[str, Read]] = {
    "disable account": _each("suspend", "enabled"),
    "enable account": _each("restore", "enabled"),
    "delete user": _each("suspend", "deleted", _USERS),
    "restore user": _each("restore", "deleted", _USERS),
    "hard delete user": _each("delete_subject", kinds=_USERS),
    "delete application": _each("suspend", "deleted", _APPS),
    "restore application": _each("restore", "deleted", _APPS),
    "hard delete application": _each("delete_subject", kinds=_APPS),
    "remove service principal": _each("delete_subject", kinds=_PRINCIPALS),
    "hard delete service principal": _each("delete_subject", kinds=_PRINCIPALS),
    "update stsrefreshtokenvalidfrom timestamp": _reset_tokens,
    "reset user password": _rotate,
    "change user password": _rotate,
}
