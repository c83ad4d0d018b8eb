"""Bugs planted into the way of a receipt are caught by its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from enforcement.standing import Freshness
from streams.engines.embedded.guard_registry import GuardRegistry
from streams.http.feed import FeedServer
from streams.http.receipts import ReceiptIntake
from tests.integration import test_closure, test_receipts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.stages.closure.closure import Registration

pytestmark = pytest.mark.planted


def told_before_it_is_on_disk(patch: pytest.MonkeyPatch) -> None:
    """Forget a member over a crash that its guard was told of."""

    async def register(roll: GuardRegistry, terms: Registration, *_: Any) -> None:
        roll._closure.register(terms, roll._boottime())

    patch.setattr(GuardRegistry, "register", register)


def served_before_it_is_registered(patch: pytest.MonkeyPatch) -> None:
    """Answer pings meanwhile."""
    right = FeedServer._register

    async def register(feed: FeedServer, connection: Any, *more: Any) -> None:
        await feed._pong(connection, 1)
        await right(feed, connection, *more)

    patch.setattr(FeedServer, "_register", register)


def one_process_speaks_for_another(patch: pytest.MonkeyPatch) -> None:
    """Take receipts of any instance."""
    right = ReceiptIntake._next

    def take(receipts: ReceiptIntake, session: Any, receipt: Any, status: str) -> Any:
        if isinstance(receipt, dict):
            receipt = receipt | {"instance": session.instance}
        return right(receipts, session, receipt, status)

    patch.setattr(ReceiptIntake, "_next", take)


def allows_after_its_goodbye(patch: pytest.MonkeyPatch) -> None:
    """Go on answering from the old table."""
    patch.setattr(Freshness, "end", lambda _: None)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], Any] = {
    told_before_it_is_on_disk: (
        test_receipts.test_a_registration_is_answered_before_anything_else
    ),
    served_before_it_is_registered: (
        test_receipts.test_a_registration_is_answered_before_anything_else
    ),
    one_process_speaks_for_another: (
        test_receipts.test_receipts_of_another_log_or_process_do_not_count
    ),
    allows_after_its_goodbye: (
        test_closure.test_a_guard_that_says_goodbye_is_waited_for_no_more
    ),
}


@pytest.mark.parametrize("plant", BUGS, ids=lambda bug: bug.__name__)
async def test_a_wrong_line_is_caught(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """An assertion of the test fails, and nothing else."""
    plant(monkeypatch)
    with pytest.raises((AssertionError, BaseExceptionGroup)) as caught:
        await BUGS[plant](tmp_path)

    assert all(isinstance(each, AssertionError) for each in leaves(caught.value))


def leaves(error: BaseException) -> list[BaseException]:
    """Give the errors that a group is made of."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]
