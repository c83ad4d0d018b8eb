"""No recorded log makes a finding of use where nothing had ended.

All of them go into one live server, each from its own system, and through ``hunt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from attrs import evolve

from streams.model.records import Access, DeadLetter
from streams.services.event_id_conflicts import COLLISION, EventIdConflicts
from tests.golden.replayed import OF_USE, Log, false, hunted, live, of_use, recorded

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.golden

# What the logs say themselves: secrets that were found, and orders that name nothing.
TOLD: Final = {"leak", "revocation_not_applied", "id_collision"}
# What stands in the table, told once it settled.
POSTURE: Final = {
    "ownerless", "unmapped", "shared_service_account", "scope_escalation",
    "excess_scope", "lift_ambiguous", "unknown_agent", "unknown_credential",
}  # fmt: skip
LEAST: Final = 40  # findings of use in our own logs


def by_system(logs: list[Log]) -> list[list[Log]]:
    """Give the logs of each system."""
    systems: dict[str, list[Log]] = {}
    for log in logs:
        systems.setdefault(log.source, []).append(log)
    return list(systems.values())


async def test_a_live_server_tells_of_no_use_that_no_log_bears_out(
    tmp_path: Path,
) -> None:
    """Findings of other kinds are those that the logs give reason for."""
    logs = recorded()
    findings = await live(tmp_path, logs)
    found = of_use(findings)

    assert [] == false(found, logs)
    assert len(found) >= LEAST
    others = {each["kind"] for each in findings} - OF_USE
    assert TOLD <= others <= TOLD | POSTURE


def test_hunt_tells_of_no_use_that_no_log_bears_out() -> None:
    """Each system by itself, as somebody hunts in the logs of one."""
    found = [(hunted(logs), logs) for logs in by_system(recorded())]

    assert [] == [one for each, logs in found for one in false(each, logs)]
    assert sum(len(each) for each, _ in found) >= LEAST


def test_a_use_is_the_last_record_of_its_event() -> None:
    """What would come behind it would look like another event with the same id."""
    for log in recorded():
        used: dict[tuple[str | None, int], Access] = {}
        for record in log.records():
            place = record.event_id, record.offset
            assert place not in used or isinstance(record, Access), (log.name, record)
            if isinstance(record, Access):
                used[place] = record


def test_only_the_log_of_shared_ids_has_ids_that_collide() -> None:
    """That one is made to have them."""
    collide = {
        log.name
        for log in recorded()
        for record in EventIdConflicts().noted(log.records())
        if isinstance(record, DeadLetter) and record.reason == COLLISION
    }

    assert {"aws/shared-id.jsonl"} == collide


def test_a_finding_without_a_reason_is_seen() -> None:
    """Of another target, of another time, and of a use before the end."""
    (logs,) = [
        each for each in by_system(recorded()) if each[0].source == "agent-gateway"
    ]
    first, *_ = hunted(logs)

    for wrong in (
        evolve(first, target="gateway.agent:nobody"),
        evolve(first, ended_at=first.ended_at - 1),
        evolve(first, first_seen=first.ended_at - 1),
    ):
        assert [wrong] == false([first, wrong], logs)
