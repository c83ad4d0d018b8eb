"""A table in a shared file, as the rules read it.

It is a `Registry` to those who judge by it, and nothing else may be done with it. Dense
columns lie in the file; what few nodes have is read from rows, and a row once written
never changes. So what was read of one is kept by its place.

The file may change while it is read. Whoever reads several nodes looks afterwards
whether one of them changed (`MappedTable.is_unchanged`), and an error is a change, too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import define, field

from agents_registry.causes import CauseBook, cause_of
from agents_registry.clear import lives
from agents_registry.clearance import NAMED
from agents_registry.identifiers import NodeClass
from agents_registry.lineage import Lineage
from agents_registry.parts import PartedDict
from agents_registry.registry import Registry
from enforcement.shared.clearing import NoSets
from enforcement.shared.finding import NameFinder
from enforcement.shared.layout import (
    CHANGES,
    GENERATION,
    HORIZON,
    KINDS,
    LENGTH,
    NO_HORIZON,
    ROW,
    SINCE,
    SharedFile,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agents_registry.cause_rows import RecordedCause
    from agents_registry.presentation import Presented

MOST_ROWS: Final = 32  # kept after they were read
MOST_STEPS: Final = 1 << 17  # along rings, in one verdict

Content = TypeVar("Content")


class BrokenTableError(RuntimeError):
    """A ring does not come back: it changes, or its writer died in the middle."""


NO_LIFTS: Final = CauseBook()
_Lifts = dict[tuple[str, int, str], dict[str, Any]]


@define
class _Row:
    """What few nodes have, in the types that a registry has.

    Attributes:
        causes: by the digest of their facts.
        lifted: lifts by target and id, which `lifts` is made of.
    """

    more_parents: list[tuple[int, int]] = field(factory=list)
    reissued: int | None = None
    causes: dict[bytes, RecordedCause] = field(factory=dict)
    lifted: _Lifts = field(factory=dict)
    lifts: CauseBook = NO_LIFTS
    attributes: dict[int, int] = field(factory=dict)
    owners: list[frozenset[int]] = field(factory=list)
    scopes: list[tuple[str, ...]] = field(factory=list)
    devices: set[str] = field(factory=set)
    tenants: set[str] = field(factory=set)

    @classmethod
    def read(cls, rows: list[dict[str, Any]], known: _Row) -> _Row:
        """Read what `TableWriter` wrote.

        Args:
            rows: each goes on from the next one.
            known: the last one goes on from it.
        """
        row, plain = cls(), rows[0]
        row.more_parents = [(up, how) for up, how in plain.get("more_parents", ())]
        row.reissued = plain.get("reissued")
        row.causes = dict(known.causes)
        row.lifted = {key: dict(lifts) for key, lifts in known.lifted.items()}
        for each in reversed(rows):
            row._take(each)
        if row.lifted:
            row.lifts = CauseBook()
            lifts = [[*key, stamps.items()] for key, stamps in row.lifted.items()]
            row.lifts.restore({"causes": (), "lifts": lifts})
        row.attributes = dict(plain.get("attributes", ()))
        row.owners = list(map(frozenset, plain.get("owners", ())))
        row.scopes = list(map(tuple, plain.get("scopes", ())))
        row.devices = set(plain.get("devices", ()))
        row.tenants = set(plain.get("tenants", ()))
        return row

    def _take(self, plain: dict[str, Any]) -> None:
        """Take up the causes and lifts of one row."""
        for cause in map(cause_of, plain.get("causes", ())):
            self.causes[cause.digest] = cause
        for *key, stamps in plain.get("lifts", ()):
            target: Any = tuple(key)
            self.lifted.setdefault(target, {}).update(stamps)
        for fact_id in plain.get("gone", ()):
            self.causes.pop(bytes.fromhex(fact_id), None)
            for lifts in self.lifted.values():
                lifts.pop(fact_id, None)


_NONE: Final = _Row()


class _Rows:
    """Rows by node."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._places = file.columns["row"]
        self._kept: dict[int, _Row] = {}

    def of(self, node: int) -> _Row:
        """Row of a node, an empty one where it has none."""
        place = self._places[node] if node >= 0 else 0
        if not place:
            return _NONE
        row = self._kept.get(place)
        if row is None:
            row = self._read(place)
            if len(self._kept) >= MOST_ROWS:
                self._kept = {}
            self._kept[place] = row
        return row

    def _read(self, place: int) -> _Row:
        rows, known = [self.text(place)], None
        while known is None and (before := rows[-1].get("before", 0)):
            if before >= place:
                raise BrokenTableError("a row goes on from a later one")
            # It will not be asked for again.
            known, place = self._kept.pop(before, None), before
            if known is None:
                rows.append(self.text(before))
        return _Row.read(rows, known or _NONE)

    def text(self, place: int) -> Any:
        """Content of the row at a place."""
        start = place * ROW
        rows = self._file.rows
        size = int.from_bytes(rows[start : start + LENGTH], "little")
        return json.loads(bytes(rows[start + LENGTH : start + LENGTH + size]))


