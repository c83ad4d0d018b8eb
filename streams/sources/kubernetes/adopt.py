"""Adopt the service accounts and the token secrets of a Kubernetes cluster.

Rules:

- Names are those of the audit mapper: namespace and name, behind the cluster's name
  where several clusters share a realm. A service account requires its namespace.
- A secret of type service-account-token requires its service account, which owns it.
  Of secrets the metadata alone is asked for; of a saved list that holds more, nothing
  else is read.
- The sub claim of its tokens is one more name that requires the service account, where
  the issuer is known: both can be given again, so they are no aliases.
- Tokens that were asked for (TokenRequest) are listed nowhere: they are known by the
  audit log, or by their issuer and sub.

Source: Kubernetes API reference (ServiceAccount, Secret, PartialObjectMetadataList);
"API concepts", "Retrieving large results sets in chunks".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from attrs import frozen

from streams.outbound.answers import objects
from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import MOST_PAGES, ListRequest, Steps, Walk, ask
from streams.sources.reading.eventlog import qualified
from streams.sources.reading.fields import identifier, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.identifiers import Identifier
    from streams.sources.adopting.adoption import ListedSystem

TYPE: Final = "kubernetes.io/service-account-token"
ACCOUNT: Final = "kubernetes.io/service-account.name"
METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
LIMIT: Final = 500
OTHER_SECRETS: Final = "secrets that hold no service account's token"
_ACCOUNTS: Final = "api/v1/serviceaccounts"
_SECRETS: Final = f"api/v1/secrets?fieldSelector={quote(f'type={TYPE}', safe='')}"
_GONE: Final = 410


@frozen
class ClusterOptions:
    """How the cluster is named.

    Attributes:
        cluster: its name in the settings; empty where there is one only.
        issuer: of its service account tokens; empty where it is not known.
    """

    cluster: str = ""
    issuer: str = ""


def walk(options: ClusterOptions) -> Walk:
    """List service accounts and the metadata of token secrets.

    Raises:
        ListingError: an answer is not as documented.
    """
    accounts = yield from _chunks(f"{_ACCOUNTS}?limit={LIMIT}")
    secrets = yield from _chunks(f"{_SECRETS}&limit={LIMIT}")
    return of_documents(
        [
            *(one | {"kind": "ServiceAccount"} for one in accounts),
            *({"type": TYPE} | one | {"kind": "Secret"} for one in secrets),
        ],
        options,
    )


def of_documents(
    items: Iterable[Mapping[str, Any]], options: ClusterOptions
) -> Listing:
    """Return the listing of objects, or of lists as kubectl prints them.

    Raises:
        ListingError: an item is neither a service account nor a secret.
    """
    listing = Listing()
    for item in items:
        kind = text(item.get("kind")) or ""
        if kind.endswith("List"):
            own = kind.removesuffix("List")
            some = objects(item.get("items"))
            # Items of an API's list name no kind; those of kubectl's do.
            named = [{"kind": own} | one if own else one for one in some]
            for one in named:
                _take(listing, one, options)
        else:
            _take(listing, item, options)
    return listing


def _take(listing: Listing, item: Mapping[str, Any], options: ClusterOptions) -> None:
    metadata = mapping(item.get("metadata"))
    if item.get("kind") == "ServiceAccount":
        _account(listing, metadata, options)
    elif item.get("kind") == "Secret":
        account = text(mapping(metadata.get("annotations")).get(ACCOUNT))
        if item.get("type") != TYPE or account is None:
            listing.left_out[OTHER_SECRETS] += 1
            return
        holder = _inside("k8s.service_account", metadata, options, account)
        created = metadata.get("creationTimestamp")
        listing.add(
            _inside("k8s.secret", metadata, options),
            issued_at=created, changed_at=created, parents=[holder], owners=[holder],
        )  # fmt: skip
    else:
        raise ListingError("an item is neither a service account nor a secret")


def _account(
    listing: Listing, metadata: Mapping[str, Any], options: ClusterOptions
) -> None:
    account = _inside("k8s.service_account", metadata, options)
    space = text(metadata.get("namespace"))
    namespace = identifier("k8s.namespace", f"{_prefix(options)}{space}")
    created = metadata.get("creationTimestamp")
    listing.add(account, issued_at=created, parents=[namespace])
    if account is None:
        return
    listing.imply(namespace)
    if options.issuer:
        subject = f"system:serviceaccount:{space}:{metadata.get('name')}"
        name = qualified("jwt.sub", options.issuer, subject)
        listing.imply(name, parents=[account])


def _inside(
    kind: str,
    metadata: Mapping[str, Any],
    options: ClusterOptions,
    name: str | None = None,
) -> Identifier | None:
    space, own = text(metadata.get("namespace")), name or text(metadata.get("name"))
    if space is None or own is None:
        return None
    return identifier(kind, f"{_prefix(options)}{space}/{own}")


def _prefix(options: ClusterOptions) -> str:
    return f"{options.cluster}/" if options.cluster else ""


def _chunks(target: str) -> Steps:
    """Read a list in chunks, all of one moment of the cluster."""
    found: list[dict[str, Any]] = []
    place = ""
    for _ in range(MOST_PAGES):
        more = f"&continue={quote(place, safe='')}" if place else ""
        reply = yield from ask(
            ListRequest(target + more, accept=METADATA, may_fail=(_GONE,))
        )
        if reply.status == _GONE:
            raise ListingError("the list took too long for the cluster: run it again")
        page = reply.object()
        found += objects(page.get("items") or [])
        place = text(mapping(page.get("metadata")).get("continue")) or ""
        if not place:
            return found
    raise ListingError("the pages lead in a circle")


def _read(source: ListedSystem, cluster: str, issuer: str) -> Listing:
    options = ClusterOptions(cluster, issuer)
    if source.files:
        return of_documents(source.documents(), options)
    token = source.secret("KUBERNETES_TOKEN")
    return source.walk(walk(options), {"Authorization": f"Bearer {token}"})


ADOPT: Final = Adoption(
    authority="kubernetes",
    help="Kubernetes service accounts and token secrets (KUBERNETES_TOKEN).",
    read=_read,
    options=(
        Option("--cluster", "Name of the cluster, if the realm has several."),
        Option("--issuer", "Issuer of the cluster's service account tokens."),
    ),
)
