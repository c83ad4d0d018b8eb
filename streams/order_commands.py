"""The commands that give orders to the server: revoke, adopt."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from streams.ask_commands import UNKNOWN, identifier_of, moment_of
from streams.client import ClientError
from streams.declarations import read
from streams.plain_text import clean, count

if TYPE_CHECKING:
    from pathlib import Path

    from streams.client import Client

DONE: Final = 0
BATCH: Final = 1000  # entries of one request
SETTLED: Final = 5.0  # seconds that the table may take to hold a fact
POLL: Final = 0.02


def revoke(
    client: Client, text: str, *, reason: str, at: str | None, output: str
) -> int:
    """Revoke; return once the server's own table holds it, so that ``why`` sees it."""
    name = str(identifier_of(text))
    order = {"identifier": name, "reason": reason, "at": moment_of(at)}
    if _is_stranger(client, name):
        _note("revoke", f"nothing is known of {name} so far: is it spelt right?")
    answer = client.post("revocations", order)
    if not _settled(client, name, answer["token"]):
        _note("revoke", "accepted; the server's table does not show it yet")
    if output == "json":
        sys.stdout.write(json.dumps({"identifier": name} | answer) + "\n")
        return DONE
    since = f"since {answer['at']}"
    if answer["effect"] == "revoke":
        said = f"Revoked {clean(name)}, and what descends from it, {since}."
    else:  # a name that can be given again
        said = f"Revoked what was issued under {clean(name)} until {answer['at']}."
    sys.stdout.write(f"{said}\n  fact   {answer['id']}\n  token  {answer['token']}\n")
    return DONE


def adopt(client: Client, path: Path, output: str) -> int:
    """Declare the credentials of a list; all of it is checked before any is sent."""
    entries = read(path)
    total: dict[str, Any] = {"accepted": 0, "facts": 0, "token": None}
    for start in range(0, len(entries), BATCH):
        try:
            answer = client.post("adopt", {"credentials": entries[start:][:BATCH]})
        except ClientError as error:
            done = f"; the first {start} are declared, and adopt can be repeated"
            raise ClientError(f"{error}{done if start else ''}", error.code) from error
        total = {
            "accepted": total["accepted"] + answer["accepted"],
            "facts": total["facts"] + answer["facts"],
            "token": answer["token"],
        }
    if output == "json":
        sys.stdout.write(json.dumps(total) + "\n")
    else:
        declared = count(total["accepted"], "credential")
        sys.stdout.write(f"Declared {declared} ({count(total['facts'], 'fact')}).\n")
    return DONE


def _is_stranger(client: Client, name: str) -> bool:
    """Tell whether no fact names it; a server that cannot say is no reason to wait."""
    with suppress(ClientError):
        known = client.get("why", name)
        if known["reason"] == UNKNOWN and not known["ancestors"]:
            return not client.get("blast-radius", name, limit=1)["total"]
    return False


def _settled(client: Client, name: str, token: str) -> bool:
    """Wait until the table holds the fact; what is accepted stays so without it."""
    wanted = int(token.rpartition(":")[2])
    end = time.monotonic() + SETTLED
    while time.monotonic() < end:
        with suppress(ClientError):
            if int(client.get("why", name)["as_of"].rpartition(":")[2]) >= wanted:
                return True
        time.sleep(POLL)
    return False


def _note(command: str, text: str) -> None:
    sys.stderr.write(f"rescind {command}: {clean(text)}\n")
