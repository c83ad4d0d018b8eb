"""The commands that ask the server: why, inventory, guards, findings and the rest."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from agents_registry.identifiers import VOCABULARY
from streams.cli.moments import moment_of
from streams.cli.options import DONE
from streams.cli.output import clean, columns, count, show, to_stderr
from streams.cli.strangers import HINT_SECONDS
from streams.cli.why_text import UNKNOWN, why_text
from streams.clients.rescind import ClientError
from streams.model.findings import Severity
from streams.services.secret_names import SecretNames
from streams.services.typed_names import AUDIT_HASH, identifier_of, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.clients.rescind import Client

DENIED: Final = 1
LIFTABLE: Final = frozenset({"suspend", "narrow"})
PAGE: Final = 1000
LEFT_OUT: Final = (
    "{} more changed longest ago and are not listed: the server keeps no longer list."
)


def names_of(client: Client, text: str) -> list[str]:
    """Names for a URL of what was typed.

    A secret is posted, and its hashes come back; what is of a kind that only the
    settings of the server know may be one.

    Raises:
        ClientError: refused, or no server there.
        ValueError: it cannot be read.
    """
    if SecretNames().plain(text) is None:
        identifier = identifier_of(text)
        if identifier.kind in VOCABULARY and not is_plain(identifier):
            return [str(identifier)]
    answer = client.post("names", {"identifier": text.strip()})
    return list(answer["identifiers"])


def why(client: Client, text: str, at: str | None, output: str) -> int:
    """Say whether an identifier is alive, and what ended it; 0 alive, 1 denied."""
    moment = moment_of(at)
    answers = [client.get("why", each, at=moment) for each in names_of(client, text)]
    known = [each for each in answers if each["reason"] != UNKNOWN or each["dead"]]
    answer = (known or answers)[0]
    if moment is None:
        alive = bool(answer["allowed"])
    else:
        # The past is judged by causes alone; what nobody issued was never alive.
        alive = not answer["dead"] and answer["reason"] != UNKNOWN
    answer |= {"alive": alive, "at": moment}
    _note_aspect(client, answer)
    show(answer, why_text(answer), output)
    if not known:
        _tell_hash("why", answer)
    return DONE if alive else DENIED


def _note_aspect(client: Client, answer: dict[str, Any]) -> None:
    """Add to a cause that can be lifted the aspect that a lift must name.

    Who ordered it is known beside the table; where that cannot be asked at once, the
    answer says nothing of it.
    """
    cause = answer["cause"]
    if answer["alive"] or cause is None or cause["effect"] not in LIFTABLE:
        return
    with suppress(ClientError):
        order = client.patient(HINT_SECONDS).get("revocations", cause["id"])
        cause.setdefault("aspect", order.get("aspect"))


def blast_radius(client: Client, text: str, limit: int, output: str) -> int:
    """Count what ending an identifier would reach, and list the nearest."""
    found = [
        client.get("blast-radius", each, limit=limit) for each in names_of(client, text)
    ]
    answer = max(found, key=lambda each: each["total"])
    show(answer, _blast_radius(answer), output)
    if not answer["total"]:
        _tell_hash("blast-radius", answer)
    return DONE


def _tell_hash(command: str, answer: dict[str, Any]) -> None:
    """Say how an audit log's name is got, of what is named as the vault prints it."""
    if is_plain(identifier_of(answer["identifier"])):
        text = f"most audit logs name it by its HMAC, which `{AUDIT_HASH}` prints"
        to_stderr(command, f"{text}; or set the vault under `vaults`")


def inventory(client: Client, limit: int, output: str) -> int:
    """List what stands out in the table."""
    answer = client.get("inventory", limit=limit)
    return show(answer, _inventory(answer, limit), output)


def dead_letters(client: Client, after: int | None, output: str) -> int:
    """List what could not be read, oldest first."""
    answer = _all_pages(client, "dlq", "dead_letters", after)
    return show(answer, _dead_letters(answer), output)


def findings(client: Client, after: int | None, output: str) -> int:
    """List what was found, by its last change."""
    answer = _all_pages(client, "findings", "findings", after)
    return show(answer, _findings(answer), output)


def guards(client: Client, output: str) -> int:
    """List who enforces, under which terms, and how far each one is."""
    answer = client.get("guards")
    return show(answer, _guards(answer), output)


def remove_guard(client: Client, name: str, output: str) -> int:
    """Let a guard go that will not come back."""
    answer = client.delete("guards", name)
    said = f"Removed the guard {clean(name)}; revocations wait for it no more."
    return show(answer, said, output)


def _all_pages(
    client: Client, path: str, key: str, after: int | None
) -> dict[str, Any]:
    found: list[Any] = []
    while True:
        page = client.get(path, after=after, limit=PAGE)
        found += page[key]
        after = page["after"]
        if len(page[key]) < PAGE:
            return page | {key: found, "after": after}


