"""One alert of each kind of finding, made by the stages from events and log lines.

Acme runs agents behind an agent gateway (`examples/mappings/agent-gateway.yaml`). Each
case tells how a finding comes to be; the stages fill its fields as they do in life.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from agents_registry.facts import Effect
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.engines.kafka.records.accesses import read_access, signal_records
from streams.model.findings import Finding, FindingKind
from streams.model.records import Access, DeadLetter, Lifecycle
from streams.model.times import DAY, SECOND, parse_time
from streams.pipeline.access_records import Signal
from streams.pollers.vault_leases import IRREVOCABLE
from streams.services import blast_limit as limits
from streams.services import ending_faults, quota_watch
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import Mapping, load_mapping
from streams.ssf import health as stream_health
from streams.stages.closure import results as closure_results
from streams.stages.closure.closure import CauseOutcome, ProofState
from streams.stages.containment.decision import ContainmentDecision, ContainmentResult
from streams.stages.containment.rules import ContainmentMode
from streams.stages.ingest import blast, source_health, source_notices
from streams.stages.ingest.admission import Entitlements, admit
from streams.stages.ingest.declared import facts_of_list
from streams.stages.ingest.ending_orders import EndingOrder
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from streams.stages.notify import notify
from streams.stages.notify.deliveries import Activity, ReceiverRoute
from streams.stages.notify.notify import FindingChange
from streams.stages.notify.state import DeliveryState as Deliveries
from streams.stages.notify.trial import trial
from streams.stages.posture.posture import Limits, Posture
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from tests.noted import note
from tests.notify_steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.facts import Fact
    from streams.stages.sentinel.step import Outputs

MINUTE: Final = 60 * SECOND
REALM: Final = "acme"
GATEWAY, OPERATORS, IDP = "agent-gateway", "operators", "acme-idp"
RIGHTS: Final = {
    GATEWAY: Entitlements((Grant("gateway.*"),)),
    IDP: Entitlements((Grant("jwt.*"),)),
}
MAPPING: Final = Path("examples/mappings/agent-gateway.yaml")
FROM: Final = {"address": "198.51.100.23", "user_agent": "planner/2.4 (httpx 0.28)"}


def at(text: str) -> int:
    """Give a time of the day of the story in ns."""
    parsed = parse_time(f"2026-03-02T{text}Z")
    assert parsed is not None
    return parsed


@cache
def mapping_of(repository: Path) -> Mapping:
    """Give the mapping of the gateway, which hundreds of stories share."""
    return load_mapping((repository / MAPPING).read_text("utf-8"), MAPPING.name)


class Story:
    """A table, the stages that find something in it, and a clock."""

    def __init__(self, repository: Path, *, on_kafka: bool = False) -> None:
        """Begin at nine with nothing declared.

        Args:
            repository: with the mapping of the gateway.
            on_kafka: what ingress tells the sentinel goes over the topic ``access``.
        """
        self.on_kafka = on_kafka
        self.mapping = mapping = mapping_of(repository)
        self.registry = Registry(extend(mapping.kinds))
        limits_ = Limits(settle=15 * MINUTE, excess=30 * DAY)
        self.tolerances = Tolerances(
            SECOND,
            SECOND,
            40 * DAY,
            40 * DAY,
            posture=limits_,
            points={"payments-api": ("payments-*",), "refunds-api": ("payments-eu",)},
        )
        self.sentinel = Sentinel(REALM, self.tolerances)
        self.posture = Posture(limits_)
        self.posture.follow(self.registry)
        self.now = at("09:00:00")
        self.end = 0
        self.findings: dict[str, Finding] = {}
        self.facts: list[Fact] = []

    def wait(self, span: int) -> None:
        """Let time pass, and the stages look."""
        self.now += span
        self._look()

    def set_up(self) -> None:
        """Declare the agents of Acme."""
        self.declare(
            {"identifier": "gateway.agent:planner", "owners": ["person.id:dana"]},
            {"identifier": "gateway.agent:mailer", "owners": ["person.id:erin"]},
        )

    def declare(self, *entries: dict[str, Any]) -> None:
        """Have an operator adopt some names."""
        self.put(facts_of_list(entries, self.origin(OPERATORS)))

    def revoke(self, name: str, actor: str | None, reason: str | None) -> Fact:
        """Have an operator revoke something now."""
        origin = self.origin(OPERATORS)
        ending = EndingOrder(
            act="revoke", reason=reason or "", at=self.now, now=self.now
        )
        target, event_id = Identifier.parse(name), f"order-{self.end}"
        cause = ending.cause(target, origin, event_id, actor or "")
        self.put([cause])
        return cause

    def origin(self, authority: str) -> Origin:
        """Give the origin of what an authority says now."""
        return Origin(authority, REALM, self.now, f"key-of-{authority}")

    def put(self, facts: Iterable[Fact]) -> None:
        """Write facts; what they condemn is judged again."""
        for fact in facts:
            self.registry.apply(fact)
            note(self.sentinel, fact, self.end)
            self.posture.note(fact)
            self.facts.append(fact)
            self.end += 1
        self._keep(finish(self.sentinel.reconsider_all(self.registry, self.now)))

    def send(self, authority: str, *events: dict[str, Any]) -> None:
        """Have an authority send events of the gateway's format, a second later."""
        for event in events:
            happened = parse_time(event["at"])
            assert happened is not None
            self.now = max(self.now, happened + SECOND)
        lines = b"\n".join(map(orjson.dumps, events))
        records = list(Generic(self.mapping).records(lines))
        admission = admit(
            records, self.origin(authority), RIGHTS[authority], fresh=f"b{self.end}"
        )
        self.put(admission.facts)
        self.signal(*admission.signals)
        seen = self.sentinel.observe(admission.accesses, self.registry, self.now)
        self._keep(finish(seen))
        for use in admission.accesses:
            for name in use.identifiers:
                self.posture.used(name, use.scopes or (), use.at)

    def signal(self, *signals: dict[str, Any]) -> None:
        """Have ingress tell the sentinel something, over a table or a topic."""
        if self.on_kafka:
            records = signal_records(signals, self.origin(GATEWAY), 1, f"f{self.end}")
            read = [read_access(each.value, each.headers) for each in records]
            self._report([{**each.values} for each in read if isinstance(each, Signal)])
        else:
            self._report([orjson.loads(orjson.dumps(each)) for each in signals])

    def _report(self, again: list[dict[str, Any]]) -> None:
        self._keep(finish(self.sentinel.report(again, self.registry, self.now)))

    def found(self, kind: FindingKind) -> Finding:
        """Give the only finding of a kind."""
        (finding,) = [each for each in self.findings.values() if each.kind is kind]
        return finding

    def _look(self) -> None:
        while self.sentinel.unsettled(self.now):
            self._keep(finish(self.sentinel.settle(self.registry, self.now)))
        while self.posture.waiting(self.now):
            self._report(finish(self.posture.step(self.now)))

    def _keep(self, outputs: Outputs) -> None:
        for episode in outputs.episodes.values():
            self.findings[episode.finding.id] = episode.finding
        used = [AgentUse.read(each.signal()) for each in outputs.acted]
        if used:
            seen = self.sentinel.see_agents(used, self.registry, self.now)
            self._keep(finish(seen))


