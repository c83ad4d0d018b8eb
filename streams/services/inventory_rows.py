"""Parts of an inventory: the names of a table by what stands out, from a place on.

A list is in the order of the table, so a part costs no more than what it looks at, and
the next one goes on behind it. What expires soon is the exception: the soonest come
first, and each part looks at the whole table.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from agents_registry import inventory
from agents_registry.identifiers import ATTRIBUTE, LABEL, Identifier
from agents_registry.lineage import CREDENTIAL, KNOWN, NONE, SCOPED, UNKNOWN_TIME
from agents_registry.presentation import Presented
from agents_registry.verdict import Policy, judge
from streams.model.times import DAY, rfc3339
from streams.stages.access.agent_kinds import is_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

    Row = dict[str, Any]
    Found = Iterator[Row | None]  # None: looked, and nothing yet

EXPIRING: Final = "expiring"
OWNED: Final = "owned"
LISTS: Final = (
    "all", "excess", OWNED, "ownerless", "owners", "shared", "unmapped", EXPIRING,
)  # fmt: skip
STEP: Final = 63  # a mask: names that are looked at between two steps
SHOWN: Final = 16  # owners, scopes or agents of a row; the row says how many there are
ALLOWED, DENIED = "allowed", "denied"


def _folded(text: str) -> str:
    return text.casefold()


@frozen
class InventoryFilter:
    """What is listed.

    Attributes:
        list: one of `LISTS`.
        text: that a name has to hold, whatever the case.
        kind: of the names; one that ends with ``.*`` stands for all below.
        state: `ALLOWED` or `DENIED`; "" for both.
        owner: of what is `OWNED`.
        within: ns from now, for what is `EXPIRING`.
    """

    list: str
    text: str = field(default="", converter=_folded)
    kind: str = ""
    state: str = ""
    owner: Identifier | None = None
    within: int = 30 * DAY


class InventoryRows:
    """Rows of one table at one time."""

    def __init__(self, registry: Registry, wanted: InventoryFilter, now: int) -> None:
        """Look nothing up yet.

        Args:
            registry: the table.
            wanted: what is listed.
            now: the time of verdicts and of what expires soon (ns).
        """
        self._registry = registry
        self._lineage = registry.lineage
        self._wanted = wanted
        self._now = now
        self._kinds: dict[str, bool] = {}
        lenient = dict.fromkeys(registry.lineage.vocabulary, "allow_and_report")
        self._policy = Policy(lenient)  # type: ignore[arg-type] # of a literal

    def looked(self, start: int) -> Iterator[tuple[int, Row | None]]:
        """Yield places and the rows there, from a place on; None where nothing stands.

        A place is the number of what comes next.
        """
        nodes, rows = self._nodes(), self._rows_of()
        may = self._may()
        # The first verdict would make room for what is known of all names at once.
        room = self._registry.clearance
        for _ in room.growing(room.values):
            yield start, None
        for place in range(start, len(nodes)):
            node = nodes[place]
            if may(node) and self._fits(node):
                for row in rows(node):
                    if row is None:
                        yield place, None
                    elif self._is_in_state(row):
                        yield place + 1, row
            if not place & STEP:
                yield place + 1, None

    def mark(self, place: int) -> str | None:
        """Name in front of a place, by which a later part knows it again."""
        nodes = self._nodes()
        if not 0 < place <= len(nodes):
            return None
        return str(self._lineage.identifier(nodes[place - 1]))

    def soonest(self, after: tuple[int, str] | None, limit: int) -> Steps[list[Row]]:
        """Return what expires within the span, the soonest first.

        Args:
            after: expiry and name that the part comes behind; None: from the first.
            limit: most rows.
        """
        expires, until = self._lineage.expires, self._now + self._wanted.within
        found: list[tuple[int, str, int]] = []
        for node in range(len(self._lineage)):
            if not node & STEP:
                yield
            if not self._now < expires[node] <= until or not self._fits(node):
                continue
            key = (expires[node], str(self._lineage.identifier(node)), node)
            if after is not None and key[:2] <= after:
                continue
            if self._wanted.state and not self._is_in_state(self._row(node)):
                continue
            found.append(key)
            if len(found) >= 2 * limit + STEP:  # cut at times: there may be very many
                found = nsmallest(limit, found)
        rows = []
        for _, _, node in nsmallest(limit, found):
            yield
            rows.append(self._row(node) | {"expires_ns": expires[node]})
        return rows

    def _rows_of(self) -> Callable[[int], Found]:
        """Return what makes the rows of a node in the list."""
        return {
            "all": self._all,
            "excess": self._excess,
            OWNED: self._owned,
            "ownerless": self._ownerless,
            "owners": self._owners,
            "shared": self._shared,
            "unmapped": self._unmapped,
        }[self._wanted.list]

    def _may(self) -> Callable[[int], object]:
        """Return a quick look that tells of which names the list holds none."""
        flags, owned = self._lineage.flags, self._registry.owned
        match self._wanted.list:
            case "all" | "ownerless":
                return lambda node: flags[node] & KNOWN
            case "unmapped":
                return lambda node: not flags[node] & KNOWN
            case "excess":
                return lambda node: flags[node] & SCOPED
            case "shared":
                return lambda node: not flags[node] & CREDENTIAL
            case "owners":
                return owned.__contains__
        return lambda _: True

    def _nodes(self) -> Sequence[int]:
        if self._wanted.list != OWNED:
            return range(len(self._lineage))
        return self._registry.owned.get(self._owner(), ())

    def _owner(self) -> int:
        owner = self._wanted.owner
        return NONE if owner is None else self._lineage.find(owner)

    def _fits(self, node: int) -> bool:
        """Whether a name is of the kind and holds the text; labels are no names."""
        kind, wanted = self._lineage.kind(node), self._wanted
        fits = self._kinds.get(kind)
        if fits is None:
            is_name = not kind.startswith((ATTRIBUTE, LABEL))
            fits = is_name and (not wanted.kind or _is_of(kind, wanted.kind))
            self._kinds[kind] = fits
        if not fits or not wanted.text:
            return fits
        return wanted.text in str(self._lineage.identifier(node)).casefold()

    def _is_in_state(self, row: Row) -> bool:
        state = self._wanted.state
        return not state or row["allowed"] == (state == ALLOWED)

    def _row(self, node: int) -> Row:
        lineage, registry = self._lineage, self._registry
        identifier = lineage.identifier(node)
        verdict = judge(
            registry, Presented((identifier,)), now=self._now, policy=self._policy
        )
        owners = {each for owners in registry.owners.of(node) for each in owners}
        scopes = {scope for scopes in registry.scopes.of(node) for scope in scopes}
        expires = lineage.expires[node]
        return {
            "identifier": str(identifier),
            "allowed": verdict.allowed,
            "reason": verdict.reason.value,
            "owners": sorted(map(str, map(lineage.identifier, owners)))[:SHOWN],
            "owners_total": len(owners),
            "scopes": sorted(scopes)[:SHOWN],
            "scopes_total": len(scopes),
            "expires_at": None if expires == UNKNOWN_TIME else rfc3339(expires),
        }

    def _all(self, node: int) -> Found:
        yield self._row(node)

    def _ownerless(self, node: int) -> Found:
        if inventory.lacks_owner(self._registry, node):
            yield self._row(node)

    def _unmapped(self, node: int) -> Found:
        if inventory.is_only_named(self._registry, node):
            yield self._row(node)

    def _excess(self, node: int) -> Found:
        beyond = [
            {"ancestor": str(above), "scopes": list(scopes)}
            for _, above, scopes in inventory.excess_of(self._registry, node)
        ]
        if beyond:
            yield self._row(node) | {"beyond": beyond[:SHOWN]}

    def _shared(self, node: int) -> Found:
        agents = yield from self._counted(
            inventory.agents_using(self._registry, node, is_account)
            if inventory.is_principal(self._registry, node)
            else ()
        )
        if len(agents) > 1:
            names = sorted(map(str, map(self._lineage.identifier, agents)))
            more = {"agents": names[:SHOWN], "agents_total": len(agents)}
            yield self._row(node) | more

    def _owners(self, node: int) -> Found:
        owned = yield from self._counted(
            each if self._is_owned(each, node) else None
            for each in self._registry.owned.get(node, ())
        )
        if owned:
            yield self._row(node) | {"owns": len(owned)}

    def _owned(self, node: int) -> Found:
        if self._is_owned(node, self._owner()):
            yield self._row(node)

    def _is_owned(self, node: int, owner: int) -> bool:
        """Whether a statement stands by which one name owns another."""
        return any(owner in owners for owners in self._registry.owners.of(node))

    def _counted(self, found: Any) -> Any:
        """Collect nodes, each once; None in between, so that a long walk is cut."""
        nodes = set()
        for count, each in enumerate(found, 1):
            if each is not None:
                nodes.add(each)
            if not count & STEP:
                yield None
        return nodes


def _is_of(kind: str, wanted: str) -> bool:
    return kind == wanted or (wanted.endswith(".*") and kind.startswith(wanted[:-1]))
