"""A real OpenBao server, its audit log, and its own word on who is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from agents_registry.death import death
from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from examples.openbao.scenario import Scenario, play
from streams.model.findings import FindingKind
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.services.event_id_conflicts import EventIdConflicts
from streams.services.hunt import Hunt
from streams.sources.openbao.openbao import OpenBao
from streams.sources.reading.envelope import Event, events
from streams.stages.ingest.ingress import Origin, facts_of
from tests.integration.openbao_server import OpenBaoServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents_registry.facts import Fact

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ORPHAN_ROLE = "loners"
LOOKUP = "read auth/token/lookup-self"


class Day(NamedTuple):
    """A played scenario, with what the log and the server say of it."""

    scenario: Scenario
    log: bytes
    hashes: dict[str, str]
    lives: dict[str, bool]

    @property
    def records(self) -> list[Record]:
        """Read the log."""
        return list(OpenBao([ORPHAN_ROLE]).records(self.log))

    def named(self, name: str) -> Identifier:
        """Give what the log calls a token."""
        return Identifier("vault.token_hmac", self.hashes[name])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """Play the scenario once on a real server."""
    with OpenBaoServer(tmp_path_factory.mktemp("openbao")) as server:
        scenario = play(server, ORPHAN_ROLE)
        lives = {name: scenario.lease_lives(name) for name in scenario.leases}
        log = server.audit_log.read_bytes()
        hashes = {name: server.hash(token) for name, token in scenario.tokens.items()}
        yield Day(scenario, log, hashes, lives)


def facts(records: list[Record]) -> list[Fact]:
    """Give the facts of all records."""
    origin = Origin(authority="vault", realm="acme", received_at=2**62)
    return [
        fact
        for record in records
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin)
    ]


def dead_presentations(records: list[Record]) -> list[tuple[str | None, bool]]:
    """Tell of every access whether its credential was dead by then."""
    registry = Registry.build(facts(records))
    return [
        (
            record.event_id,
            any(
                death(registry, name, at=record.occurred_at)
                for name in record.identifiers
            ),
        )
        for record in records
        if isinstance(record, Access) and record.occurred_at is not None
    ]


def test_every_line_is_read(day: Day) -> None:
    """The server writes nothing that the source cannot read."""
    letters = [record for record in day.records if isinstance(record, DeadLetter)]

    assert [] == letters


def test_dead_presentations_are_what_the_server_refused(day: Day) -> None:
    """Each presentation is judged as the real server judged it, none besides."""
    records = day.records
    shown = [
        record
        for record in records
        if isinstance(record, Access) and record.event_type == LOOKUP
    ]
    refused = {
        record.event_id: presentation.refused
        for record, presentation in zip(shown, day.scenario.presented, strict=True)
    }
    judged = dict(dead_presentations(records))

    wrong = {
        (presentation.name, presentation.refused)
        for record, presentation in zip(shown, day.scenario.presented, strict=True)
        if judged[record.event_id] is not presentation.refused
    }

    assert set() == wrong
    assert any(refused.values())
    assert not all(refused.values())


def test_no_other_call_used_a_dead_credential(day: Day) -> None:
    """Of all other calls, the refused login with the dead secret_id alone is dead."""
    records = day.records
    others = {
        record.event_id: record
        for record in records
        if isinstance(record, Access) and record.event_type != LOOKUP
    }
    dead = [
        others[event_id].event_type
        for event_id, is_dead in dead_presentations(records)
        if is_dead and event_id in others
    ]

    assert ["update auth/approle/login"] == dead


def test_a_hunt_finds_exactly_the_presentations_of_the_dead(day: Day) -> None:
    """Findings are the refused tokens and the login with the destroyed secret_id."""
    hunt = Hunt()
    for record in day.records:
        hunt.add(record)
    findings = hunt.report().findings
    found = sorted(event_id for finding in findings for event_id in finding.event_ids)
    accesses = [record for record in day.records if isinstance(record, Access)]
    shown = [record for record in accesses if record.event_type == LOOKUP]
    refused = [
        record.event_id
        for record, presentation in zip(shown, day.scenario.presented, strict=True)
        if presentation.refused
    ]
    dead_login = [
        record.event_id
        for record in accesses
        if record.event_type == "update auth/approle/login"
        and record.outcome == "denied"
    ]

    assert sorted(filter(None, refused + dead_login)) == found
    assert {FindingKind.BLOCKED_ATTEMPT} == {finding.kind for finding in findings}
    assert {"direct", "ancestor"} == {finding.via for finding in findings}


def test_one_access_a_call(day: Day) -> None:
    """Request and response of one call count once."""
    shown = [
        record.event_id
        for record in day.records
        if isinstance(record, Access) and record.event_type == LOOKUP
    ]

    assert len(day.scenario.presented) == len(shown) == len(set(shown))


def test_presentations_of_the_dead_carry_the_hmac(day: Day) -> None:
    """A refused token is matched by its HMAC: the log has no accessor for it."""
    shown = [
        record
        for record in day.records
        if isinstance(record, Access) and record.event_type == LOOKUP
    ]

    for record, presentation in zip(shown, day.scenario.presented, strict=True):
        assert day.named(presentation.name) in record.identifiers


def test_leases_end_as_the_server_says(day: Day) -> None:
    """A lease is dead iff the server no longer knows it."""
    records = day.records
    registry = Registry.build(facts(records))

    judged = {
        name: death(registry, Identifier("vault.lease", lease)) is None
        for name, lease in day.scenario.leases.items()
    }

    assert day.lives == judged
    assert {True, False} == set(judged.values())


def test_lineage_is_the_tree_that_was_grown(day: Day) -> None:
    """Each token hangs on its maker, and the orphans on no token."""
    issued = {
        name: record
        for record in day.records
        if isinstance(record, Lifecycle) and record.effect == "issue"
        for name in record.identifiers
    }

    def parents(name: str) -> list[tuple[Identifier, Relation]]:
        return [
            (issued[parent.identifier].identifiers[-1], parent.relation)
            for parent in issued[day.named(name)].parents
            if parent.identifier in issued
        ]

    service, batch = Relation.ENDS_WITH_PARENT, Relation.ENDS_WITH_PARENT_ALWAYS
    assert [(day.named("P"), service)] == parents("C1") == parents("C2")
    assert [(day.named("C1"), service)] == parents("G1")
    assert [(day.named("P"), batch)] == parents("B1")
    assert [(day.named("P"), service)] == parents("W0")
    assert [] == parents("O1") == parents("O2") == parents("O3")


def test_unlisted_orphan_role_is_a_child_in_doubt(day: Day) -> None:
    """Without the setting the orphan of a role hangs on its maker: deny in doubt."""
    issued = [
        record
        for record in OpenBao().records(day.log)
        if isinstance(record, Lifecycle)
        and record.effect == "issue"
        and day.named("O3") in record.identifiers
    ]

    assert [Relation.ENDS_WITH_PARENT] == [p.relation for p in issued[0].parents]


def test_order_of_lines_does_not_matter(day: Day) -> None:
    """Reversed and doubled logs state the same facts and the same dead."""
    lines = day.log.splitlines(keepends=True)
    source = OpenBao([ORPHAN_ROLE])
    straight = day.records
    backwards = list(source.records(b"".join(reversed(lines))))
    doubled = list(source.records(day.log + day.log))

    assert set(facts(straight)) == set(facts(backwards)) == set(facts(doubled))
    assert (
        set(dead_presentations(straight))
        == set(dead_presentations(backwards))
        == set(dead_presentations(doubled))
    )
    assert len(straight) == len(backwards)


def test_a_doubled_log_has_no_colliding_ids(day: Day) -> None:
    """A copy may show a token's second name where the first reading did not."""
    parser = OpenBao([ORPHAN_ROLE]).parser()
    items = [item for item in events(day.log + day.log, "x") if isinstance(item, Event)]
    records = [
        record
        for item in items
        for record in parser.feed(item.offset, item.body, item.length)
    ]

    assert records == list(EventIdConflicts().noted(records))


