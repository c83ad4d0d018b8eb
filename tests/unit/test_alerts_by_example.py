"""Each kind of alert answers who, whose, when and where from, why, and what now.

`docs/alerts-by-example` shows each as Slack, PagerDuty and OCSF get it.
RESCIND_UPDATE_SNAPSHOTS=1 writes it anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
import pytest
from typer.main import get_command

from streams.cli.main import app
from streams.model.findings import SUMMARY, Finding, FindingKind
from streams.sinks import closing_texts, ocsf, remedies, summary_remedies, wording
from streams.sinks.links import Links
from streams.sinks.pagerduty import PagerDuty
from streams.sinks.slack import Slack
from streams.stages.notify.deliveries import Activity, Delivery
from tests.unit.alert_story import CASES, Story, issued
from tests.unit.test_sinks_ocsf_schema import newest, released, sent

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

FOLDER: Final = "docs/alerts-by-example"
LINKS: Final = Links("https://rescind.example", "https://rescind.example/console")
# Counted and told to nobody; of earlier releases, and not made any more.
UNTOLD: Final = {FindingKind.IN_FLIGHT, FindingKind.SOURCE_DELAY}

PLANNER, TOKEN = "gateway.agent:planner", "gateway.token:tok-planner-1"
DANA, SOURCE = "person.id:dana", "source:agent-gateway"
ADDRESS, CLIENT = "198.51.100.23", "planner/2.4 (httpx 0.28)"
USED: Final = "2026-03-02 09:20:42 UTC"
REVOKED: Final = (
    f"{PLANNER} was revoked at 2026-03-02 09:20:00 UTC by sam@acme.example",
    "Reason: INC-77: key on a laptop",
)
NOBODY, NO_OWNER = "unknown (neither log nor facts name an agent)", "unknown (no source"
NO_SOURCE_OWNER: Final = (
    "unknown (settings name no owner of a source; whoever administers Rescind knows "
    "who connected it)"
)
WHY: Final = f"rescind why {TOKEN}"


class Answers(NamedTuple):
    """What somebody who reads an alert must be able to answer, as its texts say it."""

    who: str
    owner: str
    when: str
    origin: str
    why: tuple[str, ...]
    now: str


_USE: Final = Answers(PLANNER, DANA, USED, ADDRESS, REVOKED, WHY)
_BLAST: Final = f"rescind blast-radius {PLANNER}` lists all that ended with {PLANNER}"
_STATE: Final = "no request; found in the inventory that the sources declared"
ANSWERS: Final = {
    "use_after_revocation": _USE._replace(now=_BLAST),
    "use_after_revocation_told_late": _USE._replace(
        why=(
            f"{TOKEN} was revoked at 2026-03-02 09:20:00 UTC by gateway.agent:mailer",
            "Its source reported that 2 min later",
            "Reason: moved to another cluster",
        ),
        now="no guard could know of it before",
    ),
    "use_after_revocation_little_known": Answers(
        NOBODY,
        NO_OWNER,
        USED,
        "unknown address (the log tells none), user agent unknown (the log tells none)",
        (
            "09:20:00 UTC by: unknown (said by the authority operators, which names",
            "Reason: unknown (none was given)",
        ),
        "rescind why gateway.token:tok-9",
    ),
    "blocked_attempt": _USE,
    "enforcement_failure": _USE,
    "enforcement_lag": _USE._replace(
        why=(
            *REVOKED,
            "not show in time that they had applied it: payments-eu (at payments-api, ",
        ),
        now=f"rescind blast-radius {PLANNER}` lists all that ended with {PLANNER}",
    ),
    "unknown_credential": _USE._replace(
        owner=f"{DANA}, of the caller {PLANNER}",
        why=(f"no source has declared; the log of payments-api names {PLANNER}",),
        now='rescind revoke gateway.token:tok-strange --reason "TEXT"',
    ),
    "unknown_agent": _USE._replace(
        who="gateway.agent:scraper, with gateway.token:tok-scraper",
        owner=NO_OWNER,
        why=("payments-api", "None of these uses was refused"),
        now='rescind revoke gateway.token:tok-scraper --reason "TEXT"',
    ),
    "unknown_agent_first_day": _USE._replace(
        who="gateway.agent:mailer, gateway.agent:planner, gateway.agent:scraper",
        owner="unknown (nobody has declared them)",
        why=(
            "No source has declared any of them",
            "Seen: gateway.agent:mailer at crm-api with gateway.token:tok-mailer from",
            f" from {ADDRESS}, gateway.agent:planner at payments-api with gateway.to",
            "None of these uses was refused",
        ),
        now="rescind adopt access-log LOG",
    ),
    "scope_violation": _USE._replace(
        why=(f"gateway|payments.send was used, which {TOKEN} does not have",),
        now=f'rescind revoke {TOKEN} --reason "TEXT"',
    ),
    "unauthorised": Answers(
        f"acme-idp, about {TOKEN}",
        f"unknown (no source names one of {TOKEN}; settings name none of acme-idp)",
        "2026-03-02 09:00:00 UTC",
        "acme-idp, which sent event issue-tok-planner-1",
        (
            "token.issued: acme-idp may not speak of gateway.token",
            "nothing of it was taken in",
            "AUTHORITY is acme-idp",
        ),
        'rescind distrust AUTHORITY --key KEY --from TIME --reason "TEXT"',
    ),
    "unauthorised_guard": Answers(
        "token ci-runner, about guard:payments-eu",
        "unknown (settings name no owner of token ci-runner; whoever administers "
        "Rescind knows who got it)",
        "found at 2026-03-02 09:00:00 UTC",
        "unknown address (the refusal does not carry one)",
        ("it has no right to this name", "token payments-guards"),
        "If nobody knows of it, rotate token ci-runner, not token payments-guards",
    ),
    "revocation_not_applied": Answers(
        f"unknown (the event does not say in readable form what it ended); reported by "
        f"{SOURCE}",
        NO_SOURCE_OWNER,
        "2026-03-02 09:20:00 UTC",
        "event ev-40 of agent-gateway",
        (
            "token.revoked names nothing that can be read",
            "Reported by agent-gateway. Ordered by: unknown",
            "Reason: INC-77",
        ),
        'rescind revoke ID --reason "TEXT"',
    ),
    "revocation_not_applied_lease": Answers(
        NOBODY,
        NO_OWNER,
        "2026-03-02 09:20:00 UTC",
        "vault-eu",
        ("vault gave up revoking it", "Ordered by: unknown", "which account the lease"),
        'rescind revoke vault.lease:database/creds/payments/7hsK2 --reason "TEXT"',
    ),
    "leak": Answers(
        f"unknown who exposed it (the report names nobody); holder: {PLANNER}",
        DANA,
        "reported at 2026-03-02 09:20:00 UTC",
        "event incident-4711 of gitguardian",
        ("Reason: found in acme/website, file deploy.sh",),
        f'rescind revoke {TOKEN} --reason "TEXT"',
    ),
    "lift_ambiguous": Answers(
        PLANNER,
        DANA,
        "found at 2026-03-02 09:40:01 UTC",
        "event ev-50, the suspension",
        (
            "agent-gateway sent a suspension of it and its lift with the same time",
            f"{PLANNER} was suspended at 2026-03-02 09:20:00 UTC by: unknown (said by",
        ),
        f"rescind lift {PLANNER} --authority agent-gateway --aspect status --reason",
    ),
    "scope_escalation": Answers(
        "gateway.agent:mailer, with gateway.token:tok-mailer-1",
        "person.id:erin",
        "found at 2026-03-02 09:20:01 UTC",
        _STATE,
        (f"gateway|mail.send, more than {TOKEN}",),
        "rescind revoke gateway.token:tok-mailer-1 --reason",
    ),
    "excess_scope": Answers(
        PLANNER,
        DANA,
        "found at 2026-04-01 09:05:02 UTC",
        "access logs",
        (
            "30 days it did not use gateway|mail.read, gateway|mail.send",
            "in use: gateway|search",
        ),
        "have a new credential issued with the scopes in use",
    ),
    "excess_scope_never_used": Answers(
        PLANNER,
        DANA,
        "found at 2026-04-01 09:05:01 UTC",
        "access logs",
        ("30 days it was not used at all", "Not urgent"),
        f"run `rescind blast-radius {TOKEN}` first",
    ),
    "ownerless": Answers(
        "gateway.agent:scraper",
        "Owner: none",
        "found at 2026-03-02 09:20:00 UTC",
        _STATE,
        ("obody is named as its owner", "Not urgent. Ask whoever declared it"),
        'rescind owners gateway.agent:scraper --owner person.id:NAME --reason "TEXT"',
    ),
    "ownerless_owner_left": Answers(
        PLANNER,
        "none any more; it was person.id:dana",
        "found at 2026-03-02 09:40:00 UTC",
        _STATE,
        (
            "Guards deny it for that",
            f"{DANA} was revoked at 2026-03-02 09:20:00 UTC by sam@acme.example",
            "Reason: HR-12: left the company",
        ),
        f"Ask the team of {DANA} who owns it now",
    ),
    "ownerless_first_import": Answers(
        "the first 20 of them: gateway.agent:bot-00, gateway.agent:bot-01",
        "none who is still there, for any of them",
        "found at 2026-03-02 09:20:00 UTC",
        _STATE,
        (
            "None of them has an owner who is still there",
            "24: nobody is named as its owner. That alone does not end them",
        ),
        "Ask whoever declared them: `rescind audit export` names the authority that",
    ),
    "shared_service_account": Answers(
        "service_account.id:ci",
        "person.id:erin",
        "found at 2026-03-02 09:20:00 UTC",
        _STATE,
        ("2 agents use it: agent.id:builder, agent.id:deployer",),
        "rescind blast-radius service_account.id:ci",
    ),
    "unmapped": Answers(
        NOBODY,
        NO_OWNER,
        "found at 2026-03-02 09:40:01 UTC",
        "no request; found in the inventory, as a parent of others",
        (
            "gateway.token:tok-mailer-1 descends from it, and no source declared it",
            "Owner of gateway.token:tok-mailer-1: person.id:erin",
        ),
        "which system issued gateway.token:tok-unheard",
    ),
    "source_silent": Answers(
        SOURCE,
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:01 UTC",
        "Rescind's own watch",
        ("o event came since 2026-03-02T08:00:00Z",),
        "rescind sources",
    ),
    "source_stopped": Answers(
        "source:acme-idp",
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:00 UTC",
        "the status of the stream that source:acme-idp reported",
        (
            "paused the stream (maintenance of the directory)",
            "told at 2026-03-02T09:00:00Z",
            "the last event before that came at 2026-03-02T08:40:00Z",
        ),
        "rescind ssf status",
    ),
    "source_gap": Answers(
        SOURCE,
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:00 UTC",
        "Rescind's own watch",
        ("from 2026-03-02T02:00:00Z to 2026-03-02T08:00:00Z",),
        "merely lacks may have ended: ask its owner",
    ),
    "unmapped_subject": Answers(
        "source:acme-idp",
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:00 UTC",
        "event uuid-81",
        (
            "user.lifecycle.deactivate at 2026-03-02T08:59:30Z is about nobody",
            "still accepted",
            "Ordered by okta.user:00u-sam",
            "Reason: left the company",
        ),
        'rescind revoke ID --reason "TEXT"',
    ),
    "id_collision": Answers(
        SOURCE,
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:00 UTC",
        "event issue-tok-planner-1",
        (
            f"an event about {TOKEN} came again under the same id with other content",
            "when the first was read is unknown",
        ),
        "Look up both at agent-gateway by that id; `rescind audit export` has what",
    ),
    "closure_partial": Answers(
        PLANNER,
        DANA,
        "2026-03-02 09:20:30 UTC",
        "receipts of the guards",
        (
            *REVOKED,
            "these guards have not confirmed it: payments-eu (at payments-api, ref",
        ),
        f"rescind blast-radius {PLANNER}` lists it",
    ),
    "blast_limit_held": Answers(
        f"gateway.agent:mailer, who ordered the end of {TOKEN} of {PLANNER}",
        f"{DANA}, for {TOKEN}; person.id:erin, for gateway.agent:mailer",
        "2026-03-02 09:20:00 UTC",
        "event ev-60 of agent-gateway",
        (
            "eld, not enforced: it reaches more than 100",
            "Reason: cleaning up",
            "the limit of its source agent-gateway",
        ),
        "rescind approvals approve ID",
    ),
    "blast_limit_enforced": Answers(
        f"gateway.agent:mailer, who ordered the end of {TOKEN} of {PLANNER}",
        f"{DANA}, for {TOKEN}; person.id:erin, for gateway.agent:mailer",
        "2026-03-02 09:20:00 UTC",
        "event ev-60 of agent-gateway",
        ("Enforced: it reaches more than 100 identifiers", "Reason: cleaning up"),
        f'rescind withdraw {TOKEN} FACT --reason "TEXT"',
    ),
    "over_quota": Answers(
        SOURCE,
        NO_SOURCE_OWNER,
        "2026-03-02 09:00:00 UTC",
        "Rescind's own count",
        ("its revocations are still taken in", "AUTHORITY is agent-gateway"),
        "rescind sources",
    ),
    "containment_enforced": Answers(
        f"{PLANNER}, with {TOKEN}",
        DANA,
        "found at 2026-03-02 09:20:00 UTC",
        "the rule leaked-tokens in `containment` of the settings",
        ("uspended until 2026-03-02T11:20:00Z by rule leaked-tokens on a finding",),
        f"rescind lift {TOKEN} --authority rescind.containment --aspect leaked",
    ),
    "containment_held_back": Answers(
        f"{PLANNER}, with {TOKEN}",
        DANA,
        "found at 2026-03-02 09:20:00 UTC",
        "the rule leaked-tokens in `containment` of the settings",
        ("it acted 5 times in an hour", "Nothing changed"),
        f'rescind revoke {TOKEN} --reason "TEXT"',
    ),
    "not_ended_at_issuer": Answers(
        "rescind.actuator:vault-prod",
        "unknown (settings name no owner of an actuator",
        "found at 2026-03-02 09:20:00 UTC",
        "the probes of rescind.actuator:vault-prod",
        ("t says yes and does nothing: vault.accessor:hmac-sha256:1b8b",),
        "rescind endings retry vault-prod",
    ),
    "trial_of_a_receiver": Answers(
        "ops-sam, with `rescind alerts test`",
        "",
        "2026-03-02 09:00:00 UTC",
        "Rescind itself",
        ("This is a test, started by ops-sam. Ignore it.",),
        "Nothing is to be done",
    ),
}


@pytest.fixture(scope="module")
def told(repository: Path) -> dict[str, Finding]:
    """Give the finding of each case."""
    return {name: case(Story(repository)) for name, case in CASES.items()}


def _delivery(finding: Finding) -> Delivery:
    return Delivery(
        id="m.1", number=1, route="soc", activity=Activity.CREATE, finding=finding,
        created_at=finding.last_seen, next_at=finding.last_seen,
    )  # fmt: skip


def _slack(finding: Finding) -> dict[str, Any]:
    sink = Slack(url="https://hooks.slack.com/services/T0/B0/x", links=LINKS)
    body: dict[str, Any] = json.loads(sink.request(_delivery(finding), 0).body)
    return body


def _shown_by_slack(finding: Finding) -> str:
    """Give what a person sees in the channel."""
    body = _slack(finding)
    shown = [f"(notification) {body['text']}"]
    for block in body["blocks"]:
        texts = [block["text"]] if "text" in block else block.get("fields", [])
        shown += [text["text"] for text in texts]
        shown += [element["text"] for element in block.get("elements", [])]
    return "\n".join(shown)


def _shown_by_pagerduty(finding: Finding) -> dict[str, Any]:
    sink = PagerDuty(routing_key="R" * 32, links=LINKS)
    event: dict[str, Any] = json.loads(sink.request(_delivery(finding), 0).body)
    return event


def _links(finding: Finding) -> list[dict[str, str]]:
    links: list[dict[str, str]] = _shown_by_pagerduty(finding).get("links", [])
    return links


def _shown_by_ocsf(finding: Finding) -> dict[str, Any]:
    return ocsf.of_delivery(_delivery(finding), ocsf.OcsfLayout("1.9.0", LINKS))


def _page(name: str, finding: Finding) -> str:
    """Give the page that shows an alert to who reviews its texts."""
    what = (CASES[name].__doc__ or "").removeprefix("Say that ")
    parts = [
        f"{name}: {what}",
        f"== Slack ==\n{_shown_by_slack(finding)}",
        f"== PagerDuty ==\n{json.dumps(_shown_by_pagerduty(finding), indent=1)}",
        f"== OCSF 1.9.0 ==\n{json.dumps(_shown_by_ocsf(finding), indent=1)}",
    ]
    return "\n\n".join(parts) + "\n"


def test_each_kind_of_finding_has_a_case(told: dict[str, Finding]) -> None:
    """A new kind needs a story, and the answers that its alert gives."""
    assert set(FindingKind) - UNTOLD == {finding.kind for finding in told.values()}
    assert ANSWERS.keys() == told.keys()


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("channel", ["slack", "pagerduty", "ocsf"])
def test_an_alert_answers_every_question(
    told: dict[str, Finding], name: str, channel: str
) -> None:
    """In each channel by itself, with absolute times."""
    finding, answers = told[name], ANSWERS[name]
    shown: Any = {
        "slack": _shown_by_slack,
        "pagerduty": _shown_by_pagerduty,
        "ocsf": _shown_by_ocsf,
    }[channel]
    text = _text(shown(finding))
    wanted = (*answers[:4], *answers.why, answers.now)

    assert [] == [each for each in wanted if each not in text]
    if answers.origin == ADDRESS:
        assert CLIENT in text


# What an alert of nothing that ended must not say, by the fields of PagerDuty.
_FIELDS: Final = {
    "lift_ambiguous": {
        "suspended": "2026-03-02T09:20:00Z", "authority": "agent-gateway",
        "event_type": "agent.updated",
    },
    "unknown_credential": {"owner_of_caller": DANA},
    "leak": {"reported_by": "gitguardian", "source": "gitguardian"},
    "blast_limit_held": {
        "ordered_by": "gateway.agent:mailer", "owner_of_orderer": "person.id:erin",
    },
    "revocation_not_applied": {
        "reported_by": "agent-gateway", "source": "agent-gateway",
    },
    "unauthorised": {"said_by": "acme-idp", "format": "agent-gateway"},
    "scope_violation": {"scope": "gateway|payments.send"},
    "unauthorised_guard": {
        "said_by": "token ci-runner", "name_holder": "token payments-guards",
    },
    "trial_of_a_receiver": {"started_by": "ops-sam", "severity": "informational"},
    "ownerless_owner_left": {
        "former_owner": DANA,
        "owner_ended_by": "sam@acme.example",
        "owner_end_reason": "HR-12: left the company",
    },
    "shared_service_account": {
        "account": "service_account.id:ci",
        "agents": "agent.id:builder, agent.id:deployer",
    },
    "closure_partial": {
        "guards": "payments-eu (at payments-api, refunds-api)",
        "ended_by": "sam@acme.example",
    },
    "unknown_agent": {
        "credential": "gateway.token:tok-scraper", "point": "payments-api",
    },
    "unknown_agent_first_day": {
        "agents": "gateway.agent:mailer, gateway.agent:planner, gateway.agent:scraper",
        "seen": (
            f"gateway.agent:mailer at crm-api with gateway.token:tok-mailer from "
            f"{ADDRESS}, gateway.agent:planner at payments-api with "
            f"gateway.token:tok-planner from {ADDRESS}, gateway.agent:scraper at "
            f"payments-api with gateway.token:tok-scraper from {ADDRESS}"
        ),
    },
    "ownerless_first_import": {"reason": "24: nobody is named as its owner"},
    "enforcement_failure": {"ended_by": "sam@acme.example"},
}  # fmt: skip


@pytest.mark.parametrize("name", _FIELDS)
def test_fields_say_what_each_is(told: dict[str, Finding], name: str) -> None:
    """Nothing is ended by whom only reported, nor late that failed."""
    payload = _shown_by_pagerduty(told[name])["payload"]
    fields, wanted = payload["custom_details"], _FIELDS[name]

    assert wanted == {each: fields.get(each) for each in wanted}
    linked = [each["text"] for each in _links(told[name])]
    assert ("Guards" in linked) is (name in {"closure_partial", "unauthorised_guard"})
    if "ended_by" not in wanted:
        assert [] == [each for each in ("ended_by", "ended", "path") if each in fields]
    assert "late" not in fields
    assert payload["component"] == fields.get("point", "rescind")
    assert payload["source"] == (
        fields.get("point")
        or fields.get("source")
        or fields.get("said_by")
        or "rescind/acme"
    )
    unmapped = _shown_by_ocsf(told[name])["unmapped"]
    both = {
        "agents",
        "guards",
        "credential",
        "scope",
        "source",
        "format",
        "name_holder",
    }
    listed = wanted.keys() & both
    assert [] == [each for each in listed if unmapped[each] != wanted[each]]


@pytest.mark.parametrize("name", CASES)
def test_a_siem_takes_for_a_credential_what_is_one(
    told: dict[str, Finding], name: str
) -> None:
    """Agents, sources, guards, realms and lists are none."""
    found = [
        each["value"]
        for each in _shown_by_ocsf(told[name])["observables"]
        if each["type"] == "User Credential ID"
    ]

    presented = told[name].presented
    if presented.kind in {"gateway.token", "vault.lease"} and not (
        wording.speaker(told[name])
    ):
        assert [presented.value] == found
    else:
        assert found == (["tok-scraper"] if name == "unknown_agent" else [])


@pytest.mark.parametrize("name", ["unauthorised", "unauthorised_guard", "leak"])
def test_no_source_is_taken_for_an_enforcement_point(
    told: dict[str, Finding], name: str
) -> None:
    """A SIEM looks for the hosts of points."""
    assert "" == _shown_by_ocsf(told[name])["unmapped"]["point"]


def test_who_holds_a_leaked_credential_did_not_leak_it(
    told: dict[str, Finding],
) -> None:
    """An actor is who did something."""
    (evidence,) = _shown_by_ocsf(told["leak"])["evidences"]

    assert "actor" not in evidence
    assert "planner" == evidence["user"]["uid"]


# The person as the order or the event names them, and the system that said it.
_BY_WHOM: Final = {
    "use_after_revocation": ("sam@acme.example", "operators"),
    "use_after_revocation_told_late": ("gateway.agent:mailer", "agent-gateway"),
    "use_after_revocation_little_known": (None, "operators"),
    "blocked_attempt": ("sam@acme.example", "operators"),
    "enforcement_failure": ("sam@acme.example", "operators"),
    "enforcement_lag": ("sam@acme.example", "operators"),
    "closure_partial": ("sam@acme.example", "operators"),
    "ownerless_owner_left": ("sam@acme.example", "operators"),
    "lift_ambiguous": (None, "agent-gateway"),
}
_NAMED_BY: Final = {
    "ownerless_owner_left": ("owner_ended_by", "owner_end_authority"),
    "lift_ambiguous": ("suspended_by", "authority"),
}


@pytest.mark.parametrize("name", _BY_WHOM)
def test_a_person_and_an_authority_are_two_things(
    told: dict[str, Finding], name: str
) -> None:
    """In each form: who ended it where that is known, and always who said so."""
    finding, (person, authority) = told[name], _BY_WHOM[name]
    fields = _shown_by_pagerduty(finding)["payload"]["custom_details"]
    by, said_by = _NAMED_BY.get(name, ("ended_by", "authority"))
    cause = _shown_by_ocsf(finding)["unmapped"]["cause"]
    said = (
        f"by {person} (authority: {authority})."
        if person
        else (
            f"by: unknown (said by the authority {authority}, which names no person)."
        )
    )

    assert (person, authority) == (finding.ended_by, finding.authority)
    assert (person, authority) == (fields.get(by), fields[said_by])
    assert (person, authority) == (cause["by"], cause["authority"])
    assert said in _shown_by_slack(finding)


@pytest.mark.parametrize("name", ["leak", "revocation_not_applied"])
def test_who_only_reported_did_nothing(told: dict[str, Finding], name: str) -> None:
    """OCSF names it as PagerDuty does."""
    cause = _shown_by_ocsf(told[name])["unmapped"]["cause"]

    assert "by" not in cause
    assert ANSWERS[name].origin.endswith(cause["reported_by"])


@pytest.mark.parametrize(
    "name",
    ["use_after_revocation_little_known", "revocation_not_applied_lease", "unmapped"],
)
def test_an_unknown_user_has_no_name_of_a_credential(
    told: dict[str, Finding], name: str
) -> None:
    """A SIEM would take the credential for a user."""
    (evidence,) = _shown_by_ocsf(told[name])["evidences"]

    assert "uid" not in evidence["actor"]["user"]
    assert told[name].presented.value == evidence["actor"]["user"]["credential_uid"]


def test_what_is_suspended_did_not_end(told: dict[str, Finding]) -> None:
    """It may work again."""
    event = _shown_by_ocsf(told["lift_ambiguous"])

    assert "was suspended at 2026-03-02" in event["finding_info"]["desc"]
    assert " ended " not in event["finding_info"]["desc"]


def test_a_credential_owns_nothing(told: dict[str, Finding]) -> None:
    """It holds the name of a guard."""
    finding = told["unauthorised_guard"]

    assert "owner" not in _shown_by_pagerduty(finding)["payload"]["custom_details"]
    assert "owner" not in _shown_by_ocsf(finding)["resources"][0]


def test_a_test_leads_nowhere(told: dict[str, Finding]) -> None:
    """There is no agent to look at."""
    finding = told["trial_of_a_receiver"]
    event = _shown_by_ocsf(finding)

    assert "https" not in json.dumps([_shown_by_pagerduty(finding), _slack(finding)])
    assert "https" not in json.dumps(event)
    assert "ai_agent" not in event["evidences"][0]
    assert "ops-sam" == event["evidences"][0]["actor"]["user"]["uid"]
    assert not event["is_alert"]


def _text(plain: Any) -> str:
    """Give the texts of a document, one after the other."""
    if isinstance(plain, dict):
        return "\n".join(map(_text, plain.values()))
    if isinstance(plain, list):
        return "\n".join(map(_text, plain))
    return str(plain)


@pytest.mark.parametrize("name", [n for n, a in ANSWERS.items() if a.origin == ADDRESS])
def test_ocsf_has_the_answers_in_its_own_attributes(
    told: dict[str, Finding], name: str
) -> None:
    """A rule of a SIEM reads no sentences."""
    event = _shown_by_ocsf(told[name])
    (evidence,) = event["evidences"]

    assert {"ip": ADDRESS} == evidence["src_endpoint"]
    assert {"user_agent": CLIENT} == evidence["http_request"]
    if agent := told[name].agent:
        assert evidence["ai_agent"]["uid"] == agent.partition(":")[2]
    if ANSWERS[name].owner == DANA:
        assert {"name": DANA} == event["resources"][0]["owner"]
    if ANSWERS[name].why == REVOKED:
        cause = event["unmapped"]["cause"]
        assert (cause["by"], cause["reason"]) == (
            "sam@acme.example",
            "INC-77: key on a laptop",
        )


@pytest.mark.parametrize("name", CASES)
def test_the_page_of_an_alert_shows_it_as_it_is(
    told: dict[str, Finding], repository: Path, name: str
) -> None:
    """RESCIND_UPDATE_SNAPSHOTS=1 makes it anew."""
    page = repository / FOLDER / f"{name}.txt"
    shown = _page(name, told[name])
    if os.environ.get("RESCIND_UPDATE_SNAPSHOTS"):
        page.parent.mkdir(exist_ok=True)
        page.write_text(shown, "utf-8")

    assert shown == page.read_text("utf-8")


def test_no_page_is_left_of_a_case_that_is_gone(repository: Path) -> None:
    """Each file belongs to a case."""
    assert set(CASES) == {page.stem for page in (repository / FOLDER).glob("*.txt")}


@pytest.mark.parametrize("name", CASES)
def test_no_alert_puts_a_name_into_other_letters(
    told: dict[str, Finding], name: str
) -> None:
    """What a person copies out of an alert is the name."""
    finding = told[name]
    text = "\n".join(wording.lines(finding))

    assert "Somebody" not in text
    if finding.presented.kind != SUMMARY:
        presented = str(finding.presented)
        assert f"{presented[:1].upper()}{presented[1:]}" not in text


_TEXTS: Final = [
    summary_remedies.LISTED,
    summary_remedies.ADOPT,
    *summary_remedies.MANY.values(),
    *remedies.REMEDIES.values(),
    *remedies.OF_NO_AGENTS.values(),
    remedies.HELD,
    remedies.LATE_SOURCE,
    remedies.END_UNUSED,
    remedies.LEASE,
    remedies.OWNER_GONE,
    remedies.ITS_CREDENTIAL,
    *closing_texts.CHECKS.values(),
]
PROGRAM: Final = get_command(app)
COMMANDS: Final = sorted(
    {found for text in _TEXTS for found in re.findall(r"`(rescind [^`]+)`", text)}
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_in_an_alert_exists(command: str) -> None:
    """With its options and arguments, none that is required left out."""
    words = shlex.split(command)[1:]
    found: Any = PROGRAM
    while hasattr(found, "commands") and words and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    options = [each for each in found.params if each.param_type_name == "option"]
    arguments = [each for each in found.params if each.param_type_name == "argument"]
    used = {word for word in words if word.startswith("-")}
    flags = {flag for each in options if each.is_flag for flag in each.opts}

    assert used <= {flag for each in options for flag in each.opts}
    if words:  # one that is shown alone is named, not written out
        assert [] == [
            each.name
            for each in options
            if each.required and not used.intersection(each.opts)
        ]
    if words and arguments:
        assert len(words) - len(used) - len(used - flags) == len(arguments)


# What must come before what, so that nobody is let in or shut out by the order.
_ORDER: Final = {
    "unauthorised": ("rescind revoke ID", "rescind distrust AUTHORITY"),
    "containment_enforced": ("Look at the finding", "rescind lift"),
    "containment_held_back": ("Look at the finding", "rescind revoke"),
    "over_quota": ("rescind revoke ID", "rescind distrust AUTHORITY"),
    "ownerless_owner_left": ("issued anew", "rescind owners"),
    "unmapped_subject": ("issued anew", "rescind owners"),
    "blast_limit_held": ("first stop gateway.agent:mailer", "rescind approvals reject"),
    "blast_limit_enforced": ("first stop gateway.agent:mailer", "rescind withdraw"),
    "enforcement_failure": ("to test whether", "offline"),
    "enforcement_lag": ("Then look with `rescind guards`", "offline"),
    "scope_escalation": ("was meant", "rescind revoke"),
    "scope_violation": ("whether it should have", "rescind revoke"),
    "unknown_credential": ("Ask the owner", "end it at the system that issued it"),
    "unknown_agent": ("rescind revoke", "End it at the system that issued it only"),
    "revocation_not_applied_lease": ("rescind revoke", "have the account locked"),
    "leak": ("rescind why", "rescind revoke"),
}


@pytest.mark.parametrize("name", _ORDER)
def test_an_act_stands_behind_what_makes_it_safe(
    told: dict[str, Finding], name: str
) -> None:
    """A question, a look, or an act that can be taken back comes first."""
    before, after = map(wording.remedy(told[name]).find, _ORDER[name])

    assert -1 < before < after


@pytest.mark.parametrize("name", CASES)
def test_an_alert_says_which_role_a_grant_needs(
    told: dict[str, Finding], name: str
) -> None:
    """Who is on call may have the role revoker alone."""
    text = wording.remedy(told[name])
    grants = ["withdraw", "owners", "adopt", "lift", "distrust"]
    grants += ["approvals approve", "approvals reject"]
    needed = [each for each in grants if f"`rescind {each}" in text]

    assert ("The role restorer" in text) is bool(needed)
    assert [] == [n for n in needed if n not in text.partition("needed for:")[2]]


def test_an_alert_of_what_is_forgotten_says_that_its_end_shows_nothing(
    told: dict[str, Finding],
) -> None:
    """PagerDuty resolves it without a word."""
    quiet = ("blast_limit_held", "unmapped_subject", "source_gap", "over_quota")
    for name in (*quiet, "containment_held_back"):
        assert "handled or not" in wording.remedy(told[name])


def test_a_command_takes_a_name_of_others_as_one_word(
    told: dict[str, Finding],
) -> None:
    """Who pastes it into a shell runs nothing that a log wrote."""
    evil = told["blocked_attempt"].presented._replace(value="x;$(reboot) 'y'")
    finding = attrs.evolve(told["blocked_attempt"], presented=evil)

    (command,) = re.findall(r"`(rescind why .+)` shows", wording.remedy(finding))
    assert ["rescind", "why", str(evil)] == shlex.split(command)


@pytest.mark.parametrize("name", CASES)
def test_every_alert_is_valid_for_a_siem(told: dict[str, Finding], name: str) -> None:
    """As the stages fill it, in both versions."""
    older = ocsf.OcsfLayout("1.8.0", LINKS)

    released().validate(sent(ocsf.of_delivery(_delivery(told[name]), older)))
    newest().validate(sent(_shown_by_ocsf(told[name])))


# What guards are found to do is told by the stage that follows them, on Kafka without
# the table: test_kafka_closure.
@pytest.mark.parametrize(
    "name", sorted(CASES.keys() - {"closure_partial", "unauthorised_guard"})
)
def test_both_engines_tell_the_same(
    told: dict[str, Finding], repository: Path, name: str
) -> None:
    """What goes over the topic loses nothing that an alert says."""
    assert told[name] == CASES[name](Story(repository, on_kafka=True))


def test_a_reason_shows_no_secret(repository: Path) -> None:
    """Whoever wrote it may have pasted one."""
    story = Story(repository)
    event = issued("", "planner") | {
        "action": "token.revoked", "comment": "leaked: ghp_abcdef1234567890",
    }  # fmt: skip
    story.send("agent-gateway", event)

    finding = story.found(FindingKind.REVOCATION_NOT_APPLIED)
    assert finding.reason == "leaked: [secret]"
