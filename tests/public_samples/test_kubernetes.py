"""The public Kubernetes samples give the right answers of their README."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.sources.kubernetes.kubernetes import Kubernetes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.public_samples

TOKENS = "panther-k8s_serviceaccount_token_created.jsonl"
TRAFFIC = "panther-system_namespace_public_ip.jsonl"


def read(folder: Path, name: str) -> list[Record]:
    """Read one sample as its own source."""
    return list(Kubernetes().records((folder / "kubernetes" / name).read_bytes()))


def changes(records: list[Record]) -> list[Lifecycle]:
    """Give the lifecycle records."""
    return [record for record in records if isinstance(record, Lifecycle)]


def test_six_of_nine_lines_issue_a_token(public_samples: Path) -> None:
    """The second comes as a string in AKS's envelope; only the account is known."""
    records = read(public_samples, TOKENS)

    assert [
        "k8s.service_account:production/persistence-sa",
        "k8s.service_account:default/backdoor-sa",
        "k8s.service_account:default/attacker-sa",
        "k8s.service_account:kube-system/escalation-sa",
        "k8s.service_account:production/app-sa",
        "k8s.service_account:kube-system/legitimate-sa",
    ] == [str(one.owners[0]) for one in changes(records)]
    assert {("issue", (), "no_credential_id")} == {
        (one.effect, one.identifiers, one.reason) for one in changes(records)
    }


def test_no_line_of_them_has_a_time(public_samples: Path) -> None:
    """Each is a dead letter that says so, and none gives an access."""
    records = read(public_samples, TOKENS)

    letters = [one for one in records if isinstance(one, DeadLetter)]
    assert ["no_time"] * 9 == [one.reason.split(":")[0] for one in letters]
    assert not [one for one in records if isinstance(one, Access)]


def test_one_real_token_request_has_a_credential_id(public_samples: Path) -> None:
    """Line 7; its two edited copies have none, and name the account alone."""
    real, *copies = changes(read(public_samples, TRAFFIC))

    assert [
        "k8s.credential:JTI=2e6389af-b8bc-4c26-92d2-714fbe9cb4fa",
        "jwt.jti:2e6389af-b8bc-4c26-92d2-714fbe9cb4fa",
    ] == [str(one) for one in real.identifiers]
    assert [
        ("kube-system/kube-proxy", "requires"),
        ("system:node:ip-192-168-3-178.us-west-2.compute.internal", "created_by"),
    ] == [(one.value, one.relation.value) for one in real.parents]
    assert [((), "kube-system/kube-proxy")] * 2 == [
        (one.identifiers, one.owner) for one in copies
    ]


def test_only_the_complete_stage_counts(public_samples: Path) -> None:
    """Lines 1 and 4 are ResponseStarted; 7 uses are left, one of them forbidden."""
    reader = Kubernetes()
    data = (public_samples / "kubernetes" / TRAFFIC).read_bytes()
    uses = [one for one in reader.records(data) if isinstance(one, Access)]

    assert 2 == reader.unknown["stage:ResponseStarted"]
    assert [None, None, "code 403", None, None, None, None] == [
        one.reason for one in uses
    ]
    assert {"use"} == {one.effect for one in uses}
    # auditID e2626946-.. stands on four lines of differing content: all survive.
    assert 4 == sum(str(one.event_id).startswith("e2626946") for one in uses)


def test_an_aws_key_is_the_bridge_to_cloudtrail(public_samples: Path) -> None:
    """Line 6 was made with a role's session key."""
    (bridge,) = [
        one for one in read(public_samples, TRAFFIC)
        if isinstance(one, Access) and one.identifiers[0].kind == "aws.access_key"
    ]  # fmt: skip
    assert "ASIAXXXXXXXXXXXXXXXX" == bridge.identifiers[0].value
    assert ["aws.role"] == [parent.kind for parent in bridge.parents]
