"""Facts as the suite writes them, made into facts as the feed carries them.

A case names the fields that matter and leaves the rest to defaults. The names are
those of the wire. Times are seconds after `EPOCH`, whole or as a decimal text such as
``"10.000000001"``, so every time on the wire is a real one, beyond 2^53.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Fact, Withdraw, fact_id, from_plain, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECOND: Final = 1_000_000_000
EPOCH: Final = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
RECEIVED: Final = 1000  # seconds: when facts arrive that do not say so
TIMES: Final = (
    "version", "received_at", "issued_at", "expires_at", "at", "not_before",
    "received_from", "received_to", "until",
)  # fmt: skip
_NAMING: Final = ("target", "node", "child", "first")


def time(seconds: float | str) -> int:
    """Nanoseconds since 1970 of a time in a case."""
    return EPOCH + span(seconds)


def span(seconds: float | str) -> int:
    """Nanoseconds of a length of time in a case."""
    return int(Decimal(str(seconds)) * SECOND)


def wire(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Facts of a case as JSON values of the feed.

    Args:
        written: as the case has them; ``id`` labels a fact for a later ``withdraw``,
            ``chain`` stands for a whole lineage, ``raw`` is sent as it is.

    Raises:
        ValueError: something that is no fact.
        KeyError: a withdraw of a label that no earlier fact has.
    """
    labelled: dict[str, Fact] = {}
    return [plain for one in written for plain in _expand(dict(one), labelled)]


def _expand(one: dict[str, Any], labelled: dict[str, Fact]) -> Iterator[dict[str, Any]]:
    if "raw" in one:
        yield one["raw"]
    elif "chain" in one:
        yield from map(to_plain, _chain(one["chain"], one["length"]))
    else:
        label = one.pop("id", None)
        if "of" in one:
            one = {**_withdrawal(labelled[one.pop("of")]), **one}
        fact = from_plain(_with_defaults(one))
        if label is not None:
            labelled[label] = fact
        yield to_plain(fact)


def _with_defaults(one: Mapping[str, Any]) -> dict[str, Any]:
    version = one.get("version", 1)
    received = max(Decimal(str(version)), Decimal(RECEIVED))
    defaults = {
        "authority": "vault",
        "version": version,
        "received_at": str(received),
        "ingress_key": "key",
    }
    if one["fact"] == "cause":
        defaults["at"] = version
    plain: dict[str, Any] = {**defaults, **one}
    for name in TIMES:
        if plain.get(name) is not None:
            plain[name] = time(plain[name])
    return plain


def _withdrawal(fact: Fact) -> dict[str, str]:
    named = (getattr(fact, name, None) for name in _NAMING)
    target = next(name for name in named if name is not None)
    return {
        "fact": Withdraw.NAME,
        "fact_id": fact_id(fact).hex(),
        "kind": fact.NAME,
        "target": str(target),
    }


def _chain(kind: str, length: int) -> Iterator[Fact]:
    """Yield ``length`` credentials, each the child of the one before."""
    for number in range(length):
        name = f"{kind}:{number}"
        yield from_plain(_with_defaults({"fact": "node", "node": name}))
        if number:
            edge = {"fact": "edge", "child": name, "parent": f"{kind}:{number - 1}"}
            yield from_plain(_with_defaults(edge))
