"""The commands for silences: order one, list them, take one back."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from streams.cli.plain_text import clean, columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.clients.rescind import Client

DONE: Final = 0


def show(client: Client, output: str) -> int:
    """List the silences in force, and what they hold back."""
    answer = client.get("alerts/silences")
    if output == "json":
        return _print(answer)
    heads = ("id", "until", "by", "what", "held back", "reason")
    rows = [
        (
            each["id"],
            each["until"],
            each["by"],
            _what(each),
            each["count"],
            each["reason"],
        )
        for each in answer["silences"]
    ]
    text = columns(heads, rows) if rows else "There are no silences."
    sys.stdout.write(f"{text}\n")
    return DONE


def silence(client: Client, order: Mapping[str, Any], output: str) -> int:
    """Be silent of some findings."""
    given = {name: value for name, value in order.items() if value is not None}
    answer = client.post("alerts/silences", given)
    if output == "json":
        return _print(answer)
    sys.stdout.write(f"Silent until {answer['until']}: {clean(_what(answer))}.\n")
    sys.stdout.write(f"To take it back: rescind alerts unsilence {answer['id']}\n")
    return DONE


def unsilence(client: Client, silence_id: str, output: str) -> int:
    """Take a silence back."""
    answer = client.delete("alerts/silences", silence_id)
    if output == "json":
        return _print(answer)
    sys.stdout.write(f"No longer silent: {clean(_what(answer))}.\n")
    return DONE


def _what(each: Mapping[str, Any]) -> str:
    kinds = ", ".join(each["kinds"]) or "all kinds"
    if each["critical"]:
        kinds += " (critical too)"
    realm = f" in {each['realm']}" if each["realm"] else ""
    return f"{kinds} of {each['identifier']}{realm}"


def _print(answer: Mapping[str, Any]) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    return DONE
