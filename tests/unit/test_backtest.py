"""Rules of containment on history: what they would have done, and would have hit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import Identifier
from streams.model.findings import FindingKind
from streams.model.records import Access, Lifecycle, Parent
from streams.model.times import rfc3339
from streams.services.backtest import Backtest
from streams.services.told_findings import MOST_ASKED, PAGE, ToldFindings
from streams.stages.containment.rules import ContainedName, ContainmentMode
from streams.stages.sentinel import saved_episodes
from tests.unit.containing import AGENT, HOUR, NOW, TOKEN, a_finding, a_rule

if TYPE_CHECKING:
    from streams.services.backtest_report import RuleReport

pytestmark = pytest.mark.unit

MINUTE: Final = HOUR // 60
OTHER: Final = Identifier("jwt.jti", "t2")
ANN, DAN = (Identifier("person.id", name) for name in ("ann", "dan"))
STOP: Final = a_rule(
    "stop",
    kinds=frozenset({FindingKind.USE_AFTER_REVOCATION}),
    contain=ContainedName.AGENT,
)


class Log:
    """A log that is written line by line."""

    def __init__(self, **more: Any) -> None:
        """Start empty."""
        self.backtest = Backtest(**more)
        self._lines = 0

    def _place(self) -> dict[str, Any]:
        self._lines += 1
        return {"event_id": f"e{self._lines}", "offset": self._lines}

    def says(self, effect: str, name: Identifier, at: int, **more: Any) -> None:
        """Say that something became of a name."""
        self.backtest.add(
            Lifecycle(
                source="gateway", event_type=effect, effect=effect, occurred_at=at,
                identifiers=(name,), **self._place(), **more,
            )
        )  # fmt: skip

    def issues(self, name: Identifier, owner: Identifier, above: Identifier) -> None:
        """Say that a credential of an agent was issued."""
        parents = (Parent(*above, Relation.REQUIRES),)
        self.says("issue", name, NOW - HOUR, parents=parents, owners=(owner,))

    def uses(
        self, name: Identifier, at: int, outcome: Any = "allowed", **more: Any
    ) -> None:
        """Say that a name was presented."""
        self.backtest.add(
            Access(
                source="gateway", event_type="call", occurred_at=at,
                identifiers=(name,), outcome=outcome, **self._place(), **more,
            )
        )  # fmt: skip

    def test(self, *rules: Any) -> list[RuleReport]:
        """Test rules."""
        return self.backtest.test(rules)[1]


def a_gateway() -> Log:
    """Give a log in which a dead token of an agent is accepted at NOW."""
    log = Log()
    log.issues(TOKEN, ANN, AGENT)
    log.issues(OTHER, DAN, AGENT)
    log.says("revoke", TOKEN, NOW - MINUTE)
    log.uses(TOKEN, NOW)
    return log


def test_a_use_of_what_lived_is_hit_with_its_owner() -> None:
    """Only while the act stands, and only what was allowed."""
    log = a_gateway()
    for at in (NOW - MINUTE, NOW + MINUTE, NOW + HOUR, NOW + 2 * HOUR):
        log.uses(OTHER, at)
    log.uses(OTHER, NOW + 2 * MINUTE, "denied")

    (report,) = log.test(STOP)
    (act,) = report.contained
    (hit,) = act.hits

    assert (AGENT, NOW, NOW + 2 * HOUR) == (
        act.decision.target, act.decision.at, act.decision.until,
    )  # fmt: skip
    assert (OTHER, str(DAN), 2, NOW + MINUTE, NOW + HOUR) == hit[:5]
    assert (True, False, 1) == (hit.other, hit.named, report.living)
    assert {"uses": 2, "other_owner": True}.items() <= hit.plain().items()
    assert 2 == report.plain()["contained"][0]["living"][0]["uses"]


def test_what_had_ended_by_then_is_not_hit() -> None:
    """A dead credential that is accepted is no reason to spare its agent."""
    log = a_gateway()
    log.says("revoke", OTHER, NOW + MINUTE)
    log.uses(OTHER, NOW + 2 * MINUTE)
    log.uses(TOKEN, NOW + 3 * MINUTE)

    (report,) = log.test(STOP)

    assert 1 == len(report.contained)
    assert 0 == report.living


def test_a_leak_hits_the_leaked_credential_and_nobody_beside() -> None:
    """Its own uses are told apart."""
    log = Log()
    log.issues(TOKEN, ANN, AGENT)
    log.says("leak", TOKEN, NOW)
    log.uses(TOKEN, NOW + MINUTE)
    log.uses(OTHER, NOW + MINUTE)

    (report,) = log.test(a_rule())
    (act,) = report.contained

    assert 1 == act.plain()["uses_of_it"]
    assert (0, {"contained": 1}) == (report.living, dict(report.results))


def test_what_ends_later_had_not_ended_then() -> None:
    """A rule on history knows no more than it knew."""
    log = Log()
    log.issues(TOKEN, ANN, AGENT)
    log.says("leak", TOKEN, NOW)
    log.says("revoke", TOKEN, NOW + MINUTE)
    log.says("leak", OTHER, NOW)
    log.says("revoke", OTHER, NOW - MINUTE)

    (report,) = log.test(a_rule())

    assert [TOKEN] == [one.decision.target for one in report.contained]
    assert {"contained": 1, "ended": 1} == dict(report.results)


def test_an_owner_who_is_contained_takes_what_only_they_own_along() -> None:
    """Another owner keeps it alive: that is no hit."""
    log, agent = Log(), Identifier("agent.id", "other")
    log.issues(TOKEN, ANN, AGENT)
    log.says("issue", OTHER, NOW - HOUR, owners=(AGENT,))
    shared = Identifier("jwt.jti", "t3")
    log.says("issue", shared, NOW - HOUR, owners=(AGENT, agent))
    log.says("revoke", TOKEN, NOW - MINUTE)
    log.uses(TOKEN, NOW)
    log.uses(OTHER, NOW + MINUTE)
    log.uses(shared, NOW + MINUTE)

    (report,) = log.test(STOP)

    assert [OTHER] == [hit.identifier for act in report.contained for hit in act.hits]


def test_agents_and_credentials_that_nobody_declared_are_found() -> None:
    """In a log whose owner issues what it shows, an allowed use declares them."""
    kinds = frozenset({FindingKind.UNKNOWN_AGENT, FindingKind.UNKNOWN_CREDENTIAL})
    rules = (
        a_rule("agents", kinds=kinds, contain=ContainedName.AGENT),
        a_rule("credentials", kinds=kinds),
    )
    for issuer, agents, credentials in ((False, [AGENT], [OTHER]), (True, [], [])):
        log = Log(issuer_logs=issuer)
        log.uses(TOKEN, NOW + MINUTE, actor=(AGENT,))
        log.uses(TOKEN, NOW, actor=(AGENT,))
        log.uses(OTHER, NOW)
        log.uses(Identifier("jwt.jti", "refused"), NOW, "denied")
        found = log.test(*rules)

        targets = [[one.decision.target for one in each.contained] for each in found]
        assert [agents, credentials] == targets
        assert not agents or NOW == found[0].contained[0].decision.at


def test_scopes_beyond_the_parents_are_found_and_untold_kinds_named() -> None:
    """A log tells of no enforcement point that reports what it applied."""
    log, kinds = Log(), {FindingKind.SCOPE_ESCALATION, FindingKind.ENFORCEMENT_LAG}
    log.says("issue", AGENT, NOW - HOUR, scope=("mail|read",))
    parents = (Parent(*AGENT, Relation.REQUIRES),)
    log.says("issue", TOKEN, NOW, parents=parents, scope=("mail|send",))

    rules = (a_rule(kinds=frozenset(kinds)), a_rule("at", points=("crm",)))
    report, pointed = log.test(*rules)

    assert ("points",) == pointed.untold
    assert [TOKEN] == [one.decision.target for one in report.contained]
    assert ("enforcement_lag",) == report.untold


class Server:
    """Answers as a server's API does."""

    def __init__(self, *findings: Any) -> None:
        """Have findings."""
        self.findings = [self._shown(each) for each in findings]
        self.asked: list[str] = []
        self.below = ["jwt.jti:c1", "jwt.jti:c2"]

    def _shown(self, finding: Any) -> dict[str, Any]:
        plain = saved_episodes.to_plain(finding)
        for name in ("first_seen", "last_seen", "cause_at"):
            plain[name] = rfc3339(plain[name])
        return plain | {"open": True, "changed": 1, "silenced": None}

    def get(self, path: str, name: str = "", **query: object) -> dict[str, Any]:
        """Answer."""
        if path == "findings":
            start = int(str(query["after"]))
            return {"findings": self.findings[start:][:PAGE], "after": start + PAGE}
        self.asked.append(name)
        if path == "blast-radius":
            return {"identifiers": [[each, 1] for each in self.below]}
        return {"allowed": name == "jwt.jti:c1"}


