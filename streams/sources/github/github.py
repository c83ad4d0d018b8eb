"""GitHub: webhooks of apps, organisations and repositories, and the audit log.

Rules:

- A webhook's event name and id are in its headers (`records_of`). Without them the
  name follows from the body's shape, and only where the shape is beyond doubt: many
  events have an ``action`` "deleted" and name the installation that they came through.
- A webhook body has no time for the end of an installation or an authorization: the
  time of receipt stands in. A suspension has its own.
- "github_app_authorization" ends the tokens that one person gave one app. The app's
  id is a header; the person can authorize the app again.
- A token is named by ``token_id`` and by the SHA-256 of the token, written in base64
  in the audit log and in hex elsewhere. The plain hash is never kept: it is keyed by
  functions of the caller, one a pepper, and without one it is left out.
- The audit log gives an access for any action with a token, except those that end a
  token: there the token is the one that ended.
- The list of secret scanning alerts that the REST API answers with is read as its
  webhook: an open alert is a leak. A token of GitHub's own in it is named as the audit
  log names it, once that is keyed; the secret is kept nowhere.
- A removed member, team or collaborator is a signal: tokens lose their access to an
  organisation, not their life.

Source: GitHub documentation, "Webhook events and payloads", "Audit log events for your
organization", "Identifying audit log events performed by an access token".
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from streams.model.keyed_names import keyed_by
from streams.model.times import sound_time
from streams.sources.github.audit import (
    CHANGES,
    HASHED,
    access_of,
    actor_of,
    changes_of,
    tokens_of,
)
from streams.sources.reading.dialect import Dialect, DialectEvent, read_time
from streams.sources.reading.envelope import Event, events
from streams.sources.reading.fields import (
    identifier,
    mapping,
    named,
    number,
    requires,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents_registry.identifiers import Identifier
    from streams.model.records import Lifecycle, Record
    from streams.sources.descriptor import ReaderSettings
    from streams.sources.github.audit import Keyed

    Read = Callable[[DialectEvent, str], Iterator[Lifecycle]]

NOT_OURS: Final = "not_github: no action; look which system wrote it"
_EVENT: Final = "x-github-event"
_DELIVERY: Final = "x-github-delivery"
_APP: Final = "x-github-hook-installation-target-id"
_APP_TYPE: Final = "x-github-hook-installation-target-type"
# What the body of an installation event holds beside its action; any further key
# makes it the event of something else.
_INSTALLATION: Final = {
    "action", "installation", "repositories", "requester", "sender", "enterprise",
    "organization",
}  # fmt: skip
_ALERT_URL: Final = re.compile(r"/repos/([^/]+/[^/]+)/secret-scanning/alerts/")
_AUTHORIZATION: Final = {"action", "sender", "enterprise", "organization"}


class GitHub(Dialect):
    """Read webhook bodies and audit log events.

    Args:
        app: id of the GitHub App whose webhooks come without headers.
        keyed: each makes a name of a token's raw SHA-256.
    """

    name = "github"

    def __init__(self, app: str = "", keyed: Sequence[Keyed] = ()) -> None:
        super().__init__()
        self._app = app
        self._keyed = keyed

    def records_of(
        self, data: bytes, headers: Mapping[str, str] | None = None
    ) -> Iterator[Record]:
        """Return the records of one delivery.

        Args:
            data: the body.
            headers: of the request; event name, delivery id and app are read.
        """
        given = {name.casefold(): value for name, value in (headers or {}).items()}
        for item in events(data, self.name):
            self.read += 1
            if isinstance(item, Event):
                yield from self._event(item, given)
            else:
                yield item

    def read_event(self, item: Event) -> list[Record]:
        """Return the records of one event."""
        return self._event(item, {})

    def _event(self, item: Event, headers: dict[str, str]) -> list[Record]:
        offset, length, body = item
        action = text(body.get("action"))
        if action is None and text(body.get("secret_type")) and "locations_url" in body:
            return self._listed_alert(item)
        if action is None and _EVENT not in headers:
            return [
                DialectEvent(self.name, body, offset, length, None, "").letter(NOT_OURS)
            ]
        if action is not None and "." in action:  # no webhook's action has a dot
            return self._audit(item, action)
        event = headers.get(_EVENT) or _shape(body)
        kind = f"{event}.{action}" if action else event
        seen = DialectEvent(
            self.name, body, offset, length, text(headers.get(_DELIVERY)), kind,
            actor=named(_user(body.get("sender"))),
        )  # fmt: skip
        read = _WEBHOOKS.get(kind)
        if read is None:
            self._count(kind)
            return []
        app = self._app
        if headers.get(_APP_TYPE, "").casefold() == "integration":
            app = headers.get(_APP) or app
        return self._settled(seen, read(seen, app))

    def _listed_alert(self, item: Event) -> list[Record]:
        """Read an alert of ``GET .../secret-scanning/alerts``."""
        offset, length, body = item
        is_open = body.get("state") == "open"
        time, broken = read_time(body.get("created_at" if is_open else "resolved_at"))
        kind = f"secret_scanning_alert.{text(body.get('state')) or 'other'}"
        seen = DialectEvent(self.name, body, offset, length, None, kind, time, broken)
        target = _alert(_repository_of(body), body.get("number"))
        said = text(body.get("secret_type" if is_open else "resolution"))
        changes = [seen.change("leak" if is_open else None, target, reason=said)]
        secret = text(body.get("secret"))
        if is_open and secret and (said or "").startswith("github_"):
            digest = hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
            names = [identifier(HASHED, keyed(digest)) for keyed in self._keyed]
            changes += [seen.change("leak", *names, reason=said)] if names else []
        return self._settled(seen, changes, meant=is_open)

    def _audit(self, item: Event, action: str) -> list[Record]:
        offset, length, body = item
        time, broken = read_time(
            body.get("@timestamp") or body.get("at_sign_timestamp")
            or body.get("created_at")
        )  # fmt: skip
        seen = DialectEvent(
            self.name, body, offset, length, text(body.get("_document_id")), action,
            time, broken, actor_of(body),
        )  # fmt: skip
        tokens = tokens_of(seen, self._keyed)
        used = access_of(seen, tokens)
        if action in CHANGES:
            return self._settled(seen, changes_of(seen, tokens), used)
        if action.startswith("secret_scanning_alert."):
            alert = _alert(text(body.get("repo")), body.get("number"))
            leak = action.rpartition(".")[2] in ("create", "reopen")
            changes = [seen.change("leak", alert)] if leak else []
            return self._settled(seen, changes, used)
        return self._settled(seen, (), used, meant=False)


def _shape(body: dict[str, Any]) -> str:
    """Name the event of a body that came without headers; empty in doubt."""
    keys = body.keys()
    if "installation" in keys and keys <= _INSTALLATION:
        whole = "app_id" in mapping(body["installation"])
        return "installation" if whole else ""
    if keys <= _AUTHORIZATION and "sender" in keys:
        return "github_app_authorization"
    if "secret_type" in mapping(body.get("alert")):
        return "secret_scanning_alert"
    return ""


def _repository_of(body: dict[str, Any]) -> str | None:
    """Name the repository of a listed alert; a repository's own list has its URL."""
    named_here = text(mapping(body.get("repository")).get("full_name"))
    found = _ALERT_URL.search(text(body.get("locations_url")) or "")
    return named_here or (found[1] if found else None)


