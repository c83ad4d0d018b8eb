"""How much an authority may say, and that no issue ever costs a revocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import Cause, Edge, Effect, Fact, Node
from agents_registry.identifiers import Identifier
from streams.http.auth import Tokens
from streams.http.problems import ProblemError
from streams.stages.ingest.quota import Bucket, Quota
from tests.integration.serving import values

if TYPE_CHECKING:
    from pathlib import Path

NAME = Identifier("agent.id", "x")
NODE = Node(authority="a", version=1, received_at=1, node=NAME)
EDGE = Edge(authority="a", version=1, received_at=1, child=NAME, parent=NAME)
CAUSE = Cause(
    authority="a", version=1, received_at=1, target=NAME, effect=Effect.REVOKE, at=1
)


def test_a_bucket_owes_what_it_did_not_have() -> None:
    """And fills up to its most."""
    bucket = Bucket(rate=2.0, most=4.0)
    assert bucket.wait(100.0) == 0
    bucket.take(4, 100.0)
    assert bucket.wait(100.0) == 0.5
    assert bucket.wait(100.5) == 0
    bucket.take(5, 100.5)
    assert bucket.wait(100.5) == 2.5
    assert bucket.wait(103.0) == 0
    bucket.take(0, 10_000.0)
    assert bucket.level == 4


@given(st.lists(st.sampled_from([NODE, EDGE, CAUSE]), max_size=60))
def test_issue_never_makes_a_cause_wait(facts: list[Fact]) -> None:
    """Whatever was said before; and a cause never makes issue wait."""
    quota = Quota(issue=Bucket(1, 1), causes=Bucket(1, 1), nodes=Bucket(1, 1))
    issue = [each for each in facts if not isinstance(each, Cause)]
    quota.take(issue, 0.0)
    assert quota.wait([CAUSE, *issue], 0.0)[0] == 0
    quota = Quota(issue=Bucket(1, 1), causes=Bucket(1, 1))
    quota.take([each for each in facts if isinstance(each, Cause)], 0.0)
    assert quota.wait([EDGE], 0.0) == (0, 0)


def test_one_credential_has_so_many_requests_under_way(tmp_path: Path) -> None:
    """Another one is not told to wait by them."""
    from aiohttp.test_utils import make_mocked_request  # noqa: PLC0415 - one test's

    from streams.settings.server import Settings  # noqa: PLC0415 - as above

    tokens = Tokens(Settings(**values(tmp_path)).tokens, most=2)

    def asked(token: str) -> object:
        headers = {"Authorization": f"Bearer {token}"}
        request = make_mocked_request("GET", "/", headers=headers)
        tokens.holder(request, "viewer", "revoker", "guard")
        return request

    first = asked("viewer")
    asked("viewer")
    with pytest.raises(ProblemError, match="too many requests"):
        asked("viewer")
    tokens.behind = lambda: True
    with pytest.raises(ProblemError, match="not written") as stalled:
        asked("viewer")
    assert (503, "1") == (
        stalled.value.response().status,
        stalled.value.response().headers["Retry-After"],
    )
    asked("revoker")
    for _ in range(5):
        asked("guard")
    tokens.left(first)  # type: ignore[arg-type]
    asked("viewer")
