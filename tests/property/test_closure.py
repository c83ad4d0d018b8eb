"""The stage closure against a model that keeps every pair of a cause and a guard."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import pytest
from attrs import define, field
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streams.stages.closure.closure import (
    CauseOutcome,
    Closure,
    GuardMode,
    ProofState,
    Registration,
)
from tests.planted.copies import Change
from tests.property.agreement import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.property

DEADLINE = 60


@define
class Guard:
    """A registered guard, as the model keeps it."""

    terms: Registration
    place: int
    heard: int
    applied: int = 0


@define
class Waiting:
    """A cause, and for each member the place of the registration that made it one."""

    offset: int
    read_at: int
    end: int | None = None
    members: dict[str, int] | None = None
    told: ProofState = ProofState.PENDING


@define
class Model:
    """Section 4 of the design, read pair by pair."""

    guards: dict[str, Guard] = field(factory=dict)
    causes: list[Waiting] = field(factory=list)
    receipts: int = 0

    def receive(self, receipt: tuple[Any, ...], now: int) -> None:
        """Apply the next receipt."""
        kind, name, *more = receipt
        known = self.guards.get(name)
        if kind == "register":
            terms, place = more[0], self.receipts
            if known is not None:
                terms = attrs.evolve(
                    terms,
                    lease=max(terms.lease, known.terms.lease),
                    live_sessions=terms.live_sessions or known.terms.live_sessions,
                )
                if known.terms.mode is not GuardMode.OBSERVE:
                    place = known.place
            applied = known.applied if known is not None else 0
            self.guards[name] = Guard(terms, place, now, applied)
        elif kind == "applied" and known is not None:
            known.heard, known.applied = now, max(known.applied, more[0])
        elif kind == "leave":
            self.guards.pop(name, None)
        self.receipts += 1

    def expire(self, now: int) -> list[str]:
        """Let the silent go."""
        gone = [
            name
            for name, guard in self.guards.items()
            if guard.terms.mode is not GuardMode.FAIL_OPEN
            and now >= guard.heard + 10 * guard.terms.lease
        ]
        for name in gone:
            del self.guards[name]
        return gone

    def enforcing(self) -> dict[str, int]:
        """Give who counts, with the place of its registration."""
        return {
            name: guard.place
            for name, guard in self.guards.items()
            if guard.terms.mode is not GuardMode.OBSERVE
        }

    def judge(self, cause: Waiting, now: int) -> CauseOutcome:
        """Look at each pair."""
        members = self.enforcing() if cause.members is None else cause.members
        if cause.members is None and cause.end is not None:
            members = {n: place for n, place in members.items() if place < cause.end}
        applied, fenced, laggards, left = 0, [], [], 0
        for name, place in members.items():
            guard = self.guards.get(name)
            if self.enforcing().get(name) != place or guard is None:
                left += 1
                continue
            tenths = 21 if guard.terms.live_sessions else 11
            lapsed = 10 * (now - cause.read_at) >= tenths * guard.terms.lease
            if guard.applied > cause.offset:
                applied += 1
            elif guard.terms.mode is GuardMode.FAIL_CLOSED and lapsed:
                fenced.append(name)
            else:
                laggards.append(name)
        if cause.members == {}:
            state = ProofState.UNKNOWN
        elif cause.members is not None and not laggards:
            state = ProofState.CLOSED
        elif now - cause.read_at >= DEADLINE:
            state = ProofState.PARTIAL
        else:
            state = ProofState.PENDING
        names = tuple(sorted(fenced)), tuple(sorted(laggards))
        return CauseOutcome(cause.offset, state, applied, *names, left)

    def step(self, now: int) -> list[CauseOutcome]:
        """Give the causes whose state changed."""
        changed = []
        for cause in list(self.causes):
            asked = cause.end is not None and cause.end <= self.receipts
            if cause.members is None and asked:
                cause.members = {
                    name: place
                    for name, place in self.enforcing().items()
                    if place < (cause.end or 0)
                }
            outcome = self.judge(cause, now)
            if outcome.state not in (cause.told, ProofState.PENDING):
                changed.append(outcome)
                cause.told = outcome.state
            if outcome.state in (ProofState.UNKNOWN, ProofState.CLOSED):
                self.causes.remove(cause)
        return changed


class Step(NamedTuple):
    """Something that happens, and how much time passes after it."""

    what: str
    values: tuple[Any, ...]
    seconds: int


names = st.sampled_from("abc")
terms = st.builds(
    Registration,
    names,
    st.sampled_from([1, 3, 10, 20]),
    st.sampled_from(GuardMode),
    st.booleans(),
)
APPLIED = st.tuples(names, st.integers(-4, 2)).map(lambda each: ("applied", each))
happenings = st.one_of(
    terms.map(lambda each: ("log", (("register", each.guard, each),))),
    APPLIED,
    APPLIED,
    names.map(lambda each: ("log", (("leave", each),))),
    st.just(("cause", ())),
    st.just(("cause", ())),
    st.just(("ask", ())),
    st.just(("ask", ())),
    st.just(("deliver", ())),
    st.just(("deliver", ())),
    st.just(("deliver", ())),
)
steps = st.builds(
    lambda happening, seconds: Step(happening[0], happening[1], seconds),
    happenings,
    st.sampled_from([0, 0, 0, 1, 2, 5, 11, 12, 30]),
)


histories = st.lists(steps, min_size=10, max_size=60)


@settings(max_examples=max(60, EXAMPLES // 4))
@given(histories)
def test_says_what_the_pairs_say(history: list[Step]) -> None:
    """At every step: the changes, who left, and every cause that still waits."""
    compare(Closure(DEADLINE), history)


# Each wrong line, and the right one that it takes the place of.
BUGS = {
    "counts a guard that never registered": (
        "        if member is None:\n            return False\n",
        """        if member is None:
            terms = Registration(guard, 3, GuardMode.FAIL_CLOSED)
            member = self.guards[guard] = RegisteredGuard(terms, self.receipts - 1, now)
