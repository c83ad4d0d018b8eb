"""Tests of the decision point's tests: each planted bug must be caught by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from attrs import evolve

from agents_registry.presentation import Presented
from agents_registry.verdict import judge as judge_by_table
from streams.clients import jwks_cache as key_set
from streams.model.keyed_names import keyed_identifier
from streams.pdp import claims, decider
from streams.pdp.decider import Decider, Decision
from streams.pdp.tokens import TokenRefusedError
from streams.sources.ssf.verifier import claimed
from tests.unit import test_pdp_decider as caught_by

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from agents_registry.identifiers import Identifier

pytestmark = pytest.mark.planted


class Bug(NamedTuple):
    """What is wrong, where, and the test that must fail."""

    place: Any
    name: str
    wrong: Any
    test: Callable[[], Coroutine[Any, Any, None]]


async def without_a_lease(
    self: Decider, names: Any, *, claims: Any = None, **_: Any
) -> Decision:
    """Judge by the table alone, however old it is."""
    shown = names if isinstance(names, Presented) else Presented(tuple(names))
    table = self.guard.standing.replica.registry
    judged = judge_by_table(table, shown, now=self._clock())
    return Decision(allowed=judged.allowed, reason=judged.reason.value, claims=claims)


async def second_chance(self: Decider, token: str, **more: Any) -> Decision:
    """Take a token that does not verify for an opaque one."""
    try:
        named = await self._verified(token)
    except TokenRefusedError:
        return await self.judge(self._hashes(token, "secret"))
    return await self._judge_claims(token, named, None, None)


def token_alone(*said: Any) -> Presented:
    """Leave out whom a token speaks for."""
    shown = claims.presented(*said)
    return evolve(shown, identifiers=shown.identifiers[:1])


def verify_nothing(token: str, *_: Any) -> Mapping[str, Any]:
    """Believe what a token says of itself."""
    return claimed(token.encode())


def every_name(self: Decider, token: str, kind: str) -> Sequence[Identifier]:
    """Present the names under both peppers, though one was never used."""
    return [keyed_identifier(kind, token, each) for each in self._peppers]


async def forged(name: str = "another key") -> None:
    """Run the test of forged tokens."""
    text = caught_by.FORGED[name]
    await caught_by.test_a_forged_jwt_is_never_taken_for_an_opaque_token(text, "deny")


BUGS = {
    "act chain ignored": Bug(
        claims, "_actors", lambda *_: (),
        lambda: caught_by.test_any_actor_of_the_chain_is_revoked(caught_by.BOSS),
    ),
    "a bad signature is an opaque token": Bug(Decider, "decide", second_chance, forged),
    "no signature is checked": Bug(decider, "verify", verify_nothing, forged),
    "a JWT in two parts is opaque": Bug(
        decider, "has_header", lambda _: False, lambda: forged("two parts")
    ),
    "allowed without a lease": Bug(
        Decider, "judge", without_a_lease,
        caught_by.test_without_a_lease_nothing_is_allowed,
    ),
    "the token is judged without its subject": Bug(
        decider, "presented", token_alone,
        lambda: caught_by.test_a_mass_revocation_asks_for_the_issue_time(
            {}, "not_before"
        ),
    ),
    "keys as often as tokens ask": Bug(
        key_set, "COOL_DOWN", 0.0, caught_by.test_newer_keys_are_read_once_a_minute
    ),
    "a name under every pepper": Bug(
        Decider, "_hashes", every_name,
        caught_by.test_while_the_pepper_changes_one_name_is_enough,
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
async def test_a_planted_bug_is_caught(
    bug: Bug, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test passes on the code as it is, and fails with the bug."""
    await bug.test()

    monkeypatch.setattr(bug.place, bug.name, bug.wrong)

    with pytest.raises(AssertionError):
        await bug.test()
