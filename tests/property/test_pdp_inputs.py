"""Whatever a client or an issuer sends: a decision, and never one that allows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.pdp.authzen import Evaluation, MalformedRequestError, split
from tests.pdp import AT, ISSUER, node, point, sub, token

pytestmark = pytest.mark.property

# Lenient in all that may be: only what is verified to be the agent's may pass.
LENIENT: dict[str, Any] = {"unknown": {"jwt.jti": "allow_if_principal_known"}}
KNOWN = point(node(sub("agent")), **LENIENT)
STRICT = point(**LENIENT)
GOOD = token("agent")
CLAIMS = jwt.decode(GOOD, options={"verify_signature": False})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["sub", "act", "iss", "jti", "a"]), inner,
                      max_size=3),
    max_leaves=8,
)  # fmt: skip
claim_names = st.sampled_from(
    ["iss", "sub", "jti", "aud", "iat", "exp", "nbf", "auth_time", "act", "scope"]
)
MEMBERS = ("subject", "action", "resource", "context", "evaluations", "options")


@given(st.lists(st.text() | st.text().map("Bearer {}".format), max_size=3))
def test_no_header_is_allowed_that_holds_no_token_of_an_issuer(
    values: list[str],
) -> None:
    """Text of any kind, none or several."""
    decision = asyncio.run(KNOWN.decider.decide_header(values))

    assert not decision.allowed
    assert decision.claims is None


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_a_changed_token_says_the_same_or_is_refused(place: int, letter: str) -> None:
    """The last letter of a signature has bits that stand for nothing."""
    changed = GOOD[:place] + letter + GOOD[place + 1 :]

    decision = asyncio.run(KNOWN.decider.decide(changed))

    assert decision.claims in (None, CLAIMS)
    assert decision.allowed is (decision.claims == CLAIMS)


@given(st.dictionaries(claim_names, json_values, max_size=6))
def test_signed_claims_of_any_shape_give_a_decision(claims: dict[str, Any]) -> None:
    """An issuer may sign what it likes: nobody knows this token's subject."""
    base: dict[str, Any] = {"iss": ISSUER, "aud": "api", "iat": AT - 1}
    text = token("nobody", **(base | claims))

    assert not asyncio.run(STRICT.decider.decide(text)).allowed


@given(
    json_values
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(MEMBERS, json_values),
    )
)
def test_what_is_no_authzen_request_is_said_so(body: Any) -> None:
    """And nothing else goes wrong."""
    with suppress(MalformedRequestError):
        several = split(body)
        for each in [body] if several is None else several[0]:
            Evaluation.read(each)


def test_the_token_that_is_changed_is_allowed() -> None:
    """Else the tests above would say nothing."""
    assert asyncio.run(KNOWN.decider.decide(GOOD)).claims == CLAIMS
