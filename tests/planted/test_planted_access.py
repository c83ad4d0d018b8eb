"""Tests of the tests of access: each planted bug must be caught by one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from streams.http import oidc
from streams.sources.ssf.verifier import claimed
from streams.stages.ingest import approvals, blast, quota
from tests.unit import test_approvals, test_oidc, test_quota

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.planted

RIGHT_COUNT = blast.BatchReach.__init__


class Bug(NamedTuple):
    """What is wrong, where, and the test that must fail."""

    place: Any
    name: str
    wrong: Any
    test: Callable[[], Any]


def token(text: str, status: int = 401) -> Callable[[], Any]:
    """Run the test of one token."""
    return lambda: test_oidc.test_only_a_good_token_gets_in(text, status)


def believed(given: bytes, *_: Any) -> dict[str, Any]:
    """Take what a token says of itself."""
    return claimed(given)


def one_less(self: Any, *said: Any) -> None:
    """Count one too many as right."""
    registry, facts, limit, now = said
    RIGHT_COUNT(self, registry, facts, limit - 1, now)


def one_bucket(self: Any, facts: Any, now: float) -> tuple[float, float]:
    """Let causes wait for the quota of issue."""
    return (self.issue.wait(now), self.issue.wait(now)) if self.issue else (0.0, 0.0)


NONE = test_oidc.forged({"alg": "none", "typ": "JWT", "kid": "k1"})
HMAC = test_oidc.forged({"alg": "HS256", "typ": "JWT", "kid": "k1"}, test_oidc.PEM)
WRONG_AUDIENCE = test_oidc.signed(aud="somebody-else")
BUGS = {
    "a person approves alone": Bug(
        approvals, "_folded", lambda _: object(),
        test_approvals.test_nobody_approves_what_is_their_own,
    ),
    "spelling makes another person": Bug(
        approvals, "_folded", lambda name: name,
        test_approvals.test_nobody_approves_what_is_their_own,
    ),
    "nothing expires": Bug(
        approvals.Pending, "expired", lambda *_: False,
        test_approvals.test_an_act_is_approved_before_it_expires,
    ),
    "one more than the limit": Bug(
        blast.BatchReach, "__init__", one_less,
        test_approvals.test_a_limit_is_what_may_be_reached,
    ),
    "alg none": Bug(oidc, "signed", believed, token(NONE)),
    "HMAC with the public key": Bug(oidc, "signed", believed, token(HMAC)),
    "any audience": Bug(oidc, "check", lambda *_: None, token(WRONG_AUDIENCE)),
    "keys for ever": Bug(
        oidc, "_no_keys", lambda _: oidc.refused(""),
        test_oidc.test_keys_are_believed_for_a_bounded_time,
    ),
    "causes wait for issue": Bug(
        quota.Quota, "wait", one_bucket, test_quota.test_issue_never_makes_a_cause_wait
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
async def test_each_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right, the test passes; wrong, it fails."""
    bug = BUGS[name]
    await ran(bug)
    monkeypatch.setattr(bug.place, bug.name, bug.wrong)
    with pytest.raises((AssertionError, pytest.fail.Exception, BaseExceptionGroup)):
        await ran(bug)


async def ran(bug: Bug) -> None:
    """Run the test of a bug, plain or not."""
    result = bug.test()
    if inspect.isawaitable(result):
        await result
