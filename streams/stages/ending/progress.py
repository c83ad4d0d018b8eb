"""What probes and answers make of an item: its next state, and when it is looked at.

Rules:

- ENDED needs a probe that found it dead; no answer to an act makes it so.
- Whoever gives no answer is asked for ever, ever more seldom. What is answered and does
  not end is given up after some attempts.
- An act that the issuer calls done while the probe finds the thing alive after the time
  that its effect may take is denied by the probe; after `MOST_DENIED` of them it is
  given up: the issuer says yes and does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from attrs import frozen

from streams.model.endings import Alive, WantedEnd
from streams.model.times import SECOND
from streams.stages.ending.items import MOST_REASON, EndingItem, EndingState

if TYPE_CHECKING:
    from streams.model.endings import Ending, Probed
    from streams.stages.ending.wanted import Condemnation

FIRST_WAIT: Final = 1.0  # seconds
LONGEST_ASKED: Final = 3600.0  # seconds that an issuer may ask to wait
MOST_DENIED: Final = 3
MOST_DOUBLED: Final = 20
FRESH: Final = 60 * SECOND  # age of a probe that another cause may rely on
AGAIN: Final = SECOND  # between two questions for what something made
LIFTED: Final = "what ended it was lifted or withdrawn"
OVER: Final = frozenset({EndingState.STOPPED, EndingState.RESTORED})  # without an end
NO_SUSPEND: Final = "its issuer cannot suspend it, so it works there: guards deny it"
PROVEN: Final = frozenset({EndingState.ENDED, EndingState.CONFIRMED})
LIES: Final = "the issuer says that it is done, and the probe finds it alive"


@frozen
class Patience:
    """How long and how often one issuer is tried.

    Attributes:
        attempts: that are answered and end nothing, before it is given up.
        longest_wait: seconds between two attempts, at most.
    """

    attempts: int = 8
    longest_wait: float = 300.0


def reached(item: EndingItem, probed: Probed) -> bool:
    """Whether a probe found what is wanted."""
    wanted = Alive.ALIVE if item.wanted is WantedEnd.RESTORED else Alive.DEAD
    return probed.found is wanted


def ended(item: EndingItem, probed: Probed, now: int) -> EndingItem:
    """Item that a probe found as it is wanted."""
    given_back = item.wanted is WantedEnd.RESTORED
    past = () if item.not_before is None else item.causes
    return attrs.evolve(
        item,
        past=tuple(dict.fromkeys((*item.past, *past))),
        settled=item.settled_by_end,
        state=EndingState.RESTORED if given_back else EndingState.ENDED,
        changed=now,
        unanswered=None,
        failures=0,
        suspended=item.wanted is WantedEnd.SUSPENDED and item.suspended,
        marked=item.marked if item.not_before is None else item.not_before,
        kept="",
        reason=_text(probed.reason),
    )


def asked_again(item: EndingItem, found: int, now: int) -> EndingItem:
    """Item that is dead, whose issuer told of something new that it had made."""
    return attrs.evolve(
        item,
        state=EndingState.PENDING,
        rounds=item.rounds + 1,
        due=now + AGAIN,
        changed=now,
        unanswered=None,
        reason=f"dead; {found} more that it made will end, then it is asked again",
    )


def unknown(
    item: EndingItem, probed: Probed, patience: Patience, now: int
) -> EndingItem:
    """Item of which the issuer did not tell whether it is dead."""
    if probed.later is not None:
        return attrs.evolve(
            item,
            state=EndingState.PENDING,
            due=now + int(probed.later * SECOND),
            unanswered=None,
            reason=_text(probed.reason),
        )
    if not probed.answered:
        since = now if item.unanswered is None else item.unanswered
        doubled = max(0, (now - since) // SECOND).bit_length()
        wait = _wait(doubled, probed.retry_after, patience)
        return attrs.evolve(
            item,
            state=EndingState.PENDING,
            due=now + wait,
            unanswered=since,
            changed=now if item.unanswered is None else item.changed,
            reason=_text(probed.reason),
        )
    if probed.retry_after is not None:  # a limit is no fault of what is asked about
        wait = _wait(0, probed.retry_after, patience)
        return attrs.evolve(item, state=EndingState.PENDING, due=now + wait)
    return _tried(item, probed, patience, now)


def still_alive(
    item: EndingItem, probed: Probed, ending: Ending, patience: Patience, now: int
) -> EndingItem:
    """Item that a probe found alive: what comes next.

    Its ``due`` is now where it is to be acted on, and later where the effect of the
    last act may still show.
    """
    item = attrs.evolve(item, unanswered=None)
    if item.acted_at is None or not item.done:
        if item.attempts >= patience.attempts:
            return _given_up(item, probed.reason or item.reason, now)
        return attrs.evolve(item, due=now)
    shows_by = item.acted_at + int(ending.settles * SECOND)
    if now < shows_by:
        doubled = max(0, (now - item.acted_at) // SECOND).bit_length()
        due = min(shows_by, now + int(FIRST_WAIT / 4 * SECOND) * 2**doubled)
        return attrs.evolve(item, due=due)
    item = attrs.evolve(
        item, state=EndingState.PENDING, denied=item.denied + 1, done=False, reason=LIES
    )
    if item.denied >= MOST_DENIED:
        return _given_up(item, LIES, now)
    return _tried(item, attrs.evolve(probed, reason=LIES), patience, now)


def refused(
    item: EndingItem, said: str, retry_after: float | None, patience: Patience, now: int
) -> EndingItem:
    """Item whose act the issuer refused, while a probe finds it alive."""
    wait = _wait(item.attempts, retry_after, patience)
    limited = retry_after is not None  # a limit is no fault of the act
    return attrs.evolve(
        item,
        state=EndingState.PENDING,
        attempts=item.attempts + (not limited),
        due=now + wait,
        reason=_text(said),
        changed=now,
    )


def began(item: EndingItem, how: str, now: int, kept: str = "") -> EndingItem:
    """Item whose act begins now, with what is needed to finish it."""
    suspends = item.wanted is WantedEnd.SUSPENDED
    return attrs.evolve(
        item,
        state=EndingState.ACTING,
        suspended=item.suspended or suspends,
        acts=item.acts + 1,
        acted_at=now,
        done=False,
        changed=now,
        how=_text(how),
        kept=kept,
    )


def with_kept(item: EndingItem, probed: Probed) -> EndingItem:
    """Item with nothing to finish where a probe found nothing made of its act.

    Else what somebody deletes later would be put back.
    """
    return attrs.evolve(item, kept="") if probed.untouched and item.kept else item


def rehearsed(item: EndingItem, how: str, said: str) -> EndingItem:
    """Item that waits, and whose act was planned without being made."""
    reason = _text(f"{item.reason}; {said}" if said else item.reason)
    return attrs.evolve(item, rehearsed=True, how=_text(how) or item.how, reason=reason)


def not_acted(item: EndingItem, before: EndingItem) -> EndingItem:
    """Item whose act was begun, and not made after all.

    Args:
        item: as it was begun.
        before: as it was until then.
    """
    return attrs.evolve(
        item,
        state=EndingState.PENDING,
        acts=before.acts,
        acted_at=before.acted_at,
        suspended=before.suspended,
        kept=before.kept,
    )


def held(item: EndingItem, reason: str, now: int) -> EndingItem:
    """Item that is open, and may not be acted on by the settings of today."""
    return attrs.evolve(
        item,
        state=EndingState.WAITING,
        reason=_text(reason),
        rehearsed=False,
        changed=now,
    )


def _untried(item: EndingItem) -> EndingItem:
    """Item as it was before its first attempt."""
    return attrs.evolve(
        item, attempts=0, denied=0, rounds=0, acted_at=None, done=False, reason="",
        unproven=False,
    )  # fmt: skip


def asked_anew(item: EndingItem, now: int) -> EndingItem:
    """Item that was found dead, and may not be any more.

    Its issuer told of it again, or a later cause needs a proof of its own time.
    """
    return attrs.evolve(
        _untried(item),
        state=EndingState.WAITING,
        due=now,
        changed=now,
    )


def retried(item: EndingItem, now: int) -> EndingItem:
    """Item that was given up, and that an operator has tried again."""
    return attrs.evolve(_untried(item), state=EndingState.PENDING, due=now, changed=now)


def to_give_back(item: EndingItem, found: Condemnation | None) -> bool:
    """Whether what was suspended there is given back before anything else.

    What an act took away that was to put it back, and did not, is given back too.
    """
    if item.kept and found is None:
        return True
    if not item.suspended:
        return False
    return found is None or found.not_before is not None


def no_way(item: EndingItem, reason: str, now: int) -> EndingItem:
    """Item that the issuer cannot end."""
    return _over(item, EndingState.NO_WAY, reason, now)


def condemned_anew(
    item: EndingItem, found: Condemnation, state: EndingState, now: int
) -> EndingItem:
    """Item whose causes, or whose end, are others than before."""
    if found.past is not None:
        item = attrs.evolve(item, past=found.past, settled=found.settled)
    item = attrs.evolve(item, more=found.more, carried=found.carried)
    if to_give_back(item, found):
        back = item.wanted is WantedEnd.RESTORED
        behind = (*found.causes, *found.behind)
        return attrs.evolve(item if back else _given_back(item, now), behind=behind)
    same = (found.wanted, found.not_before) == (item.wanted, item.not_before)
    proven = item.state in PROVEN
    # A word was given for the causes of its time, a probe holds for a while.
    said = item.state is EndingState.CONFIRMED
    old = proven and (said or now - item.changed > FRESH)
    if proven and item.is_for_good and not old:
        same = True  # nothing ends it any further
    if same and item.state not in OVER and (proven or not found.is_left):
        before = [each for each in item.causes if each not in found.groups.members]
        causes = tuple(dict.fromkeys((*before, *found.causes)))
        after = attrs.evolve(item, causes=causes, behind=found.behind, left=found.left)
        new = not set(causes).issubset(item.causes)
        return asked_anew(after, now) if old and new else after
    if found.is_left:
        return _left_to_guards(item, found, now)
    return attrs.evolve(
        _untried(item),
        wanted=found.wanted,
        not_before=found.not_before,
        causes=found.causes,
        behind=found.behind,
        left=found.left,
        state=state,
        due=now,
        since=now,
        changed=now,
    )


def _left_to_guards(item: EndingItem, found: Condemnation, now: int) -> EndingItem:
    known = item.state is EndingState.LEFT
    return attrs.evolve(
        item if known else _untried(item),
        wanted=found.wanted,
        not_before=None,
        causes=found.causes,
        behind=(),
        left=(),
        state=EndingState.LEFT,
        since=item.since if known else now,
        changed=item.changed if known else now,
        reason=NO_SUSPEND,
    )


def confirmed(item: EndingItem, by: str, reason: str, now: int) -> EndingItem:
    """Item that an operator says is ended there, where no probe could tell."""
    return attrs.evolve(
        item,
        state=EndingState.CONFIRMED,
        changed=now,
        unanswered=None,
        marked=item.marked if item.not_before is None else item.not_before,
        reason=_text(f"confirmed by {by}: {reason}"),
    )


def no_more_condemned(item: EndingItem, now: int) -> EndingItem:
    """Item that no standing cause ends any more.

    What was suspended there is given back. What was ended for good stays so. What a
    person confirmed is over: their word is none about a cause that comes later.
    """
    if to_give_back(item, None):
        return _given_back(item, now)
    if item.state is EndingState.ENDED:
        return item
    return attrs.evolve(
        item, state=EndingState.STOPPED, behind=(), left=(), more=(), reason=LIFTED,
        changed=now,
    )  # fmt: skip


def _given_back(item: EndingItem, now: int) -> EndingItem:
    return attrs.evolve(
        _untried(item),
        wanted=WantedEnd.RESTORED,
        not_before=None,
        behind=(),
        left=(),
        more=(),
        state=EndingState.PENDING,
        due=now,
        changed=now,
        reason=LIFTED,
    )


def _tried(
    item: EndingItem, probed: Probed, patience: Patience, now: int
) -> EndingItem:
    if item.attempts + 1 >= patience.attempts:
        unproven = probed.found is Alive.UNKNOWN
        return attrs.evolve(_given_up(item, probed.reason, now), unproven=unproven)
    wait = _wait(item.attempts, probed.retry_after, patience)
    return attrs.evolve(
        item,
        state=EndingState.PENDING,
        attempts=item.attempts + 1,
        unanswered=None,
        due=now + wait,
        reason=_text(probed.reason),
    )


def _given_up(item: EndingItem, reason: str, now: int) -> EndingItem:
    return _over(item, EndingState.FAILED, reason, now)


def _over(item: EndingItem, state: EndingState, reason: str, now: int) -> EndingItem:
    failures = item.failures + (item.not_before is not None)
    return attrs.evolve(
        item, state=state, failures=failures, reason=_text(reason), changed=now
    )


def _wait(doubled: int, asked: float | None, patience: Patience) -> int:
    wait = min(FIRST_WAIT * 2.0 ** min(doubled, MOST_DOUBLED), patience.longest_wait)
    return int(max(wait, min(asked or 0.0, LONGEST_ASKED)) * SECOND)


def _text(text: str) -> str:
    return text[:MOST_REASON]
