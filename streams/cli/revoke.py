"""Orders that end or limit: give one, wait for the guards, and say who enforces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.identifiers import VOCABULARY
from streams.cli.actuators import PROVEN, issuers_at, issuers_line
from streams.cli.grants import waits
from streams.cli.moments import moment_of
from streams.cli.options import DONE
from streams.cli.output import clean, count, show_accepted, to_stderr
from streams.cli.strangers import is_stranger, tell_strangers
from streams.clients.rescind import POLL, ClientError, settled
from streams.model.times import SECOND, typed_time
from streams.services.secret_names import SecretNames
from streams.services.typed_names import identifier_of, is_plain

if TYPE_CHECKING:
    from streams.clients.rescind import Client

NOT_CLOSED: Final = 1
MOST_CREATED: Final = 100_000  # that a server lists at once
CLOSED: Final = "closed"
SHOWN: Final = 3  # names in a line
AHEAD: Final = 2 * SECOND  # by which a clock may be ahead of the server's
_NOT_CREATED: Final = (
    "What it created is not revoked, and will not be by this order: give the order "
    "again with --with-created once it is carried out."
)
PATHS: Final = {
    "revoke": "revocations",
    "suspend": "suspensions",
    "narrow": "narrowings",
    "not-before": "not-before",
}
SETTLED_STATES: Final = frozenset({CLOSED, "unknown"})


@frozen
class Order:
    """What was typed.

    Attributes:
        command: revoke, suspend, narrow or not-before.
        names: identifiers, or lines with them.
        given: the other members of the body.
        typed: the command as it was typed, if that is another one.
    """

    command: str
    names: list[str]
    given: dict[str, Any]
    typed: str = ""

    @property
    def called(self) -> str:
        """Command that messages name."""
        return self.typed or self.command


def carry_out(  # noqa: PLR0913 - each by name
    client: Client,
    order: Order,
    *,
    wait: float | None,
    output: str,
    worker: Client | None = None,
    with_created: bool = False,
    at_issuers: bool = False,
) -> int:
    """Send an order; return once the server's table holds it, so that ``why`` sees it.

    Args:
        client: talks to the server.
        order: what was typed.
        wait: seconds to wait until every guard enforces it; None does not ask.
        output: ``table`` or ``json``.
        worker: who is asked about the table, where ``--worker`` names another one.
        with_created: revoke too what it and all below it created administratively.
        at_issuers: wait too until it is proven dead at its issuers.

    Returns:
        1 when guards were waited for and not all of them enforce it, or when it waits
        itself for a second person.

    Raises:
        ValueError: it contradicts itself, or a name cannot be read.
    """
    if with_created and len(order.names) > 1:
        raise ValueError("--with-created takes one identifier")
    body = dated(order)
    if with_created and "at" in body and typed_time(body["at"]) > _soon():
        raise ValueError("--with-created does not go with an --at ahead: leave one out")
    answer = _sent(client, worker or client, order, body)
    return follow(
        client, order.called, body, answer, wait=wait, output=output, worker=worker,
        with_created=with_created, at_issuers=at_issuers,
    )  # fmt: skip


def follow(  # noqa: PLR0913 - as `carry_out`
    client: Client,
    command: str,
    body: dict[str, Any],
    answer: dict[str, Any],
    *,
    wait: float | None,
    output: str,
    worker: Client | None = None,
    with_created: bool = False,
    at_issuers: bool = False,
) -> int:
    """Say what became of an order that was sent, and wait as `carry_out` does.

    Args:
        client: talks to the server.
        command: that was typed.
        body: of the order.
        answer: to it.
        wait: as of `carry_out`, as all that follow.
        output: ``table`` or ``json``.
        worker: who is asked about the table.
        with_created: revoke too what it created.
        at_issuers: wait for its issuers.
    """
    worker = worker or client
    if "scheduled" in answer or "pending" in answer:
        return _not_yet(command, answer, wait, output, created=with_created)
    # An earlier version of the server says less.
    names = answer.get("identifiers", [body.get("identifier", "")])
    name = names[0]
    if "where" not in answer and settled(worker, name, answer["token"]) is None:
        what = "accepted; the server's table does not show it yet"
        to_stderr(command, what)
    end = time.monotonic() + (wait or 0.0)
    order = body | {"identifier": name}
    made, closures, told = _beyond(
        client, worker, command, order, answer, wait, created=with_created
    )
    seen = closures[0] if closures else None
    more: dict[str, Any] = {} if seen is None else {"closure": seen}
    more |= {"created": made} if with_created else {}
    lines = [_done(answer, names)]
    lines += [] if seen is None else [closure_line(seen)]
    lines += [_also(made, closures[1:])] if with_created and told else []
    closed = told and all(each["state"] == CLOSED for each in closures)
    if at_issuers:
        causes = [one for each in (answer, *made) for one in _ids(each)]
        closed = _ended_at_issuers(client, causes, end, more, lines) and closed
    whole = {"identifier": name} | answer | more
    closed = show_accepted(command, whole, "\n".join(lines), output) and closed
    held = any("pending" in each for each in made)
    return DONE if closed and not held else NOT_CLOSED


def _ids(answer: dict[str, Any]) -> list[str]:
    """Ids of all that an order revoked; an earlier version of the server tells one."""
    return answer.get("ids") or [answer["id"]] if "id" in answer else []


def _not_yet(
    command: str,
    answer: dict[str, Any],
    wait: float | None,
    output: str,
    *,
    created: bool,
) -> int:
    """Say what an order waits for: its time, or a second person."""
    is_scheduled = "scheduled" in answer
    said = scheduled(answer) if is_scheduled else waits(answer)
    if created:
        said, answer = f"{said}\n{_NOT_CREATED}", answer | {"created": []}
    told = show_accepted(command, answer, said, output)
    return DONE if told and is_scheduled and wait is None else NOT_CLOSED


def _ended_at_issuers(
    client: Client,
    causes: list[str],
    end: float,
    more: dict[str, Any],
    lines: list[str],
) -> bool:
    """Whether all that causes reach is proven dead at its issuers; says what is not."""
    try:
        more["issuers"] = proven = issuers_at(client, causes, end)
    except ClientError as error:  # it is accepted all the same
        more["issuers"] = None
        lines.append(f"Issuers: not known ({clean(error)})")
        return False
    lines.append(f"Issuers: {issuers_line(proven)}")
    return proven["state"] in PROVEN


def _beyond(  # noqa: PLR0913 - as `follow`
    client: Client,
    worker: Client,
    command: str,
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
        # It is carried out all the same: nobody may read this as a refusal.
        done = f"{name} is revoked" if command == "revoke" else "the order is accepted"
        to_stderr(command, f"{done}; what is asked for beyond failed: {error}")
        return made, closures, False
    return made, closures, True


def _soon() -> int:
    """Until when a time is now for the server (ns)."""
    return time.time_ns() + AHEAD  # noqa: TID251 - the program's clock


def _sent(
    client: Client, knowing: Client, order: Order, body: dict[str, Any]
) -> dict[str, Any]:
    """Send an order with its body, which gets its name; names unknown are noted."""
    if not order.names:
        answer = client.post(PATHS[order.command], body)
        strangers = answer.get("unknown") or ()
    elif len(order.names) > 1:
        answer = client.post(PATHS[order.command], body | {"identifiers": order.names})
        strangers = answer.get("unknown") or ()
    else:
        (text,) = order.names
        secret = SecretNames().plain(text)
        identifier = identifier_of(text) if secret is None else secret
        name = str(identifier)
        # What only the server can name as the logs do is asked of nobody else.
        nameable = secret is None and identifier.kind in VOCABULARY
        strange = nameable and not is_plain(identifier) and is_stranger(knowing, name)
        body["identifier"] = name
        answer = client.post(PATHS[order.command], body)
        strangers = [name] if strange else answer.get("unknown") or ()
    tell_strangers(order.called, strangers, answer)
    return answer


def dated(order: Order) -> dict[str, Any]:
    """Return the members of an order beside whom it names, its times as RFC 3339.

    Raises:
        ValueError: a time cannot be read.
    """
    return order.given | {
        name: moment_of(order.given[name], f"--{name}")
        for name in ("at", "until")
        if name in order.given
    }


def _done(answer: dict[str, Any], shown: list[str]) -> str:
    """Say what was done, and what a guard can wait for."""
    effects = answer.get("effects", {})
    many = answer.get("count", len(shown))
    called = f"{many} identifiers"
    if "where" in answer:
        called = f"what fits {clean(answer['where'])}"
    elif many == len(shown) <= SHOWN:
        called = ", ".join(map(clean, shown))
    said = _said(answer["effect"] if len(effects) <= 1 else "revoke", answer, called)
    if len(effects) > 1:  # names that can be given again among others
        again = effects["not_before"]
        said += (
            f"\n{again} of them can be given again: what was issued until then ends."
        )
    # For the guard's `check(..., at_least=...)`; as a "token" people would hide it.
    return f"{said}\n  fact      {answer['id']}\n  at_least  {answer['token']}"


def _said(effect: str, answer: dict[str, Any], called: str) -> str:
    at, until = answer["at"], answer.get("until")
    if effect == "not_before":  # a name that can be given again
        return f"Revoked what was issued under {called} until {at}."
    done = {"revoke": "Revoked", "suspend": "Suspended", "narrow": "Narrowed"}[effect]
    alone = answer.get("count", 1) == 1
    they = "descends from it" if alone else "descends from them"
    end = f", until {until}" if until else ""
    return f"{done} {called}, and what {they}, since {at}{end}."


def scheduled(answer: dict[str, Any]) -> str:
    """Say that nothing has changed yet, and when it does."""
    order = answer["scheduled"]
    name = clean(order["id"])
    return (
        f"Scheduled for {order['due_at']}: {clean(order['summary'])}.\n"
        f"  order     {name}\n  To drop it: rescind schedule cancel {name}"
    )


def _revoke_created(
    client: Client, knowing: Client, order: dict[str, Any], name: str
) -> list[dict[str, Any]]:
    """Revoke what something and all below it created; give the answers.

    Each is an order of its own: the audit has them one by one, and the blast limit and
    the second person count for each.
    """
    found = knowing.get("blast-radius", name, limit=MOST_CREATED)
    reason = order.get("reason") or f"made by {name}"
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