def issued(token: str, agent: str, **more: Any) -> dict[str, Any]:
    """Give the event of a token that the gateway issues to an agent."""
    return {
        "id": f"issue-{token}", "at": "2026-03-02T09:00:00Z", "action": "token.issued",
        "result": "ok", "token": {"id": token, "agent": agent, **more},
    }  # fmt: skip


def called(
    token: str, agent: str | None, when: str, *, status: int = 200, **more: Any
) -> dict[str, Any]:
    """Give the line of a call of the payments API."""
    caller = {"token_id": token, **FROM, **more.pop("caller", {})}
    if agent is not None:
        caller["agent"] = agent
    return {
        "id": f"call-{when}", "at": f"2026-03-02T{when}Z", "action": "tool.call",
        "tool": "payments-api", "status": status, "caller": caller, **more,
    }  # fmt: skip


def _planner_is_dead(story: Story) -> None:
    """Dana's planner has a token, and the agent is revoked at 09:20."""
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner"))
    story.now = at("09:20:00")
    story.revoke("gateway.agent:planner", "sam@acme.example", "INC-77: key on a laptop")


def use_after_revocation(story: Story) -> Finding:
    """Say that the planner goes on paying after an operator revoked it."""
    _planner_is_dead(story)
    story.now = at("09:21:00")
    story.send(
        GATEWAY,
        called("tok-planner-1", "planner", "09:20:42"),
        called("tok-planner-1", "planner", "09:20:58"),
    )
    return story.found(FindingKind.USE_AFTER_REVOCATION)


