"""Random lives of the fast join beside the plain one, as functions of a seed."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.reach import Reached
from agents_registry.registry import Registry
from agents_registry.steps import finish
from agents_registry.uncaused import Uncaused
from streams.model.findings import FindingKind
from streams.stages.access import columns as lines
from streams.stages.access import dedup as repeats
from streams.stages.access import index as remembered
from streams.stages.access.agent_kinds import ActingKinds, Choice
from streams.stages.access.uses import AccessEvent
from streams.stages.posture.posture import Limits
from streams.stages.registry.registry import condemned, root
from streams.stages.sentinel import (
    node_bits,
    node_prints,
    ordered_prints,
    sentinel,
)
from streams.stages.sentinel.issue_recheck import tells_issue
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from tests.noted import note
from tests.plain_join import PlainJoin, Told
from tests.property.worlds import STEP, TOPICS, Maker

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from streams.stages.sentinel.episode import Episode, Sighting
    from streams.stages.sentinel.step import Outputs

AGE = 10**18  # nothing is forgotten, and nothing is within the grace
SKEW = 2 * STEP  # in every fourth world


class Fast(Sentinel):
    """The sentinel, telling what it saw as the plain join does."""

    def __init__(self, told: list[Told], skew: int) -> None:
        """Add to a list."""
        limits = Limits(settle=0)
        # Agents are told of by others than the plain join.
        acting = ActingKinds(Choice(removed=frozenset(VOCABULARY)))
        super().__init__(
            "r", Tolerances(skew, -AGE, AGE, AGE, posture=limits, acting=acting)
        )
        self.told = told
        self._see = self.episodes.see
        self.episodes.see = self._tell  # type: ignore[method-assign]

    def _tell(self, sighting: Sighting, now: int) -> Episode:
        assert (sighting.count, sighting.first_seen) == (1, sighting.last_seen)
        assert (sighting.kind is FindingKind.UNKNOWN_CREDENTIAL) == (
            sighting.cause is None
        )
        (event_id,) = sighting.event_ids or (None,)
        self.told.append(
            Told(
                sighting.presented, sighting.point, sighting.outcome,
                sighting.last_seen, event_id, sighting.owner, sighting.cause,
                sighting.via, sighting.path,
            )
        )  # fmt: skip
        return self._see(sighting, now)


class Pair:
    """Both joins over one world."""

    def __init__(self, random: Random, skew: int) -> None:
        """Start with an empty table."""
        self.random = random
        self.skew = skew
        self.maker = Maker(random, random.choice(sorted(TOPICS)))
        self.registry = Registry()
        self.plain = PlainJoin(skew)
        self.told: list[Told] = []
        self.fast = Fast(self.told, skew)
        self.saved: dict[str, bytes] = {}
        self.past: list[AccessEvent] = []

    def keep(self, outputs: Outputs) -> None:
        """Save what a step changed."""
        for name, body in outputs.uses.items():
            if body is None:
                self.saved.pop(name, None)
            else:
                self.saved[name] = body

    def fact(self) -> None:
        """Apply a new fact, or an old one again, and what follows from it."""
        facts = self.maker.facts
        if facts and self.random.random() < 0.1:
            self.apply(self.random.choice(facts))
        else:
            facts.append(self.maker.fact())
            self.apply(facts[-1])

    def apply(self, fact: Fact) -> None:
        """Apply a fact; build the table anew where it asks for it."""
        self.registry.apply(fact)
        note(self.fast, fact, 0)
        if self.registry.needs_rebuild:
            self.registry = Registry.build(self.maker.facts)
            self.plain.reconsider_all(self.registry)
            self.keep(finish(self.fast.follow(self.registry, 0)))
        if tells_issue(fact):
            self.plain.reconsider((fact.node,), self.registry)
            self.keep(finish(self.fast.settle(self.registry, 0)))
        start = root(self.registry, fact, Uncaused(self.registry))
        if start is None:
            return
        node = self.registry.lineage.find(start)
        found = finish(condemned(self.registry, Reached(self.registry, [node])))
        names = [each.identifier for each in found]
        self.plain.reconsider(names, self.registry)
        self.keep(finish(self.fast.reconsider(names, self.registry, 0)))

    def uses(self) -> None:
        """Show some uses, a few of them again."""
        random = self.random
        batch = [self.use() for _ in range(random.choice((0, 1, 1, 2, 5)))]
        batch += random.choices(self.past, k=1) if self.past else []
        random.shuffle(batch)
        self.past += batch
        self.plain.observe(batch, self.registry)
        self.keep(finish(self.fast.observe(batch, self.registry, 0)))

    def use(self) -> AccessEvent:
        """Make a use of known or strange names."""
        random = self.random
        stranger = Identifier(random.choice(("secret", "agent.id")), "stranger")
        names = (*self.maker.some(3), *random.choices((stranger,), k=1))
        names = names[: random.choice((1, 1, 1, 2, 3))]
        if random.random() < 0.1:
            names = (stranger,)
        event_id = random.choice((None, "e1", "e2", "e3", str(random.random())))
        return AccessEvent(
            names, random.choice(("p", "q")),
            random.choice(("allowed", "allowed", "denied", None, "unknown")),
            random.randint(0, 30) * STEP, event_id, random.choice((None, "ann")),
        )  # fmt: skip

    def restart(self) -> None:
        """Go on with what was saved, and judge it by the table of now."""
        self.fast = Fast(self.told, self.skew)
        self.fast.restore(self.saved.items())
        self.plain.reconsider_all(self.registry)
        self.keep(finish(self.fast.reconsider_all(self.registry, 0)))


def differs(start: int) -> str | None:
    """Live through one world; say how the joins differ, None where they do not."""
    random = Random(start)
    with ExitStack() as stack:
        if random.random() < 0.5:
            for each in collisions(random.choice((0, 1, 7))):
                stack.enter_context(each)
        stack.enter_context(patch.object(remembered, "FAN", random.choice((2, 3, 16))))
        stack.enter_context(patch.object(node_prints, "ORDERED_AFTER", 2))
        stack.enter_context(patch.object(node_prints, "GROWN_AT_ONCE", 3))
        stack.enter_context(patch.object(ordered_prints, "MERGED_AT_ONCE", 2))
        stack.enter_context(
            patch.object(node_bits, "UNDONE_AT_ONCE", random.choice((0, 2, 4096)))
        )
        pair = Pair(random, 0 if start % 4 else SKEW)
        steps = [pair.fact] * 4 + [pair.uses] * 4 + [pair.restart]
        for _ in range(random.randint(5, 40)):
            random.choice(steps)()
            wrong = _difference(pair)
            if wrong:
                return f"seed {start}: {wrong}"
    return None


def _difference(pair: Pair) -> str | None:
    plain, fast = (sorted(told, key=repr) for told in (pair.plain.told, pair.told))
    if plain == fast:
        return None
    lost = [each for each in plain if plain.count(each) > fast.count(each)]
    made_up = [each for each in fast if fast.count(each) > plain.count(each)]
    return f"lost {lost}, made up {made_up}"


def collisions(most: int) -> list[Any]:
    """Have prints collide: there are so few of them."""
    true_prints, true_event = lines.prints_of, lines.event_print

    def prints_of(identifier: Identifier) -> tuple[int, int]:
        found, check = true_prints(identifier)
        return found & most, check

    def event_print(event_id: str | None) -> int:
        return true_event(event_id) and 1

    found = [
        patch.object(module, "prints_of", prints_of)
        for module in (lines, node_prints, repeats, sentinel)
    ]
    return [*found, patch.object(lines, "event_print", event_print)]
