"""What the commands that may allow again do: ask the server, and say what it says."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.cli.plain_text import clean
from streams.cli.query import names_of
from streams.clients.rescind import ClientError, settled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

DONE: Final = 0
WAITS: Final = 1


def act(client: Client, path: str, body: Mapping[str, object], output: str) -> int:
    """Give an order; 0 it is done, 1 it waits for a second person."""
    answer = client.post(path, body)
    if answer["accepted"]:
        said = f"Done: {clean(answer['summary'])}.\n  at_least  {answer['token']}\n"
    else:
        said = waits(answer)
    _print(answer, said, output)
    return DONE if answer["accepted"] else WAITS


def lift(client: Client, body: Mapping[str, object], output: str) -> int:
    """End a suspend, and look whether the name lives then.

    Returns:
        0 it lives, 1 it is denied all the same, or waits for a second person.
    """
    answer = client.post("lifts", body)
    if not answer["accepted"]:
        _print(answer, waits(answer), output)
        return WAITS
    name = _named(client, str(body["identifier"]))
    seen = None if name is None else _why(client, name, answer["token"])
    shown = clean(name or "ID")
    said = f"Written: {clean(answer['summary'])}.\n  at_least  {answer['token']}\n"
    alive = seen is None or bool(seen["allowed"])
    if seen is None:
        said += f"Whether it lives now is not known here: rescind why {shown}\n"
    elif not alive:
        why = clean(str(seen["reason"]))
        said += (
            f"It is still denied ({why}): a lift ends what the same authority "
            "suspended more than 5 s before, and no revoke. What denies it: "
            f"rescind why {shown}\n"
        )
    else:
        said += "It is allowed.\n"
    _print(answer | {"alive": None if seen is None else alive}, said, output)
    return DONE if alive else WAITS


def _named(client: Client, text: str) -> str | None:
    """Give the name of what was typed, of a secret its hash; None: not told."""
    with suppress(ClientError, ValueError):
        return names_of(client, text)[0]
    return None


def _why(client: Client, name: str, token: str) -> dict[str, Any] | None:
    """Ask once the table holds what was written; None where nobody can be asked."""
    with suppress(ClientError):
        client.get("why", name)  # ingress on Kafka cannot say it: no use to wait
        return settled(client, name, token)
    return None


def waiting(client: Client, output: str) -> int:
    """List what waits for a second person."""
    answer = client.get("approvals")
    said = "".join(map(_entry, answer["approvals"])) or "Nothing waits.\n"
    _print(answer, said, output)
    return DONE


def approve(client: Client, identity: str, output: str) -> int:
    """Have done what another person proposed."""
    answer = client.post(f"approvals/{quote(identity, safe='')}/approve", {})
    said = f"Approved {clean(identity)}.\n  at_least  {answer['token']}\n"
    _print(answer, said, output)
    return DONE


def reject(client: Client, identity: str, reason: str, output: str) -> int:
    """Drop what waits."""
    path = f"approvals/{quote(identity, safe='')}/reject"
    answer = client.post(path, {"reason": reason})
    _print(answer, f"Rejected: {clean(answer['rejected'])}.\n", output)
    return DONE


def waits(answer: Mapping[str, Any]) -> str:
    """Say that nothing has changed yet, and how that goes on."""
    entries = "".join(map(_entry, answer["pending"]))
    return f"Not accepted: nothing changes until another person approves it.\n{entries}"


def _entry(each: Mapping[str, Any]) -> str:
    until = each["expires_at"]
    end = "until it is decided" if until is None else f"until {until}"
    why = f": {clean(each['reason'])}" if each["reason"] else ""
    return (
        f"{clean(each['id'])}  {clean(each['summary'])}\n"
        f"    by {clean(each['proposed_by'])} at {each['proposed_at']}, {end}{why}\n"
    )


def _print(answer: Mapping[str, Any], said: str, output: str) -> None:
    sys.stdout.write(json.dumps(answer) + "\n" if output == "json" else said)
