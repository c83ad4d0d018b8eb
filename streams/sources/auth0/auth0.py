"""Auth0 log streams: users, refresh tokens, sessions and Management API calls.

Rules:

- Types that begin with f (frrt, fdu) failed and change nothing; ``ferrt``, a refresh
  token that was used after its rotation, is a leak.
- A Management API call (``sapi``) is read by its method and path, when its answer was
  2xx. It is a use of the caller's token (its jti): refused by 401 alone, for 403 is a
  scope that a good token has not.
- srrt names no token in most logs: then it is a not_before on what its client holds
  for its user. A logout that names no session changes nothing.

Source: Auth0 docs, "Log Event Type Codes" and "Management API v2".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from streams.model.records import Lifecycle
from streams.sources.reading.eventlog import (
    EventHead,
    EventLog,
    LogEvent,
    inside,
    qualified,
)
from streams.sources.reading.fields import identifier, number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

NOT_OURS: Final = "not_auth0: no log_id, type and date; look which system wrote it"
_CALL: Final = re.compile(r"/api/v2/([\w-]+)/([^/?]+)(?:/([\w-]+))?/?(?:\?|$)")
_KINDS: Final = {
    "users": "auth0.user", "clients": "auth0.client", "sessions": "session.id",
    "refresh-tokens": "auth0.refresh_token",
    "device-credentials": "auth0.device_credential",
}  # fmt: skip
_PRINCIPALS: Final = ("users", "clients")


class Auth0(EventLog):
    """Read a log stream: ``{log_id, data}`` objects, or the data alone."""

    name = "auth0"
    foreign = NOT_OURS

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time of a log entry."""
        data = _data(body)
        kind, name = text(data.get("type")), text(body.get("log_id") or
                                                  data.get("log_id"))  # fmt: skip
        if kind is None or name is None:
            return None
        return EventHead(name, kind, data.get("date"))

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return the changes of an entry, and the token of a Management API call."""
        read = EFFECTS.get(heard.event_type)
        if read is None:
            yield heard.change(None, _user(heard))
            return
        yield from read(heard)


def _data(body: dict[str, Any]) -> dict[str, Any]:
    return inside(body, "data") or body


def _user(heard: LogEvent) -> Identifier | None:
    return identifier("auth0.user", _data(heard.body).get("user_id"))


def _grant(heard: LogEvent) -> Identifier | None:
    data = _data(heard.body)
    return qualified("auth0.grant", data.get("client_id"), data.get("user_id"))


def _deleted(heard: LogEvent) -> Iterator[Lifecycle]:
    yield heard.change("delete_subject", _user(heard))


def _leak(heard: LogEvent) -> Iterator[Lifecycle]:
    yield heard.change("leak", _user(heard), reason="rotated refresh token reused")


def _token_revoked(heard: LogEvent) -> Iterator[Lifecycle]:
    details = inside(_data(heard.body), "details")
    named = details.get("refresh_token_id") or details.get("token_id")
    token = identifier("auth0.refresh_token", named)
    if token is not None:
        yield heard.change("revoke", token)
    else:
        yield heard.change("not_before", _grant(heard))


def _logout(heard: LogEvent) -> Iterator[Lifecycle]:
    data = _data(heard.body)
    session = identifier(
        "session.id",
        data.get("session_id") or inside(data, "details").get("session_id"),
    )
    yield heard.change("revoke" if session else None, session)


def _call(heard: LogEvent) -> Iterator[Record]:
    """Read a call of the Management API."""
    request = inside(_data(heard.body), "details", "request")
    answer = inside(_data(heard.body), "details", "response")
    status = number(answer.get("statusCode")) or "200"
    if status.startswith("2"):
        yield _called(heard, request)
    jti = inside(request, "auth", "credentials").get("jti")
    data = _data(heard.body)
    yield heard.use(
        identifier("jwt.jti", jti), point="auth0",
        outcome="denied" if status == "401" else "allowed",
        reason=f"code {status}" if status in ("401", "403") else None,
        address=text(data.get("ip")), user_agent=text(data.get("user_agent")),
    )  # fmt: skip


def _called(heard: LogEvent, request: dict[str, Any]) -> Lifecycle:
    method = str(request.get("method")).upper()
    found = _CALL.search(text(request.get("path")) or "")
    if found is None:
        return heard.change(None)
    noun, name, action = found[1], unquote(found[2]), found[3]
    target = identifier(_KINDS[noun], name) if noun in _KINDS else None
    blocked = inside(request, "body").get("blocked")
    match method, action:
        case "DELETE", None if noun in _KINDS:
            ends = "delete_subject" if noun in _PRINCIPALS else "revoke"
            return heard.change(ends, target)
        case "POST", "revoke" if noun in _KINDS:
            return heard.change("revoke", target)
        case "DELETE", ("sessions" | "refresh-tokens") if noun == "users":
            return heard.change("not_before", target)
        case "PATCH", None if noun == "users" and blocked is not None:
            effect = "restore" if blocked in (False, "false") else "suspend"
            return heard.change(effect, target, aspect="blocked")
    return heard.change(None, target)


EFFECTS: Final[dict[str, Callable[[LogEvent], Iterator[Record]]]] = {
    "sdu": _deleted,
    "srrt": _token_revoked,
    "ferrt": _leak,
    "slo": _logout,
    "sapi": _call,
}