def use_after_revocation_told_late(story: Story) -> Finding:
    """Say that the gateway ended the token, and its event came two minutes later."""
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner"))
    story.now = at("09:22:00")
    story.send(
        GATEWAY,
        {
            "id": "ev-31", "at": "2026-03-02T09:20:00Z", "action": "token.revoked",
            "result": "ok", "token": {"id": "tok-planner-1"},
            "comment": "moved to another cluster", "caller": {"agent": "mailer"},
        },
        called("tok-planner-1", "planner", "09:20:42"),
    )  # fmt: skip
    return story.found(FindingKind.USE_AFTER_REVOCATION)


def use_after_revocation_little_known(story: Story) -> Finding:
    """Have neither line nor facts name agent, owner, address, reason or operator."""
    event = issued("tok-9", "")
    del event["token"]["agent"]
    story.send(GATEWAY, event)
    story.now = at("09:20:00")
    story.revoke("gateway.token:tok-9", None, None)
    line = called("tok-9", None, "09:20:42")
    line["caller"] = {"token_id": "tok-9"}
    story.send(GATEWAY, line)
    return story.found(FindingKind.USE_AFTER_REVOCATION)


def blocked_attempt(story: Story) -> Finding:
    """Say that the payments API refuses the dead token."""
    _planner_is_dead(story)
    story.send(GATEWAY, called("tok-planner-1", "planner", "09:20:42", status=401))
    return story.found(FindingKind.BLOCKED_ATTEMPT)


def enforcement_failure(story: Story) -> Finding:
    """Say that the line itself says that the guard had applied the revocation."""
    _planner_is_dead(story)
    story.send(
        GATEWAY,
        called("tok-planner-1", "planner", "09:20:42", guard={"applied": story.end}),
    )
    return story.found(FindingKind.ENFORCEMENT_FAILURE)


def enforcement_lag(story: Story) -> Finding:
    """Say that a guard stands there, and had not applied the revocation yet."""
    story.sentinel.points.registered("payments-eu", at("08:00:00"), enforces=True)
    _planner_is_dead(story)
    story.send(GATEWAY, called("tok-planner-1", "planner", "09:20:42"))
    return story.found(FindingKind.ENFORCEMENT_LAG)


def unknown_credential(story: Story) -> Finding:
    """Say that the planner, which is declared, shows a token that nobody declared."""
    story.set_up()
    story.send(GATEWAY, called("tok-strange", "planner", "09:20:42"))
    story.wait(30 * MINUTE)
    return story.found(FindingKind.UNKNOWN_CREDENTIAL)


def unknown_agent(story: Story) -> Finding:
    """Say that an agent calls that nobody declared, with a token as unknown."""
    story.set_up()
    story.send(GATEWAY, called("tok-scraper", "scraper", "09:20:42"))
    story.wait(30 * MINUTE)
    return story.found(FindingKind.UNKNOWN_AGENT)


def unknown_agent_first_day(story: Story) -> Finding:
    """Say that nobody is declared at all; three agents act."""
    tools = {"planner": "payments-api", "mailer": "crm-api", "scraper": "payments-api"}
    for number, (name, tool) in enumerate(tools.items()):
        line = called(f"tok-{name}", name, f"09:20:4{number}", tool=tool)
        story.send(GATEWAY, line)
    story.wait(30 * MINUTE)
    return story.found(FindingKind.UNKNOWN_AGENT)


def unauthorised(story: Story) -> Finding:
    """Say that the identity provider tells of a token that the gateway issues."""
    story.set_up()
    story.send(IDP, issued("tok-planner-1", "planner"))
    return story.found(FindingKind.UNAUTHORISED)


def unauthorised_guard(story: Story) -> Finding:
    """Say that a credential of another team registers as a guard of ours."""
    story.signal(
        closure_results.refusal(
            "payments-eu",
            "token ci-runner",
            "it has no right to this name",
            story.now,
            "token payments-guards",
        )
    )
    return story.found(FindingKind.UNAUTHORISED)


