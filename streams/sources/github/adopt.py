"""Adopt the tokens, app installations and deploy keys of a GitHub organisation.

Rules:

- A fine-grained personal access token with access to the organisation requires its
  owner, and is named by its token id, as webhooks and the audit log name it. Its
  permissions are its scope, in the namespace ``github``; a higher level covers the
  lower ones.
- An expired token is left out. One without an expiry never expires.
- An installation requires its app; a suspended one is suspended since then.
- A deploy key has the scope of its repository's contents. Who added it is told by a
  login, which can change hands, so it has no owner.

Source: GitHub REST API, "Personal access tokens", "Organizations: list app
installations", "Deploy keys"; "Using pagination".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.outbound.answers import objects
from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import Steps, Walk, linked_pages
from streams.sources.reading.fields import identifier, mapping, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streams.sources.adopting.adoption import ListedSystem

PAGE: Final = "per_page=100"
EXPIRED: Final = "expired tokens"
DISABLED: Final = "deploy keys that are disabled"
PARTS: Final = ("tokens", "installations", "deploy-keys")
_LEVELS: Final = ("read", "write", "admin")


def walk(base: str, org: str, parts: Iterable[str]) -> Walk:
    """List what an organisation has.

    Args:
        base: URL of the API; links of pages must stay there.
        org: its login.
        parts: of PARTS; ``deploy-keys`` asks once for each repository, ``tokens`` needs
            the credential of an app.

    Raises:
        ListingError: an answer is not as documented.
    """
    own = f"orgs/{quote(org, safe='')}"
    wanted = frozenset(parts)
    items: list[dict[str, Any]] = []
    if "tokens" in wanted:
        target = f"{own}/personal-access-tokens?{PAGE}"
        items += yield from linked_pages(target, base)
    if "installations" in wanted:
        target = f"{own}/installations?{PAGE}"
        items += yield from linked_pages(target, base, "installations")
    if "deploy-keys" in wanted:
        items += yield from _deploy_keys(own, base)
    return of_documents(items)


def of_documents(items: Iterable[Mapping[str, Any]]) -> Listing:
    """Return the listing of tokens, installations and deploy keys, in any order.

    Raises:
        ListingError: an item is none of these.
    """
    listing = Listing()
    for item in _items(items):
        if "token_id" in item:
            _token(listing, item)
        elif "app_id" in item:
            _installation(listing, item)
        elif "read_only" in item and "key" in item:
            _deploy_key(listing, item)
        else:
            raise ListingError("an item is no token, no installation and no deploy key")
    return listing


def _items(items: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        yield from objects(item.get("installations", [item]))


def _token(listing: Listing, item: Mapping[str, Any]) -> None:
    if item.get("token_expired") is True:
        listing.left_out[EXPIRED] += 1
        return
    owner = identifier("github.user", number(mapping(item.get("owner")).get("id")))
    granted = item.get("access_granted_at")
    permissions = mapping(item.get("permissions"))
    listing.add(
        identifier("github.token", number(item.get("token_id"))),
        changed_at=granted,
        expires_at=item.get("token_expires_at"),
        parents=[owner],
        owners=[owner],
        scope=_scope(
            (name, level)
            for kind in permissions.values()
            for name, level in mapping(kind).items()
        ),
    )
    listing.imply(owner)


def _installation(listing: Listing, item: Mapping[str, Any]) -> None:
    app = identifier("github.app", number(item.get("app_id")))
    since = item.get("suspended_at")
    listing.add(
        identifier("github.installation", number(item.get("id"))),
        issued_at=item.get("created_at"),
        changed_at=item.get("updated_at"),
        parents=[app],
        scope=_scope(mapping(item.get("permissions")).items()),
        suspended="suspended" if since else "",
        suspended_at=since,
    )
    listing.imply(app)


def _deploy_key(listing: Listing, item: Mapping[str, Any]) -> None:
    if item.get("enabled") is False:
        listing.left_out[DISABLED] += 1
        return
    created = item.get("created_at")
    level = "read" if item.get("read_only") is True else "write"
    listing.add(
        identifier("github.deploy_key", number(item.get("id"))),
        issued_at=created,
        changed_at=created,
        scope=_scope([("contents", level)]),
    )


def _scope(permissions: Iterable[tuple[str, Any]]) -> list[str]:
    """Each permission with its level and the lower ones."""
    scope = []
    for name, level in permissions:
        if level in _LEVELS:
            levels = _LEVELS[: _LEVELS.index(level) + 1]
            scope += [f"github|{name}:{each}" for each in levels]
    return scope


def _deploy_keys(own: str, base: str) -> Steps:
    repositories = yield from linked_pages(f"{own}/repos?{PAGE}", base)
    keys: list[dict[str, Any]] = []
    for each in repositories:
        name = text(each.get("full_name"))
        if name is not None:
            target = f"repos/{quote(name)}/keys?{PAGE}"
            keys += yield from linked_pages(target, base)
    return keys


def _read(source: ListedSystem, org: str, parts: Sequence[str] | None) -> Listing:
    if source.files:
        return of_documents(source.documents())
    if not org:
        raise ListingError("name the organisation with --org")
    headers = {
        "Authorization": f"Bearer {source.secret('GITHUB_TOKEN')}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    strange = set(parts or ()) - set(PARTS)
    if strange:
        raise ListingError(f"--part {min(strange)!r}: one of {', '.join(PARTS)}")
    return source.walk(walk(source.base, org, parts or PARTS), headers)


ADOPT: Final = Adoption(
    authority="github",
    help="GitHub tokens, app installations and deploy keys (GITHUB_TOKEN).",
    read=_read,
    options=(
        Option("--org", "Login of the organisation."),
        Option(
            "--part",
            "tokens, installations or deploy-keys; can be repeated.",
            (),
            "parts",
        ),
    ),
)
