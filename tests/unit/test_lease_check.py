"""The check: rule, lease and mode together, with clocks moved by hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry import verdict
from agents_registry.facts import (
    Cause,
    Effect,
    Fact,
    Node,
    Renewal,
    ScopeSet,
    to_plain,
)
from agents_registry.identifiers import Identifier
from agents_registry.kept import JointSeal
from agents_registry.life import Reason
from agents_registry.registry import Registry
from enforcement import (
    Guard,
    Lapse,
    Mode,
    Policy,
    Presented,
    Token,
    Verdict,
    judging,
    names,
)
from enforcement.replica import GapError, GenesisError, Replica

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.unit

SECOND = 1_000_000_000
OFTEN = 4  # times, after which a verdict is kept
PARTS = [
    (0, "judge", judging), (1, "lives", verdict), (1, "text_lives", judging),
    (OFTEN, "era", JointSeal),
]  # fmt: skip
NOW = 1_000 * SECOND
ALIVE = Identifier("vault.accessor", "alive")
DEAD = Identifier("vault.accessor", "dead")
SAID: dict[str, Any] = {"authority": "vault", "version": NOW, "received_at": NOW}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int) -> None:
        """Start at a time (ns)."""
        self.now = now

    def __call__(self) -> int:
        """Give the time (ns)."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give the clock of the lease."""
    return Clock(100 * SECOND)


@pytest.fixture
def wall() -> Clock:
    """Give the clock on the wall."""
    return Clock(NOW)


@pytest.fixture
def guard(clock: Clock, wall: Clock) -> Guard:
    """Give a guard of every mode that was fed nothing yet."""
    return Guard(
        "http://rescind.invalid",
        "credential",
        name="g",
        routes={mode.value: mode for mode in Mode},
        policy=Policy(unknown={"jwt.jti": "allow_and_report"}),
        clock=clock,
        wall_clock=wall,
    )


def facts() -> list[Fact]:
    """Give two credentials, one of them revoked."""
    return [
        Node(**SAID, node=ALIVE, issued_at=NOW),
        Node(**SAID, node=DEAD, issued_at=NOW),
        Cause(**SAID, target=DEAD, effect=Effect.REVOKE, at=NOW),
    ]


def fill(guard: Guard, *more: Fact, genesis: str = "g1") -> Replica:
    """Put a replica of ten offsets in force."""
    replica = Replica()
    message: dict[str, Any] = {
        "genesis": genesis,
        "offset": 10,
        "facts": [to_plain(fact) for fact in (*facts(), *more)],
        "more": False,
    }
    for _ in replica.snapshot(message):
        pass
    guard.standing.offer(replica)
    return replica


def answer(guard: Guard, genesis: str = "g1") -> None:
    """Send a ping and take its pong."""
    standing = guard.standing
    standing.pong(standing.replica, standing.ping(), genesis, 10, remaining_ms=60_000)


@pytest.fixture
def serving(guard: Guard) -> Guard:
    """Give a guard that holds a lease."""
    fill(guard)
    answer(guard)
    return guard


@pytest.mark.parametrize("mode", Mode)
def test_before_the_first_catch_up_every_mode_denies(guard: Guard, mode: Mode) -> None:
    """An empty table knows no revocation: even a snapshot needs its proof."""
    assert guard.check(ALIVE, route=mode.value).reason is Lapse.NOT_CAUGHT_UP

    fill(guard)
    verdict = guard.check(ALIVE, route=mode.value)

    assert not verdict.allowed
    assert verdict.reason is Lapse.NOT_CAUGHT_UP
    assert verdict.mode is mode
    assert guard.counters.denied == {"not_caught_up": 2}


def test_allows_what_lives(serving: Guard) -> None:
    """The one answer that needs a lease and a rule without objection."""
    verdict = serving.check(ALIVE)

    assert Verdict(allowed=True, reason=Reason.LIVES, mode=Mode.FAIL_CLOSED) == verdict
    assert serving.counters.allowed == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("vault.accessor:alive", Reason.LIVES),
        ("vault.accessor:dead", Reason.REVOKED),
        ("vault.accessor:strange", Reason.UNKNOWN_CREDENTIAL),
        ("vault.other:alive", Reason.UNKNOWN_CREDENTIAL),
        ("vault.accessor:\u00e9", Reason.LIVES),
        ("vault.accessor:" + "a" * 257, Lapse.UNREADABLE),
        ("vault.accessor:\udcff", Lapse.UNREADABLE),
        ("vault.accessor:", Lapse.UNREADABLE),
        (":alive", Lapse.UNREADABLE),
        ("alive", Lapse.UNREADABLE),
        ("", Lapse.UNREADABLE),
    ],
)
def test_a_text_is_as_good_as_what_it_names(
    guard: Guard, text: str, reason: Reason | Lapse
) -> None:
    """The first time, and once it was found."""
    kind, _, value = text.partition(":")
    fill(guard, Node(**SAID, node=Identifier("vault.accessor", "\u00e9")))
    answer(guard)
    named = [guard.check(text), guard.check(text), guard.check(Identifier(kind, value))]

    assert [reason] * 2 == [verdict.reason for verdict in named[:2]]
    if kind and reason is not Lapse.UNREADABLE:
        assert named[0] == named[2]
    assert guard.counters.allowed == (3 if reason is Reason.LIVES else 0)