def _blast_radius(answer: dict[str, Any]) -> str:
    name, total = clean(answer["identifier"]), answer["total"]
    if not total and not answer["created"]:
        return f"Nothing is known to hang on {name}."
    kinds = sorted(answer["by_kind"].items())
    near = sorted(answer["identifiers"], key=lambda row: (row[1], row[0]))
    parts = [f"Ending {name} reaches nothing else."]
    if total:
        rows = [(depth, other) for other, depth in near]
        parts = [f"Ending {name} reaches {count(total, 'identifier')}:"]
        parts.append(columns(("kind", "number"), kinds))
        parts.append("\n" + columns(("distance", "identifier"), rows))
    if len(near) < total:
        parts.append(f"... and {total - len(near)} more; see --limit")
    if answer["created"]:
        parts.append(
            "\nIt and what hangs on it created these, which do not end with it:"
        )
        parts += sorted(f"  {clean(other)}" for other in answer["created"])
        more = answer.get("created_total", 0) - len(answer["created"])
        if more > 0:
            parts.append(f"  ... and {more} more; see --limit")
        parts.append(f"`rescind revoke {name} --with-created` ends them too.")
    return "\n".join(parts)


def _inventory(answer: dict[str, Any], limit: int) -> str:
    parts = [count(answer["identifiers"], "identifier") + " in the table"]
    for key, title in _SECTIONS.items():
        found = answer[key]
        if found is None:
            parts.append(f"\n{title}: another process knows; name all in `peers`")
            continue
        more = " or more; see --limit" if len(found) >= limit else ""
        parts.append(f"\n{title}: {len(found)}{more}")
        parts += sorted(f"  {_LINES.get(key, clean)(each)}" for each in found)
    return "\n".join(parts)


_SECTIONS: Final = {
    "undeclared": "In use, and nobody declared it",
    "ownerless": "Without owner or parent",
    "shared_service_accounts": "Service accounts that several agents use",
    "excess_scopes": "Scopes beyond what an ancestor has",
    "unmapped": "Parents that no system vouches for",
    "ambiguous_lifts": "Restores too close to their suspension to count",
    "unapplied": "Revocations that match nothing",
}


def _undeclared(each: dict[str, Any]) -> str:
    points = ", ".join(map(clean, each["points"]))
    text = f"{each['what']} {clean(each['identifier'])}: last at {each['last_seen']}"
    text += f" at {points}"
    if each["credentials"]:
        text += f", with {count(len(each['credentials']), 'credential')}"
    return text


def _shared(each: dict[str, Any]) -> str:
    return f"{clean(each['account'])}: {', '.join(map(clean, each['agents']))}"


def _excess(each: dict[str, Any]) -> str:
    scopes = ", ".join(map(clean, each["scopes"]))
    return f"{clean(each['child'])}: {scopes} beyond {clean(each['ancestor'])}"


def _standing(each: dict[str, Any]) -> str:
    said = f"{each['effect']} by {each['authority']} at {each['at']}"
    return f"{clean(each['target'])}: {clean(said)}"


_LINES: Final[dict[str, Callable[[Any], str]]] = {
    "undeclared": _undeclared,
    "shared_service_accounts": _shared,
    "excess_scopes": _excess,
    "ambiguous_lifts": _standing,
    "unapplied": _standing,
}


_LETTER: Final = (
    "offset", "at", "count", "last_at", "source", "position", "event_id", "reason",
)  # fmt: skip


def _dead_letters(answer: dict[str, Any]) -> str:
    letters = answer["dead_letters"]
    if not letters:
        return "No dead letters."
    return columns(
        (
            "offset",
            "received",
            "pieces",
            "last",
            "source",
            "position",
            "event",
            "reason",
        ),
        _rows(letters, _LETTER),
    )


def _findings(answer: dict[str, Any]) -> str:
    if not answer["findings"]:
        return "No findings."
    heads = (
        "severity", "kind", "state", "late by", "times", "first seen", "last seen",
        "id", "finding",
    )  # fmt: skip
    names = ("late_by", "count", "first_seen", "last_seen", "id", "message")
    states = [
        [Severity(each["severity"]).name.lower(), each["kind"], _told(each)]
        for each in answer["findings"]
    ]
    rows = zip(states, _rows(answer["findings"], names), strict=True)
    table = columns(heads, [[*state, *row] for state, row in rows])
    left_out = answer.get("left_out")
    return f"{table}\n{LEFT_OUT.format(left_out)}" if left_out else table


def _told(finding: dict[str, Any]) -> str:
    if not finding["open"]:
        return "closed"
    if finding.get("silenced"):
        return "silenced"
    known = finding.get("acknowledged")
    return f"open, {clean(known['by'])} looks into it" if known else "open"


def _guards(answer: dict[str, Any]) -> str:
    if not answer["guards"]:
        return "No guards."
    heads = (
        "guard",
        "credential",
        "mode",
        "lease",
        "standing",
        "connected",
        "behind",
        "heard",
    )
    rows = [
        (
            each["guard"],
            each["credential"] or "",
            each["mode"],
            f"{each['lease_ms'] / 1000:g} s",
            each["standing"],
            "yes" if each["connected"] else "no",
            count(each["behind"], "fact"),
            f"{each['heard_ms_ago'] / 1000:.1f} s ago",
        )
        if "mode" in each
        else (each["guard"], "", "", "", "sends no receipts", "yes", "", "")
        for each in answer["guards"]
    ]
    return columns(heads, rows)


def _rows(
    documents: Iterable[dict[str, Any]], names: tuple[str, ...]
) -> list[list[object]]:
    return [[each.get(name) for name in names] for each in documents]
