"""SCIM 2.0 requests, as the service provider that a directory provisions into.

A request has neither an id nor a time of its own, so its records have none: ingress
gives each a fresh id and the time of receipt. The caller checks the bearer token, the
answer and the order of requests for one user; this reads what a request means.

Rules:

- ``active`` false suspends and true restores, aspect ``active``; written as a boolean
  or as text of any case, by PATCH (add, replace, with a path or without, with the
  schema's URN before it) or by PUT. A PUT without it changes nothing.
- What cannot be read as true is false: removed, null, a list, "maybe".
- DELETE ends the user, agent or group; ids are ours and never given again.
- What a user is looked up by (``userName``, ``emails``, ``phoneNumbers``) is held as
  attributes. One that is taken away stays held: it may still name who had it.
- A member that leaves a group is a signal: which credentials hang on it is not told.

Source: RFC 7643 section 4.1.1, RFC 7644 sections 3.3 to 3.7.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import orjson
from attrs import frozen

from streams.model.attributes import email, login_names, phone
from streams.model.records import ENDING_EFFECTS, DeadLetter, Lifecycle
from streams.sources.reading.envelope import LIMIT
from streams.sources.reading.fields import identifier, listed, mapping, named, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

NAME: Final = "scim"
TOO_LARGE: Final = "too_large: the request has more than 1 MiB; send it in parts"
MALFORMED: Final = "malformed: the body is no JSON object; look at the SCIM client"
NO_TARGET: Final = "no_target: the path names nobody to act on; look at the client"
NOT_OURS: Final = (
    "not_scim: the request changes no user, agent or group; look at the client"
)
ASPECT: Final = "active"
_KINDS: Final = {"users": "scim.user", "groups": "scim.group"}
_WITH_AGENTS: Final = _KINDS | {"agents": "scim.agent"}
_PATH: Final = re.compile(
    r"(?:^|/)(users|groups|agents)(?:/([^/]*))?/?$", re.IGNORECASE
)
_BULK: Final = re.compile(r"(?:^|/)bulk/?$", re.IGNORECASE)
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_UNSET: Final = object()
MOST_ATTRIBUTES: Final = 16  # of one request; a user with more is no person
_LOOKED_UP: Final[dict[str, Callable[[Any], tuple[Identifier | None, ...]]]] = {
    "username": login_names,
    "emails": lambda value: (email(value),),
    "phonenumbers": lambda value: (phone(value),),
}


@frozen
class ScimRequest:
    """One request, whose answer was 2xx.

    Attributes:
        path: of the URL, with or without host and query.
        assigned: the id that the answer gave to a new resource.
    """

    method: str
    path: str
    body: bytes = b""
    assigned: str | None = None


def records(request: ScimRequest, *, agents: bool = False) -> list[Record]:
    """Return the records of a request; none for one that only reads.

    Args:
        request: method, path and body.
        agents: read ``/Agents`` too, a draft extension.
    """
    method = request.method.upper()
    if method not in _CHANGING:
        return []
    if len(request.body) > LIMIT:
        return [_letter(request, TOO_LARGE)]
    body: Any = {}
    if method != "DELETE":
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            return [_letter(request, MALFORMED)]
    path = request.path.partition("?")[0]
    kinds = _WITH_AGENTS if agents else _KINDS
    if method == "POST" and _BULK.search(path):
        return [one for each in _bulk(body) for one in _read(request, *each, kinds)]
    return list(_read(request, method, path, body, kinds))


def _read(
    request: ScimRequest,
    method: str,
    path: str,
    body: dict[str, Any],
    kinds: dict[str, str],
) -> Iterator[Record]:
    found = _PATH.search(path)
    resource = found[1].casefold() if found else ""
    if found is None or resource not in kinds or method not in _CHANGING:
        yield _letter(request, NOT_OURS)
        return
    given = unquote(found[2] or "")
    name = request.assigned if method == "POST" else given
    target = identifier(kinds[resource], name)
    effects = _effects(method, resource, body)
    attributes = _attributes(method, body) if resource == "users" else ()
    for position, effect in enumerate(effects):
        yield Lifecycle(
            source=NAME,
            event_id=None,
            event_type=f"{method} {found[1].capitalize()}",
            effect=effect,
            occurred_at=None,
            identifiers=named(target),
            offset=0,
            owner=text(body.get("userName")) or text(body.get("displayName")),
            outcome="allowed",
            aspect=ASPECT if effect in ("suspend", "restore") else "",
            attributes=() if position else attributes,
        )
    if target is None and ENDING_EFFECTS.intersection(effects):
        yield _letter(request, NO_TARGET)


def _effects(method: str, resource: str, body: dict[str, Any]) -> list[str | None]:
    if method == "DELETE":
        return ["delete_subject"]
    if resource == "groups":
        return ["issue"] if method == "POST" else [None]
    active = _patched(body) if method == "PATCH" else member(body, ASPECT, _UNSET)
    if method == "POST":
        suspended = active is not _UNSET and not _true(active)
        return ["issue", "suspend"] if suspended else ["issue"]
    if active is _UNSET:
        return [None]
    return ["restore" if _true(active) else "suspend"]


def _patched(body: dict[str, Any]) -> Any:
    """Value of ``active`` after the last of the operations."""
    active: Any = _UNSET
    for one in listed(member(body, "Operations")):
        operation = mapping(one)
        removes = str(member(operation, "op")).casefold() == "remove"
        path, value = text(member(operation, "path")), member(operation, "value")
        if path is None:
            for name, inner in mapping(value).items():
                if _names_active(name):
                    active = None if removes else inner
        elif _names_active(path):
            active = None if removes else value
    return active


def _attributes(method: str, body: dict[str, Any]) -> tuple[Identifier, ...]:
    """Attributes of a user in a request."""
    found: list[Identifier | None] = []
    for name, value in _said(method, body):
        read = _LOOKED_UP.get(name)
        if read is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            found += read(member(one, "value") if isinstance(one, dict) else one)
    return named(*found[:MOST_ATTRIBUTES])


def _said(method: str, body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Attributes that a request sets, by their names in lower case."""
    if method != "PATCH":
        yield from ((_base(name), value) for name, value in body.items())
        return
    for one in listed(member(body, "Operations")):
        operation = mapping(one)
        if str(member(operation, "op")).casefold() == "remove":
            continue
        path, value = text(member(operation, "path")), member(operation, "value")
        given = mapping(value) if path is None else {path: value}
        yield from ((_base(name), inner) for name, inner in given.items())


