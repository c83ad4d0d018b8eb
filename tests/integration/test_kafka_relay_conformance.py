"""The conformance kit through a relay: its facts in the topic, its checks at guards.

The kit itself plays the feed to a guard. Here a relay is the feed: each case is a realm
of its own, and the answers have to be those that the case wants of any guard.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from agents_registry.facts import from_plain
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.verdict import Policy
from conformance.cases import suite
from conformance.facts import time
from conformance.verdicts import fault
from enforcement import Guard, Token
from tests.integration.kafka_guards import writing
from tests.integration.serving import DEADLINE, until
from tests.integration.test_kafka_relay import LEASE, plain_settings, relaying
from tests.integration.working import lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.cases import Case
    from enforcement.verdict import Verdict
    from streams.settings.kafka import KafkaSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LARGE = 50  # facts; a long lineage is no matter of the feed
OF_A_RULE = 3  # cases
AT_ONCE = 5


def chosen() -> list[Case]:
    """Give the first cases of each rule of the table, and all that every guard has."""
    taken: Counter[str] = Counter()
    found = []
    for case in suite():
        rule = case.group == "basics" or case.group.startswith("rule-")
        if not rule or not case.checks or not 0 < len(case.facts) <= LARGE:
            continue
        taken[case.group] += 1
        if case.group == "basics" or taken[case.group] <= OF_A_RULE:
            found.append(case)
    return found


@define
class Wall:
    """A wall clock that stands where a check wants it (ns)."""

    now: int

    def __call__(self) -> int:
        """Give the time."""
        return self.now


def presented(check: dict[str, Any]) -> Presented:
    """Read what a check shows."""
    names = check["check"] if isinstance(check["check"], list) else [check["check"]]
    issued = check.get("issued_at")
    return Presented(
        tuple(map(Identifier.parse, names)),
        None if issued is None else time(issued),
        tuple(map(Identifier.parse, check.get("chain", []))),
    )


def plain(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict as a driver of the kit tells it."""
    return {
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "observed": verdict.observed,
    }


async def wrong(case: Case, url: str, realm: str, token: Token) -> list[str]:
    """Ask a guard behind the relay what a case asks; name the wrong answers."""
    wall = Wall(time(case.now))
    policy = Policy(case.settings["unknown"])
    guard = Guard(url, realm, name=realm, policy=policy, lease=LEASE, wall_clock=wall)
    # The case says what time it is, and no server.
    guard.standing.witness = lambda _: None
    guard.time._boottime = lambda: 0
    guard.time._began = wall.now
    found = []
    async with guard:
        assert await guard.wait_for(token, DEADLINE)
        # A statement whose time changed denies until the guard has read all anew.
        await until(lambda: not guard.standing.replica.registry.needs_rebuild)
        assert await guard.ready(DEADLINE)
        for check in case.checks:
            wall.now = time(check["now"])
            said = plain(guard.check(presented(check), scope=check.get("scope")))
            if fault(check, said) is not None:
                found.append(f"{case.group}: {case.name}: {check}: {said}")
    return found


@pytest.mark.long
async def test_guards_behind_a_relay_answer_as_the_kit_wants(
    tmp_path: Path, kafka_settings: KafkaSettings
) -> None:
    """Each rule of the table, with the lease that the relay hands out."""
    cases = {f"case-{number}": case for number, case in enumerate(chosen())}
    tokens = plain_settings(tmp_path)["tokens"] + [
        {
            "name": realm,
            "sha256": hashlib.sha256(realm.encode()).hexdigest(),
            "roles": ["guard"],
            "realms": [realm],
        }
        for realm in cases
    ]
    await lay_out(kafka_settings)
    async with (
        writing(kafka_settings) as writer,
        relaying(tmp_path, kafka_settings, tokens=tokens) as relayed,
    ):
        few = asyncio.Semaphore(AT_ONCE)

        async def judged(realm: str, case: Case) -> list[str]:
            async with few:
                token = await writer.say(*map(from_plain, case.facts), realm=realm)
                return await wrong(case, relayed.url, realm, token)

        found = await asyncio.gather(*(judged(*each) for each in cases.items()))

    assert len(cases) > 40
    assert [] == [each for wrongs in found for each in wrongs]
