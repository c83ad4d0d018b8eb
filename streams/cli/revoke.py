"""The command ``rescind revoke``: order, wait for the guards, and say who enforces."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import VOCABULARY
from streams.cli.actuators import PROVEN, issuers_at, issuers_line
from streams.cli.grants import waits
from streams.cli.options import DONE
from streams.cli.output import clean, count, show, to_stderr
from streams.cli.query import UNKNOWN, moment_of
from streams.clients.rescind import POLL, ClientError, settled
from streams.services.secret_names import SecretNames
from streams.services.typed_names import identifier_of, is_plain

if TYPE_CHECKING:
    from streams.clients.rescind import Client

NOT_CLOSED: Final = 1
MOST_CREATED: Final = 100_000  # that a server lists at once
CLOSED: Final = "closed"
HINT_SECONDS: Final = 2.0
SETTLED_STATES: Final = frozenset({CLOSED, "unknown"})


def revoke(  # noqa: PLR0913 - each by name
    client: Client,
    text: str,
    *,
    reason: str,
    at: str | None,
    wait: float | None,
    output: str,
    worker: Client | None = None,
    with_created: bool = False,
    at_issuers: bool = False,
) -> int:
    """Revoke; return once the server's own table holds it, so that ``why`` sees it.

    Args:
        client: talks to the server.
        text: the identifier.
        reason: for the audit record.
        at: since when.
        wait: seconds to wait until every guard enforces it; None does not ask.
        output: ``table`` or ``json``.
        worker: who is asked about the table, where ``--worker`` names another one.
        with_created: revoke too what it and all below it created administratively.
        at_issuers: wait too until it is proven dead at its issuers.

    Returns:
        1 when guards were waited for and not all of them enforce it, or when it waits
        itself for a second person.
    """
    worker = worker or client
    order, answer = _order(client, worker, text, reason, at)
    name = order["identifier"]
    if "pending" in answer:  # over the blast limit
        show(answer, waits(answer), output)
        return NOT_CLOSED
    names = answer.get("identifiers", [name])
    name = names[0]
    if settled(worker, name, answer["token"]) is None:
        to_stderr("revoke", "accepted; the server's table does not show it yet")
    end = time.monotonic() + (wait or 0.0)
    made, closures, told = _beyond(
        client, worker, order | {"identifier": name}, answer, wait, created=with_created
    )
    seen = closures[0] if closures else None
    more: dict[str, Any] = {} if seen is None else {"closure": seen}
    more |= {"created": made} if with_created else {}
    lines = [_revoked(answer, names)]
    lines += [] if seen is None else [closure_line(seen)]
    lines += [_also(made, closures[1:])] if with_created and told else []
    all_closed = told and all(each["state"] == CLOSED for each in closures)
    if at_issuers:
        proven = issuers_at(client, answer["id"], end)
        more["issuers"] = proven
        lines.append(f"Issuers: {issuers_line(proven)}")
        all_closed = all_closed and proven["state"] in PROVEN
    show({"identifier": name} | answer | more, "\n".join(lines), output)
    held = any("pending" in each for each in made)
    return DONE if all_closed and not held else NOT_CLOSED


def _beyond(
    client: Client,
    worker: Client,
    order: dict[str, Any],
    answer: dict[str, Any],
    wait: float | None,
    *,
    created: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """Revoke what it made, and look who enforces all of it.

    Answers to the orders, states of the revocations, and whether all of it was told.
    """
    made: list[dict[str, Any]] = []
    closures: list[dict[str, Any]] = []
    asked, name = [answer["id"]], order["identifier"]
    try:
        if created:
            made = _revoke_created(client, worker, order, name)
            asked += [each["id"] for each in made if "id" in each]
        if wait is not None:
            closures.extend(_enforced(worker, one, wait) for one in asked)
    except ClientError as error:
        # It is revoked all the same: nobody may read this as a refusal.
        to_stderr(
            "revoke", f"{name} is revoked; what is asked for beyond failed: {error}"
        )
        return made, closures, False
    return made, closures, True


def _order(
    client: Client, knowing: Client, text: str, reason: str, at: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send the revocation; the order and its answer. Names unknown so far are noted."""
    secret = SecretNames().plain(text)
    identifier = identifier_of(text) if secret is None else secret
    name = str(identifier)
    order = {"identifier": name, "reason": reason, "at": moment_of(at)}
    # What only the server can name as the logs do is asked of nobody else.
    nameable = secret is None and identifier.kind in VOCABULARY
    strange = nameable and not is_plain(identifier) and is_stranger(knowing, name)
    answer = client.post("revocations", order)
    for each in [name] if strange else answer.get("unknown") or ():
        to_stderr("revoke", f"nothing is known of {each} so far: is it spelt right?")
    return order, answer