def _user(person: Any) -> Identifier | None:
    return identifier("github.user", number(mapping(person).get("id")))


def _alert(repository: str | None, value: Any) -> Identifier | None:
    """Name a leaked secret by its alert: the log never shows the secret."""
    if repository is None or number(value) is None:
        return None
    return identifier("github.secret_alert", f"{repository}#{number(value)}")


# ------------------------------------------------------------------------- webhooks


def _installation(seen: DialectEvent, _: str) -> Iterator[Lifecycle]:
    body = mapping(seen.body.get("installation"))
    target = identifier("github.installation", number(body.get("id")))
    app = identifier("github.app", number(body.get("app_id")))
    values: dict[str, Any] = {
        "parents": requires(app),
        "owner": text(mapping(body.get("account")).get("login")),
    }
    match seen.event_type:
        case "installation.created":
            time = sound_time(body.get("created_at"))
            yield seen.change("issue", target, occurred_at=time, **values)
        case "installation.deleted":
            yield seen.change("revoke", target, **values)
        case "installation.suspend":
            actor = named(_user(body.get("suspended_by"))) or seen.actor
            yield seen._replace(actor=actor).change(
                "suspend", target, aspect="suspended",
                occurred_at=sound_time(body.get("suspended_at")), **values,
            )  # fmt: skip
        case _:
            yield seen.change(
                "restore", target, aspect="suspended",
                occurred_at=sound_time(body.get("updated_at")), **values,
            )  # fmt: skip


