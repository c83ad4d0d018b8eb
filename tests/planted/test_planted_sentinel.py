"""Bugs planted into what decides lag against failure are caught by its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from streams.stages.sentinel import episodes, points, saved_episodes, undeclared
from streams.stages.sentinel.acted import Acted
from streams.stages.sentinel.episodes import Episodes
from streams.stages.sentinel.evidence import kind_of
from streams.stages.sentinel.liveness_index import LivenessIndex
from streams.stages.sentinel.node_bits import SETTLED
from streams.stages.sentinel.points import EnforcementPoints, PointGuard
from streams.stages.sentinel.revocation_offsets import RevocationOffsets
from streams.stages.sentinel.scope_recheck import ScopeRecheck
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.step import Outputs, SentinelStep
from streams.stages.sentinel.undeclared import UnknownCredentials
from streams.stages.sentinel.unknown_agents import UnknownAgents
from tests.unit import test_episodes, test_kinds, test_known_deaths, test_points
from tests.unit import test_sentinel as joins
from tests.unit import test_sentinel_receipts as receipts
from tests.unit import test_unknown_agents as agents

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.identifiers import Identifier
    from agents_registry.steps import Steps

pytestmark = pytest.mark.planted

Patch = pytest.MonkeyPatch


def blames_by_the_cause_alone(patch: Patch) -> None:
    """Forget that a point may lack what ties a credential to its cause."""
    patch.setattr(
        RevocationOffsets, "as_of", lambda _, __, accepted: accepted.offset + 1
    )


def counts_from_the_last_listing(patch: Patch) -> None:
    """Let facts that come again take a failure back."""
    right = RevocationOffsets.note

    def note(known: RevocationOffsets, found: Any, as_of: int) -> None:
        for pair in found:
            known._first.pop(pair, None)
        right(known, found, as_of)

    patch.setattr(RevocationOffsets, "note", note)


def forgets_what_was_forgotten(patch: Patch) -> None:
    """Take what is not known any more for known from the start."""
    patch.setattr(RevocationOffsets, "begin", lambda _, __: None)


def passes_over_late_receipts(patch: Patch) -> None:
    """Leave what was told as it was told."""

    def nothing(*_: object) -> Steps[Outputs]:
        yield
        return Outputs()

    patch.setattr(Sentinel, "recheck", nothing)


def asks_one_guard_of_many(patch: Patch) -> None:
    """Take the word of the first that knew."""
    patch.setattr(points, "max", min, raising=False)


def thins_towards_the_past(patch: Patch) -> None:
    """Say of an offset that it was applied when the one before it was."""

    def add(guard: PointGuard, at: int, offset: int) -> None:
        entries = guard.entries
        if entries and at - entries[-1][0] < points.RESOLUTION:
            entries[-1] = (entries[-1][0], offset)
        else:
            entries.append((at, offset))

    patch.setattr(PointGuard, "add", add)


def takes_observers_for_guards(patch: Patch) -> None:
    """Blame a route that never meant to deny."""
    right = EnforcementPoints.registered

    def registered(
        of: EnforcementPoints, guard: str, at: int, *, enforces: bool
    ) -> None:
        right(of, guard, at, enforces=enforces or True)

    patch.setattr(EnforcementPoints, "registered", registered)


def allows_no_request_under_way(patch: Patch) -> None:
    """Blame a request that was checked before the guard knew."""
    patch.setattr(
        test_kinds,
        "kind_of",
        lambda one, standing, rules: kind_of(
            one, standing, attrs.evolve(rules, skew=0)
        ),
    )


def saves_no_doubt(patch: Patch) -> None:
    """Lose over a restart what a receipt may still show."""
    right = saved_episodes.save
    patch.setattr(saved_episodes, "save", lambda each: right(each) | {"doubts": []})


def relates_what_it_sees_alone(patch: Patch) -> None:
    """Find out nothing from an alias that comes last."""
    patch.setattr(Episodes, "about", lambda *_: False)


def tells_one_way(patch: Patch) -> None:
    """Name the other finding in the newer one alone."""
    patch.setattr(SentinelStep, "relate", lambda *_: None)


def tells_of_what_was_not_declared_yet(patch: Patch) -> None:
    """Ask once, when the line comes."""
    right = UnknownCredentials.__init__
    patch.setattr(
        UnknownCredentials,
        "__init__",
        lambda self, uses, told, _, acting: right(self, uses, told, 0, acting),
    )


def forgets_what_is_held(patch: Patch) -> None:
    """Lose over a restart what was to be asked about again."""
    patch.setattr(UnknownCredentials, "restore", lambda *_: None)


def asks_about_every_copy(patch: Patch) -> None:
    """Take a line that comes again for another use."""

    def none(*_: object) -> Steps[set[tuple[str, int]]]:
        yield
        return set()

    patch.setattr(undeclared, "repeats_among", none)


def holds_to_scopes_once(patch: Patch) -> None:
    """Judge a use when its line comes, and never again."""
    patch.setattr(ScopeRecheck, "note", lambda *_: None)


def takes_a_start_for_nothing(patch: Patch) -> None:
    """Leave what came while nobody watched."""
    patch.setattr(ScopeRecheck, "note_all", lambda *_: None)


def leaves_the_silent_open(patch: Patch) -> None:
    """Go on with a finding that should have been closed."""
    patch.setattr(Episodes, "end_silent", lambda *_: None)


def gives_ids_by_the_count_alone(patch: Patch) -> None:
    """Have all days be one."""
    patch.setattr(episodes, "DAY", 10**30)


def tells_of_each_token(patch: Patch) -> None:
    """Take no agent for one that acts."""
    patch.setattr(undeclared, "acting_agent", lambda *_: None)


def tells_each_use_of_an_agent_again(patch: Patch) -> None:
    """Take what a point tells again for other uses."""
    patch.setattr(Acted, "take", lambda *_: True)


def loses_where_an_agent_was_seen(patch: Patch) -> None:
    """Keep over a restart only what was told of an agent."""
    right = saved_episodes.save
    patch.setattr(saved_episodes, "save", lambda each: right(each) | {"agents": {}})


def asks_no_token_twice_for_its_agent(patch: Patch) -> None:
    """Take what was known of a token once for what it hangs on now."""
    patch.setattr(LivenessIndex, "_undo", lambda *_: None)


def takes_all_for_settled(patch: Patch) -> None:
    """Ask of no token whose agent it is, once a fact named it."""
    patch.setattr(
        LivenessIndex,
        "_settle_all",
        lambda bits, nodes, _: [
            bits.settle(bits.registry.lineage.identifier(node))
            for node in nodes.tolist()
        ],
    )


def settles_what_no_fact_undoes(patch: Patch) -> None:
    """Ask no more of a dead token, before it was noted what that hangs on."""

    def settle(bits: LivenessIndex, name: Identifier) -> None:
        bits._bits[bits.registry.lineage.find(name)] |= SETTLED

    patch.setattr(LivenessIndex, "settle", settle)


def floods_the_first_day(patch: Patch) -> None:
    """Tell of each agent although nobody is declared."""

    def somebody(*_: object) -> Steps[bool]:
        yield
        return True

    patch.setattr(UnknownAgents, "_somebody", somebody)


BUGS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (
        blames_by_the_cause_alone,
        lambda: receipts.test_who_did_not_know_the_lineage_did_not_fail(
            "edge", ("t", "u")
        ),
    ),
    (
        counts_from_the_last_listing,
        receipts.test_facts_that_come_again_take_no_failure_back,
    ),
    (
        forgets_what_was_forgotten,
        test_known_deaths.test_a_restart_keeps_first_listings,
    ),
    (
        passes_over_late_receipts,
        lambda: receipts.test_the_last_verdict_is_right_in_every_order(("c", "u", "r")),
    ),
    (asks_one_guard_of_many, test_points.test_settings_say_who_stands_at_a_point),
    (
        thins_towards_the_past,
        test_points.test_the_log_is_thinned_and_never_tells_too_early,
    ),
    (
        takes_observers_for_guards,
        receipts.test_where_no_guard_stands_it_is_a_use_after_revocation,
    ),
    (
        allows_no_request_under_way,
        lambda: test_kinds.test_receipts_decide(
            23, test_kinds.KNEW_AT_20, "enforcement_lag"
        ),
    ),
    (
        saves_no_doubt,
        receipts.test_a_restart_between_use_and_receipt_loses_nothing,
    ),
    (
        relates_what_it_sees_alone,
        lambda: receipts.test_two_names_of_one_credential_name_each_other(
            ("1", "2", "a")
        ),
    ),
    (tells_one_way, receipts.test_the_failure_opens_at_once_and_names_the_lag),
    (
        tells_of_what_was_not_declared_yet,
        lambda: joins.test_a_line_may_come_before_what_declares_its_credential("node"),
    ),
    (
        forgets_what_is_held,
        joins.test_a_restart_loses_no_use_of_an_unknown_credential,
    ),
    (
        asks_about_every_copy,
        joins.test_a_line_that_comes_again_tells_of_no_unknown_credential_again,
    ),
    (
        holds_to_scopes_once,
        lambda: joins.test_a_use_beyond_its_scopes_is_told_in_whatever_order("edge", 1),
    ),
    (
        takes_a_start_for_nothing,
        joins.test_a_restart_holds_uses_against_scopes_that_came_meanwhile,
    ),
    (
        leaves_the_silent_open,
        test_episodes.test_a_use_after_a_silence_ends_what_was_open_before,
    ),
    (
        gives_ids_by_the_count_alone,
        lambda: test_episodes.test_no_id_comes_twice_and_what_is_closed_is_forgotten(0),
    ),
    (
        tells_of_each_token,
        lambda: agents.test_5_agents_with_20_short_tokens_at_2_points_are_5_findings(
            "table"
        ),
    ),
    (
        tells_each_use_of_an_agent_again,
        agents.test_uses_that_are_told_again_are_no_news,
    ),
    (
        loses_where_an_agent_was_seen,
        agents.test_what_is_held_survives_a_restart_and_is_told_once,
    ),
    (
        asks_no_token_twice_for_its_agent,
        agents.test_a_nearer_agent_that_comes_later_is_asked_about,
    ),
    (
        takes_all_for_settled,
        lambda: agents.test_what_is_known_in_bulk_hides_nobody(6),
    ),
    (
        settles_what_no_fact_undoes,
        agents.test_of_a_dead_token_nothing_is_settled_that_no_fact_would_undo,
    ),
    (
        floods_the_first_day,
        agents.test_a_first_day_is_one_finding_with_the_list_and_the_command,
    ),
]


@pytest.mark.parametrize(
    ("plant", "test"), BUGS, ids=[plant.__name__ for plant, _ in BUGS]
)
def test_a_planted_bug_is_caught(
    plant: Callable[[Patch], None],
    test: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test that knows the rule passes without the bug, and fails with it."""
    test()
    plant(monkeypatch)

    with pytest.raises((AssertionError, KeyError, ValueError)):
        test()