class _Part(Generic[Content]):
    """One part of the rows, as a dict by node that is only read."""

    def __init__(self, rows: _Rows, name: str) -> None:
        self._rows, self._name = rows, name

    def get(self, node: int, default: Content) -> Content:
        found: Content | None = getattr(self._rows.of(node), self._name)
        return default if found is None else found

    def __getitem__(self, node: int) -> Content:
        found: Content = getattr(self._rows.of(node), self._name)
        return found

    def of(self, node: int) -> Content:
        """As a `Register` gives it."""
        return self[node]


class _Causes(CauseBook):
    """Causes and lifts out of rows."""

    def __init__(self, rows: _Rows) -> None:
        super().__init__()
        self._of = rows.of

    def on(self, node: int) -> Iterator[RecordedCause]:
        """Yield the causes that name this very identifier."""
        return iter(self._of(node).causes.values())

    def standing(self, node: int) -> Iterator[RecordedCause]:
        """Yield what `on` does: a reader of a file keeps nothing."""
        return self.on(node)

    def in_force(
        self,
        cause: RecordedCause,
        at: int | None = None,
        *,
        inclusive: bool = False,
        now: int | None = None,
    ) -> bool:
        """Whether a cause counts at a time; see `CauseBook`."""
        lifts = self._of(cause.node).lifts
        return lifts.in_force(cause, at, inclusive=inclusive, now=now)


