"""Writes a table into a shared file, and each fact after that.

What a reader meets while something is written, or after the writer died in the middle
of it, denies at worst:

- the count of changes is odd while a row changes, and each row says at which count it
  did; a verdict over several rows counts only where none of them changed meanwhile;
- what is known to be clear is undone when the fact is merged, before anything else;
- a name is found only once everything about it is written;
- the lease is written last: whoever reads it before the table has what it proves.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from agents_registry.clearance import Clearance
from agents_registry.facts import Cause, LabelSet, Lift, Withdraw, fact_id
from agents_registry.lineage import (
    CAUSED,
    KNOWN,
    LABELLED,
    MANY_PARENTS,
    MOST_PARENTS,
    OWNED,
    SCOPED,
)
from agents_registry.verdict_dependencies import met_at, shaken
from enforcement.shared.clearing import SharedClearance
from enforcement.shared.finding import SALT, place_of
from enforcement.shared.layout import (
    CHANGES,
    DEADLINE,
    GENERATION,
    HORIZON,
    KINDS,
    LENGTH,
    NAMES,
    NAMES_END,
    NO_HORIZON,
    ROW,
    ROWS_END,
    SharedFile,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agents_registry.facts import Fact
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

CHUNK: Final = 256  # names copied between two yields: about half a millisecond
SPARE_NAMES: Final = 1 << 20
MOST_AGAIN: Final = 8  # causes and lifts of a name, written anew with each fact on it
_ROWS: Final = MANY_PARENTS | CAUSED | OWNED | SCOPED | LABELLED
_is_id: Final = re.compile("[0-9a-f]{64}").fullmatch
_COPIED: Final = ("flags", "relation", "ring", "parent", "issued", "expires")


class TableWriter:
    """One registry in one file.

    Attributes:
        registry: the table that is written.
        path: its own name; the one that readers know leads to it, too.
        file: where.
        complete: everything is there, and facts are written as they come.
        failed: something is missing for good; nothing more may be written.
    """

    def __init__(
        self, registry: Registry, path: Path, described: Mapping[str, Any]
    ) -> None:
        """Make the file; `building` fills it.

        Raises:
            OSError: there is no room.
        """
        self.registry = registry
        self.path = path
        salt = os.urandom(SALT)
        vocabulary = registry.lineage.vocabulary
        self.file = SharedFile.made(
            path,
            2 * len(registry.lineage) + SPARE_NAMES,
            {
                **described,
                "salt": salt.hex(),
                "vocabulary": {kind: of.value for kind, of in vocabulary.items()},
            },
        )
        self.complete = False
        self.failed = False
        self._salt = salt
        self._mask = len(self.file.buckets) - 1
        self._kinds = -1
        self._written = 0
        self._long: set[int] = set()  # nodes whose rows go on from the row of before
        self.file.words[HORIZON] = NO_HORIZON

    def building(self) -> Steps[None]:
        """Write everything that is there, in steps; facts may come in between.

        Raises:
            OSError: there is no room.
        """
        lineage = self.registry.lineage
        while self._written < len(lineage):
            self._append(min(self._written + CHUNK, len(lineage)))
            yield
        self._head()
        self.complete = True

    def enforce(self) -> None:
        """Let what the table finds to be clear be kept in this file."""
        registry = self.registry
        registry.clearance = SharedClearance(
            registry.lineage, registry.owned, self.file
        )

    def fail(self) -> None:
        """Write no more to the file: something is missing in it for good."""
        registry, self.failed = self.registry, True
        clearance = registry.clearance
        if isinstance(clearance, SharedClearance) and clearance.file is self.file:
            # Names that come have no memory in it.
            self.file.words[GENERATION] = 0
            registry.clearance = Clearance(registry.lineage, registry.owned)

    def applied(self, fact: Fact) -> None:
        """Write what a fact changed, once it is merged.

        Raises:
            OSError: there is no room.
        """
        lineage, words = self.registry.lineage, self.file.words
        words[CHANGES] += 1
        if self.complete and len(lineage) > self._written:
            self._append(len(lineage))
        names = shaken(fact) or ()
        if isinstance(fact, Withdraw):
            names = met_at(fact.target)
        if isinstance(fact, LabelSet):
            names += fact.labels
        for name in names:
            node = lineage.find(name)
            if 0 <= node < self._written:
                self._write(node, fact)
        if self.complete:
            self._head()
        words[CHANGES] += 1

    @property
    def room(self) -> float:
        """Part of the room that is left."""
        file, words = self.file, self.file.words
        return 1 - max(
            self._written / file.room,
            words[NAMES_END] / len(file.names),
            words[ROWS_END] / len(file.rows),
        )

    def retire(self, *, is_kept: bool = False) -> None:
        """Have nobody take a lease from this file any more.

        Args:
            is_kept: what it denies is still read, by its own name.
        """
        words = self.file.words
        words[GENERATION] = words[DEADLINE] = 0
        if not is_kept:
            self.file.end()
            with suppress(OSError):  # what is left is removed at the next start
                self.path.unlink()

    def _head(self) -> None:
        """Write what is of the whole table."""
        words, registry = self.file.words, self.registry
        horizon = registry.horizon
        words[HORIZON] = NO_HORIZON if horizon is None else horizon
        kinds = registry.lineage.names.kinds
        if len(kinds) != self._kinds:
            words[KINDS] = self.put_row(list(kinds))
            self._kinds = len(kinds)

    def _append(self, upto: int) -> None:
        """Write the names from the last one on."""
        file, lineage, first = self.file, self.registry.lineage, self._written
        columns, words = file.columns, file.words
        if self._kinds != len(lineage.names.kinds):
            self._head()  # a name is read by its kind
        names = list(map(lineage.names.encoded, range(first, upto)))
        places = list(accumulate(map(len, names), initial=words[NAMES_END]))
        file.reserve_names(upto)
        file.reserve("names", places[-1])
        file.names[places[0] : places[-1]] = b"".join(names)
        words[NAMES_END] = places[-1]
        for column in _COPIED:
            columns[column][first:upto] = getattr(lineage, column)[first:upto]
        for number in lineage.labelled(first, upto):
            self._put_labels(number)
        columns["start"][first:upto] = array("I", places[:-1])
        if self.complete:
            changed = array("q", [words[CHANGES]]) * (upto - first)
            columns["changed"][first:upto] = changed
        for number in self._with_rows(first, upto):
            columns["row"][number] = self._row(number)
        words[NAMES] = upto
        after, buckets, mask, salt = (
            columns["next"],
            file.buckets,
            self._mask,
            self._salt,
        )
        for number, name in enumerate(names, first):
            bucket = place_of(salt, name) & mask
            after[number] = buckets[bucket]
            buckets[bucket] = number + 1
        self._written = upto

    def _write(self, node: int, fact: Fact) -> None:
        """Write one row again, for a fact."""
        columns, lineage = self.file.columns, self.registry.lineage
        columns["changed"][node] = self.file.words[CHANGES]
        if self._with_rows(node, node + 1):
            columns["row"][node] = self._row(node, fact)
        for column in _COPIED:
            columns[column][node] = getattr(lineage, column)[node]
        if lineage.labelled(node, node + 1):
            self._put_labels(node)

    def _put_labels(self, node: int) -> None:
        """Write the labels of a node as parents like any other; a label is known.

        So whoever reads need not know of labels.
        """
        columns, lineage = self.file.columns, self.registry.lineage
        flags, parents = lineage.flags[node], lineage.parents(node)
        if parents:
            columns["parent"][node], columns["relation"][node] = parents[0]
        more = MANY_PARENTS if parents[1:] else 0
        known = KNOWN if lineage.is_label(node) else 0
        columns["flags"][node] = flags & ~(LABELLED | MANY_PARENTS) | more | known

    def _with_rows(self, first: int, upto: int) -> list[int]:
        """Nodes that have more than the columns hold."""
        registry, flags = self.registry, self.registry.lineage.flags
        found = {n for n, of in enumerate(flags[first:upto], first) if of & _ROWS}
        for more in (registry.lineage.reissued, registry.devices, registry.tenants):
            if more:
                found.update(n for n in range(first, upto) if n in more)
        return sorted(found)

    def _row(self, node: int, fact: Fact | None = None) -> int:
        """Put what few nodes have; the columns have the rest.

        Args:
            node: its number.
            fact: what changed since the row of before, None where there is none.
        """
        registry, lineage = self.registry, self.registry.lineage
        flags, row = lineage.flags[node], dict[str, Any]()
        if more := lineage.parents(node, MOST_PARENTS)[1:]:
            row["more_parents"] = more
        if node in lineage.reissued:
            row["reissued"] = lineage.reissued[node]
        if flags & CAUSED:
            row |= self._causes(node, fact)
            row["attributes"] = list(registry.attributes.get(node, {}).items())
        if flags & OWNED:
            row["owners"] = [sorted(some) for some in registry.owners.of(node)]
        if flags & SCOPED:
            row["scopes"] = registry.scopes.of(node)
        for name in ("devices", "tenants"):
            if node in (bound := getattr(registry, name)):
                row[name] = sorted(bound[node])
        return self.put_row(row)

    def _causes(self, node: int, fact: Fact | None) -> dict[str, Any]:
        """Causes and lifts of a row; of a long one what a fact changed alone."""
        book = self.registry.causes
        selecting = self.registry.selecting.get(node)
        if fact is None or node not in self._long or selecting is not None:
            told = book.dump_of(node)
            if selecting is not None:
                # What stands on what it owns: whoever cannot read that denies.
                told["causes"] += book.dump_of(selecting)["causes"]
            count = len(told["causes"]) + sum(len(lifts) for *_, lifts in told["lifts"])
            if count > MOST_AGAIN:
                self._long.add(node)
            return told
        told = {"before": self.file.columns["row"][node]}
        of = ""
        if isinstance(fact, Cause | Lift):
            of = fact_id(fact).hex()
        elif isinstance(fact, Withdraw):
            of = fact.fact_id
        if _is_id(of):  # else it takes nothing back
            told |= book.dump_of_fact(node, of)
            if not told["causes"] and not told["lifts"]:
                told["gone"] = [of]
        return told

    def put_row(self, row: Any) -> int:
        """Write a row; its place is to be written where readers look for it."""
        file, words = self.file, self.file.words
        text = json.dumps(row, separators=(",", ":")).encode()
        # The place 0 stands for no row.
        start = max(words[ROWS_END], ROW)
        end = start + LENGTH + len(text)
        file.reserve("rows", end)
        file.rows[start:end] = len(text).to_bytes(LENGTH, "little") + text
        words[ROWS_END] = -(-end // ROW) * ROW
        return start // ROW
