"""The commands ``rescind alerts``: how receivers are, tests, and replays."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from streams.cli.plain_text import clean, columns, count, to_stderr

if TYPE_CHECKING:
    from streams.clients.rescind import Client

DONE: Final = 0
FAILED: Final = 1

# What an error of an attempt means, and what to do.
_ERRORS: Final = {
    "timeout": "no answer in time",
    "refused_address": "not a public address; allow_private lets it through",
    "unresolved": "its name leads nowhere",
    "unreachable": "no connection: is it there, and is its certificate trusted?",
    "not_acknowledged": "taken, but not acknowledged: is the token's setting on?",
}


def show(client: Client, output: str) -> int:
    """Say how the receivers are, and what was given up."""
    answer = client.get("alerts")
    if output == "json":
        return _print(answer)
    heads = ("endpoint", "state", "waiting", "failing", "dead letters")
    rows = [
        (each["name"], _state(each), each["waiting"], each["failing"], each["dead"])
        for each in answer["endpoints"]
    ]
    parts = [columns(heads, rows) if rows else "There are no receivers."]
    letters = [
        (each["at"], each["endpoint"], each["id"], each["reason"])
        for each in answer["dead_letters"]
    ]
    if letters:
        heads_of_letters = ("given up", "endpoint", "message", "reason")
        parts.append("\n" + columns(heads_of_letters, letters))
    sys.stdout.write("\n".join(parts) + "\n")
    return DONE


def try_out(client: Client, endpoint: str | None, output: str) -> int:
    """Try one receiver out, or all; 1 when one did not take it."""
    answer = client.post("alerts/test", _named(endpoint))
    tried = answer["endpoints"]
    failed = not tried or not all(each["accepted"] for each in tried)
    if output == "json":
        _print(answer)
    for each in tried if output != "json" else ():
        said = "took it" if each["accepted"] else f"did NOT take it: {_why(each)}"
        sys.stdout.write(f"{clean(each['name'])} {said}\n")
    if not tried:
        to_stderr("alerts test", "no receivers are set up")
    return FAILED if failed else DONE


def replay(client: Client, endpoint: str | None, output: str) -> int:
    """Deliver anew what was given up."""
    answer = client.post("alerts/replay", _named(endpoint))
    if output == "json":
        return _print(answer)
    again = count(answer["replayed"], "message")
    sys.stdout.write(f"{again} on the way again; see `rescind alerts list`.\n")
    return DONE


def _named(endpoint: str | None) -> dict[str, Any]:
    return {} if endpoint is None else {"endpoint": endpoint}


def _state(each: dict[str, Any]) -> str:
    if each["disabled"]:
        return "disabled (410)"
    if each["paused"]:
        return f"paused until {each['paused']}"
    return "failing" if each["failing"] else "well"


def _why(each: dict[str, Any]) -> str:
    if each["error"]:
        return _ERRORS.get(each["error"], str(each["error"]))
    return f"it answered {each['status']}"


def _print(answer: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    return DONE