def _authorization(seen: DialectEvent, app: str) -> Iterator[Lifecycle]:
    person = _user(seen.body.get("sender"))
    target = None
    if person is not None:
        value = f"{app}/{person.value}" if app else person.value
        target = identifier("github.app_authorization", value)
    yield seen.change(
        "revoke", target, parents=requires(identifier("github.app", app)),
        owner=text(mapping(seen.body.get("sender")).get("login")), owners=named(person),
    )  # fmt: skip


def _secret_alert(seen: DialectEvent, _: str) -> Iterator[Lifecycle]:
    alert = mapping(seen.body.get("alert"))
    repository = mapping(seen.body.get("repository"))
    target = _alert(text(repository.get("full_name")), alert.get("number"))
    leak = seen.event_type.rpartition(".")[2] in ("created", "reopened")
    time = alert.get("created_at") if seen.event_type.endswith("created") else None
    yield seen.change(
        "leak" if leak else None, target,
        occurred_at=sound_time(time or alert.get("updated_at")),
        reason=text(alert.get("secret_type" if leak else "resolution")),
    )  # fmt: skip


def _deploy_key(seen: DialectEvent, _: str) -> Iterator[Lifecycle]:
    key = mapping(seen.body.get("key"))
    target = identifier("github.deploy_key", number(key.get("id")))
    owner = text(mapping(seen.body.get("repository")).get("full_name"))
    if seen.event_type.endswith("deleted"):
        yield seen.change("revoke", target, owner=owner)
        return
    time = sound_time(key.get("created_at"))
    yield seen.change("issue", target, owner=owner, occurred_at=time)


def _token_request(seen: DialectEvent, _: str) -> Iterator[Lifecycle]:
    """Read the grant of an organisation's resources to a personal access token."""
    request = mapping(seen.body.get("personal_access_token_request"))
    owner = _user(request.get("owner"))
    yield seen.change(
        "issue", identifier("github.token", number(request.get("token_id"))),
        parents=requires(owner), owners=named(owner),
        owner=text(mapping(request.get("owner")).get("login")),
        expires_at=sound_time(request.get("token_expires_at")),
    )  # fmt: skip


def _signal(seen: DialectEvent, _: str) -> Iterator[Lifecycle]:
    membership = mapping(mapping(seen.body.get("membership")).get("user"))
    person = _user(membership) or _user(seen.body.get("member"))
    yield seen.change(None, person, reason="signal")


_WEBHOOKS: Final[dict[str, Read]] = {
    "installation.created": _installation,
    "installation.deleted": _installation,
    "installation.suspend": _installation,
    "installation.unsuspend": _installation,
    "github_app_authorization.revoked": _authorization,
    "secret_scanning_alert.created": _secret_alert,
    "secret_scanning_alert.reopened": _secret_alert,
    "secret_scanning_alert.resolved": _secret_alert,
    "secret_scanning_alert.revoked": _secret_alert,
    "deploy_key.created": _deploy_key,
    "deploy_key.deleted": _deploy_key,
    "personal_access_token_request.approved": _token_request,
    "organization.member_removed": _signal,
    "membership.removed": _signal,
    "member.removed": _signal,
}


def configured(settings: ReaderSettings) -> GitHub:
    """Make a reader that names tokens by keyed hashes."""
    return GitHub(keyed=keyed_by(HASHED, settings.peppers))