""",
    ),
    "counts who observes": ("if m.terms.mode is not GuardMode.OBSERVE", "if True"),
    "applied at the cause's own offset": (
        "if member.applied > cause.offset:",
        "if member.applied >= cause.offset:",
    ),
    "closed at the cause's own offset": (
        "applied = bisect_left(",
        "applied = bisect_right(",
    ),
    "all applied at the cause's own offset": (
        "if each.offset < lowest",
        "if each.offset <= lowest",
    ),
    "members fixed before the receipts are read": (
        "if end is None or end > self.receipts:",
        "if end is None:",
    ),
    "the end asked for before the cause was read": (
        "            cause.end = end\n",
        "            cause.end = self.receipts\n",
    ),
    "waits for who registered later": ("member.since >= cause.end", "False"),
    "fenced after one lease": ("if self.terms.live_sessions else 11", "* 0 + 10"),
    "live sessions end with the check": ("tenths = 21 if", "tenths = 11 if"),
    "fences who fails open": (
        "fails_closed = self.terms.mode is GuardMode.FAIL_CLOSED",
        "fails_closed = True",
    ),
    "who fails open leaves in silence": (
        "if self.terms.mode is GuardMode.FAIL_OPEN:",
        "if False:",
    ),
    "a lease is shortened": ("max(terms.lease, known.terms.lease)", "terms.lease"),
    "a member that registers again is forgiven": (
        "if known.terms.mode is GuardMode.OBSERVE:",
        "if True:",
    ),
}


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    return Change("streams/stages/closure/closure.py", *BUGS[name])


CHANGES = [change(name) for name in BUGS]


@pytest.mark.long
@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(name: str, repository: Path) -> None:
    """The comparison finds a history in which it matters."""
    source = change(name).made(repository)
    planted = ModuleType("planted")
    sys.modules[planted.__name__] = planted  # attrs looks its classes up there
    try:
        exec(compile(source, name, "exec"), vars(planted))  # noqa: S102
        # Its outcomes must be equal to the model's.
        for shared in (GuardMode, CauseOutcome, Registration, ProofState):
            setattr(planted, shared.__name__, shared)

        @settings(max_examples=3000, database=None, phases=[Phase.generate])
        @given(histories)
        def differs(history: list[Step]) -> None:
            compare(planted.Closure(DEADLINE), history)

        with pytest.raises((AssertionError, BaseExceptionGroup)):
            differs()
    finally:
        del sys.modules[planted.__name__]


def compare(stage: Closure, history: list[Step]) -> None:
    """Let stage and model live through the same."""
    model = Model()
    log: list[tuple[Any, ...]] = []
    now, offset, delivered = 0, 0, 0
    for step in history:
        if step.what == "log":
            log.append(step.values[0])
        elif step.what == "applied":
            name, distance = step.values
            log.append(("applied", name, max(0, offset + distance)))
        elif step.what == "cause":
            stage.read([offset], now)
            model.causes.append(Waiting(offset, now))
            offset += 2
        elif step.what == "ask":
            stage.ask(len(log))
            for cause in model.causes:
                cause.end = len(log) if cause.end is None else cause.end
        elif delivered < len(log):
            feed(stage, log[delivered], now)
            model.receive(log[delivered], now)
            delivered += 1
        assert sorted(stage.expire(now)) == sorted(model.expire(now))
        assert by_offset(stage.step(now)) == by_offset(model.step(now))
        now += step.seconds
        seen = [stage.look(cause.offset, now) for cause in model.causes]
        assert seen == [looked_at(model, cause, now) for cause in model.causes]
        assert stage.waiting == len(model.causes)


def by_offset(outcomes: list[CauseOutcome]) -> list[CauseOutcome]:
    """Put outcomes in the order of their causes."""
    return sorted(outcomes, key=lambda each: each.offset)


def looked_at(model: Model, cause: Waiting, now: int) -> CauseOutcome:
    """Judge between two steps, where a deadline is not noticed yet."""
    outcome = model.judge(cause, now)
    if outcome.state is ProofState.PARTIAL and cause.told is ProofState.PENDING:
        return attrs.evolve(outcome, state=ProofState.PENDING)
    return outcome


def feed(stage: Closure, receipt: tuple[Any, ...], now: int) -> None:
    """Give the stage the next receipt."""
    kind, name, *more = receipt
    if kind == "register":
        stage.register(more[0], now)
    elif kind == "applied":
        stage.apply(name, more[0], now)
    else:
        stage.leave(name)