def test_findings_of_a_server_are_tested_with_what_it_tells() -> None:
    """What hangs on the name and lives now counts as hit; earlier ones are left out."""
    old = a_finding(id="old", first_seen=1, last_seen=1)
    use = a_finding(
        kind=FindingKind.USE_AFTER_REVOCATION, path=(TOKEN, AGENT),
    )  # fmt: skip
    named = a_finding(OTHER, agent="agent.id:mailer")
    server = Server(old, use, named)
    rules = (
        STOP,
        a_rule("leaked", contain=ContainedName.AGENT, mode=ContainmentMode.SHADOW),
        a_rule(
            "narrow", kinds=STOP.kinds, contain=ContainedName.PRINCIPAL, blast_limit=1
        ),
    )

    count, (stop, leaked, narrow) = ToldFindings(server, 2, _VOCABULARY).test(rules)

    assert 2 == count
    assert [AGENT] == [one.decision.target for one in stop.contained]
    assert ["jwt.jti:c1"] == [str(h.identifier) for h in stop.contained[0].hits]
    mailer = Identifier("agent.id", "mailer")
    assert [mailer] == [one.decision.target for one in leaked.contained]
    assert {"over_blast_limit": 1} == dict(narrow.results)
    assert server.asked.count(str(AGENT)) == 1


def test_a_test_on_a_server_counts_what_it_did_not_ask_about() -> None:
    """Of what it asked about nothing may live, and yet something else."""
    use = a_finding(kind=FindingKind.USE_AFTER_REVOCATION, path=(TOKEN, AGENT))
    server = Server(use)
    server.below = [f"jwt.jti:d{number}" for number in range(MOST_ASKED + 50)]
    rule = a_rule(kinds=STOP.kinds, contain=STOP.contain, blast_limit=1_000)
    _, (report,) = ToldFindings(server, 0, _VOCABULARY).test((rule,))
    assert (0, 50) == (report.living, report.unasked)
    assert 50 == report.plain()["not_asked"]


def test_a_long_list_of_a_server_is_read_to_its_end() -> None:
    """A page that is full is not the last."""
    names = [Identifier("jwt.jti", f"n{number}") for number in range(PAGE)]
    server = Server(*(a_finding(name) for name in names))
    count, (report,) = ToldFindings(server, 0, _VOCABULARY).test((a_rule(),))
    assert PAGE == count
    assert 3 == len(report.contained)
    assert len(server.asked) < 3 * MOST_ASKED + PAGE * 2


_VOCABULARY: Final = Backtest().registry.lineage.vocabulary
