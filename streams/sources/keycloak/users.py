"""What Keycloak's user events do: logins, tokens, exchanges, logouts, revocations.

A refresh presents the session at its issuer, so it is an access too, also one that was
refused. Source of what a failed one means: Keycloak, `TokenManager.refreshAccessToken`
and `RefreshTokenGrantType` (github.com/keycloak/keycloak, services).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.model.records import Access, Lifecycle, Tie
from streams.model.times import SECOND
from streams.sources.keycloak.names import client, client_session, pair, realm, users
from streams.sources.reading.eventlog import LogEvent, inside, qualified
from streams.sources.reading.fields import identifier, named, requires, text, tied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Outcome

_POLICY: Final = "client_policy_error"
_DAY: Final = 86_400
_NAMES: Final = re.compile(r"[^\s,]+")


@frozen
class _Event:
    """One user event with the names in it."""

    heard: LogEvent
    lookback: int
    details: dict[str, Any]
    users: tuple[Identifier, ...]
    session: Identifier | None

    def detail(self, name: str) -> Any:
        return self.details.get(name)

    def token(self, name: str) -> Identifier | None:
        return identifier("jwt.jti", self.detail(name))

    def client_session(self, client_id: Any = None) -> Identifier | None:
        body = self.heard.body
        return client_session(body.get("sessionId"), client_id or body.get("clientId"))

    def pair(self, kind: str, client_id: Any = None) -> Identifier | None:
        body = self.heard.body
        return pair(kind, body, client_id or body.get("clientId"), body.get("userId"))

    def change(self, effect: str | None, *targets: Any, **values: Any) -> Lifecycle:
        return self.heard.change(
            effect, *targets, owner=text(self.detail("username")), **values
        )

    def issue(self, target: Identifier | None, *parents: Any) -> Iterator[Lifecycle]:
        """Credential that requires all that Keycloak ties it to."""
        if target is None:
            return
        body = self.heard.body
        owner = self.users[:1]
        ties = tied(self.session, owner[0] if owner else None)
        yield self.change(
            "issue",
            target,
            parents=requires(
                self.session, self.client_session(), *owner,
                client(body, body.get("clientId")), realm(body),
                self.pair("keycloak.grant"), *parents,
            ),
            owners=owner,
            ties=ties + self.name_ties(),
        )  # fmt: skip

    def name_ties(self) -> tuple[Tie, ...]:
        """Tie the user's two names, which the token may be presented with."""
        return tuple(
            tie
            for first, second in pairwise(self.users)
            for tie in (*tied(first, second), *tied(second, first))
        )


def _event(heard: LogEvent, issuer: str | None, lookback: int) -> _Event:
    body = heard.body
    return _Event(
        heard, lookback, inside(body, "details"), users(body.get("userId"), issuer),
        identifier("session.id", body.get("sessionId")),
    )  # fmt: skip


def user_changes(
    heard: LogEvent, issuer: str | None, lookback: int
) -> Iterator[Lifecycle | Access]:
    """Return the changes of a user event; effect None for one that changes nothing."""
    event = _event(heard, issuer, lookback)
    read = EFFECTS.get(heard.event_type)
    if read is None:
        yield event.change(None, *event.users)
    else:
        yield from read(event)


def _login(event: _Event) -> Iterator[Lifecycle]:
    if event.session is not None:
        yield event.change(
            "issue",
            event.session,
            parents=requires(*event.users[:1], realm(event.heard.body)),
            owners=event.users[:1],
            ties=event.name_ties(),
        )
    yield from _tokens(event)


def _tokens(event: _Event) -> Iterator[Lifecycle]:
    """Read the tokens that a login or a code gave."""
    refresh = event.token("refresh_token_id")
    yield from event.issue(refresh)
    yield from _lasting(event, event.issue(event.token("token_id"), refresh))


def _refresh(event: _Event) -> Iterator[Lifecycle | Access]:
    """Read new tokens; they live by the refresh token that was presented."""
    old, new = event.token("refresh_token_id"), event.token("updated_refresh_token_id")
    yield from event.issue(None if new == old else new, old)
    yield from _lasting(event, event.issue(event.token("token_id"), old))
    yield from _presented(event, "allowed", None)  # an access ends its event


def refused_refresh(heard: LogEvent, issuer: str | None) -> Iterator[Access]:
    """Read a refresh that failed, where it names the session that was presented.

    It names one once the refresh token was found to be genuine. Then what is wrong is
    the session, its user, client or consent, or the token's age; but for a client
    policy that is asked about the answer, when the new token is made.
    """
    event = _event(heard, issuer, 0)
    error = text(heard.body.get("error")) or "error"
    why = text(event.detail("reason"))
    outcome: Outcome = "allowed" if why == _POLICY else "denied"
    yield from _presented(event, outcome, f"{error}: {why}" if why else error)


