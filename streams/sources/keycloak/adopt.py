"""Adopt the users, clients, service accounts and sessions of a Keycloak realm.

Rules:

- Names are those of the event mapper: a user by its UUID, and by ``jwt.sub`` where the
  issuer is known; a client by realm id and client id, which requires its own id.
- Users and clients require their realm. A service account's user requires its client
  too. A session requires its user and realm, and belongs to the user.
- What is disabled is suspended, as the event that disables it does, at the time of the
  list: Keycloak does not say since when. A ``notBefore`` is one here too.
- An export of a realm holds secrets; nothing but names, times and flags is read of it.

Source: Keycloak Admin REST API (RealmRepresentation, ClientRepresentation,
UserRepresentation, UserSessionRepresentation); answers of Keycloak 26.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.outbound.answers import objects
from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import ListRequest, Steps, Walk, ask, portions
from streams.sources.keycloak.names import client, client_uuid, realm, users
from streams.sources.reading.fields import identifier, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.identifiers import Identifier
    from streams.sources.adopting.adoption import ListedSystem

MAX: Final = 100
UNOWNED: Final = "sessions of users that are not listed"
_ASPECT: Final = "enabled"

Item = dict[str, Any]


def walk(name: str, began: str) -> Walk:
    """List a realm's clients, service accounts, users and sessions.

    Args:
        name: of the realm.
        began: the time (RFC 3339).

    Raises:
        ListingError: an answer is not as documented.
    """
    path = f"admin/realms/{quote(name, safe='')}"
    known = f"realms/{quote(name, safe='')}/.well-known/openid-configuration"
    about = yield from ask(ListRequest(path))
    found = yield from ask(ListRequest(known, may_fail=(404,)))
    clients = yield from _pages(f"{path}/clients")
    people = yield from _pages(f"{path}/users")
    people += yield from _service_accounts(path, clients)
    sessions: list[Item] = []
    for each in clients:
        below = f"{path}/clients/{quote(str(each.get('id')), safe='')}"
        for kind in ("user-sessions", "offline-sessions"):
            sessions += yield from _pages(f"{below}/{kind}")
    export = about.object() | {"clients": clients, "users": people}
    issuer = text(found.object().get("issuer"))
    return of_realm(export, issuer, began=began, sessions=sessions)


def of_realm(
    export: Mapping[str, Any],
    issuer: str | None,
    *,
    began: str | None = None,
    sessions: Iterable[Mapping[str, Any]] = (),
) -> Listing:
    """Return the listing of a realm, as its export has it.

    Args:
        export: with ``id``, ``clients`` and ``users``.
        issuer: of its tokens; None where it is not known.
        began: since when what is disabled counts as such; None: since now.
        sessions: of all clients; one session may come with several.

    Raises:
        ListingError: it is no realm.
    """
    body = {"realmId": export.get("id")}
    top = realm(body)
    if top is None or text(export.get("realm")) is None:
        raise ListingError("no realm: it has no id and realm")
    listing = Listing()
    ids: dict[str, Identifier] = {}
    listing.add(top, **_limits(export, began))
    for one in objects(export.get("clients") or []):
        # Its id is what events disable and enable; tokens have its name alone.
        uuid = client_uuid(body, one.get("id"))
        listing.add(uuid, **_limits(one, began))
        listing.add(client(body, one.get("clientId")), parents=[top, uuid])
    for one in objects(export.get("users") or []):
        names = users(one.get("id"), issuer)
        own = one.get("serviceAccountClientId")
        holder = client(body, own) if text(own) else None
        listing.add(
            names[0] if names else None,
            aliases=names[1:],
            issued_at=one.get("createdTimestamp"),
            parents=[top, holder],
            **_limits(one, began),
        )
        ids.update((name.value, name) for name in names[:1])
    seen: set[Identifier | None] = {None}
    for found in sessions:
        user = ids.get(str(found.get("userId")))
        if user is None:
            listing.left_out[UNOWNED] += 1
            continue
        session = identifier("session.id", found.get("id"))
        if session in seen:
            continue  # a session of several clients comes with each
        seen.add(session)
        listing.add(
            session,
            issued_at=found.get("start"),
            changed_at=found.get("start"),
            parents=[user, top],
            owners=[user],
        )
    return listing


def _limits(item: Mapping[str, Any], began: str | None) -> dict[str, Any]:
    """Causes that limit a realm, a client or a user."""
    since = item.get("notBefore")
    disabled = item.get("enabled") is False
    return {
        "suspended": _ASPECT if disabled else "",
        "suspended_at": began if disabled else None,
        "not_before": since if type(since) is int and since > 0 else None,
    }


def _service_accounts(path: str, clients: list[Item]) -> Steps:
    """Ask for the user of each client that has one; the list of users has none."""
    own = [one for one in clients if one.get("serviceAccountsEnabled") is True]
    found: list[Item] = []
    for some in portions(own):
        replies = yield [
            ListRequest(
                f"{path}/clients/{quote(str(one.get('id')), safe='')}"
                "/service-account-user"
            )
            for one in some
        ]
        for one, reply in zip(some, replies, strict=True):
            found.append(
                reply.object() | {"serviceAccountClientId": one.get("clientId")}
            )
    return found


def _pages(path: str) -> Steps:
    """Read a list by offset; a page that is not full is the last one."""
    found: list[Item] = []
    while True:
        reply = yield from ask(ListRequest(f"{path}?first={len(found)}&max={MAX}"))
        page = reply.objects()
        found += page
        if len(page) < MAX:
            return found


def _read(
    source: ListedSystem, realm: str, client_id: str, client_realm: str, issuer: str
) -> Listing:
    if source.files:
        (export,) = source.documents()
        return of_realm(export, issuer or None, began=source.saved)
    steps = walk(realm, source.now())
    credential = source.secret("KEYCLOAK_TOKEN", "KEYCLOAK_CLIENT_SECRET")
    if not client_id:
        return source.walk(steps, {"Authorization": f"Bearer {credential}"})
    of = client_realm or realm
    url = f"{source.base}/realms/{of}/protocol/openid-connect/token"
    return source.walk(steps, {}, tokens=(url, client_id, credential))


ADOPT: Final = Adoption(
    authority="keycloak",
    help="Keycloak users, clients, service accounts, sessions (KEYCLOAK_TOKEN).",
    read=_read,
    options=(
        Option("--realm", "Realm to list.", "master"),
        Option(
            "--client-id",
            "Client with a service account, whose secret is the credential; "
            "default: the credential is an access token.",
        ),
        Option("--client-realm", "Realm of that client; default: --realm."),
        Option("--issuer", "Issuer of the realm's tokens, for an export."),
    ),
)
