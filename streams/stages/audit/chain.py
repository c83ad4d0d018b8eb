"""The audit chain: every fact and every operator's act, each bound to all before it.

An entry is a JSON object; its hash is SHA-256 over its canonical form (RFC 8785), and
the hash of the entry before stands in it. So an entry is a pure function of the hash
before and the record that it speaks of: whoever chains the same record again, on either
engine, gets the same bytes. A head names the last hash; signed and kept elsewhere it
holds everything before it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import frozen

from agents_registry.facts import to_plain
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.facts import Fact

    Entry = Mapping[str, Any]
    Line = dict[str, Any]

START: Final = ""  # the hash before the first entry
PRUNED: Final = "pruned"
# Facts of a batch share their time, and writing it is most of the work of an entry.
_time = functools.lru_cache(maxsize=16)(rfc3339)
_EMPTY: Final[tuple[Any, ...]] = (None, False, "", [], ())


@frozen
class RecordPlace:
    """Where a record stands: the log's genesis, the realm, partition and offset."""

    genesis: str
    realm: str
    offset: int
    partition: int = 0


@frozen
class Head:
    """What a signature says: so many entries of a realm end in this hash.

    Attributes:
        sequence: number of the last entry, from 1; 0 before the first.
        hash: of that entry, hex; empty before the first.
        at: when it was signed (seconds).
    """

    realm: str
    genesis: str
    sequence: int
    hash: str
    at: int


class BrokenChainError(Exception):
    """An entry does not fit; the text says which one and how."""


class IncompleteChainError(BrokenChainError):
    """What is there fits, and the end is missing: cut off, or not there yet."""


class UnknownSignerError(BrokenChainError):
    """No key that was given has signed a head: a key is missing, or it is forged."""


def hash_of(entry: Entry) -> str:
    """Hash of an entry, hex.

    Keys are ASCII and numbers small, so sorted compact JSON is its canonical form.
    """
    return hashlib.sha256(canonical(entry)).hexdigest()


def fact_entry(
    previous: str, place: RecordPlace, key: str, value: bytes, fact: Fact
) -> dict[str, Any]:
    """Entry of a fact: the fields of the schema AuditRecord, without head.

    Args:
        previous: hash of the entry before.
        place: of the fact in the log.
        key: of its record.
        value: of its record.
        fact: what ``value`` says.
    """
    return _placed(previous, place) | {
        "fact_key": key,
        "fact_kind": fact.NAME,
        "authority": fact.authority,
        "ingress_key": fact.ingress_key,
        "received_at": _time(fact.received_at),
        "value_hash": hashlib.sha256(value).hexdigest(),
    }


def act_entry(
    previous: str, place: RecordPlace, *, at: int, actor: str, action: str, detail: Any
) -> dict[str, Any]:
    """Entry of an operator's act.

    Args:
        previous: hash of the entry before.
        place: of the act among others.
        at: when it was ordered (ns).
        actor: name of who ordered it.
        action: what, and why.
        detail: ids of the facts that it stated, or an object with them and more (see
            `pruning`).
    """
    return (
        _placed(previous, place)
        | {"at": rfc3339(at), "actor": actor, "action": action}
        | (detail if isinstance(detail, dict) else {"facts": detail})
    )


def tombstone_entry(previous: str, place: RecordPlace, key: str) -> dict[str, Any]:
    """Entry of a key of ``facts`` that was pruned on Kafka."""
    return _placed(previous, place) | {"tombstone": key}


def unread_entry(
    previous: str, place: RecordPlace, key: str, value_hash: str, *, kept: bool = True
) -> dict[str, Any]:
    """Entry of a record with a fact's key that this version cannot read.

    Args:
        previous: hash of the entry before.
        place: of the record.
        key: of the record.
        value_hash: SHA-256 of its value, hex.
        kept: the value stands beside the entry; it does not where it is too large.
    """
    entry = _placed(previous, place) | {"unread": key, "value_hash": value_hash}
    return entry if kept else entry | {"kept": False}


def told(value: bytes) -> Line:
    """Bytes of a record as a line shows them."""
    return {"value": base64.b64encode(value).decode()}


def pruning(sequences: Iterable[int], facts: Iterable[str], head: str) -> Line:
    """Details of a pruning act beyond its operator.

    It is a checkpoint: the entries of what goes stay, and whoever verifies them lets
    facts be gone that a later act names.

    Args:
        sequences: of the entries whose facts go, ascending.
        facts: their ids.
        head: the signed head just before.
    """
    runs: list[list[int]] = []
    for each in sequences:
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return {"facts": list(facts), PRUNED: runs, "head": head}


def _placed(previous: str, place: RecordPlace) -> dict[str, Any]:
    return {
        "previous": previous,
        "genesis": place.genesis,
        "realm": place.realm,
        "partition": place.partition,
        "offset": place.offset,
    }


def readable(fact: Fact) -> dict[str, Any]:
    """Fact as an export shows it, without fields that are not set."""
    return {k: v for k, v in to_plain(fact).items() if v not in _EMPTY}


def fact_line(
    sequence: int, entry: Entry, hash_: str, value: bytes, fact: Fact
) -> Line:
    """Line of an export on a fact; ``value`` proves what ``fact`` says."""
    return (
        act_line(sequence, entry, hash_)
        | told(value)
        | {
            "fact": readable(fact),
        }
    )


def act_line(sequence: int, entry: Entry | None, hash_: str) -> Line:
    """Line of an export on an act, or on a record that has left the log."""
    return {"sequence": sequence, "entry": entry, "hash": hash_}


def canonical(value: Any) -> bytes:
    """JSON in the one form that is hashed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
