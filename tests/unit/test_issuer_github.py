"""What is no proof at GitHub: an absence, the end of a page, a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndTarget
from streams.outbound.answers import RequestError
from tests.issuers.cases import CASES
from tests.issuers.fake import BASE, json
from tests.issuers.github import FakeGitHub

if TYPE_CHECKING:
    from streams.outbound.answers import HttpAnswer
    from tests.issuers.fake import Asked

pytestmark = pytest.mark.unit

TOKENS = "/orgs/acme/personal-access-tokens"


def made(kind: str) -> tuple[WayActuator, FakeGitHub]:
    """Give the actuator and the issuer of a kind."""
    actuator, issuer = CASES[f"github github.{kind}"].made()
    assert isinstance(issuer, FakeGitHub)
    return actuator, issuer


def named(text: str, **more: Any) -> EndTarget:
    """Give a target by the text of its identifier."""
    return EndTarget(Identifier.parse(text), **more)


# ---------------------------------------------------------------------------- Pages


@define
class Pages(FakeGitHub):
    """Its first page of tokens is short, and links to a second one.

    Attributes:
        link: in the header of the first page.
    """

    link: str = field(default=f'<{BASE}{TOKENS}?per_page=100&page=2>; rel="next"')

    def answer(self, asked: Asked) -> HttpAnswer:
        """Answer as GitHub does."""
        if asked.query["page"] == "2":
            return json([{"id": 2, "token_id": 98}])
        return json([{"id": 1, "token_id": 1}] * 99, link=self.link)


def paged(**more: Any) -> WayActuator:
    """Give an actuator whose issuer has two pages."""
    actuator, _ = made("token")
    for api in (actuator.api, *actuator.others):
        api.client = Pages(**more)  # type: ignore[assignment]
    return actuator


async def test_a_short_page_that_links_to_a_next_one_is_not_the_last() -> None:
    """GitHub fills no page for sure."""
    probed = await paged().probe(named("github.token:98", seen=True))
    assert probed.found is Alive.ALIVE


@pytest.mark.parametrize(
    "link",
    [
        f'<https://elsewhere.example{TOKENS}?page=2>; rel="next"',
        f'{BASE}{TOKENS}?page=2; rel="next"',
        f'<{BASE}{TOKENS}?per_page=100&page=1>; rel="prev next"',
        f'<{BASE}{TOKENS}?per_page=100&page=1>; rel="next"',
    ],
)
async def test_a_next_page_that_cannot_be_read_proves_nothing(link: str) -> None:
    """It leads elsewhere or in a circle, or is no link."""
    with pytest.raises(RequestError, match="next page"):
        await paged(link=link).probe(named("github.token:98", seen=True))
