"""Each public sample file gives the right answer that the samples' README states.

One line a change that is stated: its effect and what it is about, in the file's order;
a dead letter by its code. Files that state "no effect" have no line. What else the
README says of a file (owners, times, accesses) is tested with its source.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from agents_registry.facts import Cause
from streams.model.records import Access, DeadLetter, Record
from streams.sources.catalogue import source
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

SOURCES: Final = {
    "anthropic": "anthropic", "aws": "cloudtrail", "caep": "ssf", "entra": "entra",
    "github": "github", "kubernetes": "kubernetes", "okta": "okta",
}  # fmt: skip
ELSEWHERE: Final = {"scim/PostmanCollection.json"}  # requests: test_scim_samples
ISSUER: Final = "https://idp.example.com/"
TOKEN: Final = "f61t6e20zdo3px56gepu8rzlsp4c1dpc0fx7"
SESSION: Final = "revoke session.id:dMTlD|1600802906337.16|16008.16"
PROFILE: Final = "arn:aws:iam::070411556318:user/stratus-red-team-login-profile-user"
LOST_KEY: Final = ["revoke -", "no_target"]  # its event names no key
ANTHROPIC: Final[dict[str, list[str]]] = {
    "admin_api_key_created": ["issue -"],
    "admin_api_key_deleted": [*LOST_KEY, "issue -"],
    "artifact_shared_publicly": [],
    "excessive_chat_access_failures": [],
    "integration_connected": [],
    "ip_restriction_deleted": [],
    "mcp_server_created": ["issue anthropic.mcp_server:mcpsrv_01ABC"],
    "mcp_server_deleted": [
        "delete_subject anthropic.mcp_server:mcpsrv_01ABC",
        "issue anthropic.mcp_server:mcpsrv_01DEF",
    ],
    "org_settings_updated": [],
    "org_user_deleted": ["delete_subject anthropic.user:user_01DEF"],
    "primary_owner_transferred": [],
    "role_granted": [],
    "service_key_created": ["issue -", *LOST_KEY],
    "service_key_revoked": [*LOST_KEY, "issue -"],
    "spend_limit_deleted": [],
    "sso_disabled": [],
    "sso_login_failed": [],
}
AWS: Final[dict[str, list[str]]] = {
    "aws.defense-evasion.organizations-leave.json": [
        "issue aws.access_key:ASIA36EV31F1RB3OA8IG",
        "issue aws.access_key:ASIAMOWPWQJ1QHWCWJXJ",
    ],
    "aws.persistence.iam-create-admin-user.json": [
        "issue aws.access_key:AKIAXAFZN8JEPF6L682H",
    ],
    "aws.persistence.iam-create-user-login-profile.json": [
        f"issue aws.login_profile:{PROFILE}",
    ],
    "aws.persistence.sts-federation-token.json": [
        "issue aws.access_key:ASIASTJKC5GCM7ZE6LUP",
    ],
    "panther-aws_iam_compromised_key_quarantine.jsonl": [
        "leak aws.user:arn:aws:iam::123456789012:user/test-user",
    ],
    # four events of one id, all with one edited key id
    "panther-aws_iam_user_key_created.jsonl": ["issue aws.access_key:ABCDEFG"] * 4,
}
CAEP: Final[dict[str, list[str]]] = {
    "01-session-revoked": [SESSION],
    "02-session-revoked": [SESSION],
    "03-session-revoked": [
        f"not_before jwt.sub:{ISSUER}123456789/|jane.smith@example.com"
    ],
    "04-token-claims-change": [f"narrow jwt.jti:{TOKEN}"],
    "05-token-claims-change": [f"narrow jwt.jti:{TOKEN}"],
    "06-token-claims-change": [
        f"narrow saml.assertion:{ISSUER}987654321/|_a75adf55-01d7-dbd8372ebdfc"
    ],
    "07-credential-change": ["issue -"],
    # "no narrowing": a higher level ends an earlier one
    "08-assurance-level-change": [
        f"restore jwt.sub:{ISSUER}3456789/|jane.smith@example.com"
    ],
    "09-assurance-level-change": [],
    "10-device-compliance-change": [],
    "11-session-established": [],
    "12-session-presented": [],
    "13-risk-level-change": [],
}
OTHERS: Final[dict[str, list[str]]] = {
    # one event on two lines: the same facts (test_entra_samples)
    "entra/AADAuditEvents.json": [
        "issue entra.app_credential:59eaeebc-8a6b-44a6-9f24-7d55e64420c9"
    ] * 2,
    "entra/panther-azure_service_principal_credentials_added.jsonl": ["issue -"],
    "github/github_app_authorization.revoked.payload.json": [
        "revoke github.app_authorization:1",
    ],
    "github/installation.deleted.payload.json": ["revoke github.installation:2"],
    "github/installation.suspend.payload.json": [
        "suspend github.installation:16598467",
    ],
    "github/panther-github_secret_scanning_alert_created.jsonl": [
        "leak github.secret_alert:acme-inc/crown-jewels#12",
    ],
    "github/secret_scanning_alert.reopened.payload.json": [
        "leak github.secret_alert:Codertocat/Hello-World#191",
    ],
    # no line has a time, an issued credential's id or an auditID
    "kubernetes/panther-k8s_serviceaccount_token_created.jsonl": [
        *(["issue -", "no_time"] * 6), *(["no_time"] * 3),
    ],
    "kubernetes/panther-system_namespace_public_ip.jsonl": [
        "issue k8s.credential:JTI=2e6389af-b8bc-4c26-92d2-714fbe9cb4fa",
        "issue -", "issue -",
    ],
    "okta/get_logs.json.resp": [
        "suspend okta.user:12345", "not_before okta.user_sessions:12345",
    ],
    "okta/panther-okta_api_key_created.jsonl": [
        "issue okta.api_token:00Tpki36zlWjhjQ1u2p4",
    ],
    "okta/panther-okta_api_key_revoked.jsonl": [
        "revoke okta.api_token:00Tpki36zlWjhjQ1u2p4",
    ],
    "okta/panther-okta_app_refresh_access_token_reuse.jsonl": [
        "leak okta.user:abcd123",
    ],
}  # fmt: skip
ANSWERS: Final = (
    {f"anthropic/panther-anthropic_{k}.jsonl": v for k, v in ANTHROPIC.items()}
    | {f"aws/{name}": answer for name, answer in AWS.items()}
    | {f"caep/{name}.json": answer for name, answer in CAEP.items()}
    | OTHERS
)


def said(record: Record) -> str:
    """Write a record as its line above; empty for what no line is about."""
    if isinstance(record, DeadLetter):
        return record.reason.partition(":")[0]
    if isinstance(record, Access) or record.effect is None:
        return ""
    target = str(record.identifiers[0]) if record.identifiers else "-"
    return f"{record.effect} {target}"


def test_every_sample_has_an_answer(public_samples: Path) -> None:
    """Those that the README lists are those that are there, and those asked below."""
    text = (public_samples / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| (\w+/\S+) \|", text, re.MULTILINE))
    there = {
        f"{file.parent.name}/{file.name}"
        for file in public_samples.glob("*/*") if file.is_file()
    }  # fmt: skip
    assert 50 == len(listed)
    assert listed == there == ANSWERS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", ANSWERS)
def test_each_sample_gives_its_answer(public_samples: Path, name: str) -> None:
    """These changes in this order, and no other."""
    reader = source(SOURCES[name.partition("/")[0]])
    records = reader.records((public_samples / name).read_bytes())
    assert ANSWERS[name] == [line for line in map(said, records) if line]


@pytest.mark.parametrize(
    "names",
    [
        ["okta/get_logs.json.resp"],
        ["caep/04-token-claims-change.json", "caep/05-token-claims-change.json"],
    ],
    ids=["two types", "two contents"],
)
def test_events_that_share_their_id_all_become_causes(
    public_samples: Path, names: list[str]
) -> None:
    """One uuid with two types; one iss, jti and type with two contents."""
    origin = Origin("a", "r", received_at=1_800_000_000 * 10**9)
    causes = {
        fact
        for name in names
        for record in source(SOURCES[name.partition("/")[0]]).records(
            (public_samples / name).read_bytes()
        )
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin)
        if isinstance(fact, Cause)
    }
    assert (2, 1) == (len(causes), len({cause.event_id for cause in causes}))
