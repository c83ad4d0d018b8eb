"""Walks without a network: answers in, a listing out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agents_registry.facts import fact_id
from streams.outbound.answers import HttpAnswer
from streams.sources.adopting.walk import OK
from streams.stages.ingest.declared import facts_of_list
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.sources.adopting.listing import Listing
    from streams.sources.adopting.walk import ListRequest, Walk


def reply(document: Any, status: int = OK, **headers: str) -> HttpAnswer:
    """Give an answer."""
    return HttpAnswer(headers, json.dumps(document).encode(), status)


def answered(walk: Walk, answer: Callable[[ListRequest], HttpAnswer]) -> Listing:
    """Walk to the end."""
    try:
        asked = next(walk)
        while True:
            asked = walk.send([answer(each) for each in asked])
    except StopIteration as end:
        listing: Listing = end.value
        return listing


def by_name(listing: Listing) -> dict[str, dict[str, Any]]:
    """Give the entries by name, once they are seen to be legal."""
    entries = listing.entries()
    facts_of_list(entries, Origin(authority="x", realm="r", received_at=1))
    return {entry["identifier"]: entry for entry in entries}


def identities(entries: Iterable[Any], at: int) -> set[bytes]:
    """Give the ids of the facts of a list that is declared at a time."""
    facts = facts_of_list(entries, Origin(authority="x", realm="r", received_at=at))
    return {fact_id(fact) for fact in facts}
