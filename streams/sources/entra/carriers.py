"""Read one audit event out of any of its three carriers.

- Graph and diagnostic settings: camelCase, the latter inside ``properties``.
- Log Analytics exports: PascalCase, InitiatedBy and TargetResources as JSON text.
- M365 unified log: Operation, ObjectId, Target, ModifiedProperties; exports hold all
  of it as text in AuditData. Its times have no zone and are UTC.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from agents_registry.identifiers import Identifier
from streams.model.attributes import email, login_names
from streams.model.records import Tie
from streams.sources.reading.fields import (
    identifier,
    listed,
    mapping,
    named,
    nested,
    text,
    tied,
)

_KINDS: Final = {
    "user": "entra.user",
    "application": "entra.application",
    "serviceprincipal": "entra.service_principal",
}
_GUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The unified log writes the object id behind its type: Application_<guid>
_TYPED: Final = re.compile(
    rf"(User|Application|ServicePrincipal)_({_GUID})", re.IGNORECASE
)
_NO_USERS: Final = ("service principal", "application")


class Target(NamedTuple):
    """One object that an event is about.

    Attributes:
        identifier: the object, by id; by its name where the log has no id.
        label: a name for people.
        upn: the user principal name, which can be given again.
        changes: property name, casefolded, to its old and new value as written.
    """

    identifier: Identifier | None
    label: str | None
    upn: Identifier | None
    changes: dict[str, tuple[Any, Any]]

    @property
    def names(self) -> tuple[Identifier, ...]:
        """Identifier where there is one."""
        return named(self.identifier)

    @property
    def attributes(self) -> tuple[Identifier, ...]:
        """Attributes that a user is looked up by, as far as the event has them."""
        if self.identifier is None or self.identifier.kind != "entra.user":
            return ()
        found: list[Identifier | None] = []
        if self.upn is not None:
            found += login_names(self.upn.value)
        for name in ("userprincipalname", "mail"):
            value = nested(self.changes.get(name, (None, None))[1])
            for one in value if isinstance(value, list) else [value]:
                found += [email(one)] if name == "mail" else login_names(one)
        return named(*found)

    @property
    def ties(self) -> tuple[Tie, ...]:
        """Hang a user on its name: reusable names are no aliases."""
        return () if self.upn == self.identifier else tied(self.identifier, self.upn)


class AuditEvent(NamedTuple):
    """An audit event, whatever carried it."""

    event_id: str | None
    activity: str
    succeeded: bool
    time: Any
    actor: tuple[Identifier, ...]
    targets: tuple[Target, ...]


def audit_of(body: dict[str, Any]) -> AuditEvent:
    """Read an event; one that is none has an empty activity."""
    data = unified_of(body)
    if data is not None:
        return _unified(data)
    inner = mapping(body.get("properties"))
    if inner and _field(inner, "activityDisplayName", "operationName") is not None:
        return _directory(inner, body)
    return _directory(body, body)


def unified_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """Record of the unified log that a row is or holds; None: it is none."""
    data = nested(body.get("AuditData"))
    if type(data) is dict:
        return data
    return body if "Operation" in body else None


def _field(body: dict[str, Any], *names: str) -> Any:
    """First field that is there, in either case."""
    for name in names:
        for spelt in (name, name[0].upper() + name[1:]):
            if body.get(spelt) not in (None, ""):
                return body[spelt]
    return None


def _directory(body: dict[str, Any], outer: dict[str, Any]) -> AuditEvent:
    initiated = mapping(nested(_field(body, "initiatedBy")))
    user, app = mapping(initiated.get("user")), mapping(initiated.get("app"))
    time = _field(body, "activityDateTime", "timeGenerated")
    targets = tuple(
        target
        for one in listed(nested(_field(body, "targetResources")))
        if (target := _resource(mapping(one))) is not None
    )
    return AuditEvent(
        text(_field(body, "id")),
        text(_field(body, "activityDisplayName", "operationName")) or "",
        str(_field(body, "result")).casefold() == "success",
        time if time is not None else outer.get("time"),
        named(
            identifier("entra.user", user.get("id")),
            identifier("entra.service_principal", app.get("servicePrincipalId")),
        ),
        targets,
    )


def _resource(resource: dict[str, Any]) -> Target | None:
    """Read a target; None for a device, a group and what else holds no secret."""
    kind = _KINDS.get(str(resource.get("type")).casefold())
    if kind is None:
        return None
    upn = text(resource.get("userPrincipalName"))
    label = upn or text(resource.get("displayName"))
    return Target(
        object_of(kind, resource.get("id")),
        label,
        upn_of(upn) if kind == "entra.user" else None,
        _changes(resource.get("modifiedProperties"), "displayName", "Value"),
    )


def object_of(kind: str, value: Any) -> Identifier | None:
    """Name an object by its GUID, whose case the carriers vary."""
    return identifier(kind, value.casefold() if type(value) is str else value)


def upn_of(value: str | None) -> Identifier | None:
    """Name a user by the principal name, whose case the carriers vary."""
    return identifier("entra.upn", value.casefold()) if value else None


def _changes(properties: Any, name: str, suffix: str) -> dict[str, tuple[Any, Any]]:
    """Old and new value of each property; the last of one name counts."""
    old, new = f"old{suffix}", f"new{suffix}"
    return {
        key.strip().casefold(): (_field(one, old), _field(one, new))
        for one in map(mapping, listed(nested(properties)))
        if (key := text(_field(one, name))) is not None
    }


def _unified(data: dict[str, Any]) -> AuditEvent:
    operation = text(data.get("Operation")) or ""
    return AuditEvent(
        text(data.get("Id")),
        operation,
        str(data.get("ResultStatus")).casefold() in ("success", "succeeded", "true"),
        data.get("CreationTime"),
        named(upn_of(text(data.get("UserId")))),
        (_unified_target(data, operation.casefold()),),
    )


def _unified_target(data: dict[str, Any], operation: str) -> Target:
    """Name the one object of a unified record, by type and id where it has them."""
    object_id = text(data.get("ObjectId"))
    ids = [text(mapping(one).get("ID")) for one in listed(nested(data.get("Target")))]
    changes = _changes(data.get("ModifiedProperties"), "name", "Value")
    upn = next((one for one in [object_id, *ids] if one and "@" in one), None)
    for one in (object_id, *ids):
        match = _TYPED.fullmatch(one or "")
        if match:
            kind = _KINDS[match.group(1).casefold()]
            named_user = upn if kind == "entra.user" else None
            target = object_of(kind, match.group(2))
            return Target(target, upn or object_id, upn_of(named_user), changes)
    for word in _NO_USERS:
        if word in operation:
            # Without a type the id is the application's client id or a list of
            # names: no object id, so nothing to act on.
            return Target(None, object_id, None, changes)
    name = upn_of(upn)
    return Target(name, upn or object_id, name, changes)
