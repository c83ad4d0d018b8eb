"""Check an export of the audit chain, line by line, and name what does not fit."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import SchemaError
from streams.stages.audit.chain import (
    PRUNED,
    START,
    BrokenChainError,
    IncompleteChainError,
    canonical,
    hash_of,
    readable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.facts import Fact
    from streams.stages.audit.chain import Entry, Head, Line

_ENTRY: Final = frozenset({"sequence", "entry", "hash"})
_FACT: Final = _ENTRY | {"value", "fact"}


class ChainVerifier:
    """Takes the lines of an export in their order, and refuses the first that is off.

    Attributes:
        start: the head that it begins behind; None at the start of the chain.
        sequence: number of the last entry.
        hash: its hash.
        signed: the last head that a line held.
    """

    def __init__(
        self,
        read_head: Callable[[str], Head],
        read_fact: Callable[[bytes], Fact],
        known: Iterable[Head] = (),
        start: Head | None = None,
    ) -> None:
        """Begin at the start of a chain, or behind a head.

        Args:
            read_head: checks a signature; raises BrokenChainError.
            read_fact: reads the value of a record; raises SchemaError.
            known: heads that were kept elsewhere; the chain has to hold them.
            start: a head that was kept elsewhere, for a part of the chain.

        Raises:
            BrokenChainError: known heads contradict the start.
        """
        self.start = start
        self.sequence = 0 if start is None else start.sequence
        self.hash = START if start is None else start.hash
        self.signed = start
        self._realm = None if start is None else start.realm
        self._read_head = read_head
        self._read_fact = read_fact
        self._known = sorted(known, key=lambda head: head.sequence)
        self._once = _Once()
        self._bare: set[int] = set()
        if self._known and self._known[0].sequence < self.sequence:
            first = self._known[0].sequence
            raise BrokenChainError(
                f"the head of entry {first} cannot be shown by what begins behind "
                f"{self._last()}: verify from it, or from the start"
            )
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
        if set(line) == {"unchained"}:
            raise BrokenChainError(
                f"behind {self._last()} the log holds a fact that has no entry: "
                f"{line['unchained']!r}"
            )
        self._take_entry(line)
        self._hold_known()

    def end(self) -> Head:
        """Check that nothing is missing at the end; give the head of it all.

        Raises:
            BrokenChainError: the last entries are signed by nothing, or are gone.
        """
        self._hold_reached()
        if self.signed is None or self.signed.sequence != self.sequence:
            raise IncompleteChainError(
                f"truncated: no signed head follows {self._last()}, as at the end of "
                "every export"
            )
        self._hold_pruned()
        return self.signed

    def hold_all(self) -> None:
        """Check that nothing is missing, where no signed head ends the lines.

        Raises:
            BrokenChainError: the chain ends before a head that was kept elsewhere, or
                a fact is gone.
        """
        self._hold_reached()
        self._hold_pruned()

    def _hold_reached(self) -> None:
        if self._known:
            raise IncompleteChainError(
                f"truncated: it ends with {self._last()}, and a signed head names "
                f"entry {self._known[-1].sequence}"
            )

    def _hold_pruned(self) -> None:
        if self._bare:
            raise BrokenChainError(
                f"entry {min(self._bare)}: its fact is gone, and no pruning says so"
            )

    def _take_entry(self, line: Line) -> None:
        due, got = self.sequence + 1, line.get("sequence")
        if got != due or isinstance(got, bool):
            how = "removed or moved" if _is_later(got, due) else "inserted or moved"
            stands = "a line without a number" if got is None else repr(got)
            raise BrokenChainError(
                f"entry {due} is not there, {stands} stands in its place: {how}"
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
        if set(line) == _ENTRY and "fact_key" in entry:
            self._bare.add(due)
        elif set(line) != _members(entry):
            raise BrokenChainError(f"entry {due} was changed: it has other members")
        elif not self._is_said(line, entry):
            raise BrokenChainError(f"entry {due} was changed: its fact is another one")
        if not self._once.take(entry):
            raise BrokenChainError(
                f"entry {due} speaks of a record that an entry before it speaks of, or "
                "of one in front of that"
            )
        for first, last in entry.get(PRUNED, ()):
            self._bare -= set(range(first, min(last, self.sequence) + 1))
        self._hold_realm(str(entry.get("realm")))
        self.sequence, self.hash = due, line["hash"]

    def _is_said(self, line: Line, entry: Entry) -> bool:
        """Whether the value is the hashed one, and agrees with the line."""
        if "value" not in line:
            return True
        try:
            value = base64.b64decode(str(line["value"]), validate=True)
            fact = readable(self._read_fact(value)) if "fact" in line else None
        except (ValueError, SchemaError):
            return False
        hashed = hashlib.sha256(value).hexdigest()
        return (
            hashed == entry.get("value_hash")
            and line["value"] == base64.b64encode(value).decode()
            and canonical(fact) == canonical(line.get("fact"))
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


class _Once:
    """Sees that no record is spoken of twice: their offsets only grow within a log."""

    def __init__(self) -> None:
        self._genesis = ""
        self._gone: set[str] = set()
        self._last: dict[bool, Any] = {}

    def take(self, entry: Entry) -> bool:
        genesis, offset = str(entry.get("genesis")), entry.get("offset")
        if genesis != self._genesis:
            self._gone.add(self._genesis)
            self._genesis, self._last = genesis, {}
        # The embedded server numbers acts by themselves.
        kind = "fact_key" in entry
        later = isinstance(offset, int) and offset > self._last.get(kind, -1)
        self._last[kind] = offset
        return later and genesis not in self._gone


def _members(entry: Entry) -> frozenset[str]:
    if "fact_key" in entry:
        return _FACT
    shown = "unread" in entry and entry.get("kept", True)
    return _ENTRY | {"value"} if shown else _ENTRY


def _is_later(got: Any, due: int) -> bool:
    return isinstance(got, int) and got > due
