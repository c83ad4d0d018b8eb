"""What a real API server (1.34.4) posted, by ``tests/recordings/kubernetes/record.py``.

An account, a pod and then all accounts of a namespace are deleted while their tokens
are used. The first batch was answered 503, so it came again, behind later ones.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import Policy, judge
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.sources.kubernetes.kubernetes import Kubernetes
from streams.stages.ingest.ingress import Origin, facts_of

pytestmark = pytest.mark.golden

BATCHES = Path(__file__).parents[1] / "recordings" / "kubernetes" / "batches.jsonl"


@pytest.fixture(scope="module")
def batches() -> list[bytes]:
    """Give the bodies of the requests."""
    return BATCHES.read_bytes().splitlines()


def read(batches: list[bytes]) -> list[Record]:
    """Read each batch as a request."""
    return [one for body in batches for one in Kubernetes().records(body)]


def tokens(batches: list[bytes]) -> list[Lifecycle]:
    """Give the issues: of the planner, of the runner in its pod, of the runner."""
    found = [one for one in read(batches) if isinstance(one, Lifecycle)]
    return sorted(
        (one for one in found if one.effect == "issue"),
        key=lambda one: one.occurred_at or 0,
    )


def allowed(batches: list[bytes], name: Identifier) -> bool:
    """Judge a token after batches."""
    now = max(one.occurred_at or 0 for one in read(batches))
    origin = Origin("k8s", "r", received_at=now, issuer_log=True)
    registry = Registry.build([
        fact
        for record in read(batches)
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, origin)
    ])  # fmt: skip
    presented = Presented(identifiers=(name,))
    return judge(registry, presented, now=now, scope=None, policy=Policy()).allowed


def test_uses_came_before_the_issue_of_what_they_presented(
    batches: list[bytes],
) -> None:
    """A repeated batch keeps its content, and loses its place."""
    records = read(batches)
    first = tokens(batches)[0].identifiers[0]
    places = [
        place for place, one in enumerate(records)
        if isinstance(one, Access) and first in one.identifiers
    ]  # fmt: skip
    issue = next(
        place for place, one in enumerate(records)
        if isinstance(one, Lifecycle) and one.effect == "issue"
        and first in one.identifiers
    )  # fmt: skip
    assert places[0] < issue < places[-1]


def test_tokens_hang_on_account_pod_and_asker(batches: list[bytes]) -> None:
    """Three, each known by the credential id and by its claim."""
    planner, bound, free = tokens(batches)
    for one in (planner, bound, free):
        assert ["k8s.credential", "jwt.jti"] == [name.kind for name in one.identifiers]
    kinds = ["k8s.service_account", "k8s.pod_uid", "k8s.credential"]
    assert kinds == [parent.kind for parent in bound.parents]
    assert [kinds[0], kinds[2]] == [parent.kind for parent in free.parents]
    assert "agents/planner" == planner.parents[0].value


@pytest.mark.parametrize("order", list(permutations(range(3)))[::2], ids=str)
def test_ended_tokens_are_denied_in_any_order(
    batches: list[bytes], order: tuple[int, ...]
) -> None:
    """Each batch twice; the token that only a collection named stays."""
    pieces = [batches[start::3] for start in order]
    shuffled = [body for piece in pieces for body in piece] + batches
    planner, bound, free = (one.identifiers[1] for one in tokens(batches))
    assert not allowed(shuffled, planner)
    assert not allowed(shuffled, bound)
    assert allowed(shuffled, free)
    (letter,) = {one.reason for one in read(batches) if isinstance(one, DeadLetter)}
    assert letter.startswith("no_target: deletecollection:serviceaccounts")


def test_the_cluster_honours_a_token_after_its_account_is_gone(
    batches: list[bytes],
) -> None:
    """For some seconds, by its cache; Rescind denies from the deletion on."""
    records = read(batches)
    name = tokens(batches)[0].identifiers[0]
    (ended,) = [
        one for one in records if isinstance(one, Lifecycle)
        and one.event_type == "delete:serviceaccounts"
    ]  # fmt: skip
    late = [
        one for one in records
        if isinstance(one, Access) and name in one.identifiers
        and one.outcome == "allowed"
        and (one.occurred_at or 0) > (ended.occurred_at or 0)
    ]  # fmt: skip
    assert late


def test_no_token_is_in_the_recording(batches: list[bytes]) -> None:
    """The policy of the examples logs requests, never their responses."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for one in value.values() for text in texts(one)]
        if isinstance(value, list):
            return [text for one in value for text in texts(one)]
        return [str(value)]

    for body in batches:
        assert not [text for text in texts(orjson.loads(body)) if "eyJ" in text]
