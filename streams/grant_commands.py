"""What the commands that may allow again do: ask the server, and say what it says."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from streams.plain_text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.client import Client

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
