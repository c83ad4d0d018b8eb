"""Posture findings that begin together are told as one."""

from __future__ import annotations

import json

import attrs
import pytest
from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.model.findings import SUMMARY, Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.sinks import wording
from streams.sinks.links import Links
from streams.stages.notify.deliveries import Activity, Delivery, ReceiverRoute
from streams.stages.notify.groups import FEW, MINUTE, QUIET
from streams.stages.notify.notify import FindingChange, next_due, settle
from streams.stages.notify.state import DeliveryState
from tests.notify_steps import rows_of, step
from tests.unit.test_notify import NOW, OK, SOC, a_finding

pytestmark = pytest.mark.unit

CREATE, UPDATE, CLOSE = Activity


def ownerless(number: int, **values: object) -> Finding:
    """Give a posture finding."""
    return a_finding(
        number,
        **{
            "kind": FindingKind.OWNERLESS,
            "severity": Severity.MEDIUM,
            "presented": Identifier("agent.id", f"bot-{number}"),
        }
        | values,
    )


@define
class Stage:
    """The stage, a receiver that takes all, and a clock."""

    routes: tuple[ReceiverRoute, ...] = (SOC,)
    state: DeliveryState = field(factory=DeliveryState)
    now: int = NOW
    told: list[Delivery] = field(factory=list)

    def take(self, *changes: FindingChange) -> None:
        """Take changes in, and tell what is due."""
        while True:
            self.state, due = step(self.state, changes, self.now, routes=self.routes)
            changes = ()
            if not due:
                return
            for each in due:
                self.told.append(each)
                self.state, _ = settle(self.state, each, OK, self.now)

    def wait(self, span: int) -> None:
        """Let a time pass; whatever is due in it comes."""
        end = self.now + span
        while (due := next_due(self.state, self.now)) is not None and due <= end:
            self.now = due
            self.take()
        self.now = end
        self.take()

    def restart(self) -> None:
        """Go on with what is kept."""
        rows = json.loads(json.dumps(rows_of(self.state)))
        self.state = DeliveryState().joined(DeliveryState.of_rows(rows))

    def begin(self, start: int, count: int) -> None:
        """Let findings begin."""
        self.take(*(FindingChange(ownerless(n)) for n in range(start, start + count)))

    @property
    def activities(self) -> list[Activity]:
        """Give what was told."""
        return [each.activity for each in self.told]


def test_a_first_import_is_one_message() -> None:
    """With the count, the first names and the command that lists the rest."""
    stage = Stage()
    for start in range(0, 2000, 200):
        stage.begin(start, 200)
    assert stage.told == []
    stage.wait(QUIET)

    assert len(stage.told) == 1
    (summary,) = stage.told
    assert summary.activity is CREATE
    assert summary.finding.count == 2000
    assert summary.finding.presented == Identifier(SUMMARY, "acme")
    text = wording.message(summary.finding)
    assert "2,000 findings began together" in text
    assert "agent.id:bot-0" in text
    assert "agent.id:bot-19" in text
    assert "bot-20" not in text
    assert "rescind findings" in text
    assert (
        wording.title(summary.finding)
        == "No owner who is still there: 2,000 at once in acme"
    )
    links = Links("https://r.example")
    assert links.of(summary.finding) == {"Findings": "https://r.example/v1/findings"}


@pytest.mark.parametrize("restarted", [False, True])
def test_members_are_not_told_later_and_the_last_ends_the_summary(
    restarted: bool,
) -> None:
    """Neither what changes of them, nor their end."""
    stage = Stage()
    stage.begin(0, 100)
    stage.wait(QUIET)
    if restarted:
        stage.restart()
    stage.take(*(FindingChange(ownerless(n, count=5)) for n in range(100)))
    stage.take(*(FindingChange(ownerless(n), closed=True) for n in range(99)))
    stage.wait(2 * MINUTE)
    assert stage.activities == [CREATE]

    stage.take(FindingChange(ownerless(99), closed=True))
    stage.wait(MINUTE)

    assert stage.activities == [CREATE, CLOSE]
    assert stage.told[0].finding.id == stage.told[1].finding.id
    assert attrs.evolve(stage.state, paused={}) == DeliveryState()


@pytest.mark.parametrize("restarted", [False, True])
def test_few_are_told_one_by_one(restarted: bool) -> None:
    """After a moment, and to their ends."""
    stage = Stage()
    stage.begin(0, FEW)
    if restarted:
        stage.restart()
    stage.wait(QUIET)
    assert stage.activities == [CREATE] * FEW

    stage.take(*(FindingChange(ownerless(n), closed=True) for n in range(FEW)))
    stage.wait(2 * MINUTE)
    assert stage.activities == [CREATE] * FEW + [CLOSE] * FEW
    assert stage.state == DeliveryState()