def revocation_not_applied(story: Story) -> Finding:
    """Say that an event says that a token ended, and not which."""
    story.set_up()
    story.now = at("09:20:05")
    story.send(
        GATEWAY,
        {
            "id": "ev-40", "at": "2026-03-02T09:20:00Z", "action": "token.revoked",
            "result": "ok", "token": {}, "comment": "INC-77",
        },
    )  # fmt: skip
    return story.found(FindingKind.REVOCATION_NOT_APPLIED)


def revocation_not_applied_lease(story: Story) -> Finding:
    """Say that a vault gave up revoking a lease."""
    story.signal({
        "kind": "revocation_not_applied",
        "presented": ["vault.lease", "database/creds/payments/7hsK2"],
        "point": "vault-eu", "at": at("09:20:00"), "detail": IRREVOCABLE,
    })  # fmt: skip
    return story.found(FindingKind.REVOCATION_NOT_APPLIED)


def leak(story: Story) -> Finding:
    """Say that a scanner found a token of the planner in a repository."""
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner"))
    line = orjson.dumps(issued("tok-planner-1", "planner"))
    (record,) = Generic(story.mapping).records(line)
    assert isinstance(record, Lifecycle)
    found = record._replace(
        source="gitguardian", event_id="incident-4711", effect="leak",
        occurred_at=at("09:20:00"), reason="found in acme/website, file deploy.sh",
    )  # fmt: skip
    admission = admit(
        [found],
        story.origin("gitguardian"),
        Entitlements((Grant("gateway.*"),)),
        fresh="b",
    )
    story.signal(*admission.signals)
    return story.found(FindingKind.LEAK)


def lift_ambiguous(story: Story) -> Finding:
    """Say that the planner was paused and resumed in one second of the log."""
    story.set_up()
    event = {
        "at": "2026-03-02T09:20:00Z", "action": "agent.updated", "result": "ok",
        "agent": {"id": "planner"}, "caller": {"agent": "mailer"},
    }  # fmt: skip
    story.send(
        GATEWAY,
        {"id": "ev-50", "changes": {"status": "paused"}, **event},
        {"id": "ev-51", "changes": {"status": "active"}, **event},
    )
    story.wait(20 * MINUTE)
    return story.found(FindingKind.LIFT_AMBIGUOUS)


def scope_escalation(story: Story) -> Finding:
    """Say that the mailer got a token below that of the planner, with more scope."""
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner", scopes=["search"]))
    event = issued("tok-mailer-1", "mailer", scopes=["search", "mail.send"])
    event["caller"] = {"agent": "planner", "token_id": "tok-planner-1"}
    story.send(GATEWAY, event)
    story.wait(20 * MINUTE)
    return story.found(FindingKind.SCOPE_ESCALATION)


def scope_violation(story: Story) -> Finding:
    """Say that the payments API lets the planner pay, whose token may only search."""
    story.set_up()
    story.send(
        GATEWAY,
        issued("tok-planner-1", "planner", scopes=["search"]),
        called("tok-planner-1", "planner", "09:20:42", scopes=["payments.send"]),
    )
    return story.found(FindingKind.SCOPE_VIOLATION)


def excess_scope(story: Story) -> Finding:
    """Say that in 30 days a token of three scopes was used for one."""
    return _excess(story, [["search"]])


def excess_scope_never_used(story: Story) -> Finding:
    """Say that in 30 days a token was not used at all, while others were."""
    return _excess(story, [])


def _excess(story: Story, used: list[list[str]]) -> Finding:
    story.set_up()
    story.send(
        GATEWAY,
        issued("tok-planner-1", "planner", scopes=["search", "mail.read", "mail.send"]),
        issued("tok-mailer-1", "mailer", scopes=["mail.read"]),
        called("tok-mailer-1", "mailer", "09:05:00", scopes=["mail.read"]),
        *(called("tok-planner-1", "planner", "09:05:01", scopes=one) for one in used),
    )
    story.wait(0)
    day = story.now
    for _ in range(31):
        day += DAY
        story.now = day
        tokens = [
            ("tok-mailer-1", ["mail.read"]),
            *(("tok-planner-1", u) for u in used),
        ]
        for token, scopes in tokens:
            needed = [f"gateway|{scope}" for scope in scopes]
            story.posture.used(Identifier("gateway.token", token), needed, day)
        story.wait(0)
    return story.found(FindingKind.EXCESS_SCOPE)


