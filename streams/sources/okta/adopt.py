"""Adopt the users, OAuth clients and API tokens of an Okta organisation.

Rules:

- A suspended or deactivated user is suspended, as those events do it, since the status
  changed. Any other status (locked, staged, password expired) says nothing about what
  was issued.
- A client is an app that signs on with OpenID Connect. The scopes of Okta's own API
  that were granted to a service app are its scope, in the namespace ``okta``. One that
  is not active is left out: no event would lift its suspension, and unknown is
  denied.
- An API token belongs to its user. It expires 30 days after its last use; no event
  tells when a use moves this, so it is declared without an expiry: Okta ends it.
- Users who were deactivated are not in Okta's list of users unless it is searched.

Source: Okta developer documentation, Users, Applications, "Application grants" and
"API tokens" APIs; "Pagination".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.outbound.answers import objects
from streams.sources.adopting.adoption import Adoption
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import (
    ListRequest,
    Steps,
    Walk,
    linked_pages,
    portions,
)
from streams.sources.reading.fields import identifier, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.sources.adopting.adoption import ListedSystem

USERS: Final = "api/v1/users?limit=200"
APPS: Final = "api/v1/apps?limit=200"
TOKENS: Final = "api/v1/api-tokens?limit=200"
INACTIVE: Final = "clients that are not active"
OTHER_APPS: Final = "apps that are no OAuth clients"
_ASPECTS: Final = {"SUSPENDED": "suspended", "DEPROVISIONED": "deactivated"}


def walk(base: str) -> Walk:
    """List users, apps with the grants of service apps, and API tokens.

    Args:
        base: URL of the organisation; links of pages must stay there.

    Raises:
        ListingError: an answer is not as documented.
    """
    items = yield from linked_pages(USERS, base)
    apps = yield from linked_pages(APPS, base)
    grants = yield from _grants(apps)
    items += [app | {"grants": grants.get(text(app.get("id")) or "")} for app in apps]
    items += yield from linked_pages(TOKENS, base)
    return of_documents(items)


def of_documents(items: Iterable[Mapping[str, Any]]) -> Listing:
    """Return the listing of users, apps and API tokens, in any order.

    Args:
        items: as the API gives them; an app may have its ``grants`` beside.

    Raises:
        ListingError: an item is none of these.
    """
    listing = Listing()
    for item in items:
        if "signOnMode" in item:
            _app(listing, item)
        elif "userId" in item and "tokenWindow" in item:
            _token(listing, item)
        elif "profile" in item and "status" in item:
            _user(listing, item)
        else:
            raise ListingError("an item is no user, no app and no API token")
    return listing


def _user(listing: Listing, item: Mapping[str, Any]) -> None:
    user = identifier("okta.user", item.get("id"))
    aspect = _ASPECTS.get(str(item.get("status")), "")
    listing.add(
        user,
        issued_at=item.get("created"),
        changed_at=item.get("lastUpdated"),
        suspended=aspect,
        suspended_at=item.get("statusChanged") if aspect else None,
    )
    if user is not None:  # what "clear user sessions" acts on
        listing.imply(identifier("okta.user_sessions", user.value), parents=[user])


def _app(listing: Listing, item: Mapping[str, Any]) -> None:
    if item.get("signOnMode") != "OPENID_CONNECT":
        listing.left_out[OTHER_APPS] += 1
        return
    if item.get("status") != "ACTIVE":
        listing.left_out[INACTIVE] += 1
        return
    grants = item.get("grants")
    listing.add(
        identifier("okta.app", item.get("id")),
        issued_at=item.get("created"),
        # Grants come and go without a change of the app: what they are now is said now.
        changed_at=None if grants is not None else item.get("lastUpdated"),
        scope=None if grants is None else _scope(grants),
    )


def _scope(grants: Any) -> list[str]:
    return [
        f"okta|{scope}"
        for grant in objects(grants)
        if grant.get("status", "ACTIVE") == "ACTIVE"
        and (scope := text(grant.get("scopeId")))
    ]


def _token(listing: Listing, item: Mapping[str, Any]) -> None:
    user = identifier("okta.user", item.get("userId"))
    listing.add(
        identifier("okta.api_token", item.get("id")),
        issued_at=item.get("created"),
        changed_at=item.get("lastUpdated"),
        parents=[user],
        owners=[user],
    )


def _grants(apps: Iterable[Mapping[str, Any]]) -> Steps:
    """Ask for the grants of each active service app; give them by its id."""
    ids = [name for app in apps if _is_service(app) and (name := text(app.get("id")))]
    found: dict[str, Any] = {}
    for some in portions(ids):
        replies = yield [
            ListRequest(f"api/v1/apps/{quote(one, safe='')}/grants") for one in some
        ]
        for one, reply in zip(some, replies, strict=True):
            found[one] = reply.objects()
    return found


def _is_service(app: Mapping[str, Any]) -> bool:
    client = mapping(mapping(app.get("settings")).get("oauthClient"))
    return client.get("application_type") == "service" and app.get("status") == "ACTIVE"


def _read(source: ListedSystem) -> Listing:
    if source.files:
        return of_documents(source.documents())
    token = source.secret("OKTA_API_TOKEN")
    scheme = "Bearer" if token.startswith("eyJ") else "SSWS"
    return source.walk(walk(source.base), {"Authorization": f"{scheme} {token}"})


ADOPT: Final = Adoption(
    authority="okta",
    help="Okta users, OAuth clients, service apps and API tokens (OKTA_API_TOKEN).",
    read=_read,
)
