"""Answers: what was found out of presentations, for those who present them again.

An answer holds until a fact touches what it hangs on. A fact that does only notes when
that was, once for each node that was asked about, however many answers hang on it; who
asks again compares. So nothing is looked for when a fact comes.

Answers are kept in two halves. Where the younger one is full it becomes the older one,
and what was the older one is dropped. Their size is counted in bytes, with those of
the names and scopes that callers choose. The answers of a half share the names of their
paths: what is dead is so for the same ancestors, mostly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import Factory, define, evolve, frozen

from agents_registry import kept

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from agents_registry.identifiers import Identifier
    from agents_registry.presentation import Presented
    from agents_registry.verdict import Judgement

MOST_BYTES: Final = 1 << 22  # of a half; dropping it takes a few milliseconds
OF_AN_ANSWER: Final = 512  # bytes, without names
_OF_A_NAME: Final = 72  # bytes, without its value
_OF_A_SHARED: Final = 100  # bytes beside it, of a name that paths share
_OF_A_PLACE: Final = 8  # bytes, in a path
_OF_A_NODE: Final = 120  # bytes, in what was asked and where it is noted


@frozen
class Answer:
    """What was found out of one presentation.

    Attributes:
        settled: the verdict; None where nothing denies, and the policy has a say since
            facts do not make all identifiers known.
        since: first time at which it is the same (ns).
        until: first time after which it may be another one (ns).
        asked: the nodes that were presented, or stand in the chain, each once.
        made: count of the facts that touched something before.
    """

    settled: Judgement | None
    since: int
    until: int
    asked: tuple[int, ...]
    made: int


@define
class _Half:
    """Answers by what was asked.

    Attributes:
        touched: by node that was asked about, when a fact touched it last.
        shared: names of the paths.
    """

    answers: dict[Hashable, Answer] = Factory(dict)
    touched: dict[int, int] = Factory(dict)
    shared: dict[Identifier, Identifier] = Factory(dict)

    def size_of(self, path: Iterable[Identifier]) -> int:
        """Bytes that a path would take, about."""
        # A list: a generator is called for each of thousands of names.
        return sum(
            [
                _OF_A_PLACE + (0 if name in self.shared else _OF_A_SHARED + _size(name))
                for name in path
            ]
        )


class KeptAnswers:
    """A bounded number of answers; a table keeps them.

    Attributes:
        made: counts the facts that touched something.
        era: ends where all of them are dropped, see `agents_registry.kept`.
        seals: of the nodes that kept verdicts are about.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.made = 0
        self._begin_era()
        self._young, self._old = _Half(), _Half()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many are kept, whether they hold or not."""
        return len(self._young.answers) + len(self._old.answers)

    def find(self, asked: Hashable, now: int) -> Answer | None:
        """Answer that holds now."""
        half = self._young
        answer = half.answers.get(asked)
        if answer is None:
            half = self._old
            answer = half.answers.get(asked)
            if answer is None:
                return None
        if not answer.since <= now < answer.until:
            return None
        touched, made = half.touched, answer.made
        for node in answer.asked:
            if touched[node] > made:
                return None
        return answer

    def keep(self, key: Hashable, answer: Answer, size: int) -> None:
        """Keep the answer to what was asked.

        Args:
            key: what was asked.
            answer: found out after the last fact.
            size: bytes without the path, see `size_of`; one that is larger than a half
                is not kept.
        """
        settled = answer.settled
        path = () if settled is None else settled.path
        takes = size + self._young.size_of(path)
        if self._bytes + takes > MOST_BYTES:
            young = _Half()
            takes = size + young.size_of(path)
            if takes > MOST_BYTES:
                return
            self._old, self._young, self._bytes = self._young, young, 0
        self._bytes += takes
        half = self._young
        if settled is not None and path:
            path = tuple([half.shared.setdefault(name, name) for name in path])
            answer = evolve(answer, settled=evolve(settled, path=path))
        half.answers[key] = answer
        for node in answer.asked:
            half.touched.setdefault(node, 0)

    def touch(self, nodes: Sequence[int]) -> None:
        """Note that a fact touched what hangs on nodes: their answers hold no more."""
        self.made += 1
        self.seals.end(nodes)
        for touched in (self._young.touched, self._old.touched):
            if touched:
                for node in nodes:
                    if node in touched:
                        touched[node] = self.made

    def takes(self, node: int) -> bool:
        """Whether a verdict on a node may be kept, see `agents_registry.kept`."""
        if self.seals.takes(node):
            return True
        self._heed_refused()
        return False

    def sealed(self, nodes: Iterable[int]) -> tuple[kept.Seal, ...] | None:
        """Return the seals of nodes; None where there would be too many."""
        found = self.seals.of(nodes)
        if found is None:
            self._heed_refused()
        return found

    def _heed_refused(self) -> None:
        # Nobody may hold any more what there are seals of.
        if self.seals.refused >= kept.MOST_REFUSED:
            self._begin_era()

    def _begin_era(self) -> None:
        self.era = object()
        self.seals = kept.Seals(self.era)

    def drop(self) -> None:
        """Keep none any more."""
        self._begin_era()
        self._young, self._old = _Half(), _Half()
        self._bytes = 0


def size_of(presented: Presented, scope: str | None) -> int:
    """Bytes that an answer takes without its path, about."""
    size = OF_AN_ANSWER + (0 if scope is None else scope.__sizeof__())
    return size + _OF_A_NODE * (len(presented.identifiers) + len(presented.chain))


def _size(name: Identifier) -> int:
    return _OF_A_NAME + name.value.__sizeof__()  # kinds are shared