def test_a_text_has_no_more_scope_than_what_it_names(guard: Guard) -> None:
    """A declared one is allowed, another one denied."""
    fill(guard, ScopeSet(**SAID, node=ALIVE, scopes=("r|x", "r|a:*")))
    answer(guard)
    for _ in range(2):
        for scope in ("r|x", "r|a:b", None, "s|y"):
            assert guard.check(str(ALIVE), scope=scope).allowed
        assert Reason.SCOPE is guard.check(str(ALIVE), scope="r|y").reason


def test_denies_what_is_dead_and_says_why(serving: Guard) -> None:
    """A denial without a cause cannot be argued with."""
    verdict = serving.check(DEAD)

    assert not verdict.allowed
    assert verdict.reason is Reason.REVOKED
    assert verdict.path == (DEAD,)
    assert verdict.cause is not None
    assert verdict.cause.target == DEAD
    assert serving.counters.denied == {"revoked": 1}


@pytest.mark.parametrize(
    "presented",
    [
        "vault.accessor:dead",
        ["vault.accessor:dead"],
        ("vault.accessor:alive", DEAD),
        iter([DEAD]),
        Presented((DEAD,)),
    ],
)
def test_takes_identifiers_in_every_form(serving: Guard, presented: Any) -> None:
    """One dead identifier among those presented is enough."""
    assert serving.check(presented).reason is Reason.REVOKED


@pytest.mark.parametrize(
    "presented",
    ["", "no-colon", "kind:", "k:" + "x" * 257, [None], [ALIVE, 7], b"x", None, 5],
)
def test_denies_what_it_cannot_read(serving: Guard, presented: Any) -> None:
    """It comes from the token, so it is a denial and no server error."""
    verdict = serving.check(presented)

    assert not verdict.allowed
    assert verdict.reason is Lapse.UNREADABLE


def test_denies_when_nothing_is_presented(serving: Guard) -> None:
    """No identifier has no cause against it."""
    assert not serving.check([]).allowed


def test_reports_what_the_policy_lets_through(serving: Guard) -> None:
    """An unknown token may be let through, never unseen."""
    verdict = serving.check("jwt.jti:stranger")

    assert verdict.allowed
    assert verdict.report == ("unknown jwt.jti",)


def test_fail_closed_denies_without_a_lease(serving: Guard, clock: Clock) -> None:
    """At the very end of the lease, not later."""
    clock.now += SECOND - 1
    assert serving.check(ALIVE).allowed

    clock.now += 1
    verdict = serving.check(ALIVE)

    assert not verdict.allowed
    assert verdict.reason is Lapse.NO_LEASE
    assert verdict.stale
    assert serving.counters.stale == 1


def test_fail_closed_names_a_known_cause_though_stale(
    serving: Guard, clock: Clock
) -> None:
    """What is dead stays dead, and its cause says more than the lapse."""
    clock.now += SECOND

    assert serving.check(DEAD).reason is Reason.REVOKED


def test_a_doubt_of_a_stale_replica_is_told_as_the_lapse(
    serving: Guard, clock: Clock
) -> None:
    """The credential may be unknown only because the replica is behind."""
    clock.now += SECOND

    assert serving.check("vault.accessor:new").reason is Lapse.NO_LEASE


def test_fail_open_answers_from_the_stale_replica(serving: Guard, clock: Clock) -> None:
    """Known denials still deny."""
    clock.now += 3600 * SECOND
    verdict = serving.check(ALIVE, route="fail_open")

    assert verdict.allowed
    assert verdict.stale
    assert not serving.check(DEAD, route="fail_open").allowed
    assert not serving.check("vault.accessor:new", route="fail_open").allowed


