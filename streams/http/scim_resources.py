"""SCIM resources as this provider keeps them: names, active, and nothing more.

A directory must get back what it matches users by. Everything else that it sends
(names, mails, phones, groups) is accepted and not kept.

Source: RFC 7643 (schema), RFC 7644 section 3 (protocol).
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from attrs import evolve, frozen

from agents_registry.secret_shapes import has_secret
from streams.model.times import rfc3339
from streams.sources.scim.scim import member

LONGEST: Final = 256  # bytes of a name
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
_FILTER: Final = re.compile(
    r'\s*([A-Za-z:.0-9_-]+)\s+eq\s+("(?:[^"\\]|\\.)*")\s*', re.IGNORECASE
)
_OPERATIONS: Final = frozenset({"add", "replace", "remove"})


class ScimError(Exception):
    """A refusal in SCIM's form (RFC 7644 section 3.12)."""

    def __init__(self, status: int, detail: str, scim_type: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.scim_type = scim_type

    def body(self) -> dict[str, Any]:
        """Body of the answer; the status stands there as a text."""
        body = {"schemas": [ERROR], "status": str(self.status), "detail": self.detail}
        return body | ({"scimType": self.scim_type} if self.scim_type else {})


@frozen
class ResourceType:
    """Users, or agents of the draft extension.

    Attributes:
        path: the collection, ``Users``.
        name: ``User``.
        kind: of the identifiers.
        unique: the attribute that names a resource.
        schema: its URN.
    """

    path: str
    name: str
    kind: str
    unique: str
    schema: str


USERS: Final = ResourceType(
    "Users", "User", "scim.user", "userName",
    "urn:ietf:params:scim:schemas:core:2.0:User",
)  # fmt: skip
AGENTS: Final = ResourceType(
    "Agents", "Agent", "scim.agent", "name",
    "urn:ietf:params:scim:schemas:core:2.0:Agent",
)  # fmt: skip


@frozen
class Resource:
    """One user or agent.

    Attributes:
        name: ``userName``, ``name`` of an agent; unique without case.
        created, modified: ns.
    """

    id: str
    name: str
    external_id: str | None
    active: bool
    created: int
    modified: int

    def shown(self, kind: ResourceType, base: str) -> dict[str, Any]:
        """Resource as it is answered."""
        body: dict[str, Any] = {
            "schemas": [kind.schema],
            "id": self.id,
            kind.unique: self.name,
            "active": self.active,
            "meta": {
                "resourceType": kind.name,
                "created": rfc3339(self.created),
                "lastModified": rfc3339(self.modified),
                "location": f"{base}/{kind.path}/{self.id}",
            },
        }
        return body | (
            {} if self.external_id is None else {"externalId": self.external_id}
        )


def made(
    kind: ResourceType, body: dict[str, Any], identity: str, now: int, *, active: bool
) -> Resource:
    """Resource that a POST asks for.

    Raises:
        ScimError: 400, a name is missing or too long.
    """
    name = _name(member(body, kind.unique), kind.unique)
    external = _external(member(body, "externalId"))
    return Resource(identity, name, external, active, now, now)


def replaced(
    kind: ResourceType, body: dict[str, Any], old: Resource, now: int, *, active: bool
) -> Resource:
    """Resource after a PUT; directories leave out what they do not change.

    Raises:
        ScimError: 400, a name is too long.
    """
    name, external = member(body, kind.unique), member(body, "externalId")
    return evolve(
        old,
        name=old.name if name is None else _name(name, kind.unique),
        external_id=old.external_id if external is None else _external(external),
        active=active,
        modified=now,
    )


def patched(
    kind: ResourceType, body: dict[str, Any], old: Resource, now: int, *, active: bool
) -> Resource:
    """Resource after a PATCH (RFC 7644 section 3.5.2).

    Raises:
        ScimError: 400, it is none.
    """
    new = evolve(old, active=active, modified=now)
    for attribute, value in _changes(body):
        if attribute == kind.unique.casefold():
            new = evolve(new, name=_name(value, kind.unique))
        elif attribute == "externalid":
            new = evolve(new, external_id=_external(value))
    return new


def _changes(body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Attributes that a PATCH sets, casefolded; None for a removed one."""
    operations = member(body, "Operations")
    if not isinstance(operations, list) or not operations:
        raise ScimError(400, "Operations is a list of operations", "invalidSyntax")
    changes: list[tuple[str, Any]] = []
    for one in operations:
        operation = one if isinstance(one, dict) else {}
        word = str(member(operation, "op")).casefold()
        path, value = member(operation, "path"), member(operation, "value")
        if word not in _OPERATIONS:
            raise ScimError(400, "op is add, replace or remove", "invalidSyntax")
        if path is not None and not isinstance(path, str):
            raise ScimError(400, "path is a text", "invalidPath")
        if path is None and not isinstance(value, dict):
            text = "without a path, value is an object"
            raise ScimError(400, text, "noTarget" if word == "remove" else "")
        given = value if path is None and isinstance(value, dict) else {path: value}
        changes += [
            (_attribute(str(name)), None if word == "remove" else inner)
            for name, inner in given.items()
        ]
    return changes


def _attribute(name: str) -> str:
    """Attribute's name without its schema and case."""
    return name.strip().rpartition(":")[2].casefold()


def filtered(text: str, kind: ResourceType) -> tuple[str, str]:
    """Read a filter: ``userName eq "x"``, ``externalId eq "x"`` or ``id eq "x"``.

    Returns:
        The column, ``name``, ``external_id`` or ``id``, and the value.

    Raises:
        ScimError: 400, another filter.
    """
    columns = {
        kind.unique.casefold(): "name", "externalid": "external_id", "id": "id",
    }  # fmt: skip
    match = _FILTER.fullmatch(text)
    column = columns.get(_attribute(match[1])) if match else None
    if match is None or column is None:
        detail = f'filter by {kind.unique}, externalId or id, such as id eq "x"'
        raise ScimError(400, detail, "invalidFilter")
    try:
        return column, str(orjson.loads(match[2]))
    except orjson.JSONDecodeError as error:
        raise ScimError(400, "the value is no text", "invalidFilter") from error


def _name(value: Any, attribute: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= LONGEST:
        detail = f"{attribute} is a text of 1 to {LONGEST} bytes"
        raise ScimError(400, detail, "invalidValue")
    if has_secret(value):
        raise ScimError(400, f"{attribute} holds a secret", "invalidValue")
    return value


def _external(value: Any) -> str | None:
    return None if value in (None, "") else _name(value, "externalId")