def _presented(event: _Event, outcome: Outcome, reason: str | None) -> Iterator[Access]:
    """Read the session that a client presented by its refresh token.

    Refresh tokens are new each time; what is ended and found again is the session.
    """
    body = event.heard.body
    presented = event.session or event.token("refresh_token_id")
    if presented is not None:
        yield event.heard.use(
            presented, point="keycloak", outcome=outcome, reason=reason,
            parents=requires(*event.users[:1]), owner=text(event.detail("username")),
            address=text(body.get("ipAddress")),
        )  # fmt: skip


def _exchange(event: _Event) -> Iterator[Lifecycle]:
    """Read a token that was made from another one, of which the client is named."""
    source_client = event.detail("subject_token_client_id")
    source = event.pair("keycloak.exchange", source_client)
    own = event.pair("keycloak.exchange")
    chain = tied(source, client(event.heard.body, source_client))
    chain += tied(source, event.pair("keycloak.grant", source_client))
    if own != source:
        chain += tied(own, source)
    subject = _subject_token(event, source)
    if subject is not None:
        yield subject
    above = (source, *(subject.identifiers if subject else ()))
    refresh = event.token("refresh_token_id")
    for issue in (
        *event.issue(refresh, *above),
        *_lasting(event, event.issue(event.token("token_id"), *above, refresh)),
    ):
        yield issue._replace(ties=issue.ties + chain)


def _subject_token(event: _Event, source: Identifier | None) -> Lifecycle | None:
    """Token that was exchanged, which the event does not name.

    It is named by what it gave, and is as old as a token can be: when one of its
    client and user was revoked before this exchange, it may come from that one.
    """
    given = event.detail("token_id") or event.detail("refresh_token_id")
    name = qualified("keycloak.subject_token", event.heard.body.get("realmId"), given)
    time = event.heard.time
    if name is None or time is None or not event.lookback:
        return None
    since = max(0, time - event.lookback)
    return event.change("issue", name, parents=requires(source), issued_at=since)


def _lasting(event: _Event, issues: Iterator[Lifecycle]) -> Iterator[Lifecycle]:
    """Add the expiry of an access token, where the event tells its lifetime."""
    lifetime = str(event.detail("access_token_expiration_time"))
    for issue in issues:
        at = issue.occurred_at
        if lifetime.isdecimal() and int(lifetime) < 400 * _DAY and at is not None:
            yield issue._replace(expires_at=at + int(lifetime) * SECOND)
        else:
            yield issue


def _logout(event: _Event) -> Iterator[Lifecycle]:
    if event.session is not None:
        yield event.change("revoke", event.session)
    else:
        yield event.change("not_before", *event.users)


def _revoke(event: _Event) -> Iterator[Lifecycle]:
    """Read RFC 7009 on a token, and the end of a consent.

    With a refresh token ends what its client, and those that exchanged its tokens,
    have of the session; an access token ends alone.
    """
    tokens = named(event.token("token_id"), event.token("refresh_token_id"))
    if tokens:
        body = event.heard.body
        for token in tokens:
            yield event.change("revoke", token)
        others = text(event.detail("token_exchange_revoked_clients")) or ""
        for name in (None, *_NAMES.findall(others)):
            if event.session is not None:
                part, own = event.client_session(name), name or body.get("clientId")
                # The client's name tells the realm, which the part's does not.
                ties = tied(part, client(body, own))
                yield event.change("not_before", part, ties=ties)
        exchanged = event.pair("keycloak.exchange")
        if exchanged is not None:
            yield event.change("not_before", exchanged, reason="source_still_honours")
        return
    revoked = text(event.detail("revoked_client"))
    yield event.change("not_before", event.pair("keycloak.grant", revoked))


def _suspended(event: _Event) -> Iterator[Lifecycle]:
    yield event.change("suspend", *event.users, aspect="enabled")


def _deleted(event: _Event) -> Iterator[Lifecycle]:
    # Of what is gone nobody else can tell of which realm it was.
    ties = tied(event.users[0] if event.users else None, realm(event.heard.body))
    yield event.change("delete_subject", *event.users, ties=ties)


def _client_deleted(event: _Event) -> Iterator[Lifecycle]:
    body = event.heard.body
    yield event.change("delete_subject", client(body, body.get("clientId")))


EFFECTS: Final[dict[str, Callable[[_Event], Iterator[Lifecycle | Access]]]] = {
    "LOGIN": _login,
    "CODE_TO_TOKEN": _tokens,
    "CLIENT_LOGIN": _tokens,
    "OAUTH2_DEVICE_CODE_TO_TOKEN": _tokens,
    "AUTHREQID_TO_TOKEN": _tokens,
    "PERMISSION_TOKEN": _tokens,
    "REFRESH_TOKEN": _refresh,
    "TOKEN_EXCHANGE": _exchange,
    "LOGOUT": _logout,
    "REVOKE_GRANT": _revoke,
    "DELETE_ACCOUNT": _deleted,
    "CLIENT_DELETE": _client_deleted,
    "USER_DISABLED_BY_PERMANENT_LOCKOUT": _suspended,
}
