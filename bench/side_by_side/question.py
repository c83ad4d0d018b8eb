"""One question to every product: when does the last of a tree stop being allowed?

A tree is declared, and another beside it. The root of the first is revoked while
some of its leaves are asked for all the time; leaves of the other stay allowed. The CPU
time of a change counts until the product is at rest again, without what asking took:
where the trees are equal, it is that of the other one, which is then revoked unwatched.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from attrs import define, field, frozen

from bench.credentials import tree as above

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

NEIGHBOURS: Final = 20  # leaves of the other tree
SAMPLE: Final = 100  # leaves that are asked for
PACE: Final = 0.001  # seconds from a check to the next one, at least
SHARE: Final = 5  # and that many times what a check takes
LOOK: Final = 1.0  # seconds
LOOKS: Final = 3
IDLE: Final = 0.15  # of a core: what a product at rest takes at most
DEADLINE: Final = 240.0
SWITCH: Final = 1e-4  # seconds after which the asking thread lets the revoking one run


@frozen
class Tree:
    """Credentials below one root, ten on each: 50,000 are five levels deep."""

    name: str
    count: int

    def name_of(self, number: int) -> str:
        """Name a credential in 17 characters."""
        return f"{self.name}{number:016x}"

    @property
    def root(self) -> str:
        """The credential that is revoked."""
        return self.name_of(0)

    def pairs(self) -> Iterator[tuple[str, str | None]]:
        """Yield each credential and its parent, parents first."""
        for number in range(self.count):
            parent = above(number)
            yield self.name_of(number), None if parent is None else self.name_of(parent)

    def levels(self) -> Iterator[list[tuple[str, str | None]]]:
        """Yield the pairs by depth."""
        level: list[tuple[str, str | None]] = []
        seen: set[str] = set()
        for name, parent in self.pairs():
            if parent in seen:
                yield level
                level, seen = [], set()
            level.append((name, parent))
            seen.add(name)
        yield level

    def leaves(self) -> list[str]:
        """Choose leaves from everywhere in the tree, in no order."""
        first = (self.count + 8) // 10  # the first that has no child
        numbers = range(first, self.count, max(1, (self.count - first) // SAMPLE))
        found = [self.name_of(number) for number in numbers]
        Random(1).shuffle(found)
        return found


class Product(Protocol):
    """What is compared, running.

    Attributes:
        version: that which runs.
        pids: the processes of which CPU time counts.
        holds: those of which memory counts.
    """

    version: str
    pids: Sequence[int]
    holds: Sequence[int]

    def declare(self, tree: Tree) -> None:
        """Make it know the credentials; return when all may act."""
        ...

    def allows(self, name: str) -> bool:
        """Ask as an enforcement point does."""
        ...

    def revoke(self, tree: Tree) -> None:
        """Revoke the root; return when it is accepted. Called from a second thread."""
        ...

    def rest(self, seconds: float) -> None:
        """Do nothing for a while."""
        ...


@frozen
class Measured:
    """What one run gave.

    Attributes:
        version: of the product.
        answered: seconds from the request to its answer.
        last: seconds from the request to the last answer that allowed.
        longest: seconds that the slowest check meanwhile took.
        check: seconds of a check before, in the median.
        cpu: CPU-seconds of one change; None where no process is told.
        size: bytes of resident memory a credential; likewise.
        ends: false where something was still allowed at the deadline.
    """

    version: str
    answered: float
    last: float
    longest: float
    check: float
    cpu: float | None
    size: float | None
    ends: bool = True


@frozen
class _Asker:
    product: Product
    pace: float
    times: list[tuple[float, float, bool]] = field(factory=list)

    def ask(self, name: str) -> bool:
        began = time.monotonic()
        allowed = self.product.allows(name)
        ended = time.monotonic()
        self.times.append((began, ended, allowed))
        if ended - began < self.pace:
            self.product.rest(self.pace - (ended - began))
        return allowed

    def until_denied(self, names: list[str], revoking: Future[Any]) -> None:
        """Ask for each until it was denied once, or the revocation failed."""
        until = time.monotonic() + DEADLINE
        alive = list(names)
        while alive and time.monotonic() < until:
            alive = [name for name in alive if self.ask(name)]
            if revoking.done():
                revoking.result()


def measured(product: Product, count: int, beside: int = 0) -> Measured:
    """Put the question to a product that knows no credential yet.

    Args:
        product: that just started.
        count: of the credentials below the root.
        beside: credentials of the other tree, at most; 0 for as many.
    """
    sys.setswitchinterval(SWITCH)
    tree, other = Tree("a", count), Tree("b", min(count, beside or count))
    before = resident(product.holds)
    for each in (tree, other):
        product.declare(each)
    neighbours = other.leaves()[:NEIGHBOURS]
    _allowed(product, tree.leaves() + neighbours)
    idle = _at_rest(product)
    size = (resident(product.holds) - before) / (tree.count + other.count)
    check, asking = _check(product, tree.leaves())
    asker = _Asker(product, max(PACE, SHARE * check))
    with _Cost(product, idle) as watched:
        sent, answered = _revoke(product, tree, asker)
    asked = len(asker.times)
    _allowed(product, neighbours)
    if other.count == tree.count:  # what is small is lost beside the questions
        with _Cost(product, idle) as unwatched:
            product.revoke(other)
        spent = unwatched.seconds
    else:
        spent = watched.seconds - asked * asking
    since = [each for each in asker.times if each[1] >= sent]
    return Measured(
        version=product.version,
        answered=answered - sent,
        last=max((ended for _, ended, allow in since if allow), default=sent) - sent,
        longest=max(ended - max(began, sent) for began, ended, _ in since),
        check=check,
        cpu=max(0.0, spent) if product.pids else None,
        size=size if product.holds else None,
        ends=not any(map(product.allows, tree.leaves())),
    )


@define
class _Cost:
    """CPU-seconds of what is done inside, until the product is at rest again."""

    product: Product
    idle: float
    seconds: float = 0.0
    began: float = 0.0

    def __enter__(self) -> Self:
        self.began, self.seconds = time.monotonic(), cpu(self.product.pids)
        return self

    def __exit__(self, *_: object) -> None:
        _at_rest(self.product)
        spent = cpu(self.product.pids) - self.seconds
        self.seconds = spent - self.idle * (time.monotonic() - self.began)


def _allowed(product: Product, names: list[str]) -> None:
    until = time.monotonic() + DEADLINE
    while not all(map(product.allows, names)):
        if time.monotonic() > until:
            raise AssertionError("what is declared and not revoked is denied")
        product.rest(PACE)


def _check(product: Product, names: list[str]) -> tuple[float, float]:
    """Give the median time of a check, and the CPU-seconds that the product takes."""
    asker = _Asker(product, PACE)
    before = cpu(product.pids)
    for name in names:
        asker.ask(name)
    asking = (cpu(product.pids) - before) / len(names)
    took = sorted(ended - began for began, ended, _ in asker.times)
    return took[len(took) // 2], asking


def _revoke(product: Product, tree: Tree, asker: _Asker) -> tuple[float, float]:
    """Revoke while leaves are asked for; give when that was sent and answered."""

    def revoke() -> tuple[float, float]:
        sent = time.monotonic()
        product.revoke(tree)
        return sent, time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        revoking = pool.submit(revoke)
        asker.until_denied(tree.leaves(), revoking)
        return revoking.result()


def _at_rest(product: Product) -> float:
    """Wait until a product works no more; give the share of a core that it takes."""
    until = time.monotonic() + DEADLINE
    used = [1.0] * LOOKS
    while max(used[-LOOKS:]) > IDLE and time.monotonic() < until:
        began, before = time.monotonic(), cpu(product.pids)
        product.rest(LOOK)
        used.append((cpu(product.pids) - before) / (time.monotonic() - began))
    return sum(used[-LOOKS:]) / LOOKS


def cpu(pids: Sequence[int]) -> float:
    """CPU-seconds of all threads of some processes, as the scheduler counts them.

    In nanoseconds (Linux, scheduler/sched-stats), where ``stat`` counts ticks.
    """
    spent = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # a thread that ended
                spent += int((thread / "schedstat").read_text("ascii").split()[0])
    return spent / 1e9


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory that some processes have."""
    pages = sum(
        int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) for pid in pids
    )
    return pages * os.sysconf("SC_PAGE_SIZE")