def ownerless(story: Story) -> Finding:
    """Say that an agent was adopted without an owner."""
    story.declare({"identifier": "gateway.agent:scraper"})
    story.wait(0)
    story.wait(20 * MINUTE)
    return story.found(FindingKind.OWNERLESS)


def ownerless_owner_left(story: Story) -> Finding:
    """Say that the only owner of the planner left the company."""
    story.set_up()
    story.now = at("09:20:00")
    story.revoke("person.id:dana", "sam@acme.example", "HR-12: left the company")
    story.wait(0)
    story.wait(20 * MINUTE)
    return story.found(FindingKind.OWNERLESS)


def ownerless_first_import(story: Story) -> Finding:
    """Say that 24 agents were adopted without owners: one summary."""
    story.declare(
        *({"identifier": f"gateway.agent:bot-{number:02}"} for number in range(24))
    )
    story.wait(0)
    story.wait(20 * MINUTE)
    changes = [FindingChange(each) for each in story.findings.values()]
    route = ReceiverRoute(name="soc")
    state, _ = step(Deliveries(), changes, story.now, routes=(route,))
    due = notify.next_due(state, story.now)
    assert due is not None
    _, (delivery,) = step(state, (), due, routes=(route,))
    return delivery.finding


def shared_service_account(story: Story) -> Finding:
    """Say that two agents hold one service account."""
    story.set_up()
    story.declare(
        {"identifier": "service_account.id:ci", "owners": ["person.id:erin"]},
        {"identifier": "agent.id:builder", "parents": ["service_account.id:ci"]},
        {"identifier": "agent.id:deployer", "parents": ["service_account.id:ci"]},
    )  # fmt: skip
    story.wait(0)
    story.wait(20 * MINUTE)
    return story.found(FindingKind.SHARED_SERVICE_ACCOUNT)


def unmapped(story: Story) -> Finding:
    """Say that a token hangs on a token that no source declared."""
    story.set_up()
    event = issued("tok-mailer-1", "mailer")
    event["caller"] = {"agent": "planner", "token_id": "tok-unheard"}
    story.send(GATEWAY, event)
    story.wait(0)
    story.wait(40 * MINUTE)
    return story.found(FindingKind.UNMAPPED)


def source_silent(story: Story) -> Finding:
    """Say that the gateway's log has not come for an hour."""
    health = source_health.HealthRecord(
        authority=GATEWAY, started_at=at("07:00:00"), heard_at=at("08:00:00")
    )
    expected = source_health.Expected(event=60 * MINUTE)
    _, (notice,) = source_health.waited(health, expected, story.now + SECOND)
    story.signal(notice.signal(GATEWAY))
    return story.found(FindingKind.SOURCE_SILENT)


def source_stopped(story: Story) -> Finding:
    """Say that the transmitter of a stream paused it."""
    health = stream_health.StreamHealth(
        status="enabled", started_at=at("07:00:00"), heard_at=at("08:40:00")
    )
    _, (notice,) = stream_health.updated(
        health, "paused", "maintenance of the directory", story.now
    )
    story.signal(notice.signal(IDP))
    return story.found(FindingKind.SOURCE_STOPPED)


def source_gap(story: Story) -> Finding:
    """Say that the gateway's API does not keep what was not read in time."""
    notice = source_notices.lost(at("02:00:00"), at("08:00:00"), story.now)
    story.signal(notice.signal(GATEWAY))
    return story.found(FindingKind.SOURCE_GAP)


def unmapped_subject(story: Story) -> Finding:
    """Say that an event tells of a user whom nothing names here."""
    letter = DeadLetter(
        "okta", 0, 0, "no_target: nobody", "uuid-81", "user.lifecycle.deactivate",
        at("08:59:30"), actor=(Identifier("okta.user", "00u-sam"),),
        stated="left the company",
    )  # fmt: skip
    (notice,) = source_notices.nameless([letter], frozenset(), story.now)
    story.signal(notice.signal(IDP))
    return story.found(FindingKind.UNMAPPED_SUBJECT)


