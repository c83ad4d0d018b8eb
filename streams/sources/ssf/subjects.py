"""Name what a security event is about: subject identifiers of RFC 9493 and SSF 1.0.

- A subject is qualified by its issuer (``issuer|sub``), for it is unique there only
  (OpenID Connect Core section 2). A jti is unique over all issuers (RFC 7519 section
  4.1.7) and a session id is random, so both stand alone: they are what tokens carry.
- An e-mail address, phone number or account is looked up, not owned: it is an
  attribute, and stands only where nothing else names the subject.
- The old dialects: ``subject_type`` for ``format`` (Google), ``phone`` for
  ``phone_number`` (an example of SSF itself), complex subjects without a format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents_registry.identifiers import Identifier
from streams.model.attributes import email, login, phone
from streams.sources.reading.eventlog import inside, qualified
from streams.sources.reading.fields import named, text

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY_SESSION: Final = "ALL"  # Keycloak's session id of "log this user out"
# In the order in which one of them is acted on: the closest to a credential first.
_CONTAINERS: Final = ("application", "device", "group", "org_unit", "tenant")
_MEMBERS: Final = frozenset({"user", "session", *_CONTAINERS})


class Subject(NamedTuple):
    """What an event is about.

    Attributes:
        credentials: the names of the one session or token, where one is named.
        principals: the names of the user, or of what stands in for one.
        device: what credentials may be spared by, as their node facts write it.
        tenant: the same.
        attributes: what it is looked up by, in plain.
        by_attribute: it is known by an e-mail address, phone number or account alone,
            readable or not.
    """

    credentials: tuple[Identifier, ...] = ()
    principals: tuple[Identifier, ...] = ()
    device: str | None = None
    tenant: str | None = None
    attributes: tuple[Identifier, ...] = ()
    by_attribute: bool = False

    @property
    def user(self) -> tuple[Identifier, ...]:
        """Names of the user, or else the attribute it is known by."""
        return self.principals or self.attributes

    def each(self) -> Iterator[Subject]:
        """Subject for each attribute: no two of them name one node."""
        if self.principals or len(self.attributes) < 2:  # noqa: PLR2004 - several
            yield self
            return
        for attribute in self.attributes:
            yield self._replace(attributes=(attribute,))


def subject_of(value: Any, issuer: Any) -> Subject:
    """Read a subject identifier; one that nobody can read names nothing.

    Args:
        value: the member ``sub_id``, or ``subject`` of the event in old dialects.
        issuer: the ``iss`` of the SET, which qualifies opaque ids.
    """
    form = _form(value)
    if form == "complex" or (form is None and _MEMBERS & inside(value).keys()):
        return _complex(value, issuer)
    if form == "aliases":
        listed = value.get("identifiers")
        several = [
            _simple(one, issuer) for one in (listed if isinstance(listed, list) else ())
        ]
        return Subject(
            tuple(dict.fromkeys(name for one in several for name in one.credentials)),
            tuple(dict.fromkeys(name for one in several for name in one.principals)),
            attributes=tuple(
                dict.fromkeys(name for one in several for name in one.attributes)
            ),
            by_attribute=any(one.by_attribute for one in several),
        )
    return _simple(value, issuer)


def as_session(subject: Subject, value: Any) -> Subject:
    """Take an opaque subject for a session, as the events about sessions mean it."""
    if _form(value) != "opaque":
        return subject
    session = _session(value)
    return subject if session is None else Subject(credentials=(session,))


def _form(value: Any) -> str | None:
    body = inside(value)
    form = text(body.get("format")) or text(body.get("subject_type"))
    return None if form is None else form.replace("-", "_")


def _complex(value: dict[str, Any], issuer: Any) -> Subject:
    user = _simple(value.get("user"), issuer)
    session = value.get("session")
    sessions = named(_session(session))
    principals = user.principals
    if "user" not in value and "session" not in value:
        principals = _container(value, issuer)
    elif user.credentials and not sessions:
        sessions = user.credentials
    return Subject(
        sessions,
        principals,
        _plain(value.get("device")),
        _plain(value.get("tenant")),
        user.attributes,
        user.by_attribute and not user.principals,
    )


def _session(value: Any) -> Identifier | None:
    if _form(value) == "jwt_id":
        return qualified("jwt.jti", value.get("jti"))
    if _form(value) == "saml_assertion_id":
        return qualified("saml.assertion", value.get("issuer"),
                          value.get("assertion_id"))  # fmt: skip
    name = inside(value).get("id") or inside(value).get("sub")
    return None if name == EVERY_SESSION else qualified("session.id", name)


def _container(value: dict[str, Any], issuer: Any) -> tuple[Identifier, ...]:
    for member in _CONTAINERS:
        if member in value:
            name = _plain(value[member])
            if _form(value[member]) == "opaque":
                return named(qualified(f"{member}.id", issuer, name))
            return named(qualified(f"{member}.id", name))
    return ()


def _plain(value: Any) -> str | None:
    """Write a device or tenant as its node facts do: an id, or ``issuer|sub``."""
    body = inside(value)
    if _form(value) == "iss_sub":
        found = qualified("plain", body.get("iss"), body.get("sub"))
    else:
        found = qualified("plain", body.get("id") or body.get("uri") or
                           body.get("url"))  # fmt: skip
    return None if found is None else found.value


def _simple(value: Any, issuer: Any) -> Subject:
    body = inside(value)
    match _form(value):
        case "iss_sub":
            sub = qualified("jwt.sub", body.get("iss"), body.get("sub"))
            return Subject(principals=named(sub))
        case "opaque":
            return Subject(principals=named(qualified("jwt.sub", issuer,
                                                       body.get("id"))))  # fmt: skip
        case "jwt_id" | "saml_assertion_id":
            return Subject(credentials=named(_session(value)))
        case "did" | "uri":
            name = body.get("url") or body.get("uri")
            kind = "spiffe.id" if str(name).startswith("spiffe://") else "agent.id"
            return Subject(principals=named(qualified(kind, name)))
        case "email":
            return _looked_up(email(body.get("email")))
        case "phone" | "phone_number":
            given = body.get("phone_number") or body.get("phone")
            return _looked_up(phone(given))
        case "account":
            return _looked_up(login(body.get("uri")))
        case _:
            return Subject()


def _looked_up(attribute: Identifier | None) -> Subject:
    return Subject(attributes=named(attribute), by_attribute=True)
