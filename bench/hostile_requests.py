"""Hostile requests: what is packed, broken, deep, wide or large, and dear questions."""

from __future__ import annotations

import functools
import gzip
from typing import TYPE_CHECKING, Any, Final

import orjson

from bench.hostile_sizes import HOSTILE, LISTED, OPERATOR, VIEWER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.hostile_callers import Target

EVENTS: Final = f"/v1/events/{HOSTILE}"
ADOPT: Final = "/v1/adopt"
REVOKE: Final = "/v1/revocations"
PACKED: Final = {"Content-Encoding": "gzip"}
# Open ones, ones that need a credential, and one that does not exist.
PATHS: Final = (
    "/", "/nothing", "/healthz/live", "/metrics", "/v1/findings", EVENTS, ADOPT,
)  # fmt: skip
QUESTIONS: Final = (
    "/v1/table", "/v1/inventory", "/v1/blast-radius/vault.accessor:crowd",
    "/v1/blast-radius/person.id:owner0", "/v1/why/agent.id:chain0-4999",
    "/v1/findings", "/v1/dlq", "/v1/audit",
)  # fmt: skip
LISTS: Final = "/statuslists"
PLACES: Final = 20  # in status lists, a round
OF_ENTRY: Final = 15  # aliases that admission takes in one entry


@functools.cache
def bomb(size: int) -> bytes:
    """Pack blanks as well as they can be packed."""
    return gzip.compress(b" " * size, 9)


async def bombs(target: Target) -> None:
    """Send a bomb to every path without a credential."""
    body = bomb(target.sizes.bomb)
    for path in PATHS:
        await target.ask("POST", path, data=body, headers=PACKED)


async def known_bombs(target: Target) -> None:
    """Send a bomb with a source's credential."""
    body = bomb(target.sizes.bomb)
    await target.ask("POST", EVENTS, HOSTILE, data=body, headers=PACKED)


async def broken_lines(target: Target) -> None:
    """Send broken lines with a source's credential."""
    for size in target.sizes.broken:
        await target.ask("POST", EVENTS, HOSTILE, data=b"x\n" * (size // 2))


async def agent_chain(target: Target) -> None:
    """Declare a chain of agents in one request; end every other one."""
    top = f"agent.id:chain{target.round}-"
    await _adopt(target, _chain(top, target.sizes.depth))
    if target.round % 2:
        await _revoke(target, f"{top}0")


async def owned_chain(target: Target) -> None:
    """Declare a chain of credentials that one person owns; end every other person."""
    owner = f"person.id:owner{target.round}"
    top = f"vault.accessor:owned{target.round}-"
    entries = _chain(top, target.sizes.owned)
    await _adopt(target, (each | {"owners": [owner]} for each in entries))
    if target.round % 2:
        await _revoke(target, owner)


async def aliases(target: Target) -> None:
    """Give one credential as many names as admission lets through; end it in turn."""
    first, name = f"vault.accessor:many{target.round}", "vault.token_hmac:hmac-sha256:"
    entries = []
    for start in range(0, target.sizes.aliases, OF_ENTRY):
        numbers = range(start, start + OF_ENTRY)
        names = [f"{name}{target.round:032x}{number:032x}" for number in numbers]
        entries.append({"identifier": first, "aliases": names})
    await _adopt(target, entries)
    if target.round % 2:
        await _revoke(target, first)


async def children(target: Target) -> None:
    """Declare another part of a crowd; end its parent once all are there."""
    size, top = target.sizes.request, "vault.accessor:crowd"
    rounds = target.sizes.children // size
    if target.round < rounds:
        start = target.round * size
        await _adopt(target, (
            {"identifier": f"{top}-{number}", "parents": [top]}
            for number in range(start, start + size)
        ))  # fmt: skip
    elif target.round == rounds:
        await _revoke(target, top)


async def documents(target: Target) -> None:
    """Send large JSON documents to who has to read them."""
    size = target.sizes.document - 100
    text = b'{"identifier":"agent.id:' + b"x" * size + b'"}'
    for path, token in ((REVOKE, OPERATOR), (ADOPT, LISTED), (EVENTS, HOSTILE)):
        await target.ask("POST", path, token, data=text)
        await target.ask("POST", path, token, data=b"[" * size)
    entries = b'{"credentials":[' + b"{}," * (size // 3) + b"{}]}"
    await target.ask("POST", ADOPT, LISTED, data=entries)


async def queries(target: Target) -> None:
    """Ask what costs much."""
    for question in QUESTIONS:
        await target.ask("GET", question, VIEWER)


async def status_lists(target: Target) -> None:
    """Take places in status lists, and ask for every list, once by its old tag too."""
    for number in range(PLACES):
        name = f"vault.accessor:listed{target.round}-{number}"
        body = orjson.dumps({"identifiers": [name]})
        await target.ask("POST", "/v1/status-entries", HOSTILE, data=body)
    _, answer = await target.ask("GET", f"{LISTS}/aggregation")
    for uri in orjson.loads(answer)["status_lists"]:
        path = uri[uri.index(LISTS) :]
        await target.ask("GET", path)
        await target.ask("GET", path, headers={"If-None-Match": '"none"'})


def _chain(top: str, count: int) -> Iterable[dict[str, Any]]:
    yield {"identifier": f"{top}0"}
    for number in range(1, count):
        above = f"{top}{number - 1}"
        yield {"identifier": f"{top}{number}", "parents": [above]}


async def _adopt(target: Target, entries: Iterable[dict[str, Any]]) -> None:
    body = orjson.dumps({"credentials": [*entries]})
    await target.ask("POST", ADOPT, LISTED, data=body)


async def _revoke(target: Target, name: str) -> None:
    body = orjson.dumps({"identifier": name})
    await target.ask("POST", REVOKE, OPERATOR, data=body)
