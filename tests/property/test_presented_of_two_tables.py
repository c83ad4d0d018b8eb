"""What is presented to two tables at once is judged by each as if it were alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Cause, Effect, Fact, Node, Renewal
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge

if TYPE_CHECKING:
    from types import FrameType

pytestmark = pytest.mark.property

X: Final = Identifier("vault.accessor", "x")
Y: Final = Identifier("vault.accessor", "y")
STATED: Final[dict[str, Any]] = {"authority": "vault", "version": 1, "received_at": 1}
NOW: Final = 10**18
END: Final = NOW + 10**12


def _table(*names: Identifier) -> Registry:
    return Registry.build(Node(node=name, **STATED) for name in names)


def _revoked(name: Identifier) -> Fact:
    return Cause(target=name, effect=Effect.REVOKE, at=2, **STATED)


@pytest.mark.parametrize("lives", [True, False])
@pytest.mark.parametrize("looks", [1, 2])
def test_a_look_of_another_table_in_the_middle_changes_no_verdict(
    looks: int, *, lives: bool
) -> None:
    """Guards of two threads share what was read of one text.

    At whatever step of a look of the one the other one looks: what the first keeps is
    of its own table, and ends with what ends there.
    """
    step, more = 0, True
    while more:
        first, second = _table(Y, X), _table(X)
        first.apply(Renewal(node=X, expires_at=END, **STATED))
        presented = Presented((X,))
        for table in (first, second, first):
            assert judge(table, presented, NOW).allowed
        if not lives:
            second.apply(_revoked(X))
            assert not judge(second, presented, NOW).allowed
        first.clearance.begin()  # nothing is known any more, as now and then
        for _ in range(looks):
            judge(first, Presented((Y,)), NOW)
            judge(first, presented, NOW)
        seen = 0

        def other(frame: FrameType, event: str, _: object) -> Any:
            nonlocal seen
            if "agents_registry" not in frame.f_code.co_filename:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                seen += 1
                if seen == step + 1:  # noqa: B023 - it is called in this round
                    verdict = judge(second, presented, NOW)  # noqa: B023
                    assert lives == verdict.allowed
            return other

        before = sys.gettrace()
        sys.settrace(other)
        try:
            assert judge(first, presented, NOW).allowed
        finally:
            sys.settrace(before)
        more = seen > step
        step += 1
        assert not judge(first, presented, END).allowed, step
        first.apply(_revoked(X))
        assert not judge(first, presented, NOW).allowed, step
        assert lives == judge(second, presented, NOW).allowed, step

    assert step > 30
