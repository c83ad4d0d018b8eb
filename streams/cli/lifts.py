"""Lifts: give one, and look at what is denied all the same."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from streams.cli.grants import WAITS, waits
from streams.cli.named_in_order import identifiers_on
from streams.cli.options import DONE
from streams.cli.output import clean, count, show, to_stderr
from streams.clients.rescind import Client, ClientError, settled

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED: Final = 1
LOOKED_AT: Final = 100  # of what is named, at most
SECONDS: Final = 30.0  # for all of these looks
SHOWN: Final = 10  # names
ENDS: Final = (
    "a lift ends what the same authority suspended more than 5 s before, and no revoke."
)


def order_lift(client: Client, body: Mapping[str, object], output: str) -> int:
    """End a suspend, and look whether what is named lives then.

    Returns:
        0 it lives, 1 some of it is denied all the same or was not looked at, or it
        waits for a second person.
    """
    answer = client.post("lifts", body)
    if answer.get("unknown"):
        to_stderr("lift", answer["detail"])
    if "scheduled" in answer:
        from streams.cli.revoke import scheduled

        return show(answer, scheduled(answer), output)
    if not answer["accepted"]:
        show(answer, waits(answer), output)
        return WAITS
    if "where" in body:
        from streams.cli.lifted_selectors import left_of

        look = left_of
    else:
        look = _of_many if "identifiers" in body else _of_one
    told, said, alive = look(client, body, answer["token"])
    written = f"Written: {clean(answer['summary'])}.\n  at_least  {answer['token']}"
    show(answer | told, f"{written}\n{said}", output)
    return DONE if alive else DENIED


def _of_one(
    client: Client, body: Mapping[str, Any], token: str
) -> tuple[dict[str, Any], str, bool]:
    """Whether the only name lives: for JSON, in words, and for the exit code."""
    name = _named(client, str(body["identifier"]))
    seen = None if name is None else _why(client, name, token)
    shown = clean(name or "ID")
    if seen is None:
        said = f"Whether it lives now is not known here: rescind why {shown}"
        return {"alive": None}, said, True
    if seen["allowed"]:
        return {"alive": True}, "It is allowed.", True
    said = f"It is still denied ({clean(seen['reason'])}): {ENDS}"
    return {"alive": False}, f"{said} What denies it: rescind why {shown}", False


def _of_many(
    client: Client, body: Mapping[str, Any], token: str
) -> tuple[dict[str, Any], str, bool]:
    """Which of the names live, as `_of_one` does; the first ones are looked at."""
    texts = [*dict.fromkeys(identifiers_on(body["identifiers"]).values())]
    end = time.monotonic() + SECONDS
    seen: list[dict[str, Any]] = []
    for text in texts[:LOOKED_AT]:
        name = _named(client, text) if time.monotonic() < end else None
        found = None if name is None else _why(client, name, token)
        seen += [] if found is None else [found]
    denied = [each for each in seen if not each["allowed"]]
    left = len(texts) - len(seen)
    parts = [f"{len(seen) - len(denied)} of {count(len(texts), 'identifier')} allowed."]
    if denied:
        parts.append(f"Still denied: {len(denied)}; {ENDS}")
        parts += [
            f"  {clean(each['identifier'])} ({clean(each['reason'])})"
            for each in denied[:SHOWN]
        ]
    if len(denied) > SHOWN:
        parts.append(f"  and {len(denied) - SHOWN} more")
    if left:
        parts.append(f"{left} not looked at: ask `rescind why ID` of each")
    still = [
        {"identifier": each["identifier"], "reason": each["reason"]} for each in denied
    ]
    alive = not denied and not left
    told = {"alive": alive, "denied": still, "not_looked_at": left}
    return told, "\n".join(parts), alive


def _named(client: Client, text: str) -> str | None:
    """Name of the typed identifier, of a secret its hash; None: not known."""
    from streams.cli.query import names_of

    with suppress(ClientError, ValueError):
        return names_of(client, text)[0]
    return None


def _why(client: Client, name: str, token: str) -> dict[str, Any] | None:
    """Ask once the table holds what was written; None where nobody can be asked."""
    with suppress(ClientError):
        client.get("why", name)  # ingress on Kafka cannot say it: no use to wait
        return settled(client, name, token)
    return None
