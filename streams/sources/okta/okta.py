"""Okta: System Log events, from the API, a log stream or an Event Hook.

Rules:

- Only ``outcome.result`` SUCCESS or ALLOW changes anything; a refresh token that came
  back is a leak whatever the outcome, which speaks of the request that it came with.
- One uuid may carry two event types; both count.
- A session, an API token and a grant require their user; a session requires
  ``okta.user_sessions`` too, the container that "clear user sessions" acts on, so
  that API tokens of the user live on, as they do at Okta.
- A deactivation suspends the user and ends what was issued before: Okta deprovisions
  API tokens and sessions, and a later activation does not bring them back.
- A user holds its login (``alternateId``) as an attribute by each event of its
  lifecycle and profile.
- An access is by the API token of the request, else by the session, else by the app
  that acts on its own (client credentials). What fails in
  authentication refuses it, and any DENY or FAILURE whose reason is an ended session.
  Elsewhere the credential was accepted, and a policy, a scope, a consent or an
  assignment was missing: allowed, with the reason.
- Exporters lower-case some keys; both spellings are read.

Source: Okta developer documentation, "System Log API", "Event types", "Event hooks".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.model.attributes import login_names
from streams.model.records import Access, Tie
from streams.model.times import sound_time
from streams.sources.reading.dialect import Dialect, DialectEvent, read_time
from streams.sources.reading.fields import (
    identifier,
    listed,
    mapping,
    named,
    requires,
    text,
    tied,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Lifecycle, Outcome, Record
    from streams.sources.reading.envelope import Event

NOT_OURS: Final = "not_okta: no eventType; look which system wrote it"
_DONE: Final = ("SUCCESS", "ALLOW")
_NO_SESSION: Final = ("unknown", "")  # Okta writes "unknown" where there is none
_LOGINS: Final = (
    "user.authentication.", "user.session.start", "app.oauth2.",
    "policy.evaluate_sign_on",
)  # fmt: skip
_SSO: Final = "user.authentication.sso"  # with a session that is there already
_ENDED: Final = frozenset({
    "session_expired", "invalid_session", "expired_session", "session_not_found",
    "invalid_token", "expired_token", "user_not_active", "user_deactivated",
})  # fmt: skip
# Of OAuth: the client or token was found right, and asked for what it may not have.
_OAUTH: Final = "app.oauth2."
_ACCEPTED: Final = frozenset({
    "no_matching_scope", "no_matching_policy", "invalid_scope", "consent_required",
    "access_denied", "unauthorized_client", "unsupported_grant_type",
})  # fmt: skip
_TOKENS: Final = {
    "access_token": "okta.access_token",
    "refresh_token": "okta.refresh_token",
}
_USER_EFFECTS: Final[dict[str, tuple[str | None, str]]] = {
    "user.lifecycle.create": (None, ""),
    "user.account.update_profile": (None, ""),
    "user.lifecycle.suspend": ("suspend", "suspended"),
    "user.lifecycle.unsuspend": ("restore", "suspended"),
    "user.lifecycle.deactivate": ("suspend", "deactivated"),
    "user.lifecycle.activate": ("restore", "deactivated"),
    "user.lifecycle.reactivate": ("restore", "deactivated"),
    "user.lifecycle.delete.initiated": ("delete_subject", ""),
}


class Okta(Dialect):
    """Read System Log events of one Okta organisation."""

    name = "okta"

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        seen = _seen(self.name, item)
        if not seen.event_type:
            return [seen.letter(NOT_OURS)]
        changes: Iterable[Lifecycle] = ()
        family = _family(seen.event_type)
        done = mapping(seen.body.get("outcome")).get("result") in _DONE
        if family is not None and (done or family is _reuse):
            changes = family(seen)
        return self._settled(seen, changes, _access(seen), meant=family is not None)


def _either(body: dict[str, Any], name: str) -> Any:
    """Field by its own spelling or the one that some exporters make of it."""
    value = body.get(name)
    return body.get(name.lower()) if value is None else value


def _seen(source: str, item: Event) -> DialectEvent:
    offset, length, body = item
    time, broken = read_time(body.get("published"))
    actor = mapping(body.get("actor"))
    token, session = _token(body), _session(body)
    return DialectEvent(
        source, body, offset, length, text(body.get("uuid")),
        text(_either(body, "eventType")) or "", time, broken,
        named(_user(actor), _app(actor), token or session),
    )  # fmt: skip


def _user(entity: dict[str, Any]) -> Identifier | None:
    if entity.get("type") != "User":
        return None
    return identifier("okta.user", entity.get("id"))


def _app(entity: dict[str, Any]) -> Identifier | None:
    if entity.get("type") not in ("AppInstance", "PublicClientApp"):
        return None
    return identifier("okta.app", entity.get("id"))


def _token(body: dict[str, Any]) -> Identifier | None:
    detail = mapping(mapping(body.get("transaction")).get("detail"))
    return identifier("okta.api_token", detail.get("requestApiTokenId"))


def _session(body: dict[str, Any]) -> Identifier | None:
    context = mapping(_either(body, "authenticationContext"))
    value = context.get("externalSessionId")
    return None if value in _NO_SESSION else identifier("okta.session", value)


def _targets(seen: DialectEvent) -> Iterator[dict[str, Any]]:
    """Targets of an event; ``target`` may be null."""
    for target in listed(seen.body.get("target")):
        yield mapping(target)


def _actor(seen: DialectEvent) -> dict[str, Any]:
    return mapping(seen.body.get("actor"))


def _owner(entity: dict[str, Any]) -> dict[str, Any]:
    user = _user(entity)
    name = text(entity.get("alternateId")) or (user.value if user else None)
    return {"owner": name, "owners": named(user)}


def _sessions(user: Identifier | None) -> Identifier | None:
    return None if user is None else identifier("okta.user_sessions", user.value)


def _session_ties(user: Identifier | None) -> tuple[Tie, ...]:
    return tied(_sessions(user), user)


# ------------------------------------------------------------------------- effects


def _users(seen: DialectEvent) -> Iterator[Lifecycle]:
    effect, aspect = _USER_EFFECTS[seen.event_type]
    targets = [target for target in _targets(seen) if _user(target)]
    for target in targets or ([] if effect is None else [{}]):
        user = _user(target)
        if aspect == "deactivated" and effect == "suspend":
            yield seen.change("not_before", user, owner=_owner(target)["owner"])
        yield seen.change(
            effect, user, aspect=aspect, owner=_owner(target)["owner"],
            attributes=login_names(target.get("alternateId")) if user else (),
        )  # fmt: skip


def _session_start(seen: DialectEvent) -> Iterator[Lifecycle]:
    session, user = _session(seen.body), _user(_actor(seen))
    if session is None:
        return  # Okta gives none to a user who has still to pass a second factor
    yield seen.change(
        "issue", session, parents=requires(_sessions(user)),
        ties=_session_ties(user), **_owner(_actor(seen)),
    )  # fmt: skip


def _session_end(seen: DialectEvent) -> Iterator[Lifecycle]:
    """End one session: the presented one, for ``target`` is null."""
    yield seen.change(
        "revoke", _session(seen.body), owner=_owner(_actor(seen))["owner"]
    )


def _session_clear(seen: DialectEvent) -> Iterator[Lifecycle]:
    users = named(*(_user(target) for target in _targets(seen)))
    for user in users or (None,):
        yield seen.change("not_before", _sessions(user), ties=_session_ties(user))


def _api_tokens(seen: DialectEvent) -> Iterator[Lifecycle]:
    tokens = named(*(
        identifier("okta.api_token", target.get("id"))
        for target in _targets(seen)
        if target.get("type") == "Token"
    ))  # fmt: skip
    actor = _actor(seen)
    for token in tokens or (None,):
        if seen.event_type == "system.api_token.create":
            parents = requires(_user(actor))
            yield seen.change("issue", token, parents=parents, **_owner(actor))
        else:
            yield seen.change("revoke", token)


def _oauth_tokens(seen: DialectEvent) -> Iterator[Lifecycle]:
    """Issue or revoke OAuth tokens; a failed revoke names no token at all."""
    tokens = [
        target for target in _targets(seen) if text(target.get("type")) in _TOKENS
    ]
    issued = ".token.grant" in seen.event_type
    if not tokens and issued:
        return
    for target in tokens or [{}]:
        names = _oauth_names(target)
        detail = mapping(target.get("detailEntry"))
        if not issued:
            yield seen.change("revoke", *names)
            continue
        user = identifier("okta.user", _subject(detail)) or _user(_actor(seen))
        yield seen.change(
            "issue", *names, parents=requires(user, _client(seen, detail)),
            owners=named(user), owner=None if user is None else user.value,
            expires_at=sound_time(detail.get("expires")),
        )  # fmt: skip


def _oauth_names(target: dict[str, Any]) -> tuple[Identifier, ...]:
    """Name a token; the id of an access token is its ``jti`` claim."""
    value = text(target.get("id"))
    kind = _TOKENS.get(str(target.get("type")))
    if value is None or kind is None:
        return ()
    jti = identifier("jwt.jti", value) if value.startswith("AT.") else None
    return named(identifier(kind, value), jti)


def _subject(detail: dict[str, Any]) -> Any:
    return text(detail.get("user")) or text(detail.get("subject"))


def _client(seen: DialectEvent, detail: dict[str, Any]) -> Identifier | None:
    return identifier("okta.app", detail.get("publicclientapp")) or _app(_actor(seen))


def _grants(seen: DialectEvent) -> Iterator[Lifecycle]:
    """Read a consent: several grants in one event."""
    grants = [t for t in _targets(seen) if t.get("type") == "ConsentGrant"]
    issued = ".consent.grant" in seen.event_type
    for target in grants or [{}]:
        grant = identifier("okta.consent_grant", target.get("id"))
        detail = mapping(target.get("detailEntry"))
        user = identifier("okta.user", _subject(detail)) or _user(_actor(seen))
        if issued:
            yield seen.change(
                "issue", grant, parents=requires(user, _client(seen, detail)),
                owners=named(user), owner=None if user is None else user.value,
            )  # fmt: skip
        else:
            yield seen.change("revoke", grant)


def _reuse(seen: DialectEvent) -> Iterator[Lifecycle]:
    """Read a rotated refresh token that came back: someone copied it."""
    tokens = named(*(one for target in _targets(seen) for one in _oauth_names(target)))
    users = named(*(_user(target) for target in _targets(seen)))
    found = tokens or users or named(_user(_actor(seen)), _app(_actor(seen)))
    for one in found or (None,):
        yield seen.change("leak", one, reason="token_reuse")


_EXACT: Final = dict.fromkeys(_USER_EFFECTS, _users) | {
    "user.session.start": _session_start,
    "user.session.end": _session_end,
    "user.session.clear": _session_clear,
    "system.api_token.create": _api_tokens,
    "system.api_token.revoke": _api_tokens,
    "app.oauth2.token.detect_reuse": _reuse,
    "app.oauth2.as.token.detect_reuse": _reuse,
}
# Okta appends what was asked for: .access_token, .implicit.as and others.
_FAMILIES: Final = (
    ("app.oauth2.as.token.grant", _oauth_tokens),
    ("app.oauth2.token.grant", _oauth_tokens),
    ("app.oauth2.as.token.revoke", _oauth_tokens),
    ("app.oauth2.token.revoke", _oauth_tokens),
    ("app.oauth2.as.consent.grant", _grants),
    ("app.oauth2.as.consent.revoke", _grants),
)


def _family(event_type: str) -> Any:
    found = _EXACT.get(event_type)
    if found is not None or not event_type.startswith("app.oauth2."):
        return found
    for prefix, read in _FAMILIES:
        if event_type == prefix or event_type.startswith(prefix + "."):
            return read
    return None


# ------------------------------------------------------------------------- accesses


def _access(seen: DialectEvent) -> Access | None:
    actor = _actor(seen)
    user, token = _user(actor), _token(seen.body)
    app = _app(actor)
    presented = token or _session(seen.body) or app
    if presented is None:
        return None
    outcome = mapping(seen.body.get("outcome"))
    client = mapping(seen.body.get("client"))
    result: Outcome = "denied" if _refused(seen.event_type, outcome) else "allowed"
    return Access(
        seen.source, seen.event_id, seen.event_type, seen.time, (presented,),
        seen.offset, result, requires(user if token else _sessions(user)),
        _owner(actor)["owner"], named(user, app),
        reason=text(outcome.get("reason")), point="okta",
        ties=() if token else _session_ties(user),
        address=text(client.get("ipAddress")),
        user_agent=text(mapping(client.get("userAgent")).get("rawUserAgent")),
    )  # fmt: skip


def _refused(event_type: str, outcome: dict[str, Any]) -> bool:
    """Whether the credential was not accepted."""
    if outcome.get("result") not in ("DENY", "FAILURE"):
        return False
    reason = (text(outcome.get("reason")) or "").casefold()
    if reason in _ENDED or not event_type.startswith(_LOGINS):
        return reason in _ENDED
    if event_type == _SSO:
        return not reason
    return not (event_type.startswith(_OAUTH) and reason in _ACCEPTED)
