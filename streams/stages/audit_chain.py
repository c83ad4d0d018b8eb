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
from schemas.errors import SchemaError
from streams.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agents_registry.facts import Fact

    Entry = Mapping[str, Any]
    Line = dict[str, Any]

START: Final = ""  # the hash before the first entry
_ACT: Final = frozenset({"sequence", "entry", "hash"})
_FACT: Final = _ACT | {"value", "fact"}
# Facts of a batch share their time, and writing it is most of the work of an entry.
_time = functools.lru_cache(maxsize=16)(rfc3339)
_EMPTY: Final[tuple[Any, ...]] = (None, False, "", [], ())


@frozen
class Place:
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


def hash_of(entry: Entry) -> str:
    """Give the hash of an entry, hex.

    Keys are ASCII and numbers small, so sorted compact JSON is its canonical form.
    """
    return hashlib.sha256(_plain(entry)).hexdigest()


def fact_entry(
    previous: str, place: Place, key: str, value: bytes, fact: Fact
) -> dict[str, Any]:
    """Give the entry of a fact: the fields of the schema AuditRecord, without head.

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
    previous: str, place: Place, *, at: int, actor: str, action: str, detail: bytes
) -> dict[str, Any]:
    """Give the entry of what an operator did; ``detail`` is JSON, ids of facts."""
    return _placed(previous, place) | {
        "at": rfc3339(at),
        "actor": actor,
        "action": action,
        "facts": orjson.loads(detail),
    }


def _placed(previous: str, place: Place) -> dict[str, Any]:
    return {
        "previous": previous,
        "genesis": place.genesis,
        "realm": place.realm,
        "partition": place.partition,
        "offset": place.offset,
    }


def readable(fact: Fact) -> dict[str, Any]:
    """Give a fact as an export shows it, without what is not set."""
    return {k: v for k, v in to_plain(fact).items() if v not in _EMPTY}


def fact_line(
    sequence: int, entry: Entry, hash_: str, value: bytes, fact: Fact
) -> Line:
    """Give the line of an export on a fact; ``value`` proves what ``fact`` says."""
    return act_line(sequence, entry, hash_) | {
        "value": base64.b64encode(value).decode(),
        "fact": readable(fact),
    }


def act_line(sequence: int, entry: Entry | None, hash_: str) -> Line:
    """Give the line of an export on an act, or on what is not in the log any more."""
    return {"sequence": sequence, "entry": entry, "hash": hash_}


class Verifier:
    """Takes the lines of an export in their order, and refuses the first that is off.

    Attributes:
        sequence: number of the last entry.
        hash: its hash.
        signed: the last head that a line held.
    """

    def __init__(
        self,
        read_head: Callable[[str], Head],
        read_fact: Callable[[bytes], Fact],
        known: Iterable[Head] = (),
    ) -> None:
        """Begin at the start of a chain.

        Args:
            read_head: checks a signature; raises BrokenChainError.
            read_fact: reads the value of a record; raises SchemaError.
            known: heads that were kept elsewhere; the chain has to hold them.
        """
        self.sequence = 0
        self.hash = START
        self.signed: Head | None = None
        self._realm: str | None = None
        self._read_head = read_head
        self._read_fact = read_fact
        self._known = sorted(known, key=lambda head: head.sequence)
        self._hold_known()

    def take(self, line: Any) -> None:
        """Check the next line.

        Raises:
            BrokenChainError: it does not fit.
        """
        if not isinstance(line, dict):
            raise BrokenChainError(f"what follows {self._last()} is not an object")
        if set(line) == {"head"}:
            self._take_head(line["head"])
            return
        self._take_entry(line)
        self._hold_known()

    def end(self) -> Head:
        """Check that nothing is missing at the end; give the head of it all.

        Raises:
            BrokenChainError: the last entries are signed by nothing, or are gone.
        """
        self.hold_all()
        if self.signed is None or self.signed.sequence != self.sequence:
            raise BrokenChainError(
                f"truncated: no signed head follows {self._last()}, as at the end of "
                "every export"
            )
        return self.signed

    def hold_all(self) -> None:
        """Check that the chain reached every head that was kept elsewhere.

        Raises:
            BrokenChainError: it ends before one.
        """
        if self._known:
            raise BrokenChainError(
                f"truncated: it ends with {self._last()}, and a signed head names "
                f"entry {self._known[-1].sequence}"
            )

    def _take_entry(self, line: Line) -> None:
        due, got = self.sequence + 1, line.get("sequence")
        if got != due or isinstance(got, bool):
            how = "removed or moved" if _is_later(got, due) else "inserted or moved"
            raise BrokenChainError(
                f"entry {due} is not there, {got!r} stands in its place: {how}"
            )
        entry = line.get("entry")
        if entry is None:
            raise BrokenChainError(
                f"entry {due}: what it speaks of is gone from the log, or unreadable"
            )
        if not isinstance(entry, dict) or hash_of(entry) != line.get("hash"):
            raise BrokenChainError(f"entry {due} was changed: it has another hash")
        if entry.get("previous") != self.hash:
            raise BrokenChainError(
                f"entry {due} does not follow {self._last()}: one of them was put in, "
                "or what stood between them is gone"
            )
        if set(line) != (_FACT if "fact_key" in entry else _ACT):
            raise BrokenChainError(f"entry {due} was changed: it has other members")
        if "fact_key" in entry and not self._is_said(line, entry):
            raise BrokenChainError(f"entry {due} was changed: its fact is another one")
        self._hold_realm(str(entry.get("realm")))
        self.sequence, self.hash = due, line["hash"]

    def _is_said(self, line: Line, entry: Entry) -> bool:
        """Tell whether the value is the hashed one, and says what the line shows."""
        try:
            value = base64.b64decode(str(line["value"]), validate=True)
            told = readable(self._read_fact(value))
        except (ValueError, SchemaError):
            return False
        hashed = hashlib.sha256(value).hexdigest()
        return (
            hashed == entry.get("value_hash")
            and line["value"] == base64.b64encode(value).decode()
            and _plain(told) == _plain(line["fact"])
        )

    def _take_head(self, text: Any) -> None:
        if not isinstance(text, str):
            raise BrokenChainError(f"the head after {self._last()} is not a text")
        head = self._read_head(text)
        self._hold(head)
        if head.sequence != self.sequence:
            raise BrokenChainError(
                f"entry {self.sequence + 1} is not there: after {self._last()} stands "
                f"the signed head of entry {head.sequence}: removed, put in or moved"
            )
        self.signed = head

    def _hold_known(self) -> None:
        while self._known and self._known[0].sequence <= self.sequence:
            self._hold(self._known.pop(0))

    def _hold(self, head: Head) -> None:
        self._hold_realm(head.realm)
        if head.sequence == self.sequence and head.hash != self.hash:
            raise BrokenChainError(
                f"the signed head names another hash for {self._last()}: this entry "
                "or one before it was rewritten"
            )

    def _hold_realm(self, realm: str) -> None:
        if self._realm not in (None, realm):
            raise BrokenChainError(
                f"after {self._last()} comes the realm {realm!r}, not {self._realm!r}"
            )
        self._realm = realm

    def _last(self) -> str:
        return f"entry {self.sequence}" if self.sequence else "the start"


def _is_later(got: Any, due: int) -> bool:
    return isinstance(got, int) and got > due


def _plain(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