def test_what_comes_within_a_minute_joins_the_summary() -> None:
    """By an update, a minute after the first message; single ones later are told."""
    stage = Stage()
    stage.begin(0, 100)
    stage.wait(30 * SECOND)
    stage.begin(100, 50)
    stage.wait(2 * MINUTE)

    assert stage.activities == [CREATE, UPDATE]
    assert stage.told[1].finding.count == 150
    stage.begin(500, 1)
    stage.wait(QUIET)
    assert stage.told[2].finding == ownerless(500)


NEVER, GONE = "nobody is named as its owner", "none of its owners is there any more"


def test_a_summary_counts_why_they_have_no_owner() -> None:
    """Guards deny those whose owners are gone; it grows by what joins it."""
    stage = Stage()
    for start, why in ((0, NEVER), (100, GONE)):
        said = [
            ownerless(n, message=f"agent.id:bot-{n} has no owner: {why}")
            for n in range(start, start + 30)
        ]
        stage.take(*map(FindingChange, said))
        stage.wait(30 * SECOND)
        stage.restart()
    stage.wait(2 * MINUTE)

    first, grown = (wording.message(each.finding) for each in stage.told)
    assert f"Of them 30: {NEVER}. That alone does not end them." in first
    assert f"Of them 30: {NEVER}; 30: {GONE}. Guards deny those whose owners" in grown


def test_names_of_owners_do_not_spoil_what_is_counted() -> None:
    """Whoever names people writes what he likes."""
    stage = Stage()
    for start in (0, 100):
        said = [
            ownerless(
                n,
                message=f"agent.id:bot-{n} has no owner; person.id:a: b; 7: c"
                f" ended at 2026-03-02T09:20:00Z: {GONE}",
            )
            for n in range(start, start + 30)
        ]
        stage.take(*map(FindingChange, said))
        stage.wait(30 * SECOND)
    stage.wait(2 * MINUTE)

    assert [f"30: {GONE}", f"60: {GONE}"] == [e.finding.reason for e in stage.told]


def test_what_differs_from_name_to_name_is_not_counted() -> None:
    """It would be a list of all of them."""
    stage = Stage()
    stage.take(
        *(
            FindingChange(
                ownerless(
                    n,
                    kind=FindingKind.SCOPE_ESCALATION,
                    message=f"agent.id:bot-{n} declares more than it can have: it {n}",
                )
            )
            for n in range(30)
        )
    )
    stage.wait(2 * MINUTE)

    assert stage.told[0].finding.reason is None


def test_more_than_few_within_a_minute_are_a_summary_though_some_were_told() -> None:
    """Slices of an import that come seconds apart."""
    stage = Stage()
    stage.begin(0, 15)
    stage.wait(10 * SECOND)
    stage.begin(15, 15)
    stage.wait(QUIET)

    assert stage.activities == [CREATE] * 16
    assert stage.told[-1].finding.count == 15


def test_kinds_realms_and_owners_have_summaries_of_their_own() -> None:
    """A receiver that is told of one owner hears of hers, and of no other."""
    hers = ReceiverRoute(name="hers", owners=frozenset({"ann"}))
    stage = Stage((SOC, hers))
    stage.take(
        *(FindingChange(ownerless(n, owner="ann")) for n in range(50)),
        *(FindingChange(ownerless(n, owner="bob")) for n in range(50, 100)),
        *(FindingChange(ownerless(n, realm="other")) for n in range(100, 150)),
        *(
            FindingChange(ownerless(n, kind=FindingKind.UNMAPPED))
            for n in range(150, 200)
        ),
    )
    stage.wait(QUIET)

    assert len([d for d in stage.told if d.route == "soc"]) == 4
    (own,) = [d for d in stage.told if d.route == "hers"]
    assert (own.finding.owner, own.finding.count) == ("ann", 50)


def test_uses_are_never_summed_up() -> None:
    """Each is told at once."""
    stage = Stage()
    stage.take(*(FindingChange(a_finding(n)) for n in range(100)))

    assert len(stage.told) == 100


def test_what_ends_while_it_is_held_is_told_as_ever() -> None:
    """Its beginning and its end."""
    stage = Stage()
    stage.begin(0, 1)
    stage.take(FindingChange(ownerless(0), closed=True))
    stage.wait(MINUTE)

    assert stage.activities == [CREATE, CLOSE]
    assert stage.state.announced == {}


def test_a_member_is_owed_until_the_summary_has_arrived() -> None:
    """What is committed was told."""
    stage = Stage()
    stage.begin(0, 100)
    assert stage.state.owes(ownerless(5).id)
    stage.state, (due,) = step(stage.state, [], NOW + QUIET, routes=[SOC])

    assert stage.state.owes(ownerless(5).id)
    stage.state, _ = settle(stage.state, due, OK, NOW + QUIET)
    assert not stage.state.owes(ownerless(5).id)
