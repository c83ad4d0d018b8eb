"""``rescind adopt acme``: the tokens that exist before Rescind starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.adopting.adoption import Adoption, Option
from streams.sources.adopting.listing import Listing
from streams.sources.adopting.walk import ListRequest, ask
from streams.sources.reading.fields import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.sources.adopting.adoption import ListedSystem
    from streams.sources.adopting.walk import Walk


def walk(workspace: str) -> Walk:
    """Ask for the tokens of a workspace."""
    reply = yield from ask(ListRequest(f"tokens/{workspace}"))
    return listing_of(reply.objects())


def listing_of(tokens: Iterable[dict[str, Any]]) -> Listing:
    """Return the listing; a token requires its agent."""
    listing = Listing()
    for each in tokens:
        agent = identifier("agent.id", each.get("agent"))
        listing.add(
            identifier("acme.token", each.get("id")),
            issued_at=each.get("created"),
            parents=[agent],
        )
    return listing


def _read(source: ListedSystem, workspace: str) -> Listing:
    if source.files:
        return listing_of(source.documents())
    headers = {"Authorization": f"Bearer {source.secret('ACME_TOKEN')}"}
    return source.walk(walk(workspace), headers)


ADOPT = Adoption(
    authority="acme",
    help="Tokens of an ACME workspace (ACME_TOKEN).",
    read=_read,
    options=(Option("--workspace", "Workspace to list.", "main"),),
)