def test_fail_open_goes_on_after_a_gap(serving: Guard) -> None:
    """A hole makes the replica stale, not wrong; fail_closed denies."""
    serving.standing.fail(serving.standing.replica, GapError("hole"))

    assert serving.check(ALIVE, route="fail_open").allowed
    assert not serving.check(ALIVE).allowed


def test_fail_open_denies_after_a_change_of_the_log(serving: Guard) -> None:
    """The replica is of another log, so it was never caught up with this one."""
    with pytest.raises(GenesisError):
        answer(serving, genesis="g2")

    assert serving.check(ALIVE, route="fail_open").reason is Lapse.NOT_CAUGHT_UP
    assert serving.check(ALIVE, route="observe").observed


@pytest.mark.parametrize(
    ("presented", "reason"), [(DEAD, "revoked"), ("k", "unreadable")]
)
def test_observe_counts_and_lets_through(
    serving: Guard, presented: Any, reason: str
) -> None:
    """A company that starts sees what would be denied and breaks nothing."""
    verdict = serving.check(presented, route="observe")

    assert verdict.allowed
    assert verdict.observed
    assert reason == verdict.reason.value
    assert serving.counters.observed == {reason: 1}
    assert serving.counters.allowed == 0
    assert not serving.counters.denied


def test_observe_counts_what_a_lapse_would_deny(serving: Guard, clock: Clock) -> None:
    """The number tells what fail_closed would cost."""
    clock.now += SECOND

    assert serving.check(ALIVE, route="observe").observed
    assert serving.counters.observed == {"no_lease": 1}


def test_observe_does_not_mark_what_is_allowed_anyway(serving: Guard) -> None:
    """Else the number would tell nothing."""
    assert not serving.check(ALIVE, route="observe").observed


def test_the_wall_clock_does_not_move_the_lease(
    serving: Guard, wall: Clock, clock: Clock
) -> None:
    """A clock that is set back by a year neither ends nor renews a lease."""
    wall.now -= 365 * 24 * 3600 * SECOND
    assert serving.check(ALIVE).allowed

    clock.now += SECOND
    assert not serving.check(ALIVE).allowed


def test_expiry_follows_the_wall_clock(guard: Guard, wall: Clock) -> None:
    """The time when a credential ends is told in wall time."""
    fill(guard, Renewal(**SAID, node=ALIVE, expires_at=NOW + SECOND))
    answer(guard)
    assert guard.check(ALIVE).allowed

    wall.now += 2 * SECOND

    assert guard.check(ALIVE).reason is Reason.EXPIRED


@pytest.mark.parametrize("form", [str, lambda token: token])
@pytest.mark.parametrize("mode", [Mode.FAIL_CLOSED, Mode.FAIL_OPEN])
def test_denies_what_is_older_than_asked_for(
    serving: Guard, form: Any, mode: Mode
) -> None:
    """Whoever names a token wants no older answer, whatever the mode."""
    applied, missing = form(Token("g1", 0, 10)), form(Token("g1", 0, 11))

    assert serving.check(ALIVE, at_least=applied, route=mode.value).allowed
    verdict = serving.check(ALIVE, at_least=missing, route=mode.value)

    assert not verdict.allowed
    assert verdict.reason is Lapse.NOT_YET_APPLIED


def test_a_route_that_was_not_declared_is_an_error(serving: Guard) -> None:
    """A mistyped route must not silently get another mode."""
    with pytest.raises(KeyError):
        serving.check(ALIVE, route="fail-open")


def test_a_verdict_has_no_truth_value(serving: Guard) -> None:
    """``if guard.check(...)`` would allow everything."""
    with pytest.raises(TypeError, match=r"ask for \.allowed"):
        bool(serving.check(DEAD))


@pytest.mark.parametrize(("before", "part", "where"), PARTS)
def test_a_pause_while_it_judges_counts(
    serving: Guard,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    part: str,
    where: ModuleType | type,
) -> None:
    """A process may be stopped, or its machine sleep, in the middle of a check."""
    there = getattr(where, part)
    quick: Any = there.fget if isinstance(there, property) else there

    def slow(*told: Any) -> Any:
        clock.now += 3600 * SECOND
        return quick(*told)

    presented = str(ALIVE) if part == "text_lives" else Presented((ALIVE,) * 3)
    for _ in range(before):
        assert serving.check(presented).allowed
    slowed = property(slow) if isinstance(there, property) else slow
    monkeypatch.setattr(where, part, slowed)
    assert serving.standing.deadline > clock.now
    verdict = serving.check(presented)

    assert (False, Lapse.NO_LEASE) == (verdict.allowed, verdict.reason)


