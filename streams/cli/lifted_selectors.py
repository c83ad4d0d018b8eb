"""What is left of a selector's suspends behind a lift of it."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from streams.cli.output import clean
from streams.cli.query import LIFTABLE
from streams.clients.rescind import Client, ClientError, settled
from streams.model.selectors import Selector, SelectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OPERATORS: Final = "operators"  # the authority that they speak for by default
PAGE: Final = 1000
PAGES: Final = 20  # of suspends and revocations that are looked through
LATELY: Final = 3600.0  # seconds; clocks differ by less
NONE_FOUND: Final = (
    "No suspend by {} has this selector and this aspect, so nothing was lifted. A lift "
    "takes both as the suspend had them; `rescind why ID` shows what denies."
)
STANDS: Final = (
    "Its suspend stands still: it is younger than 5 s, or a lift came too close to it. "
    "Give the lift again."
)
LIFTED: Final = (
    "Its suspend is lifted. If something else denies what fits: rescind why ID"
)
NOT_KNOWN: Final = (
    "Whether its suspend stands still is not known here ({}): rescind why ID of what "
    "fits"
)


def parted(aspect: str, target: str) -> tuple[str, str]:
    """Selector in the aspect of a cause, and the aspect that its order gave beside it.

    Both are as a lift must name them; no selector is in there where the first is empty.

    Args:
        aspect: of the cause.
        target: of the cause.
    """
    spaces = [at for at, character in enumerate(aspect) if character == " "]
    for given, rest in [("", aspect), *((aspect[:s], aspect[s + 1 :]) for s in spaces)]:
        with suppress(SelectorError):
            where = Selector.parse(rest)
            on_it = str(where.cause_parts()[0]) == target
            if on_it and where.aspect_of(given) == aspect:
                return where.text(), given
    return "", aspect


def left_of(
    client: Client, body: Mapping[str, Any], token: str
) -> tuple[dict[str, Any], str, bool]:
    """Whether a suspend of a selector stands still: for JSON, in words, and as a code.

    Args:
        client: talks to the server.
        body: of the lift.
        token: of its answer.
    """
    where = Selector.parse(str(body["where"]))
    aspect = where.aspect_of(str(body.get("aspect") or ""))
    authority = str(body.get("authority") or OPERATORS)
    try:
        found, is_whole = _suspends(client, aspect, authority)
        stands = _stand_still(client, where, found, token)
    except ClientError as error:
        return {"lifted": None}, NOT_KNOWN.format(clean(error)), False
    if not found and not is_whole:
        why = "older orders are not listed"
        return {"lifted": None}, NOT_KNOWN.format(why), False
    if not found:
        return {"lifted": False}, NONE_FOUND.format(clean(authority)), False
    return {"lifted": not stands}, STANDS if stands else LIFTED, not stands


def _suspends(
    client: Client, aspect: str, authority: str
) -> tuple[list[dict[str, Any]], bool]:
    """Return those of an aspect, back to the first old one; whether all were listed."""
    found: list[dict[str, Any]] = []
    for rows, is_whole in _pages(client):
        for row in rows:
            by_it = row["authority"] == authority and row["effect"] in LIFTABLE
            if by_it and row["aspect"] == aspect:
                found.append(row)
                if not _is_young(row):
                    return found, is_whole
    return found, is_whole


def _pages(client: Client) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    before = None
    for number in range(PAGES):
        page = client.get("revocations", limit=PAGE, before=before)
        before = page["before"]
        is_cut = before is not None and number == PAGES - 1
        yield page["revocations"], page["whole"] and not is_cut
        if before is None:
            return


def _is_young(row: Mapping[str, Any]) -> bool:
    at = datetime.fromisoformat(row["accepted_at"]).timestamp()
    return time.time() - at < LATELY  # noqa: TID251 - the program's clock


def _stand_still(
    client: Client, where: Selector, found: list[dict[str, Any]], token: str
) -> bool:
    """Whether a lift came too close to one of them to count; the table tells."""
    young = {row["id"] for row in found if _is_young(row)}
    if not young:
        return False
    settled(client, str((*where.labels, *where.owners)[0]), token)
    close = client.get("inventory", limit=PAGE)["ambiguous_lifts"]
    # A list that is cut may have left it out: better to lift twice than not at all.
    return len(close) >= PAGE or any(each["id"] in young for each in close)