def test_no_token_leaves_the_source(day: Day) -> None:
    """No record holds a token in plain text."""
    text = "\n".join(map(repr, day.records))

    assert [] == [name for name, token in day.scenario.tokens.items() if token in text]


def test_what_the_server_still_honours_is_denied_on_purpose(tmp_path: Path) -> None:
    """A batch login outlives its mount, a login its user: the server lets both in."""
    with OpenBaoServer(tmp_path) as server:
        scenario = Scenario(server)
        for mount, kind in (("batches", "batch"), ("people", "service")):
            scenario.do("POST", f"sys/auth/{mount}", body={"type": "userpass"})
            user = {"password": "ann-pass", "token_type": kind}
            scenario.do("POST", f"auth/{mount}/users/ann", body=user)
            sent = {"password": "ann-pass"}
            made = scenario.do("POST", f"auth/{mount}/login/ann", None, sent)
            scenario.keep(mount, made["auth"])
        scenario.do("DELETE", "sys/auth/batches")
        scenario.do("DELETE", "auth/people/users/ann")
        scenario.present("batches", "people")
        log = server.audit_log.read_bytes()
    shown = [one.refused for one in scenario.presented]
    judged = [dead for _, dead in dead_presentations(list(OpenBao().records(log)))]

    assert [False, False] == shown
    assert [True, True] == judged[-2:]
