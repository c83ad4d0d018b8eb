"""What headers of a gateway present to the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from enforcement.names import read_presented
from enforcement.shared.authorizing import UNREADABLE, ClaimHeaders
from enforcement.shared.command import main

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

CLAIMS = ClaimHeaders.read(["X-Jwt-Sub=jwt.sub", "x-jwt-jti=jwt.jti"], "x-jwt-iat")
SUB, JTI = Identifier("jwt.sub", "a"), Identifier("jwt.jti", "j:1")


def shown(*headers: tuple[str, str]) -> object:
    """Read the headers of a request."""
    return CLAIMS.presented(CIMultiDictProxy(CIMultiDict(headers)))


def test_each_claim_is_a_name_and_the_time_of_issue_is_theirs() -> None:
    """Headers have no case; a value may hold a colon."""
    headers = [("x-jwt-jti", "j:1"), ("X-JWT-SUB", "a"), ("other", "x")]
    assert shown(*headers) == Presented((SUB, JTI))
    dated = Presented((SUB, JTI), 7 * 10**9)
    assert shown(*headers, ("x-jwt-iat", "7")) == dated
    assert shown(headers[1]) == Presented((SUB,))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer x"), ("x-jwt-iat", "7")],
        [("x-jwt-sub", "")],
        [("x-jwt-sub", "a"), ("x-jwt-sub", "a")],
        [("x-jwt-sub", "a"), ("x-jwt-iat", "7"), ("x-jwt-iat", "7")],
        [("x-jwt-sub", "a"), ("x-jwt-iat", "7.5")],
        [("x-jwt-sub", "a"), ("x-jwt-iat", "-7")],
        [("x-jwt-sub", "a"), ("x-jwt-iat", "\N{SUPERSCRIPT TWO}")],
        [("x-jwt-sub", "a"), ("x-jwt-iat", "9" * 13)],
        [("x-jwt-sub", "a" * 257)],
    ],
)
def test_what_no_gateway_sets_presents_nothing(
    headers: Sequence[tuple[str, str]],
) -> None:
    """No header, an empty one, one that is there twice, or no time."""
    presented = shown(*headers)
    assert presented == UNREADABLE
    assert read_presented(UNREADABLE) is None


@pytest.mark.parametrize(
    "claims", [["x"], ["=k"], ["x="], ["x=a:b"], ["x=a.b", "X=a.c"]]
)
def test_a_claim_is_a_header_and_a_kind(claims: list[str]) -> None:
    """The error says how to write it."""
    with pytest.raises(ValueError, match="write HEADER=KIND"):
        ClaimHeaders.read(claims, None)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--claim", "x-a=jwt.sub"], "give --socket"),
        (["--socket", "s", "--issued-at", "x-iat"], "give --claim"),
        (["--socket", "s", "--claim", "x-a"], "write HEADER=KIND"),
    ],
)
def test_the_agent_refuses_what_does_not_go_together(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names what is missing."""
    agent = ["agent", "--url", "http://h", "--token-file", "t", "--name", "n"]
    with pytest.raises(SystemExit) as ended:
        main([*agent, "--path", "p", *more])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