def test_what_a_log_that_is_gone_denied_stays_denied(serving: Guard) -> None:
    """Its table is asked as well; what it does not know is no denial."""
    gone = serving.standing.replica.registry
    unknown = Identifier("vault.accessor", "unknown")
    fresh = Replica()
    alive = [Node(**SAID, node=each, issued_at=NOW) for each in (ALIVE, DEAD, unknown)]
    message: dict[str, Any] = {
        "genesis": "g1",
        "offset": 10,
        "facts": [to_plain(fact) for fact in alive],
        "more": False,
    }
    for _ in fresh.snapshot(message):
        pass
    serving.standing.offer(fresh)
    for _ in range(OFTEN):
        assert serving.check(DEAD).allowed

    serving.standing.kept = (Registry(), gone)

    assert serving.check(DEAD).reason is Reason.REVOKED
    assert serving.check(ALIVE).allowed
    assert serving.check(unknown).allowed


@pytest.mark.parametrize("form", [str, Identifier._make, lambda one: Presented((one,))])
@pytest.mark.parametrize("mode", Mode)
def test_what_was_asked_often_is_asked_of_lease_and_facts_each_time(
    serving: Guard, clock: Clock, wall: Clock, mode: Mode, form: Any
) -> None:
    """A verdict that is kept is one of the table alone, and for a time."""
    alive, dead = map(form, (ALIVE, DEAD))
    observes, route = mode is Mode.OBSERVE, mode.value
    ask = partial(serving.check, route=route)
    for _ in range(OFTEN):
        assert ask(alive) == Verdict(allowed=True, reason=Reason.LIVES, mode=mode)
        denied = ask(dead)
        assert (denied.allowed, denied.observed) == (observes, observes)
        assert (denied.reason, denied.path, denied.mode) == (
            Reason.REVOKED, (DEAD,), mode,
        )  # fmt: skip
        assert denied.cause is not None
    counters = serving.counters
    counted = counters.observed if observes else counters.denied
    assert {Reason.REVOKED.value: OFTEN} == counted
    assert counters.allowed == OFTEN

    missing = serving.check(alive, at_least=Token("g1", 0, 11), route=route)
    assert missing.reason is Lapse.NOT_YET_APPLIED
    serving.standing.replica.registry.apply(
        Renewal(**SAID, node=ALIVE, expires_at=NOW + 9 * SECOND)
    )
    for _ in range(OFTEN):
        assert ask(alive).reason is Reason.LIVES
    clock.now += SECOND  # the lease is over
    assert ask(alive).allowed is (mode is not Mode.FAIL_CLOSED)
    assert ask(alive).stale
    assert ask(dead).stale
    answer(serving)
    assert not ask(alive).stale
    wall.now += 9 * SECOND
    assert ask(alive).reason is Reason.EXPIRED


def test_names_that_come_again_are_noted_in_a_bounded_number(
    serving: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What callers present takes no more room, and makes room in the end."""
    monkeypatch.setattr(names, "PREPARED", 2)
    monkeypatch.setattr(names, "PATIENCE", 4)
    noted, table = serving._tables.recent.read, serving.standing.replica.registry
    some = [Identifier("jwt.jti", str(number)) for number in range(4)]
    for each in some:
        table.apply(Node(**SAID, node=each, issued_at=NOW))
    for form in (str, Identifier._make):
        noted.clear()
        for each in some:
            for _ in range(2):
                assert serving.check(form(each)).allowed
            serving.check("no-colon")
        assert [*map(form, some[:2])] == [*noted]
    for _ in range(6):
        serving.check(ALIVE)
    assert [ALIVE] == [*noted]


def test_what_a_log_that_is_gone_narrowed_outlives_its_expiry(
    serving: Guard, wall: Clock
) -> None:
    """Expired is no cause, and would hide the narrow behind it."""
    scopes, until = ("api|read",), NOW + SECOND
    narrow = Cause(**SAID, target=ALIVE, effect=Effect.NARROW, at=NOW, scopes=scopes)
    expiry = Renewal(**SAID, node=ALIVE, expires_at=until)
    serving.standing.kept = (Registry.build([*facts(), narrow, expiry]),)
    assert serving.check(ALIVE, scope="api|write").reason is Reason.NARROWED

    wall.now = until

    assert serving.check(ALIVE, scope="api|write").reason is Reason.NARROWED
    assert serving.check(ALIVE, scope="api|read").allowed