class _Ring:
    """Next names by node; counts the steps, since a broken ring has no end."""

    def __init__(self, column: memoryview) -> None:
        self._column = column
        self.left = MOST_STEPS

    def __getitem__(self, node: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise BrokenTableError("a ring of names does not come back")
        following: int = self._column[node]
        return following


class _Lineage(Lineage):
    """Columns of a file."""

    def __init__(self, file: SharedFile, rows: _Rows, names: NameFinder) -> None:
        columns: Any = file.columns
        vocabulary = file.description["vocabulary"]
        self.vocabulary = {kind: NodeClass(of) for kind, of in vocabulary.items()}
        self.names = names  # type: ignore[assignment]
        self.flags, self.relation = columns["flags"], columns["relation"]
        self.parent = columns["parent"]
        self.issued, self.expires = columns["issued"], columns["expires"]
        parts: Any = _Part(rows, "more_parents"), _Part(rows, "reissued")
        self.more_parents, self.reissued = parts
        self.labels = PartedDict()  # parents here; whoever looks one up meets a change
        ring: Any = _Ring(columns["ring"])
        self.ring = ring

    def strengths(self, child: int, parent: int) -> list[int]:
        """Strengths of the edges between two names, labels among them."""
        return [strength for up, strength in self.parents(child) if up == parent]


class _NoAnswers:
    """Keeps none: facts that come do not touch them here."""

    made = 0

    def find(self, *_: object) -> None:
        return None

    def keep(self, *_: object) -> None:
        """Keep nothing."""


class _Clearance:
    """What the agent knows of nodes, to be read alone; see `Clearance`."""

    def __init__(self, file: SharedFile) -> None:
        columns = file.columns
        self.values, self.marks = columns["clear"], columns["marks"]
        self.nearest = columns["nearest"]
        self.covered: dict[int, set[str]] = {}  # stays empty, see `cover`
        self.sets = NoSets()
        self.answers = _NoAnswers()
        self.token = object()
        self._words = file.words

    @property
    def generation(self) -> int:
        generation: int = self._words[GENERATION]
        return generation

    @property
    def current(self) -> int:
        return NAMED | self.generation

    @property
    def since(self) -> int:
        since: int = self._words[SINCE]
        return since

    def cover(self, node: int, scope: str) -> None:
        """Keep nothing, as with answers."""


class MappedTable(Registry):
    """A table that another process writes.

    Attributes:
        file: it lies there.
        inode: of the file, and its device.
        words, values: of the file.
        kept: tables of logs that are gone; what they deny for a cause stays denied.
        known: numbers by text, of names that were found.
        log: genesis and partition.
        lease: how far ahead its deadline is at most (ns).
        find: value of a text; see `NameFinder.value_of`.
    """

    def __init__(self, path: Path) -> None:
        """Map it.

        Raises:
            NotATableError: it is no table that can be read.
            OSError: there is none.
        """
        self.file, stat = SharedFile.opened(path)
        self.inode = (stat.st_dev, stat.st_ino)
        self.words, self.values = self.file.words, self.file.columns["clear"]
        self.kept: tuple[MappedTable, ...] = ()
        self.known: dict[str, int] = {}
        rows = self._rows = _Rows(self.file)
        parts: Any = [
            _Part(rows, n)
            for n in ("owners", "scopes", "attributes", "devices", "tenants")
        ]
        self.owners, self.scopes, self.attributes, self.devices, self.tenants = parts
        self.causes = _Causes(rows)
        self.selecting = PartedDict()  # its causes stand in the row of the owner
        finder = NameFinder(self.file, [])
        self.lineage = _Lineage(self.file, rows, finder)
        self.find = finder.value_of(self.known, self.values)
        said = self.file.description
        self.log = (str(said["genesis"]), int(said["partition"]))
        self.lease = int(said["lease"])
        clearance: Any = _Clearance(self.file)
        self.clearance = clearance
        self._kinds = 0
        self.begin()

    def is_clear(self, presented: Presented, now: int, scope: str | None) -> bool:
        """Whether it is known that nothing denies a presentation.

        Each of its nodes is clear, and all of them are at one moment.
        """
        changes, generation = self.changes, self.words[GENERATION]
        return (
            lives(self, presented, now, scope)
            and self.changes == changes
            and self.words[GENERATION] == generation
        )

    @property
    def changes(self) -> int:  # type: ignore[override]
        """Count of changes, odd while one is under way."""
        count: int = self.file.words[CHANGES]
        return count

    @property
    def horizon(self) -> int | None:  # type: ignore[override]
        """See `Registry`."""
        horizon: int = self.file.words[HORIZON]
        return None if horizon == NO_HORIZON else horizon

    def refill(self) -> None:
        """Let the next verdict go along rings, in all of its tries."""
        ring: Any = self.lineage.ring
        ring.left = MOST_STEPS

    def begin(self) -> int:
        """Begin a try: kinds may have become more.

        Returns:
            The last change that is whole.
        """
        changes = self.changes
        kinds = self.file.words[KINDS]
        if kinds != self._kinds:
            finder = NameFinder(self.file, self._rows.text(kinds))
            self.lineage.names = finder  # type: ignore[assignment]
            self.find = finder.value_of(self.known, self.values)
            self._kinds = kinds
        return changes - changes % 2

    def is_unchanged(self, nodes: Iterable[int], since: int) -> bool:
        """Whether rows are as they were at a change."""
        if self.changes == since:
            return True
        changed = self.file.columns["changed"]
        return all(changed[node] <= since for node in nodes if node >= 0)

    def row_at(self, place: int) -> Any:
        """Content of a row."""
        return self._rows.text(place)
