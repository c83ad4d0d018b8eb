"""Bugs planted into what ends at issuers are caught by its stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.planted.copies import (
    PRODUCT,
    Change,
    caught,
    copied,
    passed,
    plant,
    run_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(300)]

WORK: Final = "streams/services/ending_work.py"
CONDEMNED: Final = "streams/stages/ending/condemned.py"
WATERMARKS: Final = "streams/stages/ending/watermarks.py"
GROUPS: Final = "streams/stages/ending/groups.py"
BOOK: Final = "streams/services/ending_book.py"
PROGRESS: Final = "streams/stages/ending/progress.py"
ROUNDS: Final = "streams/services/ending.py"
ADMISSION: Final = "streams/services/ending_admission.py"
ITEMS: Final = "streams/stages/ending/items.py"
QUEUE: Final = "streams/stages/ending/queue.py"
ISSUER: Final = "streams/services/actuated_issuer.py"
CALLS: Final = "streams/actuators/calls.py"
TESTS: Final = "tests/unit/test_ending_rounds.py"
ANEW: Final = "tests/unit/test_ending_anew.py"
FLOODS: Final = "tests/unit/test_ending_floods.py"
BY_GROUP: Final = "tests/unit/test_ending_groups.py"
OF_BOOK: Final = "tests/unit/test_ending_book.py"
MANY: Final = "tests/unit/test_ending_many.py"
APPROVED: Final = "tests/unit/test_ending_approved.py"
FINISHED: Final = "tests/unit/test_ending_finished.py"
LEFT: Final = "tests/unit/test_ending_left.py"
LIMIT: Final = "tests/unit/test_ending_limit.py"
PACE: Final = "tests/unit/test_issuer_pace.py"
COPIED: Final = (
    *PRODUCT, "conformance", "pyproject.toml", "rescind_guard", "tests/__init__.py",
    "tests/conftest.py", "tests/ending_world.py", "tests/virtual.py", "tests/unit",
    "tests/issuers",
)  # fmt: skip
BUGS: Final = {
    "the status of an act decides": Change(
        WORK, "if progress.reached(begun, probed):", "if acted.done:"
    ),
    "an act is made after the cause was lifted": Change(
        WORK, "if checked is not begun:", "if checked is None:"
    ),
    "what was made between is missed": Change(
        WORK, "new = [each for each in made if", "new = [each for each in made[:0] if"
    ),
    "what nobody knows counts as dead": Change(
        PROGRESS,
        "return probed.found is wanted",
        "return probed.found is not Alive.ALIVE",
    ),
    "what was made is ended before its maker": Change(
        QUEUE, "rank < item.rank", "rank > item.rank"
    ),
    "what an issuer tells of our own act keeps it": Change(
        CONDEMNED, "and flaw.cause.authority != own", ""
    ),
    "a name that nobody knows counts as dead": Change(
        WORK, "or witnesses is None:", "or witnesses is not Ellipsis:"
    ),
    "what a watermark came upon stays suspended": Change(
        PROGRESS, "if not item.suspended:", "if item.acts:"
    ),
    "a watermark of one device ends all of a user": Change(
        WATERMARKS, "and cause.device is None", "and cause.device != ''"
    ),
    "a watermark that nobody approves keeps a suspend away": Change(
        WATERMARKS,
        "return chosen or not mark or _is_stuck(known)",
        "return chosen or _is_stuck(known)",
    ),
    "a watermark that does not get done keeps a suspend away": Change(
        WATERMARKS,
        "return chosen or not mark or _is_stuck(known)",
        "return chosen or not mark",
    ),
    "what waits behind another order shows as ended": Change(
        ITEMS, 'return "pending" if waits else self.shown', "return self.shown"
    ),
    "what waits behind another order counts for no limit": Change(
        QUEUE,
        "for cause in item.found_by:\n            self._of_cause[cause][item.key]",
        "for cause in item.causes:\n            self._of_cause[cause][item.key]",
    ),
    "an old end proves what is told of again": Change(
        WORK, "if ending is None or not over:", "if ending is None or known:"
    ),
    "a limit of the issuer is a failure": Change(
        PROGRESS, "if probed.retry_after is not None:", "if probed.retry_after == -1:"
    ),
}
OTHERS: Final = {
    "an end of long ago proves what is condemned today": (
        Change(PROGRESS, "return asked_anew(after, now) if old and",
               "return after if old and"), ANEW
    ),
    "what is needed to finish an act is forgotten": (
        Change(WORK, "self._clock(), step.kept)", "self._clock())"), FINISHED
    ),
    "what was refused is put back once somebody else deletes it": (
        Change(PROGRESS, 'kept="") if probed.untouched and', 'kept="") if () and'),
        FINISHED,
    ),
    "what was deleted is not put back after a lift": (
        Change(PROGRESS, "if item.kept and found is None:", "if item.kept and found:"),
        FINISHED,
    ),
    "the rest of an act is made after a lift": (
        Change(ISSUER, "and waits and not await act.still():",
               "and waits and act.first:"), PACE
    ),
    "a look counts as one request": (
        Change(CALLS, "        if self.turn is not None:",
               "        if self.turn and call.json:"), PACE
    ),
    "a suspend that nobody does is not told of": (
        Change(CONDEMNED, "if wish.left and not marks:",
               "if wish.left and marks is None:"), LEFT
    ),
    "what is left to guards counts for the limit": (
        Change(QUEUE, "= (EndingState.NO_WAY, EndingState.LEFT)",
               "= (EndingState.NO_WAY,)"), LEFT
    ),
    "a word of before confirms what is given up later": (
        Change(ADMISSION, "return item.may_be_confirmed and same",
               "return item.may_be_confirmed"), LEFT
    ),
    "what is tried still can be confirmed": (
        Change(ITEMS, "return over and not self.kept", "return not self.kept"), LEFT
    ),
    "what a probe finds alive can be confirmed": (
        Change(ITEMS, "self.state is EndingState.FAILED and self.unproven",
               "self.state is EndingState.FAILED"), LEFT
    ),
    "a later watermark stops the one that is being carried out": (
        Change(WATERMARKS, "return failed or known.state in OPEN", "return failed"),
        FLOODS
    ),
    "a failure is forgotten with each later watermark": (
        Change(WATERMARKS, "return failed or known.state in OPEN",
               "return known.state in OPEN"), FLOODS
    ),
    "an approval of a watermark lets later ones act": (
        Change(WATERMARKS, "(done if over else undone)", "(undone)"), FLOODS
    ),
    "what another mode let in does not wait in mode approve": (
        Change(ADMISSION, 'or issuer.settings.mode == "automatic"',
               "or issuer.settings.mode"), APPROVED
    ),
    "an approval lets all that waits with it act": (
        Change(ADMISSION, "and len(item.causes) > 1", "and not item.causes"), APPROVED
    ),
    "what nobody approved takes the place of what was withdrawn": (
        Change(WATERMARKS, "if may_act((cause.digest.hex(),)):", "if may_act:"),
        APPROVED,
    ),
    "an approval outlives its cause": (
        Change(WORK, 'mode == "approve" and not self._may_act(found)',
               'mode == "approve" and not found'), APPROVED
    ),
    "what was never tried shows as failed": (
        Change(ITEMS, "OPEN - {EndingState.WAITING}",
               "OPEN - {EndingState.WAITING, EndingState.FAILED}"), APPROVED
    ),
    "one failure keeps all later ones waiting": (
        Change(WATERMARKS, "known.failures > 1", "known.failures > 0"), FLOODS
    ),
    "what was found done long ago is done again": (
        Change(WATERMARKS, "over = cause.mark <= settled or", "over = "), MANY
    ),
    "what was found done is kept for ever": (
        Change(PROGRESS, "if found.past is not None:", "if found.past is None:"), MANY
    ),
    "what is suspended by many is given back with those that are named": (
        Change(ROUNDS, "if item.more:  # one", "if not item.more:  # one"), BY_GROUP
    ),
    "a cause that comes late is proven by an old probe": (
        Change(GROUPS, "return [*latest, *new]", "return latest"), BY_GROUP
    ),
    "what is limited is of a group with what is not": (
        Change(GROUPS, "is Reach.SUBTREE and not part", "is Reach.SUBTREE or not part"),
        BY_GROUP,
    ),
    "what an item does not name is forgotten by closure": (
        Change(BOOK, "found = found | self", "found or self"), OF_BOOK
    ),
    "what an item does not name counts for no limit": (
        Change(QUEUE, "groups.add(of.group)", "return True"), BY_GROUP
    ),
    "watermarks without a name that were found done are done again": (
        Change(PROGRESS, "settled=item.settled_by_end,", ""), BY_GROUP
    ),
    "an item forgets names before their groups are noted": (
        Change(ROUNDS, "await self._records.note_groups(groups.members)", ""), BY_GROUP
    ),
    "an approval of what is not named is not heard": (
        Change(ADMISSION, "if not item.more or", "if item.more or"), BY_GROUP
    ),
    "a watermark ends what was issued after it": (
        Change(ITEMS, "and each.since <= of.mark:", "and of:"), BY_GROUP
    ),
    "one item that is too large stops all others": (
        Change(ROUNDS, "if item.many <= MOST_KEPT and", "if"), BY_GROUP
    ),
    "what is planned for one cause waits for all others": (
        Change(ROUNDS, "if self._is_left(name):", "if left:"), FLOODS
    ),
    "what is rehearsed meanwhile counts for no limit": (
        Change(ROUNDS, "self._left.setdefault(identity, set()).add(key)",
               "self._left.setdefault(identity, set())"), LIMIT
    ),
    "what a look cannot keep counts for no limit": (
        Change(ROUNDS, "self._left.setdefault(cause, set()).update(of)",
               "self._left.setdefault(cause, set())"), LIMIT
    ),
    "a group counts only what has no name of it": (
        Change(QUEUE, "*self.groups.named.get(cause, ())):", "):"), LIMIT
    ),
    "a cause that no look went through is small": (
        Change(QUEUE, "return known and 0 <", "return 0 <"), LIMIT
    ),
    "a cause that lets nobody act any more is acted on": (
        Change(WORK, "if found is None or self._may_act(found):",
               "if found is None or found.deciding:"), LIMIT
    ),
    "whoever asked last has the next turn": (
        Change(ISSUER, "async with self._turns:", "if self._turns:"), PACE
    ),
    "a confirmation is forgotten while its cause stands": (
        Change(ROUNDS, "{EndingState.WAITING, EndingState.CONFIRMED}",
               "{EndingState.WAITING}"), LEFT
    ),
    "a confirmation outlives a lift": (
        Change(PROGRESS, "if item.state is EndingState.ENDED:",
               "if item.state in PROVEN:"), LEFT
    ),
}  # fmt: skip
CHANGES: Final = [*BUGS.values(), *(change for change, _ in OTHERS.values())]


@pytest.fixture
def copy(tmp_path: Path, repository: Path) -> Path:
    """Give a copy of the product and of the tests."""
    names = (name for name in COPIED if (repository / name).exists())
    return copied(repository, tmp_path, *names)


def test_the_stories_pass_as_they_are(copy: Path) -> None:
    """A copy that fails anyway would catch every bug."""
    assert passed(run_tests(copy, TESTS))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(copy: Path, name: str) -> None:
    """The tests run (no import error) and one of them fails."""
    plant(copy, BUGS[name])

    assert caught(run_tests(copy, TESTS, "-x"))


@pytest.mark.parametrize("name", OTHERS)
def test_a_bug_is_caught_by_its_own_stories(copy: Path, name: str) -> None:
    """Of another file, so that not all stories run for each."""
    change, test = OTHERS[name]
    plant(copy, change)

    assert caught(run_tests(copy, test, "-x"))