def id_collision(story: Story) -> Finding:
    """Say that one id of the gateway's log stands for two different events."""
    records = Generic(story.mapping).records(
        orjson.dumps(issued("tok-planner-1", "planner"))
    )
    events = [each for each in records if isinstance(each, Access | Lifecycle)]
    (notice,) = source_notices.collided(events, story.now)
    story.signal(notice.signal(GATEWAY))
    return story.found(FindingKind.ID_COLLISION)


def closure_partial(story: Story) -> Finding:
    """Say that one of three guards did not confirm a revocation in 30 s."""
    _planner_is_dead(story)
    offset = story.end - 1
    (cause,) = closure_results.revocations([(offset, story.facts[-1])])
    outcome = CauseOutcome(
        offset, ProofState.PARTIAL, applied=2, laggards=("payments-eu",)
    )
    story.now += 30 * SECOND
    story.signal(
        closure_results.signal(
            closure_results.Result(cause, outcome, story.now),
            30,
            story.sentinel.points.placed,
        )
    )
    return story.found(FindingKind.CLOSURE_PARTIAL)


def blast_limit_held(story: Story) -> Finding:
    """Say that the gateway revokes a token with more below it than it may end."""
    return _over_limit(story, limits.HELD)


def blast_limit_enforced(story: Story) -> Finding:
    """Say the same, where the setting is to tell and not to hold."""
    return _over_limit(story, limits.PAGED)


def _over_limit(story: Story, text: str) -> Finding:
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner"))
    story.now = at("09:20:00")
    line = {
        "id": "ev-60", "at": "2026-03-02T09:20:00Z", "action": "token.revoked",
        "result": "ok", "token": {"id": "tok-planner-1"}, "comment": "cleaning up",
        "caller": {"agent": "mailer"},
    }  # fmt: skip
    records = list(Generic(story.mapping).records(orjson.dumps(line)))
    facts = admit(records, story.origin(GATEWAY), RIGHTS[GATEWAY], fresh="b").facts
    cause = next(each for each in facts if each.NAME == "cause")
    story.signal(blast.notice(cause, text.format(100)))
    return story.found(FindingKind.BLAST_LIMIT)


def over_quota(story: Story) -> Finding:
    """Say that the gateway sends more than its quota."""
    notice = source_notices.SourceNotice(
        FindingKind.OVER_QUOTA, story.now, quota_watch.FACTS
    )
    story.signal(notice.signal(GATEWAY))
    return story.found(FindingKind.OVER_QUOTA)


def containment_enforced(story: Story) -> Finding:
    """Say that a rule suspended a token for two hours."""
    return _contained(story, ContainmentResult.CONTAINED)


def containment_held_back(story: Story) -> Finding:
    """Say that the same rule had acted too often."""
    return _contained(story, ContainmentResult.OVER_RATE)


def _contained(story: Story, result: ContainmentResult) -> Finding:
    story.set_up()
    story.send(GATEWAY, issued("tok-planner-1", "planner"))
    story.now = at("09:20:00")
    decision = ContainmentDecision(
        rule="leaked-tokens", mode=ContainmentMode.ENFORCE, finding="5e1f",
        kind="leak", target=Identifier("gateway.token", "tok-planner-1"),
        result=result, effect=Effect.SUSPEND, limit=5, at=story.now,
        until=at("11:20:00"),
    )  # fmt: skip
    signal = decision.signal()
    assert signal is not None
    story.signal(signal)
    return story.found(FindingKind.CONTAINMENT)


def not_ended_at_issuer(story: Story) -> Finding:
    """Say that a vault calls an act done, and a probe finds the token alive."""
    story.now = at("09:20:00")
    text = "it says yes and does nothing: vault.accessor:hmac-sha256:1b8b"
    story.signal(ending_faults.signal("vault-prod", text, story.now))
    return story.found(FindingKind.NOT_ENDED_AT_ISSUER)


def trial_of_a_receiver(story: Story) -> Finding:
    """Say that an operator tries a receiver."""
    return trial("soc", REALM, Activity.CREATE, story.now, "ops-sam").finding


_CASE: Final = {"story": "Story", "return": "Finding"}
CASES: Final[dict[str, Callable[[Story], Finding]]] = {
    name: made
    for name, made in list(globals().items())
    if callable(made)
    and getattr(made, "__module__", "") == __name__
    and getattr(made, "__annotations__", None) == _CASE
    and not name.startswith("_")
}