def _base(path: str) -> str:
    """Attribute of a path: no schema, filter, sub-attribute or case."""
    whole = path.partition("[")[0].strip().rpartition(":")[2]
    return whole.partition(".")[0].casefold()


def _names_active(path: str) -> bool:
    return path.strip().casefold().rpartition(":")[2] == ASPECT


def _true(value: Any) -> bool:
    if isinstance(value, dict):
        value = member(value, "value" if "value" in value else ASPECT)
    return value is True or (
        isinstance(value, str) and value.strip().casefold() == "true"
    )


def member(body: dict[str, Any], name: str, unset: Any = None) -> Any:
    """Member by its name in any case (RFC 7643 section 2.1); ``unset`` without."""
    if name in body:
        return body[name]
    for key, value in body.items():
        if key.casefold() == name.casefold():
            return value
    return unset


def _bulk(body: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Single requests of a bulk (RFC 7644 section 3.7)."""
    for one in listed(member(body, "Operations")):
        operation = mapping(one)
        method = str(operation.get("method")).upper()
        yield method, str(operation.get("path")), mapping(operation.get("data"))


def _letter(request: ScimRequest, reason: str) -> DeadLetter:
    kind = request.method.upper()
    return DeadLetter(NAME, 0, len(request.body), reason, event_type=kind)