def _revoked(answer: dict[str, Any], names: list[str]) -> str:
    """Say what was revoked, and what a guard can wait for."""
    if answer["effect"] == "revoke":
        called, since = ", ".join(map(clean, names)), f"since {answer['at']}"
        said = f"Revoked {called}, and what descends from it, {since}."
    else:  # a name that can be given again
        said = f"Revoked what was issued under {clean(names[0])} until {answer['at']}."
    # For the guard's `check(..., at_least=...)`; as a "token" people would hide it.
    return f"{said}\n  fact      {answer['id']}\n  at_least  {answer['token']}"


def _revoke_created(
    client: Client, knowing: Client, order: dict[str, Any], name: str
) -> list[dict[str, Any]]:
    """Revoke what something and all below it created; give the answers.

    Each is an order of its own: the audit has them one by one, and the blast limit and
    the second person count for each.
    """
    found = knowing.get("blast-radius", name, limit=MOST_CREATED)
    reason = order["reason"] or f"made by {name}"
    answers = []
    for made in found["created"]:
        each = order | {"identifier": made, "reason": reason}
        answers.append({"identifier": made} | client.post("revocations", each))
    if found["created_total"] > len(answers):
        to_stderr("revoke", f"only the first {len(answers)} that it made; do it again")
    return answers


def _also(made: list[dict[str, Any]], closures: list[dict[str, Any]]) -> str:
    """Say what else was revoked, and which of it is not enforced or waits."""
    if not made:
        return "It made nothing that would live on."
    held = [each for each in made if "pending" in each]
    ended = count(len(made) - len(held), "identifier")
    parts = [f"Revoked {ended} that it made, too:"]
    parts += [f"  {clean(each['identifier'])}" for each in made if "id" in each]
    parts += [waits(each) for each in held]
    open_ones = sum(each["state"] != CLOSED for each in closures)
    if open_ones:
        parts.append(f"{open_ones} of these are not enforced by every guard yet.")
    return "\n".join(parts)


def closure_line(seen: dict[str, Any]) -> str:
    """Say which guards enforce a revocation."""
    applied = count(seen["applied"], "guard") + " applied it"
    parts = [applied]
    if seen["fenced"]:
        parts.append(f"{_names(seen['fenced'])} lost the lease and denies everything")
    if seen["laggards"]:
        parts.append(f"not confirmed by {_names(seen['laggards'])}")
    if seen["left"]:
        parts.append(f"{seen['left']} left since")
    if seen["state"] == "unknown":
        parts = ["no guard sends receipts, so nothing is proven"]
    if seen["unknown"]:
        parts.append(f"nothing is known of {_names(seen['unknown'])}")
    if seen["observing"]:
        parts.append(f"only observing: {_names(seen['observing'])}")
    took = f" after {seen['seconds']:.3f} s" if seen["state"] == CLOSED else ""
    return f"{seen['state'].upper()}{took}: {'; '.join(parts)}."


def _names(names: list[str]) -> str:
    return ", ".join(map(clean, names))


def _enforced(client: Client, identity: str, wait: float) -> dict[str, Any]:
    """State of a revocation once it is settled, or the time is up."""
    end = time.monotonic() + wait
    while True:
        over = time.monotonic() >= end
        try:
            seen = client.get("revocations", identity)
        except ClientError:
            # It is read a moment after it was answered, or its partition moves.
            if over:
                raise
        else:
            if over or seen["state"] in SETTLED_STATES:
                return seen
        time.sleep(POLL)


def is_stranger(client: Client, name: str) -> bool:
    """Whether no fact names it; False where the server cannot say at once."""
    hasty = client.patient(HINT_SECONDS)  # an order does not wait for a hint
    with suppress(ClientError):
        known = hasty.get("why", name)
        if known["reason"] == UNKNOWN and not known["ancestors"]:
            return not hasty.get("blast-radius", name, limit=1)["total"]
    return False
